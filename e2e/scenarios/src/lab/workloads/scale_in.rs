//! Members of a cluster that is there leave.

use doris_api::DorisCluster;
use serde_json::{Value, json};

use super::{NAME, Sampling, Workload};
use crate::lab::{Lab, basic, cluster, merge};

/// One in so many steps: each plan creates a cluster first.
const SAMPLING: Sampling = Sampling { questions: 120, changes: 2, refusals: 3 };

/// It is there, and a backend and a compute node leave, the backend with its volume.
pub const SCALE_IN_BACKENDS: Workload = Workload {
    name: "ScaleInBackends",
    cluster: || with(&before_backends()),
    change: Some(|lab| Box::pin(ask_for(lab, before_backends(), json!({"be": {"replicas": 3}, "cn": {"replicas": 0}})))),
    sampling: SAMPLING,
};

/// It is there, and two followers leave.
pub const SCALE_IN_FRONTENDS: Workload = Workload {
    name: "ScaleInFrontends",
    cluster: || with(&before_frontends()),
    change: Some(|lab| Box::pin(ask_for(lab, before_frontends(), json!({"fe": {"replicas": 3}})))),
    sampling: SAMPLING,
};

fn before_backends() -> Value {
    json!({"fe": {"replicas": 1}, "be": {"replicas": 4}, "cn": {"replicas": 1}, "scaleIn": {"volumes": "Delete"}})
}

fn before_frontends() -> Value {
    json!({"fe": {"replicas": 5}, "be": {"replicas": 1}})
}

fn with(patch: &Value) -> DorisCluster {
    let mut spec = basic("2.1.7");
    merge(&mut spec, &json!({"update": {"timeouts": {"drainSeconds": 5}}}));
    merge(&mut spec, patch);
    cluster(NAME, spec)
}

async fn ask_for(lab: &Lab, before: Value, after: Value) {
    let mut patch = before;
    merge(&mut patch, &after);
    lab.apply(&with(&patch)).await.expect("the spec is accepted");
}
