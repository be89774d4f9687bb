//! Pods and pod templates.
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{meta, names, network};
use crate::error::FieldError;
use crate::quantity::Quantity;
use crate::value::{at, list, text};

pub(super) fn pod(object: &Value) -> Vec<FieldError> {
    let mut errors = spec(object.get("spec").unwrap_or(&Value::Null), "spec", &BTreeSet::new());
    errors.extend(live_only(object));
    errors
}

/// A template below `path`.
pub(super) fn template(object: &Value, path: &str) -> Vec<FieldError> {
    template_with_claims(object, path, &BTreeSet::new())
}

/// A template below `path` whose containers may also mount the claims of these names.
pub(super) fn template_with_claims<'a>(object: &'a Value, path: &str, claims: &BTreeSet<&'a str>) -> Vec<FieldError> {
    let Some(template) = at(object, path) else { return Vec::new() };
    let labels = template.get("metadata").and_then(|m| m.get("labels"));
    let mut errors = meta::labels(labels, &format!("{path}.metadata.labels"));
    errors.extend(spec(template.get("spec").unwrap_or(&Value::Null), &format!("{path}.spec"), claims));
    errors
}

/// What a pod may not have though a template may.
fn live_only(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !text(object, "spec.serviceAccountName").is_empty() {
        return errors;
    }
    for (i, volume) in list(object, "spec.volumes").iter().enumerate() {
        for (j, source) in list(volume, "projected.sources").iter().enumerate() {
            if source.get("serviceAccountToken").is_some() {
                let field = format!("spec.volumes[{i}].projected.sources[{j}].serviceAccountToken");
                errors.push(FieldError::forbidden(field, "must not be specified when serviceAccountName is not set"));
            }
        }
    }
    errors
}

fn spec<'a>(spec: &'a Value, path: &str, claims: &BTreeSet<&'a str>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let volumes = volumes(spec, path, claims, &mut errors);
    if list(spec, "containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut seen = BTreeSet::new();
    for kind in ["initContainers", "containers"] {
        for (index, container) in list(spec, kind).iter().enumerate() {
            let here = format!("{path}.{kind}[{index}]");
            let name = text(container, "name");
            if !name.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{here}.name"), &json!(name)));
            }
            container_errors(container, &here, &volumes, &mut errors);
        }
    }
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        let here = format!("{path}.tolerations[{index}]");
        if text(toleration, "key").is_empty() && text(toleration, "operator") != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(format!("{here}.operator"), &json!(text(toleration, "operator")), detail));
        }
        if text(toleration, "operator") == "Exists" && !text(toleration, "value").is_empty() {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid(format!("{here}.operator"), toleration, detail));
        }
    }
    let grace = spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).filter(|n| *n < 0);
    if let Some(grace) = grace {
        let field = format!("{path}.terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(field, &json!(grace), "must be greater than or equal to 0"));
    }
    errors
}

fn volumes<'a>(spec: &'a Value, path: &str, claims: &BTreeSet<&'a str>, errors: &mut Vec<FieldError>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let name = text(volume, "name");
        let here = format!("{path}.volumes[{index}].name");
        if name.is_empty() {
            errors.push(FieldError::required(here, ""));
            continue;
        }
        errors.extend(names::label(name).iter().map(|p| FieldError::invalid(here.clone(), &json!(name), p)));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(here, &json!(name)));
        }
    }
    seen.extend(claims);
    seen
}

fn container_errors(container: &Value, path: &str, volumes: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    let name = text(container, "name");
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else {
        errors.extend(names::label(name).iter().map(|p| FieldError::invalid(format!("{path}.name"), &json!(name), p)));
    }
    if text(container, "image").is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    }
    ports(container, path, errors);
    for (index, env) in list(container, "env").iter().enumerate() {
        let name = text(env, "name");
        let here = format!("{path}.env[{index}]");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{here}.name"), ""));
        } else {
            errors.extend(names::env_name(name).iter().map(|p| FieldError::invalid(format!("{here}.name"), &json!(name), p)));
        }
        if env.get("valueFrom").is_some() && !text(env, "value").is_empty() {
            let detail = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(format!("{here}.valueFrom"), &json!(""), detail));
        }
    }
    let mut paths = BTreeSet::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let here = format!("{path}.volumeMounts[{index}]");
        let (name, target) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(format!("{here}.name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError::not_found(format!("{here}.name"), &json!(name)));
        }
        if !target.is_empty() && !paths.insert(target) {
            errors.push(FieldError::invalid(format!("{here}.mountPath"), &json!(target), "must be unique"));
        }
    }
    resources(container, path, errors);
    for (probe, only_one) in [("livenessProbe", true), ("readinessProbe", false), ("startupProbe", true)] {
        if let Some(value) = container.get(probe) {
            probe_errors(value, &format!("{path}.{probe}"), only_one, errors);
        }
    }
}

