//! Upgrades that cannot go on, and the way back.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, basic};

use crate::help::{LONG, all_run, apply, at, held, ready, templates, until_done};
use crate::watch::{Restarts, hasty};

async fn stops(image: &str, count: usize, first: &str) -> (Lab, scenarios::lab::Controller, Restarts) {
    let spec = hasty(basic("2.1.7"));
    let (lab, controller) = ready(&spec).await;
    lab.nodes.miss_images([image.to_owned()].into());
    let restarts = Restarts::of(&lab, "demo").await;
    apply(&lab, at(&spec, "3.0.3")).await;
    let stopped = lab
        .until("the upgrade stops", "demo", LONG, |seen| {
            condition(seen, "Stalled").is_some_and(|(status, reason, _)| status == "True" && reason == "RollStopped")
        })
        .await;
    let (_, _, message) = condition(&stopped, "Stalled").expect("a condition");
    assert!(message.contains(first) && message.contains("ImagePull"), "{message}");
    assert_eq!(restarts.seen().len(), count, "{:?}", restarts.seen());
    let generation = apply(&lab, spec).await;
    until_done(&lab, generation).await;
    all_run(&lab, "2.1.7");
    assert_eq!(held(&lab), Vec::<String>::new());
    assert_eq!(lab.world.crossings().len(), 0);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
    (lab, controller, restarts)
}

#[tokio::test(start_paused = true)]
async fn broken_image_stops_and_rolls_back() {
    let (lab, _controller, restarts) = stops("apache/doris:be-3.0.3", 1, "demo-be-2").await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-2"], "only the broken pod is made anew");
    assert!(templates(&lab).await.values().all(|image| image.ends_with("2.1.7")));
}

#[tokio::test(start_paused = true)]
async fn a_broken_frontend_image_stops_at_the_first_follower_and_the_backends_go_back_after_it() {
    let (_lab, _controller, restarts) = stops("apache/doris:fe-3.0.3", 4, "demo-fe-").await;
    let seen = restarts.seen();
    assert_eq!(seen[3], seen[4], "the follower first: {seen:?}");
    assert_eq!(seen[5..], ["demo-be-2", "demo-be-1", "demo-be-0"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_master_another_image_of_the_line_comes_to_what_cannot_run() {
    let mut spec = hasty(basic("2.1.7"));
    spec["fe"]["replicas"] = serde_json::json!(1);
    let (lab, _controller) = ready(&spec).await;
    // The image is gone from the registry, and the pod is made anew.
    lab.nodes.miss_images(["apache/doris:fe-2.1.7".to_owned()].into());
    lab.api::<Pod>().delete("demo-fe-0", &DeleteParams::default()).await.expect("the pod is deleted");
    lab.until("the frontend is down", "demo", LONG, |seen| {
        condition(seen, "Ready").is_some_and(|(_, _, message)| message.contains("ImagePull"))
    })
    .await;
    let generation = apply(&lab, at(&spec, "2.1.8")).await;
    until_done(&lab, generation).await;
    assert!(templates(&lab).await.values().all(|image| image.ends_with("2.1.8")));
    // Out of turn, which within a line is the way out.
    let out_of_turn = |sentence: &String| sentence.starts_with("upgrade-order: demo-fe-0 runs 2.1.8 beside demo-be-");
    assert!(lab.broken_rules().iter().all(out_of_turn), "{:?}", lab.broken_rules());
}
