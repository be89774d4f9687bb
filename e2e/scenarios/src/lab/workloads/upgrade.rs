//! A cluster goes to the next line.

use serde_json::{Value, json};

use super::{NAME, Sampling, Workload};
use crate::lab::{Lab, basic, cluster};

/// From 2.1 to 3.0.
pub const UPGRADE: Workload = Workload {
    name: "Upgrade",
    cluster: || cluster(NAME, spec("2.1.7")),
    change: Some(|lab| Box::pin(upgrade(lab))),
    sampling: Sampling { questions: 60, changes: 12, refusals: 3 },
};

/// With little patience: the laboratory simulates every second of a wait.
fn spec(version: &str) -> Value {
    let mut spec = basic(version);
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 2, "backendSeconds": 120, "frontendSeconds": 120}});
    spec
}

async fn upgrade(lab: &Lab) {
    lab.apply(&cluster(NAME, spec("3.0.3"))).await.expect("the spec is accepted");
}
