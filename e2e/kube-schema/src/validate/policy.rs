//! Leases, disruption budgets, events and role bindings.
use serde_json::{Value, json};

use crate::error::FieldError;
use crate::value::{at, text};

pub(super) fn lease(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let number = |key: &str| object.get("spec").and_then(|s| s.get(key)).and_then(Value::as_i64);
    if let Some(seconds) = number("leaseDurationSeconds").filter(|n| *n <= 0) {
        errors.push(FieldError::invalid("spec.leaseDurationSeconds", &json!(seconds), "must be greater than 0"));
    }
    if let Some(count) = number("leaseTransitions").filter(|n| *n < 0) {
        errors.push(FieldError::invalid("spec.leaseTransitions", &json!(count), "must be greater than or equal to 0"));
    }
    errors
}

pub(super) fn budget(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = |key: &str| object.get("spec").and_then(|s| s.get(key)).filter(|v| !v.is_null());
    if spec("minAvailable").is_some() && spec("maxUnavailable").is_some() {
        let printed = object.get("spec").cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec", &printed, "minAvailable and maxUnavailable cannot be both set"));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        errors.extend(spec(key).and_then(|v| count_or_percent(v, &format!("spec.{key}"))));
    }
    errors
}

/// What is wrong with a number or a percentage.
pub(super) fn count_or_percent(value: &Value, path: &str) -> Option<FieldError> {
    match value {
        Value::Number(n) if n.as_i64().is_some_and(|n| n < 0) => {
            Some(FieldError::invalid(path, value, "must be greater than or equal to 0"))
        }
        Value::String(text) => {
            let digits = text.strip_suffix('%').filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()));
            match digits.and_then(|d| d.parse::<u64>().ok()) {
                None => {
                    let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex \
                                  used for validation is '[0-9]+%')";
                    Some(FieldError::invalid(path, value, detail))
                }
                Some(percent) if percent > 100 => Some(FieldError::invalid(path, value, "must not be greater than 100%")),
                Some(_) => None,
            }
        }
        _ => None,
    }
}

pub(super) fn event(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if object.get("eventTime").is_none_or(Value::is_null) {
        errors.push(FieldError::required("eventTime", ""));
    }
    let kind = text(object, "type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(FieldError::invalid("type", &json!(""), &format!("has invalid value: {kind}")));
    }
    errors
}

pub(super) fn role_binding(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let group = text(object, "roleRef.apiGroup");
    if group != "rbac.authorization.k8s.io" {
        errors.push(FieldError::not_supported("roleRef.apiGroup", &json!(group), &["rbac.authorization.k8s.io"]));
    }
    let kind = text(object, "roleRef.kind");
    if at(object, "roleRef").is_some() && !matches!(kind, "Role" | "ClusterRole") {
        errors.push(FieldError::not_supported("roleRef.kind", &json!(kind), &["Role", "ClusterRole"]));
    }
    errors
}
