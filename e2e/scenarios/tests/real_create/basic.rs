//! A cluster from its spec.

use doris_api::{Component, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use scenarios::lab::{basic, cluster, full};

use crate::harness::run;

#[test]
fn create_basic() {
    run("create_basic", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        place.apply(&cluster("demo", basic("2.1.7"))).await.expect("applied");
        let ready = place.until_ready("demo").await;
        let status = ready.status.expect("a status");
        assert_eq!(status.members.len(), 6, "{:?}", status.members);
        let sets = place.api::<StatefulSet>();
        for component in [Component::Fe, Component::Be] {
            let set = sets.get(&names::set("demo", component)).await.expect("a set");
            assert_eq!(set.status.and_then(|status| status.ready_replicas), Some(3), "{component:?}");
        }
        controller.stop().await.expect("an end");
    });
}

#[test]
fn create_full() {
    run("create_full", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        place.apply(&cluster("demo", full("3.0.3"))).await.expect("applied");
        let status = place.until_ready("demo").await.status.expect("a status");
        let count = |component: &str| status.members.iter().filter(|member| member.component == component && member.alive).count();
        assert_eq!((count("fe") + count("fe-ob"), count("be"), count("cn"), count("broker")), (5, 3, 2, 1), "{:?}", status.members);
        controller.stop().await.expect("an end");
    });
}
