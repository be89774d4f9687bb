//! Watches on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{WatchHealth, WatchName, config, watch};
use crate::clock::SystemClock;
use crate::fake::{Asked, Fake, refusal};
use crate::metrics::Metrics;

fn health() -> WatchHealth {
    WatchHealth::new(Arc::new(SystemClock), Arc::new(Metrics::new("t")))
}

fn list(names: &[&str]) -> (u16, Value) {
    let items: Vec<Value> =
        names.iter().map(|name| json!({"metadata": {"name": name, "namespace": "ns", "resourceVersion": "1"}})).collect();
    (200, json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items}))
}

#[tokio::test(start_paused = true)]
async fn what_went_while_no_watch_was_open_is_told_too() {
    let mut lists = 0;
    let fake = Fake::new(move |asked: &Asked| {
        if asked.query.contains("watch=true") {
            // The version is too old: list again.
            let expired = json!({"type": "ERROR", "object": refusal(410, "Expired", &[]).1});
            return (200, json!(format!("{expired}\n")));
        }
        lists += 1;
        if lists == 1 { list(&["a", "b"]) } else { list(&["b"]) }
    });
    let stop = CancellationToken::new();
    let api: Api<ConfigMap> = Api::namespaced(fake.client(), "ns");
    let (store, mut names) =
        watch(WatchName::new("configmaps", None), api, config(), health(), stop.clone(), |object: &ConfigMap| Some(object.name_any()));
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(names.next().await.expect("goes on"));
    }
    assert_eq!(seen, ["a", "b", "b", "a"], "a list, then a list without one of them");
    assert_eq!(store.state().len(), 1);
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_only_fails_is_dead_after_ten_minutes() {
    let fake = Fake::new(|_| refusal(403, "no right", &[]));
    let health = health();
    let api: Api<ConfigMap> = Api::namespaced(fake.client(), "ns");
    let stop = CancellationToken::new();
    let (_store, _names) =
        watch(WatchName::new("configmaps", None), api, config(), health.clone(), stop.clone(), |_: &ConfigMap| None::<()>);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(health.stale().is_empty(), "{:?}", health.stale());
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(health.stale()[0].starts_with("configmaps (for ") && health.stale()[0].contains("no right"), "{:?}", health.stale());
    tokio::time::sleep(Duration::from_secs(550)).await;
    assert!(health.dead().is_empty());
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(health.dead().len(), 1);
    assert!(fake.asked().len() < 40, "it backs off: {}", fake.asked().len());
    stop.cancel();
}

/// A server that takes requests and answers none.
fn silent() -> kube::Client {
    let never = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
    });
    kube::Client::new(never, "ns")
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_never_answered_is_dead_too() {
    let health = health();
    let api: Api<ConfigMap> = Api::namespaced(silent(), "ns");
    let stop = CancellationToken::new();
    let name = WatchName::new("configmaps", Some("ns"));
    let (_store, _names) = watch(name, api, config(), health.clone(), stop.clone(), |_: &ConfigMap| None::<()>);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(health.stale()[0].starts_with("configmaps of namespace ns (for "), "{:?}", health.stale());
    tokio::time::sleep(Duration::from_mins(11)).await;
    assert_eq!(health.dead().len(), 1, "{:?}", health.stale());
    stop.cancel();
}
