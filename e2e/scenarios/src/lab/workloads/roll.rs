//! A change that every backend and every frontend has to be restarted for.

use doris_api::DorisCluster;
use serde_json::{Value, json};

use super::{NAME, Sampling, Workload};
use crate::lab::{Lab, basic, cluster};

/// Backends and frontends are made from a changed template.
pub const ROLL: Workload = Workload {
    name: "Roll",
    cluster: || small("1"),
    change: Some(|lab| Box::pin(change(lab))),
    sampling: Sampling { questions: 120, changes: 2, refusals: 4 },
};

/// Little patience: the laboratory simulates every second of a wait.
fn small(round: &str) -> DorisCluster {
    let mut spec: Value = basic("2.1.7");
    spec["update"] = json!({"timeouts": {"drainSeconds": 5, "backendSeconds": 60, "frontendSeconds": 60}});
    for component in ["fe", "be"] {
        spec[component]["labels"] = json!({"example.com/round": round});
    }
    cluster(NAME, spec)
}

/// The change is applied, and the controller has seen it.
async fn change(lab: &Lab) {
    lab.apply(&small("2")).await.expect("the spec is accepted");
}
