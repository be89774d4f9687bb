//! What walks begin with.

use fastrand::Rng;
use serde_json::{Value, json};

use super::changes::key;
use crate::lab::merge;

/// Versions that walks begin with.
const VERSIONS: [&str; 3] = ["2.0.15", "2.1.7", "3.0.3"];

/// Small clusters: a run costs what its members do.
pub(super) fn start(rng: &mut Rng) -> Value {
    let mut spec = json!({
        "version": VERSIONS[rng.usize(..VERSIONS.len())],
        "fe": {"replicas": if rng.u8(..6) == 0 { 3 } else { 1 }, "storage": {"size": "20Gi"}},
        "be": {"replicas": rng.i32(1..=2), "storage": [{"name": "data", "medium": "SSD", "size": "100Gi"}]},
        "update": {"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5, "backendSeconds": 45, "frontendSeconds": 45}},
    });
    if rng.u8(..4) == 0 {
        spec["cn"] = json!({"replicas": 1});
    }
    if rng.u8(..8) == 0 {
        spec["auth"] = json!({"rootPassword": super::reference("root"), "adminPassword": super::reference("admin")});
    }
    for _ in 0..rng.usize(..3) {
        let patch = key(rng, &spec);
        merge(&mut spec, &patch);
    }
    spec
}
