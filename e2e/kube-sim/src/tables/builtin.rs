//! The tables of built-in kinds.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::{self, NONE, field, list, number, or_none, word};
use super::{age, duration};
use crate::ops::scale::selector_text;
use crate::registry::Resource;
use crate::store::text;

/// Name, type and priority of the columns after the name.
pub type Column = (&'static str, &'static str, u8);

const S: &str = "string";
const I: &str = "integer";

/// Columns after the name.
#[allow(clippy::too_many_lines)] // one table
pub fn columns(resource: &Resource) -> &'static [Column] {
    match (&*resource.group, &*resource.kind) {
        ("", "Pod") => &[
            ("Ready", S, 0),
            ("Status", S, 0),
            ("Restarts", S, 0),
            ("Age", S, 0),
            ("IP", S, 1),
            ("Node", S, 1),
            ("Nominated Node", S, 1),
            ("Readiness Gates", S, 1),
        ],
        ("apps", "StatefulSet") => &[("Ready", S, 0), ("Age", S, 0), ("Containers", S, 1), ("Images", S, 1)],
        ("apps", "Deployment") => &[
            ("Ready", S, 0),
            ("Up-to-date", I, 0),
            ("Available", I, 0),
            ("Age", S, 0),
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("apps", "ReplicaSet") | ("", "ReplicationController") => &[
            ("Desired", I, 0),
            ("Current", I, 0),
            ("Ready", I, 0),
            ("Age", S, 0),
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("apps", "DaemonSet") => &[
            ("Desired", I, 0),
            ("Current", I, 0),
            ("Ready", I, 0),
            ("Up-to-date", I, 0),
            ("Available", I, 0),
            ("Node Selector", S, 0),
            ("Age", S, 0),
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("apps", "ControllerRevision") => &[("Controller", S, 0), ("Revision", I, 0), ("Age", S, 0)],
        ("batch", "Job") => &[
            ("Status", S, 0),
            ("Completions", S, 0),
            ("Duration", S, 0),
            ("Age", S, 0),
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("batch", "CronJob") => &[
            ("Schedule", S, 0),
            ("Timezone", S, 0),
            ("Suspend", "boolean", 0),
            ("Active", I, 0),
            ("Last Schedule", S, 0),
            ("Age", S, 0),
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("", "Service") => {
            &[("Type", S, 0), ("Cluster-IP", S, 0), ("External-IP", S, 0), ("Port(s)", S, 0), ("Age", S, 0), ("Selector", S, 1)]
        }
        ("", "PersistentVolumeClaim") => &[
            ("Status", S, 0),
            ("Volume", S, 0),
            ("Capacity", S, 0),
            ("Access Modes", S, 0),
            ("StorageClass", S, 0),
            ("VolumeAttributesClass", S, 0),
            ("Age", S, 0),
            ("VolumeMode", S, 1),
        ],
        ("", "PersistentVolume") => &[
            ("Capacity", S, 0),
            ("Access Modes", S, 0),
            ("Reclaim Policy", S, 0),
            ("Status", S, 0),
            ("Claim", S, 0),
            ("StorageClass", S, 0),
            ("VolumeAttributesClass", S, 0),
            ("Reason", S, 0),
            ("Age", S, 0),
            ("VolumeMode", S, 1),
        ],
        ("", "Secret") => &[("Type", S, 0), ("Data", I, 0), ("Age", S, 0)],
        ("", "ConfigMap") => &[("Data", I, 0), ("Age", S, 0)],
        ("", "Namespace") => &[("Status", S, 0), ("Age", S, 0)],
        ("", "Node") => &[
            ("Status", S, 0),
            ("Roles", S, 0),
            ("Age", S, 0),
            ("Version", S, 0),
            ("Internal-IP", S, 1),
            ("External-IP", S, 1),
            ("OS-Image", S, 1),
            ("Kernel-Version", S, 1),
            ("Container-Runtime", S, 1),
        ],
        ("", "Endpoints") => &[("Endpoints", S, 0), ("Age", S, 0)],
        ("" | "events.k8s.io", "Event") => {
            &[("Last Seen", S, 0), ("Type", S, 0), ("Reason", S, 0), ("Object", S, 0), ("Message", S, 0), ("Count", I, 1)]
        }
        ("coordination.k8s.io", "Lease") => &[("Holder", S, 0), ("Age", S, 0)],
        ("policy", "PodDisruptionBudget") => {
            &[("Min Available", S, 0), ("Max Unavailable", S, 0), ("Allowed Disruptions", I, 0), ("Age", S, 0)]
        }
        ("networking.k8s.io", "NetworkPolicy") => &[("Pod-Selector", S, 0), ("Age", S, 0)],
        ("networking.k8s.io", "Ingress") => &[("Class", S, 0), ("Hosts", S, 0), ("Address", S, 0), ("Ports", S, 0), ("Age", S, 0)],
        ("discovery.k8s.io", "EndpointSlice") => &[("AddressType", S, 0), ("Ports", S, 0), ("Endpoints", S, 0), ("Age", S, 0)],
        ("autoscaling", _) => {
            &[("Reference", S, 0), ("Targets", S, 0), ("MinPods", S, 0), ("MaxPods", S, 0), ("Replicas", S, 0), ("Age", S, 0)]
        }
        ("storage.k8s.io", "StorageClass") => {
            &[("Provisioner", S, 0), ("ReclaimPolicy", S, 0), ("VolumeBindingMode", S, 0), ("AllowVolumeExpansion", S, 0), ("Age", S, 0)]
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &[("Role", S, 0), ("Age", S, 0)],
        ("rbac.authorization.k8s.io" | "apiextensions.k8s.io", _) => &[("Created At", "date", 0)],
        ("scheduling.k8s.io", _) => &[("Value", I, 0), ("Global-Default", "boolean", 0), ("Age", S, 0), ("PreemptionPolicy", S, 0)],
        _ => &[("Age", S, 0)],
    }
}

/// Cells after the name.
#[allow(clippy::too_many_lines)] // one table
pub fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let old: Value = age(text(object, "creationTimestamp"), now).into();
    let pod = cells::containers(&spec["template"]["spec"]);
    match (&*resource.group, &*resource.kind) {
        ("", "Pod") => cells::pod(object, old, now),
        ("apps", "StatefulSet") => vec![cells::ratio(&status["readyReplicas"], &spec["replicas"]), old, pod.0, pod.1],
        ("apps", "Deployment") => vec![
            cells::ratio(&status["readyReplicas"], &spec["replicas"]),
            number(&status["updatedReplicas"]),
            number(&status["availableReplicas"]),
            old,
            pod.0,
            pod.1,
            selector_text(&spec["selector"]).into(),
        ],
        ("apps", "ReplicaSet") | ("", "ReplicationController") => vec![
            number(&spec["replicas"]),
            number(&status["replicas"]),
            number(&status["readyReplicas"]),
            old,
            pod.0,
            pod.1,
            selector_text(&spec["selector"]).into(),
        ],
        ("apps", "DaemonSet") => vec![
            number(&status["desiredNumberScheduled"]),
            number(&status["currentNumberScheduled"]),
            number(&status["numberReady"]),
            number(&status["updatedNumberScheduled"]),
            number(&status["numberAvailable"]),
            or_none(selector_text(&spec["template"]["spec"]["nodeSelector"])),
            old,
            pod.0,
            pod.1,
            selector_text(&spec["selector"]).into(),
        ],
        ("apps", "ControllerRevision") => vec![cells::controller(object), number(&object["revision"]), old],
        ("batch", "Job") => cells::job(object, old, now),
        ("batch", "CronJob") => cells::cron_job(object, old, now),
        ("", "Service") => cells::service(object, old),
        ("", "PersistentVolumeClaim") => vec![
            cells::claim_phase(object),
            word(&spec["volumeName"]),
            word(&status["capacity"]["storage"]),
            cells::access_modes(&status["accessModes"]),
            word(&spec["storageClassName"]),
            spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
            old,
            word(&spec["volumeMode"]),
        ],
        ("", "PersistentVolume") => vec![
            word(&spec["capacity"]["storage"]),
            cells::access_modes(&spec["accessModes"]),
            word(&spec["persistentVolumeReclaimPolicy"]),
            word(&status["phase"]),
            cells::claim_of(spec),
            word(&spec["storageClassName"]),
            spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
            word(&status["reason"]),
            old,
            word(&spec["volumeMode"]),
        ],
        ("", "Secret") => vec![word(&object["type"]), cells::count(&[&object["data"]]), old],
        ("", "ConfigMap") => vec![cells::count(&[&object["data"], &object["binaryData"]]), old],
        ("", "Namespace") => vec![word(&status["phase"]), old],
        ("", "Node") => cells::node(object, old),
        ("", "Endpoints") => vec![cells::endpoints(object), old],
        (_, "Event") => cells::event(object, now),
        ("coordination.k8s.io", "Lease") => vec![word(&spec["holderIdentity"]), old],
        ("policy", "PodDisruptionBudget") => vec![
            cells::or_not_available(&spec["minAvailable"]),
            cells::or_not_available(&spec["maxUnavailable"]),
            number(&status["disruptionsAllowed"]),
            old,
        ],
        ("networking.k8s.io", "NetworkPolicy") => vec![or_none(selector_text(&spec["podSelector"])), old],
        ("networking.k8s.io", "Ingress") => {
            let hosts = list(&spec["rules"], |rule| field(rule, "host"));
            let ports = if spec["tls"].is_array() { "80, 443" } else { "80" };
            vec![
                or_none(field(spec, "ingressClassName")),
                if hosts.is_empty() { "*".into() } else { hosts.into() },
                "".into(),
                ports.into(),
                old,
            ]
        }
        ("discovery.k8s.io", "EndpointSlice") => vec![
            word(&object["addressType"]),
            cells::or_unset(list(&object["ports"], |port| port["port"].to_string())),
            cells::or_unset(list(&object["endpoints"], |endpoint| {
                list(&endpoint["addresses"], |address| address.as_str().unwrap_or_default().to_owned())
            })),
            old,
        ],
        ("autoscaling", _) => {
            let target = &spec["scaleTargetRef"];
            let reference = format!("{}/{}", field(target, "kind"), field(target, "name"));
            vec![
                reference.into(),
                "<unknown>".into(),
                cells::shown(&spec["minReplicas"]),
                cells::shown(&spec["maxReplicas"]),
                cells::shown(&json!(status["currentReplicas"].as_i64().unwrap_or_default())),
                old,
            ]
        }
        ("storage.k8s.io", "StorageClass") => vec![
            word(&object["provisioner"]),
            word(&object["reclaimPolicy"]),
            word(&object["volumeBindingMode"]),
            Value::Bool(object["allowVolumeExpansion"] == true),
            old,
        ],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            let role = &object["roleRef"];
            vec![format!("{}/{}", field(role, "kind"), field(role, "name")).into(), old]
        }
        ("rbac.authorization.k8s.io" | "apiextensions.k8s.io", _) => vec![text(object, "creationTimestamp").into()],
        ("scheduling.k8s.io", _) => {
            vec![number(&object["value"]), Value::Bool(object["globalDefault"] == true), old, word(&object["preemptionPolicy"])]
        }
        _ => vec![old],
    }
}

/// Seconds between two times as people read them.
pub fn between(from: &str, to: &str, now: Timestamp) -> String {
    let (Ok(from), to) = (from.parse::<Timestamp>(), to.parse::<Timestamp>().unwrap_or(now)) else { return NONE.to_owned() };
    duration(to.duration_since(from).as_secs())
}
