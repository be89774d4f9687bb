//! A cluster from its spec.

use doris_api::{Component, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use scenarios::lab::{basic, cluster};

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
