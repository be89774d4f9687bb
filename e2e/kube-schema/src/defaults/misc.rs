//! Storage, configuration and the rest.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Kind;
use crate::value::{child, list_mut, set_default, text};

pub(super) fn claim(_: &Kind, object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        set_default(spec, "volumeMode", "Filesystem");
    }
    if let Some(status) = child(object, "status") {
        set_default(status, "phase", "Pending");
    }
}

pub(super) fn volume(_: &Kind, object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        set_default(spec, "persistentVolumeReclaimPolicy", "Retain");
        set_default(spec, "volumeMode", "Filesystem");
        if let Some(path) = spec.get_mut("hostPath") {
            set_default(path, "type", "");
        }
    }
    if let Some(status) = child(object, "status") {
        set_default(status, "phase", "Pending");
    }
}

pub(super) fn storage_class(_: &Kind, object: &mut Value) {
    set_default(object, "reclaimPolicy", "Delete");
    set_default(object, "volumeBindingMode", "Immediate");
}

/// `stringData` is written into `data`.
pub(super) fn secret(_: &Kind, object: &mut Value) {
    let texts = object.as_object_mut().and_then(|o| o.shift_remove("stringData"));
    if let Some(Value::Object(texts)) = texts
        && let Some(data) = child(object, "data").and_then(Value::as_object_mut)
    {
        for (key, value) in texts {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
    set_default(object, "type", "Opaque");
}

pub(super) fn namespace(_: &Kind, object: &mut Value) {
    let name = text(object, "metadata.name").to_owned();
    if let Some(labels) = child(object, "metadata").and_then(|m| child(m, "labels")).and_then(Value::as_object_mut) {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
    if let Some(status) = child(object, "status") {
        set_default(status, "phase", "Active");
    }
}

pub(super) fn node(_: &Kind, object: &mut Value) {
    if let Some(status) = child(object, "status") {
        let capacity = status.get("capacity").cloned();
        if let Some(capacity) = capacity {
            set_default(status, "allocatable", capacity);
        }
    }
}

/// Times of an Event are printed though they are not set.
pub(super) fn event(kind: &Kind, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let times: &[&str] = if kind.gvk.group.is_empty() {
        &["firstTimestamp", "lastTimestamp", "eventTime"]
    } else {
        &["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"]
    };
    for time in times {
        map.entry((*time).to_owned()).or_insert(Value::Null);
    }
}

pub(super) fn role_binding(_: &Kind, object: &mut Value) {
    for subject in list_mut(object, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            set_default(subject, "apiGroup", "rbac.authorization.k8s.io");
        }
    }
    if let Some(role) = object.get_mut("roleRef") {
        set_default(role, "apiGroup", "rbac.authorization.k8s.io");
    }
}

pub(super) fn priority_class(_: &Kind, object: &mut Value) {
    set_default(object, "preemptionPolicy", "PreemptLowerPriority");
}

pub(super) fn quota(_: &Kind, object: &mut Value) {
    set_default(object, "spec", json!({}));
}

pub(super) fn definition(_: &Kind, object: &mut Value) {
    crate::crd::default_definition(object);
}
