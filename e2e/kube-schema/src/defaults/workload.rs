//! Workloads.
use serde_json::{Value, json};

use super::{misc, pod};
use crate::Kind;
use crate::value::{child, list_mut, set_default, text};

pub(super) fn stateful_set(kind: &Kind, object: &mut Value) {
    let knows = |field: &str| kind.schema.property("spec").is_some_and(|s| s.property(field).is_some());
    let retention = knows("persistentVolumeClaimRetentionPolicy");
    let Some(spec) = child(object, "spec") else { return };
    set_default(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = child(spec, "updateStrategy") {
        set_default(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set_default(rolling, "partition", 0);
        }
    }
    if retention && let Some(policy) = child(spec, "persistentVolumeClaimRetentionPolicy") {
        set_default(policy, "whenDeleted", "Retain");
        set_default(policy, "whenScaled", "Retain");
    }
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    pod::template(spec);
    for claim in list_mut(spec, "volumeClaimTemplates") {
        set_default(claim, "apiVersion", "v1");
        set_default(claim, "kind", "PersistentVolumeClaim");
        misc::claim(kind, claim);
    }
}

pub(super) fn deployment(_: &Kind, object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = child(spec, "strategy") {
        set_default(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set_default(rolling, "maxUnavailable", "25%");
            set_default(rolling, "maxSurge", "25%");
        }
    }
    pod::template(spec);
}

pub(super) fn replica_set(_: &Kind, object: &mut Value) {
    if let Some(spec) = child(object, "spec") {
        set_default(spec, "replicas", 1);
        pod::template(spec);
    }
}

pub(super) fn daemon_set(_: &Kind, object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    set_default(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = child(spec, "updateStrategy") {
        set_default(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child(strategy, "rollingUpdate")
        {
            set_default(rolling, "maxUnavailable", 1);
            set_default(rolling, "maxSurge", 0);
        }
    }
    pod::template(spec);
}

pub(super) fn job(kind: &Kind, object: &mut Value) {
    let knows = |field: &str| kind.schema.property("spec").is_some_and(|s| s.property(field).is_some());
    let Some(spec) = child(object, "spec") else { return };
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        set_default(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    set_default(spec, "backoffLimit", 6);
    for (field, default) in [("completionMode", json!("NonIndexed")), ("suspend", json!(false))] {
        if knows(field) {
            set_default(spec, field, default);
        }
    }
    set_default(spec, "manualSelector", false);
    if knows("podReplacementPolicy") {
        let policy = if spec.get("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
        set_default(spec, "podReplacementPolicy", policy);
    }
    pod::template(spec);
}

pub(super) fn cron_job(_: &Kind, object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    set_default(spec, "concurrencyPolicy", "Allow");
    set_default(spec, "suspend", false);
    set_default(spec, "successfulJobsHistoryLimit", 3);
    set_default(spec, "failedJobsHistoryLimit", 1);
    if let Some(template) = child(spec, "jobTemplate") {
        set_default(template, "metadata", json!({}));
        if let Some(job) = child(template, "spec") {
            pod::template(job);
        }
    }
}

pub(super) fn autoscaler(kind: &Kind, object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    set_default(spec, "minReplicas", 1);
    if kind.gvk.version == "v2" {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        set_default(spec, "metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
}