fn ports(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, port) in list(container, "ports").iter().enumerate() {
        let here = format!("{path}.ports[{index}]");
        let name = text(port, "name");
        if !name.is_empty() {
            errors.extend(names::port_name(name).iter().map(|p| FieldError::invalid(format!("{here}.name"), &json!(name), p)));
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{here}.name"), &json!(name)));
            }
        }
        match port.get("containerPort").filter(|p| **p != json!(0)) {
            None => errors.push(FieldError::required(format!("{here}.containerPort"), "")),
            Some(number) => errors.extend(network::port_number(number, &format!("{here}.containerPort"))),
        }
    }
}

fn resources(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let amounts = |side: &str| container.get("resources").and_then(|r| r.get(side)).and_then(Value::as_object);
    for side in ["limits", "requests"] {
        for (name, value) in amounts(side).into_iter().flatten() {
            if Quantity::from_json(value).is_ok_and(|q| q.nanos() < 0) {
                let field = format!("{path}.resources.{side}[{name}]");
                errors.push(FieldError::invalid(field, value, "must be greater than or equal to 0"));
            }
        }
    }
    let limits = amounts("limits");
    for (name, request) in amounts("requests").into_iter().flatten() {
        let Some(limit) = limits.and_then(|l| l.get(name)) else { continue };
        if let (Ok(wanted), Ok(most)) = (Quantity::from_json(request), Quantity::from_json(limit))
            && wanted > most
        {
            let detail = format!("must be less than or equal to {name} limit of {}", most.canonical());
            errors.push(FieldError::invalid(format!("{path}.resources.requests"), request, &detail));
        }
    }
}

fn probe_errors(probe: &Value, path: &str, only_one_success: bool, errors: &mut Vec<FieldError>) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"].iter().filter(|h| probe.get(**h).is_some()).count();
    if handlers == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    } else if handlers > 1 {
        errors.push(FieldError::forbidden(path, "may not specify more than 1 handler type"));
    }
    for key in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        if let Some(number) = probe.get(key).and_then(Value::as_i64).filter(|n| *n < 0) {
            errors.push(FieldError::invalid(format!("{path}.{key}"), &json!(number), "must be greater than or equal to 0"));
        }
    }
    if only_one_success && probe.get("successThreshold").and_then(Value::as_i64).is_some_and(|n| n != 1) {
        let value = probe.get("successThreshold").cloned().unwrap_or_default();
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), &value, "must be 1"));
    }
}

/// Of a pod's spec only images, deadlines, tolerations (added) and gates (removed) change.
pub(super) fn update(object: &Value, old: &Value) -> Vec<FieldError> {
    let frozen = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for kind in ["containers", "initContainers"] {
            for container in crate::value::list_mut(&mut spec, kind) {
                if let Some(map) = container.as_object_mut() {
                    map.shift_remove("image");
                }
            }
        }
        if let Some(map) = spec.as_object_mut() {
            for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates", "nodeName"] {
                map.shift_remove(key);
            }
            if at(old, "spec.terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|n| n < 0) {
                map.shift_remove("terminationGracePeriodSeconds");
            }
        }
        spec
    };
    let node = |pod: &Value| text(pod, "spec.nodeName").to_owned();
    let moved = !node(old).is_empty() && node(old) != node(object);
    let kept = list(object, "spec.tolerations");
    let dropped = list(old, "spec.tolerations").iter().any(|t| !kept.contains(t));
    if !moved && !dropped && crate::value::same(Some(&frozen(object)), Some(&frozen(old))) {
        return Vec::new();
    }
    let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
                  `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
                  `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    vec![FieldError::forbidden("spec", detail)]
}
