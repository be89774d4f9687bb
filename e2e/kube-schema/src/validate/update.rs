//! What an update may not change in the server's own types.
use serde_json::{Value, json};

use super::{claim, network, pod};
use crate::Kind;
use crate::error::FieldError;
use crate::value::{at, same};

const STATEFUL_SET: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                            'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Compares with the old object, and validates the rest of the new one with `rest`.
pub(super) fn validate(kind: &Kind, object: &Value, old: &Value, rest: impl FnOnce() -> Vec<FieldError>) -> Vec<FieldError> {
    let mut before = Vec::new();
    let mut after = Vec::new();
    match (kind.gvk.group.as_str(), kind.gvk.kind.as_str()) {
        ("", "Secret") => {
            immutable(object, old, "type", &mut before);
            frozen_data(object, old, &["data"], &mut before);
        }
        ("", "ConfigMap") => frozen_data(object, old, &["data", "binaryData"], &mut before),
        ("", "Service") => before.extend(network::update(object, old)),
        ("", "PersistentVolumeClaim") => {
            before.extend(claim::update(object, old));
            // What was accepted before a rule came stays acceptable.
            if same(object.get("spec"), old.get("spec")) {
                return before;
            }
        }
        ("", "Pod") => {
            before.extend(pod::update(object, old));
            if same(object.get("spec"), old.get("spec")) {
                return before;
            }
        }
        ("apps", "StatefulSet") => after.extend(stateful_set(object, old)),
        ("apps", "Deployment" | "DaemonSet" | "ReplicaSet") => immutable(object, old, "spec.selector", &mut after),
        ("batch", "Job") => {
            immutable(object, old, "spec.selector", &mut after);
            immutable(object, old, "spec.completionMode", &mut after);
            if at(old, "spec.suspend") != Some(&Value::Bool(true)) {
                immutable(object, old, "spec.template", &mut after);
            }
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") if !same(object.get("roleRef"), old.get("roleRef")) => {
            let value = object.get("roleRef").cloned().unwrap_or_default();
            after.push(FieldError::invalid("roleRef", &value, "cannot change roleRef"));
        }
        ("storage.k8s.io", "StorageClass") => {
            for (key, detail) in
                [("provisioner", "updates to provisioner are forbidden."), ("parameters", "updates to parameters are forbidden.")]
            {
                if !same(object.get(key), old.get(key)) {
                    after.push(FieldError::forbidden(key, detail));
                }
            }
        }
        ("scheduling.k8s.io", "PriorityClass") => immutable(object, old, "value", &mut after),
        _ => {}
    }
    before.extend(rest());
    before.extend(after);
    before
}

fn immutable(object: &Value, old: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (new, was) = (at(object, path), at(old, path));
    if !same(new, was) {
        errors.push(FieldError::invalid(path, new.unwrap_or(&Value::Null), "field is immutable"));
    }
}

fn frozen_data(object: &Value, old: &Value, fields: &[&str], errors: &mut Vec<FieldError>) {
    if old.get("immutable") != Some(&json!(true)) {
        return;
    }
    if object.get("immutable") != Some(&json!(true)) {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for field in fields.iter().filter(|f| !same(object.get(**f), old.get(**f))) {
        errors.push(FieldError::forbidden(*field, "field is immutable when `immutable` is set"));
    }
}

fn stateful_set(object: &Value, old: &Value) -> Option<FieldError> {
    const OPEN: &[&str] = &[
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let frozen = |v: &Value| {
        let mut spec = v.get("spec").cloned().unwrap_or_default();
        if let Some(map) = spec.as_object_mut() {
            map.retain(|key, _| !OPEN.contains(&key.as_str()));
        }
        spec
    };
    (!same(Some(&frozen(object)), Some(&frozen(old)))).then(|| FieldError::forbidden("spec", STATEFUL_SET))
}
