//! Clusters for the builders' tests.

use doris_api::DorisCluster;
use serde_json::{Value, json};

use super::{Context, IdentityFacts, SetInput};

/// A cluster with this spec, as the API server would hand it out.
pub fn cluster(spec: &Value) -> DorisCluster {
    serde_json::from_value(json!({
        "apiVersion": "doris-operator.dev/v1beta1",
        "kind": "DorisCluster",
        "metadata": {"name": "demo", "namespace": "prod", "uid": "u-1"},
        "spec": spec,
    }))
    .expect("a cluster")
}

/// The smallest spec.
pub fn small() -> Value {
    json!({
        "version": "2.1.7",
        "fe": {"replicas": 3, "storage": {"size": "20Gi"}},
        "be": {"replicas": 3, "storage": [{"name": "data", "medium": "SSD", "size": "100Gi"}]},
    })
}

/// A context for a founded cluster on a current server.
pub fn context(cluster: &DorisCluster) -> Context<'_> {
    let identity = IdentityFacts { id: "i-1".into(), cluster_id: Some("17".into()), epoch: 0, ..IdentityFacts::default() };
    Context::new(cluster, identity, 36).expect("a context")
}

/// What a StatefulSet is built from.
pub fn set() -> SetInput {
    SetInput { replicas: 3, config: "demo-conf".into(), scripts: "demo-scripts".into(), claims: Vec::new() }
}
