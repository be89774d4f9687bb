//! Clusters that scenarios begin with.

use doris_api::DorisCluster;
use serde_json::{Value, json};

/// A cluster of the `default` namespace from its spec.
#[allow(clippy::needless_pass_by_value, reason = "callers make the spec in place")]
pub fn cluster(name: &str, spec: Value) -> DorisCluster {
    let object = json!({
        "apiVersion": "doris-operator.dev/v1beta1",
        "kind": "DorisCluster",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    });
    serde_json::from_value(object).expect("the scenario's own spec is one")
}

/// The spec that is enough.
pub fn basic(version: &str) -> Value {
    json!({
        "version": version,
        "fe": {"replicas": 3, "storage": {"size": "20Gi"}},
        "be": {"replicas": 3, "storage": [{"name": "data", "medium": "SSD", "size": "100Gi"}]},
    })
}

/// Every component, several disks and settings.
pub fn full(version: &str) -> Value {
    json!({
        "version": version,
        "fe": {
            "replicas": 3,
            "observers": 2,
            "storage": {"size": "20Gi"},
            "config": {"qe_max_connection": "2048", "http_port": "18030"},
            "resources": {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "8Gi"}},
        },
        "be": {
            "replicas": 3,
            "storage": [
                {"name": "fast", "medium": "SSD", "size": "100Gi"},
                {"name": "slow", "medium": "HDD", "size": "400Gi"},
            ],
            "tags": {"location": "group_a"},
            "config": {"storage_flood_stage_usage_percent": "90"},
        },
        "cn": {"replicas": 2},
        "broker": {"replicas": 1, "name": "hdfs_broker"},
    })
}

/// A merge patch: what is null goes, maps are merged, everything else is replaced.
pub fn merge(base: &mut Value, patch: &Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(json!({})), value);
                }
            }
        }
        (base, patch) => *base = patch.clone(),
    }
}
