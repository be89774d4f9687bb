//! Changes to a cluster that runs: one of each kind, where pods, claims and StatefulSets are the real ones.

use std::collections::BTreeMap;

use doris_api::DorisCluster;
use doris_api::conditions::reason;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::ListParams;
use scenarios::demo::progress::is_ready;
use scenarios::lab::look::condition;
use scenarios::lab::{basic, cluster};
use scenarios::real::{Place, RealController};
use serde_json::{Value, json};

use crate::harness::run;

/// An image that no registry has.
const MISSING: &str = "example.com/doris:nowhere";

/// The usual cluster with little patience for what a simulated member does at once.
fn spec(version: &str) -> Value {
    let mut spec = basic(version);
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 2, "backendSeconds": 60, "frontendSeconds": 60}});
    spec
}

/// A cluster that is ready, with the controller that made it so.
async fn begun(place: &Place<'_>, spec: &Value) -> RealController {
    let controller = place.start_controller("one").await.expect("a controller");
    place.apply(&cluster("demo", spec.clone())).await.expect("applied");
    place.until_ready("demo").await;
    controller
}

/// Applies a spec and waits until it is in force.
async fn changed(place: &Place<'_>, spec: Value) -> DorisCluster {
    let applied = place.apply(&cluster("demo", spec)).await.expect("applied");
    let is_in_force = |seen: &DorisCluster| seen.metadata.generation >= applied.metadata.generation && is_ready(seen);
    place.until("as the changed spec says", "demo", is_in_force).await
}

async fn pods(place: &Place<'_>) -> Vec<Pod> {
    place.api::<Pod>().list(&ListParams::default()).await.expect("pods are listed").items
}

async fn uids(place: &Place<'_>) -> BTreeMap<String, String> {
    pods(place).await.iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect()
}

/// Names of the pods in the order in which the server made them. Each is made seconds after the one before.
async fn in_order_of_age(place: &Place<'_>) -> Vec<String> {
    let mut pods = pods(place).await;
    pods.sort_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
    pods.iter().map(ResourceExt::name_any).collect()
}

/// Backends first, highest ordinal first, then followers, and whoever led last.
fn expected_order(master: &str) -> Vec<String> {
    let followers = ["demo-fe-2", "demo-fe-1", "demo-fe-0"].into_iter().filter(|pod| *pod != master);
    ["demo-be-2", "demo-be-1", "demo-be-0"].into_iter().chain(followers).chain([master]).map(str::to_owned).collect()
}

fn master(cluster: &DorisCluster) -> String {
    cluster.status.as_ref().and_then(|status| status.master.clone()).expect("a master")
}

async fn led_by(place: &Place<'_>) -> String {
    master(&place.api::<DorisCluster>().get("demo").await.expect("the cluster"))
}

#[test]
fn a_change_restarts_every_pod_once_and_the_master_last() {
    run("roll", async |place| {
        let controller = Box::pin(begun(&place, &spec("2.1.7"))).await;
        let (before, master) = (uids(&place).await, led_by(&place).await);
        let mut labelled = spec("2.1.7");
        for component in ["fe", "be"] {
            labelled[component]["labels"] = json!({"example.com/round": "2"});
        }
        let done = Box::pin(changed(&place, labelled)).await;
        let after = uids(&place).await;
        assert!(before.iter().all(|(name, uid)| after.get(name).is_some_and(|new| new != uid)), "{before:?} {after:?}");
        assert_eq!(in_order_of_age(&place).await, expected_order(&master));
        assert_eq!(done.status.and_then(|status| status.operation), None);
        controller.stop().await.expect("an end");
    });
}

#[test]
fn another_version_is_installed_in_order() {
    run("upgrade", async |place| {
        let controller = Box::pin(begun(&place, &spec("2.1.7"))).await;
        let master = led_by(&place).await;
        let done = Box::pin(changed(&place, spec("3.0.3"))).await;
        assert_eq!(in_order_of_age(&place).await, expected_order(&master));
        assert_eq!(done.status.and_then(|status| status.version).as_deref(), Some("3.0.3"));
        let images: Vec<String> =
            pods(&place).await.iter().filter_map(|pod| pod.spec.as_ref()?.containers.first()?.image.clone()).collect();
        assert!(images.len() == 6 && images.iter().all(|image| image.ends_with("-3.0.3")), "{images:?}");
        controller.stop().await.expect("an end");
    });
}

#[test]
fn a_backend_leaves_empty_and_its_volume_stays() {
    run("scale_in", async |place| {
        let mut four = spec("2.1.7");
        four["be"]["replicas"] = json!(4);
        let controller = Box::pin(begun(&place, &four)).await;
        let before = uids(&place).await;
        let done = Box::pin(changed(&place, spec("2.1.7"))).await;
        let mut expected = before;
        expected.remove("demo-be-3");
        assert_eq!(uids(&place).await, expected, "one pod went, the others were left alone");
        let backends = done.status.and_then(|status| status.be).expect("backends are counted");
        assert_eq!((backends.desired, backends.registered, backends.alive), (3, 3, 3));
        let claim = place.api::<PersistentVolumeClaim>().get_opt("data-demo-be-3").await.expect("an answer");
        assert!(claim.is_some(), "scaleIn.volumes is Retain");
        controller.stop().await.expect("an end");
    });
}

#[test]
fn a_broken_image_stops_at_one_pod_and_the_former_spec_mends_it() {
    run("broken_image", async |place| {
        place.stand.nodes.miss_images([MISSING.to_owned()].into());
        let controller = Box::pin(begun(&place, &spec("2.1.7"))).await;
        let before = uids(&place).await;
        let mut broken = spec("2.1.7");
        broken["be"]["image"] = json!(MISSING);
        place.apply(&cluster("demo", broken)).await.expect("applied");
        let is_stopped = |seen: &DorisCluster| {
            condition(seen, "Stalled").is_some_and(|(status, why, _)| status == "True" && why == reason::ROLL_STOPPED)
        };
        place.until("stopped", "demo", is_stopped).await;
        let changed_pods = |now: &BTreeMap<String, String>| -> Vec<String> {
            before.iter().filter(|(name, uid)| now.get(*name) != Some(*uid)).map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(changed_pods(&uids(&place).await), ["demo-be-2"]);
        Box::pin(changed(&place, spec("2.1.7"))).await;
        assert_eq!(changed_pods(&uids(&place).await), ["demo-be-2"], "the others were never touched");
        controller.stop().await.expect("an end");
    });
}
