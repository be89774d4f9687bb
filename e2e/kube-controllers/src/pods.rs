//! What controllers ask of a pod.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::value::{is_deleting, items, name, text};

pub(crate) fn phase(pod: &Value) -> &str {
    text(pod, "/status/phase")
}

/// The pod has ended and will not run again.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// The pod counts for a controller: neither ended nor being deleted.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !is_deleting(pod)
}

/// A condition by type.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").iter().find(|entry| text(entry, "/type") == kind)
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == "True")
}

pub(crate) fn is_running_and_ready(pod: &Value) -> bool {
    phase(pod) == "Running" && is_ready(pod)
}

/// How long until the pod has been ready for `seconds`; zero when it has, `None` while it is not ready.
pub(crate) fn until_available(pod: &Value, seconds: i64, now: Timestamp) -> Option<SignedDuration> {
    let ready = condition(pod, "Ready").filter(|ready| text(ready, "/status") == "True")?;
    if seconds == 0 {
        return Some(SignedDuration::ZERO);
    }
    let since = timestamp(text(ready, "/lastTransitionTime")).unwrap_or(now);
    let left = SignedDuration::from_secs(seconds) - now.duration_since(since);
    Some(left.max(SignedDuration::ZERO))
}

pub(crate) fn is_available(pod: &Value, seconds: i64, now: Timestamp) -> bool {
    until_available(pod, seconds, now).is_some_and(|left| left.is_zero())
}

/// A time of the API, if it is one.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A time as the API writes it, in whole seconds.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A `MicroTime` of the API.
pub(crate) fn micros(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A new pod of a template, owned and labelled as its controller wants it.
pub(crate) fn from_template(template: &Value, namespace: &str, owner: &Value, prefix: &str) -> Value {
    let mut metadata = serde_json::Map::new();
    metadata.insert("generateName".into(), prefix.into());
    metadata.insert("namespace".into(), namespace.into());
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer("/metadata").and_then(|metadata| metadata.get(field)).filter(|value| !value.is_null()) {
            metadata.insert(field.into(), value.clone());
        }
    }
    metadata.insert("ownerReferences".into(), json!([owner]));
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec").cloned().unwrap_or_else(|| json!({}))})
}

/// The trailing ordinal of a pod of a StatefulSet with this name.
pub(crate) fn ordinal_in(pod: &Value, set: &str) -> Option<i64> {
    let (parent, ordinal) = name(pod).rsplit_once('-')?;
    if parent != set || ordinal.is_empty() || !ordinal.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    ordinal.parse().ok()
}

/// Sets or adds a condition; the transition time changes only with the status. True when something changed.
pub(crate) fn set_condition(list: &mut Vec<Value>, condition: Value) -> bool {
    let Some(old) = list.iter_mut().find(|entry| entry["type"] == condition["type"]) else {
        list.push(condition);
        return true;
    };
    let mut new = condition;
    if old["status"] == new["status"]
        && let Some(at) = old.get("lastTransitionTime")
    {
        new["lastTransitionTime"] = at.clone();
    }
    let same = ["status", "reason", "message", "observedGeneration"].iter().all(|field| old.get(field) == new.get(field));
    if !same {
        *old = new;
    }
    !same
}
