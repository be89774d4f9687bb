//! Several installations of the operator on one Kubernetes cluster.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_api::DorisInitializer;
use doris_api::initializer::Phase;
use kube::api::{Patch, PatchParams, PostParams};
use scenarios::lab::{Controller, ControllerOptions, Lab, Settings};
use serde_json::json;

use crate::help::{Asked, Requests, namespace, ready, resize, small, writers};

fn installed(instance: u64, name: Option<&str>) -> ControllerOptions {
    ControllerOptions { instance, installation: name.map(str::to_owned), ..ControllerOptions::default() }
}

fn of(name: &str, installation: Option<&str>) -> DorisCluster {
    let mut cluster = small("default", name);
    cluster.metadata.labels = installation.map(|named| [("doris-operator.dev/installation".to_owned(), named.to_owned())].into());
    cluster
}

#[tokio::test(start_paused = true)]
async fn two_installations() {
    let lab = Lab::new(Settings::default()).await;
    let requests = Requests::of(&lab);
    let _plain = lab.start_controller_with(installed(1, None));
    let _green = lab.start_controller_with(installed(2, Some("green")));
    for (name, installation) in [("demo", None), ("emerald", Some("green")), ("nobodys", Some("blue"))] {
        lab.apply(&of(name, installation)).await.expect("the spec is accepted");
    }
    ready(&lab, "default", "demo").await;
    ready(&lab, "default", "emerald").await;
    // Initializers go with the cluster, whatever they are called.
    for cluster in ["demo", "emerald"] {
        let initializer = json!({
            "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisInitializer", "metadata": {"name": format!("{cluster}-init"), "namespace": "default"},
            "spec": {"clusterRef": {"name": cluster}, "sql": [{"text": "CREATE DATABASE d"}]},
        });
        let initializer: DorisInitializer = serde_json::from_value(initializer).expect("an initializer");
        lab.api().create(&PostParams::default(), &initializer).await.expect("it is accepted");
    }
    tokio::time::sleep(Duration::from_mins(3)).await;
    for cluster in ["demo", "emerald"] {
        let done = lab.api::<DorisInitializer>().get(&format!("{cluster}-init")).await.expect("it is there");
        assert_eq!(done.status.map(|status| status.phase), Some(Some(Phase::Succeeded)), "{cluster}");
    }
    let asked = requests.take();
    assert_eq!(writers(&asked, "demo"), ["controller-100"]);
    assert_eq!(writers(&asked, "emerald"), ["controller-200"]);
    assert!(lab.cluster("default", "nobodys").await.expect("it is there").status.is_none());

    // Another label hands a cluster over: nothing restarts, and the former one leaves it alone from then on.
    let started = lab.processes("demo").len();
    lab.apply(&of("demo", Some("green"))).await.expect("the label is accepted");
    tokio::time::sleep(Duration::from_mins(3)).await;
    let label = json!({"metadata": {"labels": {"doris-operator.dev/installation": "green"}}});
    resize(&lab, "default", "demo", 2).await;
    // What was applied without the label by the same hand took it away again.
    lab.api::<DorisCluster>().patch("demo", &PatchParams::default(), &Patch::Merge(label)).await.expect("the label is accepted");
    ready(&lab, "default", "demo").await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(lab.processes("demo").len(), started + 1, "one backend more, and no restart");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

/// Two releases in two namespaces, each with a leader of its own, that both look after everything: one by one replica, one by shards.
async fn both_with_everything(sharded: bool) {
    let lab = Lab::new(Settings::default()).await;
    let requests = Requests::of(&lab);
    for place in ["one", "two", "three"] {
        namespace(&lab, place, &json!({})).await;
    }
    let start = |instance, place: &str, name: Option<&str>| -> Controller {
        let is_divided = sharded && place == "two";
        lab.start_controller_with(ControllerOptions {
            elected: !is_divided,
            sharded: is_divided,
            leader_namespace: place.to_owned(),
            ..installed(instance, name)
        })
    };
    // Started at the same moment; whoever it is that works, it is one.
    let mut installations = [(start(1, "one", None), "one"), (start(2, "two", None), "two")];
    let _green = start(4, "three", Some("green"));
    lab.apply(&of("demo", None)).await.expect("the spec is accepted");
    lab.apply(&of("emerald", Some("green"))).await.expect("the spec is accepted");
    ready(&lab, "default", "demo").await;
    ready(&lab, "default", "emerald").await;
    resize(&lab, "default", "demo", 2).await;
    ready(&lab, "default", "demo").await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let asked = requests.take();
    assert_eq!(writers(&asked, "emerald"), ["controller-400"], "one of another name waits for nobody");
    let first = writers(&asked, "demo");
    assert_eq!(first.len(), 1, "{first:?}");
    let claims = |asked: &[Asked]| asked.iter().filter(|asked| asked.what.contains("everywhere") && !asked.what.starts_with("get")).count();
    assert!(claims(&asked) <= 4, "the claim is not renewed: {}", claims(&asked));

    // It is gone, and nobody has to do anything for the other one to go on.
    let other = if first == ["controller-100"] { "controller-200" } else { "controller-100" };
    installations.sort_by_key(|(_, place)| (*place == "two") == (first == ["controller-200"]));
    let [waiting, (gone, gone_from)] = installations;
    drop(gone);
    let began = tokio::time::Instant::now();
    resize(&lab, "default", "demo", 3).await;
    ready(&lab, "default", "demo").await;
    println!("{other} looks after everything {:?} after the death of {}", began.elapsed(), first[0]);
    assert_eq!(writers(&requests.take(), "demo"), [other]);

    // Installed again, it is the one that waits.
    let _back = start(3, gone_from, None);
    tokio::time::sleep(Duration::from_mins(5)).await;
    resize(&lab, "default", "demo", 4).await;
    ready(&lab, "default", "demo").await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(writers(&requests.take(), "demo"), [other]);
    drop(waiting);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn two_installations_of_one_name_do_not_both_write() {
    both_with_everything(false).await;
}

#[tokio::test(start_paused = true)]
async fn nor_do_they_when_one_is_divided_over_its_replicas() {
    both_with_everything(true).await;
}
