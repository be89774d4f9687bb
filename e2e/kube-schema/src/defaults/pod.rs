//! Pods and pod templates.
use serde_json::{Value, json};

use crate::Kind;
use crate::value::{at, child, list_mut, set_default, text};

pub(super) fn pod(_: &Kind, object: &mut Value) {
    copy_limits_to_requests(object);
    if let Some(spec) = child(object, "spec") {
        pod_spec(spec);
        set_default(spec, "enableServiceLinks", true);
    }
    let class = qos_class(object);
    if let Some(status) = child(object, "status") {
        set_default(status, "phase", "Pending");
        set_default(status, "qosClass", class);
    }
}

pub(super) fn pod_template(_: &Kind, object: &mut Value) {
    template(object);
}

/// The `template` below an object or a spec.
pub(super) fn template(owner: &mut Value) {
    if let Some(template) = owner.get_mut("template").filter(|t| t.is_object()) {
        set_default(template, "metadata", json!({}));
        if let Some(spec) = child(template, "spec") {
            pod_spec(spec);
        }
    }
}

/// A limit without a request is the request too.
fn copy_limits_to_requests(pod: &mut Value) {
    for kind in ["spec.containers", "spec.initContainers"] {
        for container in list_mut(pod, kind) {
            let limits = at(container, "resources.limits").and_then(Value::as_object).cloned().unwrap_or_default();
            if limits.is_empty() {
                continue;
            }
            if let Some(requests) = child(container, "resources").and_then(|r| child(r, "requests")) {
                for (resource, limit) in limits {
                    set_default(requests, &resource, limit);
                }
            }
        }
    }
}

fn pod_spec(spec: &mut Value) {
    set_default(spec, "restartPolicy", "Always");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_default(spec, "dnsPolicy", "ClusterFirst");
    set_default(spec, "securityContext", json!({}));
    set_default(spec, "schedulerName", "default-scheduler");
    let account = text(spec, "serviceAccountName").to_owned();
    if !account.is_empty() {
        set_default(spec, "serviceAccount", account);
    } else if !text(spec, "serviceAccount").is_empty() {
        let account = text(spec, "serviceAccount").to_owned();
        set_default(spec, "serviceAccountName", account);
    }
    let host = at(spec, "hostNetwork") == Some(&Value::Bool(true));
    for kind in ["containers", "initContainers", "ephemeralContainers"] {
        for container in list_mut(spec, kind) {
            container_defaults(container, host);
        }
    }
    for volume in list_mut(spec, "volumes") {
        volume_defaults(volume);
    }
}

fn container_defaults(container: &mut Value, host: bool) {
    let policy = pull_policy(text(container, "image"));
    if !text(container, "image").is_empty() {
        set_default(container, "imagePullPolicy", policy);
    }
    set_default(container, "terminationMessagePath", "/dev/termination-log");
    set_default(container, "terminationMessagePolicy", "File");
    for port in list_mut(container, "ports") {
        set_default(port, "protocol", "TCP");
        if let (true, Some(number)) = (host, port.get("containerPort").cloned()) {
            set_default(port, "hostPort", number);
        }
    }
    for env in list_mut(container, "env") {
        if let Some(source) = env.get_mut("valueFrom") {
            source_defaults(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|p| p.is_object()) {
            probe_defaults(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = container.get_mut("lifecycle").and_then(|l| l.get_mut(hook)) {
            http_get(hook);
        }
    }
}

/// Images without a tag, or with `latest`, may change under their name.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':').map(|(_, tag)| tag) {
        Some("latest") => "Always",
        Some(_) => "IfNotPresent",
        None if digest => "IfNotPresent",
        None => "Always",
    }
}

fn source_defaults(source: &mut Value) {
    if let Some(field) = source.get_mut("fieldRef") {
        set_default(field, "apiVersion", "v1");
    }
    if let Some(resource) = source.get_mut("resourceFieldRef") {
        set_default(resource, "divisor", "0");
    }
}

fn probe_defaults(probe: &mut Value) {
    set_default(probe, "timeoutSeconds", 1);
    set_default(probe, "periodSeconds", 10);
    set_default(probe, "successThreshold", 1);
    set_default(probe, "failureThreshold", 3);
    http_get(probe);
    if let Some(grpc) = probe.get_mut("grpc") {
        set_default(grpc, "service", "");
    }
}

fn http_get(owner: &mut Value) {
    if let Some(get) = owner.get_mut("httpGet").filter(|g| g.is_object()) {
        set_default(get, "path", "/");
        set_default(get, "scheme", "HTTP");
    }
}

const SOURCES: &[&str] = &[
    "hostPath",
    "emptyDir",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "persistentVolumeClaim",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "downwardAPI",
    "fc",
    "azureFile",
    "configMap",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "projected",
    "portworxVolume",
    "scaleIO",
    "storageos",
    "csi",
    "ephemeral",
    "image",
];

fn volume_defaults(volume: &mut Value) {
    if !SOURCES.iter().any(|s| volume.get(*s).is_some()) {
        set_default(volume, "emptyDir", json!({}));
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(kind).filter(|s| s.is_object()) {
            set_default(source, "defaultMode", 420);
            for item in list_mut(source, "items") {
                source_defaults(item);
            }
        }
    }
    if let Some(path) = volume.get_mut("hostPath") {
        set_default(path, "type", "");
    }
    for source in list_mut(volume, "projected.sources") {
        if let Some(token) = source.get_mut("serviceAccountToken") {
            set_default(token, "expirationSeconds", 3600);
        }
        for item in list_mut(source, "downwardAPI.items") {
            source_defaults(item);
        }
    }
    if let Some(template) = volume.get_mut("ephemeral").and_then(|e| e.get_mut("volumeClaimTemplate")).and_then(|t| t.get_mut("spec")) {
        set_default(template, "volumeMode", "Filesystem");
    }
}

/// The quality of service that requests and limits of a pod's containers amount to.
fn qos_class(pod: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for kind in ["spec.containers", "spec.initContainers"] {
        for container in crate::value::list(pod, kind) {
            for resource in ["cpu", "memory"] {
                let amount = |side: &str| at(container, "resources").and_then(|r| r.get(side)).and_then(|l| l.get(resource));
                let (request, limit) = (amount("requests"), amount("limits"));
                any |= request.is_some() || limit.is_some();
                guaranteed &= limit.is_some() && request == limit;
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_may_change_are_always_pulled() {
        let table = [
            ("busybox", "Always"),
            ("busybox:1.36", "IfNotPresent"),
            ("i:latest", "Always"),
            ("registry:5000/i", "Always"),
            ("registry:5000/i:2", "IfNotPresent"),
            ("busybox:1.36@sha256:3f", "IfNotPresent"),
            ("busybox@sha256:3f", "IfNotPresent"),
        ];
        for (image, wanted) in table {
            assert_eq!(pull_policy(image), wanted, "{image}");
        }
    }
}
