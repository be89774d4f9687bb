//! A disk is added to backends: from ordinal 0 upward, with nothing else between.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, basic, cluster};
use serde_json::{Value, json};

use crate::state::{LONG, VERSIONS, becomes, everything, fill, pods, ready, templates};
use crate::watch::{Restarts, hasty};

fn more(version: &str, backends: u32) -> Value {
    let mut spec = few(version, backends);
    spec["be"]["storage"] = json!([{"name": "more", "size": "50Gi"}, {"name": "data", "medium": "SSD", "size": "100Gi"}]);
    spec
}

fn few(version: &str, backends: u32) -> Value {
    let mut spec = hasty(basic(version));
    spec["be"]["replicas"] = json!(backends);
    spec
}

/// Storage paths of each backend, as its process has them.
fn paths(lab: &Lab) -> Vec<Vec<String>> {
    let running = lab.processes("demo").into_iter().filter(doris_sim::MemberFacts::is_running);
    running.filter_map(|member| member.backend().map(|backend| backend.storage_paths.clone())).collect()
}

async fn has_disks_everywhere(lab: &Lab, backends: usize) {
    let paths = paths(lab);
    assert_eq!(paths.len(), backends);
    for roots in paths {
        assert_eq!(roots, ["/opt/apache-doris/be/storage/data", "/opt/apache-doris/be/storage/more"]);
    }
    let claims = lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims are listed");
    assert_eq!(claims.iter().filter(|claim| claim.name_any().starts_with("more-demo-be-")).count(), backends);
    assert_eq!(templates(lab).await["demo-be more"], "50Gi");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
    assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "an idle time");
}

#[tokio::test(start_paused = true)]
async fn disk_added() {
    for version in VERSIONS {
        let (lab, _controller) = ready(&few(version, 3)).await;
        fill(&lab).await;
        let (before, restarts) = (everything(&lab).await, Restarts::of(&lab, "demo").await);
        becomes(&lab, &more(version, 3)).await;
        assert_eq!(restarts.seen(), ["demo-be-0", "demo-be-1", "demo-be-2"], "{version}");
        assert_eq!(everything(&lab).await, before, "{version}");
        has_disks_everywhere(&lab, 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn disk_added_with_a_pod_lost_in_the_middle() {
    let (lab, _controller) = ready(&few("2.1.7", 4)).await;
    fill(&lab).await;
    let before = everything(&lab).await;
    let first = pods(&lab).await["demo-be-0"].clone();
    lab.apply(&cluster("demo", more("2.1.7", 4))).await.expect("the spec is accepted");
    let is_new = || async {
        let pod = lab.api::<Pod>().get_opt("demo-be-0").await.ok().flatten().and_then(|pod| pod.uid());
        if pod.is_some_and(|uid| uid != first) { Ok(()) } else { Err("not restarted yet".to_owned()) }
    };
    lab.eventually("the first backend has its disk", LONG, is_new).await;
    lab.api::<Pod>().delete("demo-be-3", &DeleteParams::default()).await.expect("the last backend is lost");
    lab.until_ready("demo").await;
    assert_eq!(everything(&lab).await, before);
    let swaps = lab.writes().iter().filter(|write| *write == "DELETE statefulsets/demo-be").count();
    assert_eq!(swaps, 3, "to the new templates, back for the lost pod, and to the new ones again");
    has_disks_everywhere(&lab, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_of_compute_nodes_is_added_and_not_taken_away_again() {
    let mut spec = few("2.1.7", 3);
    spec["cn"] = json!({"replicas": 2});
    let (lab, _controller) = ready(&spec).await;
    let restarts = Restarts::of(&lab, "demo").await;
    spec["cn"]["storage"] = json!([{"name": "cache", "size": "10Gi"}]);
    becomes(&lab, &spec).await;
    assert_eq!(restarts.seen(), ["demo-cn-0", "demo-cn-1"]);
    spec["cn"] = json!({"replicas": 2});
    lab.apply(&cluster("demo", spec.clone())).await.expect("the server has no rule against it");
    let told = |seen: &doris_api::DorisCluster| {
        condition(seen, "Stalled")
            .is_some_and(|(_, reason, message)| reason == "SpecInvalid" && message.contains("disk cache of cn.storage"))
    };
    lab.until("it is refused", "demo", LONG, told).await;
    assert_eq!(restarts.seen().len(), 2, "nothing was restarted for it");
}

#[tokio::test(start_paused = true)]
async fn a_disk_waits_for_a_backend_that_is_away() {
    let (lab, _controller) = ready(&few("2.1.7", 3)).await;
    lab.nodes.freeze("default", "demo-be-1", None, true);
    let before = pods(&lab).await;
    lab.apply(&cluster("demo", more("2.1.7", 3))).await.expect("the spec is accepted");
    let told = |seen: &doris_api::DorisCluster| {
        condition(seen, "Reconciling").is_some_and(|(_, _, message)| message.contains("demo-be-1 has to work first"))
    };
    lab.until("it is told who is waited for", "demo", LONG, told).await;
    assert!(!templates(&lab).await.contains_key("demo-be more"), "the set stays as it is");
    assert_eq!(pods(&lab).await["demo-be-0"], before["demo-be-0"]);
    lab.nodes.freeze("default", "demo-be-1", None, false);
    lab.until_ready("demo").await;
    has_disks_everywhere(&lab, 3).await;
}
