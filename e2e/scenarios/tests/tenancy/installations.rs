//! Several installations of the operator on one Kubernetes cluster.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_api::DorisInitializer;
use doris_api::initializer::Phase;
use kube::api::{Patch, PatchParams, PostParams};
use scenarios::lab::{ControllerOptions, Lab, Settings};
use serde_json::json;

use crate::help::{Requests, ready, resize, small, writers};

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
