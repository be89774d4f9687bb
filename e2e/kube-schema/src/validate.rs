//! Validation of objects, after decoding and defaulting.
mod claim;
mod config;
mod generic;
mod meta;
pub(crate) mod names;
mod network;
mod pod;
mod policy;
mod update;
mod workload;

use serde_json::Value;

use crate::error::FieldError;
use crate::{Kind, crd};

/// What is wrong with an object that is to be created. `metadata.name` has to be set (a generated name included).
pub fn create(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = meta::validate(kind, object);
    if kind.is_custom() {
        errors.extend(crd::validate_object(kind, object, None));
        return errors;
    }
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        errors.extend(crd::validate_definition(object, None, kind.minor));
        return errors;
    }
    errors.extend(by_kind(kind, object));
    errors
}

/// What is wrong with an update of an object or of its status.
pub fn update(kind: &Kind, object: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = meta::validate_update(kind, object, old);
    if kind.is_custom() {
        errors.extend(meta::validate(kind, object));
        errors.extend(crd::validate_object(kind, object, Some(old)));
        return errors;
    }
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        errors.extend(crd::validate_definition(object, Some(old), kind.minor));
        return errors;
    }
    errors.extend(update::validate(kind, object, old, || {
        let mut all = meta::validate_map_keys(object);
        all.extend(by_kind(kind, object));
        all
    }));
    errors
}

fn by_kind(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = match (kind.gvk.group.as_str(), kind.gvk.kind.as_str()) {
        ("", "Pod") => pod::pod(object),
        ("", "PodTemplate") => pod::template(object, "template"),
        ("apps", "StatefulSet") => workload::stateful_set(object),
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => workload::replicated(kind, object),
        ("batch", "Job") => workload::job(object),
        ("batch", "CronJob") => workload::cron_job(object),
        ("", "Service") => network::service(object),
        ("", "ConfigMap") => config::config_map(object),
        ("", "Secret") => config::secret(object),
        ("", "PersistentVolumeClaim") => claim::claim(object, "spec"),
        ("coordination.k8s.io", "Lease") => policy::lease(object),
        ("policy", "PodDisruptionBudget") => policy::budget(object),
        ("events.k8s.io", "Event") => policy::event(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => policy::role_binding(object),
        _ => Vec::new(),
    };
    generic::validate(&kind.schema, object, &mut errors);
    errors
}
