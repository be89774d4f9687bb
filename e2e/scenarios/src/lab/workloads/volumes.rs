//! Volumes of a cluster that is there grow, and its backends get a further disk.

use doris_api::DorisCluster;
use serde_json::{Value, json};

use super::{NAME, Sampling, Workload};
use crate::lab::{Lab, basic, cluster, merge};

/// Its volumes grow.
pub const VOLUME_GROWTH: Workload = Workload {
    name: "VolumeGrowth",
    cluster: || small(&json!({})),
    change: Some(|lab| Box::pin(apply(lab, small(&json!({"fe": {"storage": {"size": "30Gi"}}, "be": {"storage": disks("200Gi", &[])}}))))),
    sampling: Sampling { questions: 6, changes: 1, refusals: 3 },
};

/// Its backends get a further disk.
pub const ADD_DISK: Workload = Workload {
    name: "AddDisk",
    cluster: || small(&json!({})),
    change: Some(|lab| Box::pin(apply(lab, small(&json!({"be": {"storage": disks("100Gi", &["more"])}}))))),
    sampling: Sampling { questions: 20, changes: 2, refusals: 6 },
};

/// One frontend and two backends that may be restarted, with little patience.
fn small(change: &Value) -> DorisCluster {
    let mut spec = basic("2.1.7");
    spec["fe"]["replicas"] = json!(1);
    spec["be"]["replicas"] = json!(2);
    let timeouts = json!({"drainSeconds": 5, "backendSeconds": 45, "frontendSeconds": 45});
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": timeouts});
    merge(&mut spec, change);
    cluster(NAME, spec)
}

fn disks(size: &str, more: &[&str]) -> Value {
    let data = json!({"name": "data", "medium": "SSD", "size": size});
    let more = more.iter().map(|name| json!({"name": name, "size": "50Gi"}));
    std::iter::once(data).chain(more).collect()
}

async fn apply(lab: &Lab, cluster: DorisCluster) {
    lab.apply(&cluster).await.expect("the spec is accepted");
}
