//! Small facts about pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::seconds;

/// Sets a condition of a pod to true.
pub fn set_condition(pod: &mut Value, kind: &str, now: Timestamp) {
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != kind);
    conditions.push(json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": seconds(now)}));
    pod["status"]["conditions"] = conditions.into();
}
