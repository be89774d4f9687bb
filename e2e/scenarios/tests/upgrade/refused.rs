//! Version steps that nobody documents.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::{basic, is_ready};

use crate::help::{all_run, apply, at, ready, templates, until_blocked, until_done};
use crate::watch::{Restarts, hasty};

/// The wanted version reaches no template: a pod that is made anew meanwhile is as it was.
async fn is_refused(from: &str, to: &str, says: &str) {
    let spec = hasty(basic(from));
    let (lab, _controller) = ready(&spec).await;
    let restarts = Restarts::of(&lab, "demo").await;
    let before = templates(&lab).await;
    apply(&lab, at(&spec, to)).await;
    let message = until_blocked(&lab).await;
    assert!(message.contains(says), "{message}");
    assert_eq!(templates(&lab).await, before);
    lab.api::<Pod>().delete("demo-fe-1", &DeleteParams::default()).await.expect("the pod is deleted");
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!(restarts.seen(), ["demo-fe-1"], "only the one that was deleted");
    all_run(&lab, from);
    let told = lab.cluster("default", "demo").await.and_then(|seen| seen.status).and_then(|status| status.version);
    assert_eq!(told.as_deref(), Some(from));
    let generation = apply(&lab, spec).await;
    let well = until_done(&lab, generation).await;
    assert!(is_ready(&well));
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn two_lines_at_once() {
    is_refused("2.0.15", "3.0.3", "from 2.0.15 to 3.0.3 it is by way of 2.1").await;
}

#[tokio::test(start_paused = true)]
async fn past_the_metadata_that_4_reads() {
    is_refused("2.1.7", "4.0.1", "from 2.1.7 to 4.0.1 it is by way of 3.0").await;
}

#[tokio::test(start_paused = true)]
async fn back_to_an_older_line() {
    is_refused("2.1.7", "2.0.15", "2.1.7 has been master and wrote the metadata").await;
}

#[tokio::test(start_paused = true)]
async fn an_image_of_another_line_than_the_version_says() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    let mut other = spec.clone();
    other["be"]["image"] = serde_json::json!("apache/doris:be-3.0.3");
    apply(&lab, other).await;
    let seen = lab
        .until("it is told", "demo", crate::help::LONG, |seen| {
            scenarios::lab::look::condition(seen, "Stalled")
                .is_some_and(|(status, _, message)| status == "True" && message.contains("both have to name one version"))
        })
        .await;
    assert!(!is_ready(&seen));
    all_run(&lab, "2.1.7");
    assert!(templates(&lab).await["demo-be"].ends_with("be-2.1.7"));
}
