//! Events on new and old servers, and their folding.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::json;

use super::{Happening, Recorder, Severity};
use crate::clock::SteppedClock;
use crate::fake::{Fake, refusal};
use crate::leadership::Ungated;
use crate::metrics::Metrics;

fn recorder(fake: &Fake, has_events_v1: bool) -> (Recorder, Arc<Metrics>) {
    let clock = Arc::new(SteppedClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")));
    let metrics = Arc::new(Metrics::new("t"));
    (Recorder::new(fake.client(), "doris-operator.dev/test", "pod-1", has_events_v1, (clock, Arc::new(Ungated), metrics.clone())), metrics)
}

fn object() -> ObjectReference {
    ObjectReference {
        name: Some("demo".to_owned()),
        namespace: Some("ns".to_owned()),
        uid: Some("u1".to_owned()),
        ..ObjectReference::default()
    }
}

fn happening(note: &str) -> Happening {
    Happening { severity: Severity::Warning, reason: "FeUnreachable".to_owned(), action: "Reconcile".to_owned(), note: note.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn repeats_are_counted_and_told_after_a_while() {
    let fake = Fake::new(|asked| (200, asked.body.clone()));
    let (recorder, _) = recorder(&fake, true);
    for _ in 0..10 {
        recorder.record(&object(), &happening("no answer")).await;
    }
    recorder.record(&object(), &happening("another note")).await;
    assert_eq!(fake.asked().len(), 2);
    tokio::time::advance(Duration::from_secs(301)).await;
    recorder.record(&object(), &happening("no answer")).await;
    let asked = fake.asked();
    assert_eq!((asked.len(), asked[2].method.as_str()), (3, "PATCH"));
    assert_eq!(asked[2].body["series"]["count"], json!(11));
    assert_eq!(asked[0].path, "/apis/events.k8s.io/v1/namespaces/ns/events");
    assert_eq!(asked[0].body["eventTime"], json!("2026-01-01T00:00:00.000000Z"));
    assert_ne!(asked[0].body["metadata"]["name"], asked[1].body["metadata"]["name"]);
}

#[tokio::test(start_paused = true)]
async fn an_old_server_gets_events_of_the_core_group() {
    let fake = Fake::new(|asked| (200, asked.body.clone()));
    let (recorder, _) = recorder(&fake, false);
    recorder.record(&object(), &happening(&"ä".repeat(1000))).await;
    let asked = fake.asked();
    assert_eq!(asked[0].path, "/api/v1/namespaces/ns/events");
    assert!(asked[0].body["message"].as_str().expect("a text").len() <= 1024);
    assert_eq!(asked[0].body["involvedObject"]["uid"], json!("u1"));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_recorded_is_only_counted() {
    let fake = Fake::new(|_| refusal(403, "being terminated", &[("NamespaceTerminating", "", "")]));
    let (recorder, metrics) = recorder(&fake, true);
    recorder.record(&object(), &happening("x")).await;
    assert!(metrics.render().expect("text").contains("t_events_lost_total 1"));
}
