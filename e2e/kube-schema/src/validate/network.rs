//! Services.
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::names;
use crate::error::FieldError;
use crate::value::{list, text};

pub(super) fn service(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let ports = list(object, "spec.ports");
    let class = text(object, "spec.type");
    let headless = text(object, "spec.clusterIP") == "None";
    if ports.is_empty() && !headless && class != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if headless && matches!(class, "NodePort" | "LoadBalancer") {
        let detail = format!("may not be set to 'None' for {class} services");
        errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!(["None"]), &detail));
    }
    let (mut seen_names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(port, "name");
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !name.is_empty() {
            errors.extend(names::label(name).iter().map(|p| FieldError::invalid(format!("{path}.name"), &json!(name), p)));
            if !seen_names.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), &json!(name)));
            }
        }
        errors.extend(port_number(port.get("port").unwrap_or(&Value::Null), &format!("{path}.port")));
        if let Some(target) = port.get("targetPort") {
            errors.extend(target_port(target, &format!("{path}.targetPort")));
        }
        let key = json!({"protocol": text(port, "protocol"), "port": port.get("port").cloned().unwrap_or_default()});
        if !seen.insert(key.to_string()) {
            errors.push(FieldError::duplicate(path, &key));
        }
    }
    errors.extend(super::meta::labels(object.get("spec").and_then(|s| s.get("selector")), "spec.selector"));
    errors
}

/// What is wrong with a port's number.
pub(super) fn port_number(value: &Value, path: &str) -> Option<FieldError> {
    let fits = value.as_i64().is_some_and(|n| (1..=65535).contains(&n));
    (!fits).then(|| FieldError::invalid(path, value, "must be between 1 and 65535, inclusive"))
}

/// What is wrong with a port given by number or name.
pub(super) fn target_port(value: &Value, path: &str) -> Vec<FieldError> {
    match value {
        Value::String(name) => names::port_name(name).iter().map(|p| FieldError::invalid(path, value, p)).collect(),
        _ => port_number(value, path).into_iter().collect(),
    }
}

/// A cluster address stays once it is given.
pub(super) fn update(object: &Value, old: &Value) -> Vec<FieldError> {
    let external = |v: &Value| text(v, "spec.type") == "ExternalName";
    let (new, was) = (text(object, "spec.clusterIP"), text(old, "spec.clusterIP"));
    if external(object) || external(old) || was.is_empty() || new == was {
        return Vec::new();
    }
    vec![FieldError::invalid("spec.clusterIPs[0]", &json!([new]), "may not change once set")]
}
