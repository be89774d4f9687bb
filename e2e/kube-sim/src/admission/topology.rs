//! A bound pod carries its node's region and zone.

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// First minor version that labels pods.
const SINCE: u32 = 35;

/// Copies the node's topology labels to a pod that is being bound.
pub fn label(cluster: &Cluster, pod: &mut Value) {
    if cluster.minor < SINCE {
        return;
    }
    let Some(node) = pod["spec"]["nodeName"].as_str().and_then(|name| cluster.core("nodes", "", name)) else { return };
    for key in ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"] {
        if let Some(value) = node["metadata"]["labels"][key].as_str() {
            if !pod["metadata"]["labels"].is_object() {
                pod["metadata"]["labels"] = json!({});
            }
            pod["metadata"]["labels"][key] = value.into();
        }
    }
}
