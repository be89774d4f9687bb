//! What happens to an object between decoding and validation: fields that the request may not set are reset, and the generation is counted.
use serde_json::{Map, Value, json};

use crate::value::{at, child, list, list_mut, same, set_default, text};
use crate::{Kind, defaults};

/// The part of an object that a request writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// The object itself; its status stays.
    #[default]
    Main,
    /// The status alone.
    Status,
}

/// Built-in types that count generations.
const GENERATIONS: &[(&str, &[&str])] = &[
    ("", &["Pod", "PodTemplate", "ReplicationController"]),
    ("apps", &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("batch", &["CronJob", "Job"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
    ("networking.k8s.io", &["Ingress", "IngressClass", "NetworkPolicy"]),
    ("policy", &["PodDisruptionBudget"]),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
];

fn counts_generations(kind: &Kind) -> bool {
    let listed = |(group, kinds): &(&str, &[&str])| *group == kind.gvk.group && kinds.contains(&kind.gvk.kind.as_str());
    kind.is_custom() || GENERATIONS.iter().any(listed)
}

/// Readies an object for its creation: no status, first generation. Name, uid, times and resourceVersion are the caller's.
pub fn for_create(kind: &Kind, object: &mut Value) {
    if kind.has_status()
        && !keeps_status(kind)
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    if kind.is("", "Namespace")
        && let Some(spec) = child(object, "spec").and_then(Value::as_object_mut)
    {
        spec.insert("finalizers".to_owned(), json!(["kubernetes"]));
    }
    if kind.is("batch", "Job") {
        generate_job_selector(object);
    }
    if counts_generations(kind) {
        set_metadata(object, "generation", json!(1));
    }
}

/// Types whose status may come with the creation.
fn keeps_status(kind: &Kind) -> bool {
    kind.gvk.group.is_empty() && kind.gvk.kind == "Node"
}

/// A Job selects its pods by its own uid unless it says otherwise.
fn generate_job_selector(object: &mut Value) {
    let (name, uid) = (text(object, "metadata.name").to_owned(), text(object, "metadata.uid").to_owned());
    let manual = at(object, "spec.manualSelector") == Some(&Value::Bool(true));
    if manual || uid.is_empty() || at(object, "spec.selector").is_some_and(Value::is_object) {
        return;
    }
    let Some(spec) = child(object, "spec") else { return };
    let labels = child(spec, "template").and_then(|t| child(t, "metadata")).and_then(|m| child(m, "labels")).and_then(Value::as_object_mut);
    if let Some(labels) = labels {
        for (prefix, value) in [("controller-uid", &uid), ("job-name", &name)] {
            labels.insert(prefix.to_owned(), json!(value));
            labels.insert(format!("batch.kubernetes.io/{prefix}"), json!(value));
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("selector".to_owned(), json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    }
}

fn set_metadata(object: &mut Value, key: &str, value: Value) {
    if let Some(meta) = child(object, "metadata").and_then(Value::as_object_mut) {
        meta.insert(key.to_owned(), value);
    }
}

/// Readies an object for its update: takes over what the request may not change from `old`, applies defaults and counts the generation.
pub fn for_update(kind: &Kind, object: &mut Value, old: &Value, scope: Scope) {
    match scope {
        Scope::Status => keep_all_but_status(object, old),
        Scope::Main => {
            if kind.has_status() {
                keep(object, old, "status");
            }
        }
    }
    for key in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "generateName"] {
        keep_metadata(object, old, key);
    }
    if kind.is("", "Service") && scope == Scope::Main {
        keep_allocations(object, old);
    }
    if kind.is("", "Secret") || kind.is("", "ConfigMap") {
        keep_default_type(object, old);
    }
    defaults::apply(kind, object);
    if counts_generations(kind) && scope == Scope::Main && is_changed(kind, object, old) {
        let generation = at(old, "metadata.generation").and_then(Value::as_i64).unwrap_or(0);
        set_metadata(object, "generation", json!(generation + 1));
    }
}

fn keep(object: &mut Value, old: &Value, key: &str) {
    if let Some(map) = object.as_object_mut() {
        match old.get(key) {
            Some(value) => map.insert(key.to_owned(), value.clone()),
            None => map.shift_remove(key),
        };
    }
}

fn keep_metadata(object: &mut Value, old: &Value, key: &str) {
    let value = old.get("metadata").and_then(|m| m.get(key)).cloned();
    if let Some(meta) = child(object, "metadata").and_then(Value::as_object_mut) {
        match value {
            Some(value) => meta.insert(key.to_owned(), value),
            None => meta.shift_remove(key),
        };
    }
}

fn keep_all_but_status(object: &mut Value, old: &Value) {
    let Some(sent) = object.as_object_mut() else { return };
    let mut kept = old.as_object().cloned().unwrap_or_default();
    match sent.shift_remove("status") {
        Some(status) => kept.insert("status".to_owned(), status),
        None => kept.shift_remove("status"),
    };
    if let (Some(Value::Object(meta)), Some(Value::Object(sent))) = (kept.get_mut("metadata"), sent.get("metadata")) {
        for key in ["managedFields", "resourceVersion", "uid"] {
            match sent.get(key) {
                Some(value) => meta.insert(key.to_owned(), value.clone()),
                None => None,
            };
        }
    }
    *sent = kept;
}

/// Addresses and ports that a service was given stay when the request leaves them out.
fn keep_allocations(object: &mut Value, old: &Value) {
    let kind = text(object, "spec.type").to_owned();
    if kind == "ExternalName" || text(old, "spec.type") == "ExternalName" {
        return;
    }
    let wants_node_ports = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    let old_ports = list(old, "spec.ports").to_vec();
    if wants_node_ports {
        for port in list_mut(object, "spec.ports") {
            let same_port = |p: &&Value| p.get("port") == port.get("port") && text(p, "protocol") == protocol(port);
            let given = old_ports.iter().find(same_port).and_then(|p| p.get("nodePort")).cloned();
            if let Some(given) = given {
                set_default(port, "nodePort", given);
            }
        }
    }
    let Some(spec) = child(object, "spec").and_then(Value::as_object_mut) else { return };
    let old_spec = old.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    if text_of(spec, "clusterIP").is_empty() && spec.get("clusterIPs").is_none() {
        take(spec, &old_spec, "clusterIP");
        take(spec, &old_spec, "clusterIPs");
    } else if spec.get("clusterIPs").is_none() {
        let ip = text_of(spec, "clusterIP").to_owned();
        spec.insert("clusterIPs".to_owned(), json!([ip]));
    } else if text_of(spec, "clusterIP") != text_of(&old_spec, "clusterIP") && spec.get("clusterIPs") == old_spec.get("clusterIPs") {
        // Old clients know the single address only; it wins.
        let ip = text_of(spec, "clusterIP").to_owned();
        spec.insert("clusterIPs".to_owned(), json!([ip]));
    }
    for key in ["ipFamilies", "ipFamilyPolicy"] {
        if spec.get(key).is_none() {
            take(spec, &old_spec, key);
        }
    }
}

fn protocol(port: &Value) -> &str {
    match text(port, "protocol") {
        "" => "TCP",
        other => other,
    }
}

fn text_of<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn take(map: &mut Map<String, Value>, old: &Map<String, Value>, key: &str) {
    if let Some(value) = old.get(key) {
        map.insert(key.to_owned(), value.clone());
    }
}

/// A secret's type may be left out of an update.
fn keep_default_type(object: &mut Value, old: &Value) {
    if text(object, "type").is_empty() && old.get("type").is_some() {
        keep(object, old, "type");
    }
}

fn is_changed(kind: &Kind, object: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (object.as_object(), old.as_object()) else { return false };
    let counted = |key: &str| match key {
        "apiVersion" | "kind" | "metadata" => false,
        "status" => !kind.has_status(),
        _ => true,
    };
    let keys = new.keys().chain(old.keys().filter(|k| !new.contains_key(*k)));
    let differs = |key: &String| if kind.is_custom() { new.get(key) != old.get(key) } else { !same(new.get(key), old.get(key)) };
    keys.filter(|k| counted(k)).any(differs)
}
