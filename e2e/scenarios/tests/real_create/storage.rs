//! Claims that grow and StatefulSets that are made anew around their pods, on the real controllers.

use std::collections::BTreeMap;

use doris_api::DorisCluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::demo::progress::is_ready;
use scenarios::lab::{basic, cluster};
use scenarios::real::Place;
use serde_json::{Value, json};

use crate::harness::run;

fn small() -> Value {
    let mut spec = basic("2.1.7");
    spec["fe"]["replicas"] = json!(1);
    spec["be"]["replicas"] = json!(2);
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 1}});
    spec
}

async fn becomes(place: &Place<'_>, spec: &Value) -> DorisCluster {
    let applied = place.apply(&cluster("demo", spec.clone())).await.expect("applied");
    let generation = applied.metadata.generation;
    place.until("Ready", "demo", |seen| seen.metadata.generation == generation && is_ready(seen)).await
}

async fn pods(place: &Place<'_>) -> BTreeMap<String, Option<String>> {
    let pods = place.api::<Pod>().list(&ListParams::default()).await.expect("pods");
    pods.into_iter().map(|pod| (pod.name_any(), pod.uid())).collect()
}

#[test]
fn volumes_grow_and_no_pod_is_restarted() {
    run("volumes_grow_and_no_pod_is_restarted", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        let mut spec = small();
        Box::pin(becomes(&place, &spec)).await;
        let before = pods(&place).await;
        let sets = place.api::<StatefulSet>();
        let former = sets.get("demo-be").await.expect("the set");
        spec["fe"]["storage"]["size"] = json!("30Gi");
        spec["be"]["storage"][0]["size"] = json!("200Gi");
        Box::pin(becomes(&place, &spec)).await;
        assert_eq!(pods(&place).await, before);
        for claim in place.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims") {
            let wanted = if claim.name_any().starts_with("meta") { "30Gi" } else { "200Gi" };
            let has = claim.status.and_then(|status| status.capacity).expect("a capacity");
            assert_eq!(has["storage"].0, wanted);
        }
        let set = sets.get("demo-be").await.expect("the set");
        assert_ne!(set.uid(), former.uid(), "it was made anew");
        let status = set.status.expect("a status");
        assert_eq!((set.spec.and_then(|spec| spec.replicas), status.replicas), (Some(2), 2), "it has its pods");
        controller.stop().await.expect("an end");
    });
}

#[test]
fn a_disk_is_added_from_ordinal_zero_upward() {
    run("a_disk_is_added_from_ordinal_zero_upward", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        let mut spec = small();
        Box::pin(becomes(&place, &spec)).await;
        let before = pods(&place).await;
        spec["be"]["storage"] = json!([{"name": "data", "medium": "SSD", "size": "100Gi"}, {"name": "more", "size": "50Gi"}]);
        Box::pin(becomes(&place, &spec)).await;
        let after = pods(&place).await;
        assert_eq!(after["demo-fe-0"], before["demo-fe-0"]);
        let mut made = Vec::new();
        for name in ["demo-be-0", "demo-be-1"] {
            assert_ne!(after[name], before[name], "{name} has the disk");
            let pod = place.api::<Pod>().get(name).await.expect("the pod");
            let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.clone()).unwrap_or_default();
            assert!(volumes.iter().any(|volume| volume.name == "more"), "{name}");
            made.push(pod.creation_timestamp().map(|time| time.0));
        }
        assert!(made[0] < made[1], "{made:?}");
        controller.stop().await.expect("an end");
    });
}
