//! Rolls that cannot go on, and the way back.

use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::{Value, json};

use crate::watch::{Restarts, hasty};

const LONG: Duration = Duration::from_mins(20);
const MISSING: &str = "example.com/doris:nowhere";

fn stalled(seen: &DorisCluster) -> bool {
    condition(seen, "Stalled").is_some_and(|(status, reason, _)| status == "True" && reason == "RollStopped")
}

/// `first` tells whose turn it is in a cluster that works.
async fn goes_wrong_and_back(component: &str, spec: Value, broken: Value, first: fn(&Lab) -> &'static str) {
    let lab = Lab::new(Settings::default()).await;
    lab.nodes.miss_images([MISSING.to_owned()].into());
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let pod = first(&lab);
    let restarts = Restarts::of(&lab, "demo").await;
    lab.apply(&cluster("demo", broken)).await.expect("the spec is accepted");
    let stopped = lab.until("the roll stops", "demo", LONG, stalled).await;
    assert_eq!(restarts.seen(), [pod], "{component}: one pod, no more");
    let (_, _, message) = condition(&stopped, "Stalled").expect("a condition");
    assert!(message.contains(pod) && message.contains("ImagePull"), "{message}");
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(restarts.seen(), [pod, pod], "{component}: only the broken pod is made anew");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn broken_image_stops_and_rolls_back() {
    let mut broken = hasty(basic("2.1.7"));
    broken["be"]["image"] = json!(MISSING);
    goes_wrong_and_back("be", hasty(basic("2.1.7")), broken, |_| "demo-be-2").await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_frontend_image_stops_at_the_first_follower_and_rolls_back() {
    let mut broken = hasty(basic("2.1.7"));
    broken["fe"]["image"] = json!(MISSING);
    let first = |lab: &Lab| if lab.master_pod("demo").as_deref() == Some("demo-fe-2") { "demo-fe-1" } else { "demo-fe-2" };
    goes_wrong_and_back("fe", hasty(basic("2.1.7")), broken, first).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_image_that_is_taken_back_at_once_waits_for_no_time_to_be_over() {
    let mut spec = basic("2.1.7");
    // Of the others, as the operator has them: a backend has a quarter of an hour.
    spec["update"] = json!({"timeouts": {"drainSeconds": 5}});
    let mut broken = spec.clone();
    broken["be"]["image"] = json!(MISSING);
    let lab = Lab::new(Settings::default()).await;
    lab.nodes.miss_images([MISSING.to_owned()].into());
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    // Until Doris has made its own tables.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let restarts = Restarts::of(&lab, "demo").await;
    lab.apply(&cluster("demo", broken)).await.expect("the spec is accepted");
    let is_told = |seen: &DorisCluster| condition(seen, "Ready").is_some_and(|(_, _, message)| message.contains("ImagePull"));
    lab.until("the first backend does not come back", "demo", LONG, is_told).await;
    // Somebody drains a node: a second one is made anew with the image that the template has by now.
    lab.disturbed("demo-be-1");
    lab.api::<Pod>().delete("demo-be-1", &DeleteParams::default()).await.expect("the pod is there");
    tokio::time::sleep(Duration::from_mins(1)).await;
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let ready = |seen: &DorisCluster| scenarios::lab::is_ready(seen);
    lab.until("both are back", "demo", Duration::from_mins(6), ready).await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-1", "demo-be-2", "demo-be-1"], "each once with the image, once without");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_only_frontend_comes_back_when_its_broken_image_is_taken_back() {
    let mut spec = hasty(basic("2.1.7"));
    spec["fe"]["replicas"] = json!(1);
    let mut broken = spec.clone();
    broken["fe"]["image"] = json!(MISSING);
    let lab = Lab::new(Settings::default()).await;
    lab.nodes.miss_images([MISSING.to_owned()].into());
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let restarts = Restarts::of(&lab, "demo").await;
    lab.apply(&cluster("demo", broken)).await.expect("the spec is accepted");
    lab.until("the frontend is down", "demo", LONG, |seen| {
        condition(seen, "Ready").is_some_and(|(_, _, message)| message.contains("ImagePull"))
    })
    .await;
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(restarts.seen(), ["demo-fe-0", "demo-fe-0"]);
}
