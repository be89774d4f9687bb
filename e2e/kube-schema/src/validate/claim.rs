//! `PersistentVolumeClaims`.
use serde_json::{Value, json};

use crate::error::FieldError;
use crate::quantity::Quantity;
use crate::value::{at, list, same};

pub(super) fn claim(object: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if list(object, "spec.accessModes").is_empty() {
        errors.push(FieldError::required(format!("{path}.accessModes"), "at least 1 access mode is required"));
    }
    for (index, mode) in list(object, "spec.accessModes").iter().enumerate() {
        let allowed = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
        if !allowed.iter().any(|a| mode == a) {
            errors.push(FieldError::not_supported(format!("{path}.accessModes[{index}]"), mode, &allowed));
        }
    }
    match at(object, "spec.resources.requests.storage") {
        None => errors.push(FieldError::required(format!("{path}.resources[storage]"), "")),
        Some(size) => {
            if Quantity::from_json(size).is_ok_and(|q| q.nanos() <= 0) {
                let detail = "must be greater than zero";
                errors.push(FieldError::invalid(format!("{path}.resources[storage]"), size, detail));
            }
        }
    }
    errors
}

/// Only size and attributes class change after creation, and the size only grows.
pub(super) fn update(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let frozen = |claim: &Value| {
        let mut spec = claim.get("spec").cloned().unwrap_or_default();
        if let Some(map) = spec.as_object_mut() {
            map.shift_remove("volumeAttributesClassName");
            if let Some(requests) = map.get_mut("resources").and_then(|r| r.get_mut("requests")).and_then(Value::as_object_mut) {
                requests.shift_remove("storage");
            }
            // The binder names the volume.
            if at(old, "spec.volumeName").is_none() {
                map.shift_remove("volumeName");
            }
        }
        spec
    };
    if !same(Some(&frozen(object)), Some(&frozen(old))) {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", detail));
        return errors;
    }
    let size = |v: &Value, path: &str| at(v, path).and_then(|q| Quantity::from_json(q).ok());
    let (new, was) = (size(object, "spec.resources.requests.storage"), size(old, "spec.resources.requests.storage"));
    if let (Some(new), Some(was)) = (new, was) {
        let capacity = size(old, "status.capacity.storage");
        let bound = at(old, "status.phase") == Some(&json!("Bound"));
        if new != was && !bound {
            let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
            errors.push(FieldError::forbidden("spec", detail));
        } else if new < was && capacity.is_none_or(|c| new < c) {
            let detail = "field can not be less than status.capacity";
            errors.push(FieldError::forbidden("spec.resources.requests.storage", detail));
        }
    }
    errors
}
