//! Which pods stand behind a Service: `EndpointSlices` and the older Endpoints.

mod legacy;
mod slices;

pub(crate) use legacy::LegacyEndpoints;
pub(crate) use slices::Slices;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::Change;
use crate::driver::Context;
use crate::index::{Index, Key};
use crate::kinds::{POD, SERVICE};
use crate::pods::{is_finished, is_ready};
use crate::selector::Selector;
use crate::value::{flag, is_deleting, items, name, namespace, text, uid};

/// Services concerned by a change of a Service, of a pod or of an object that a controller here wrote for a Service.
fn services(index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
    if change.is(SERVICE) {
        return vec![change.key()];
    }
    if !change.is(POD) || (!change.deleted && old.is_some_and(|old| is_same_endpoint(old, &change.object))) {
        return Vec::new();
    }
    let of = |pod: &Value| index.selecting(SERVICE, namespace(pod), pod);
    let mut names: BTreeSet<String> = of(&change.object);
    names.extend(old.into_iter().flat_map(of));
    names.into_iter().map(|name| Key::new(SERVICE, &change.namespace, &name)).collect()
}

/// Nothing changed that a client of a Service would notice.
fn is_same_endpoint(old: &Value, new: &Value) -> bool {
    let fields = ["/metadata/labels", "/metadata/deletionTimestamp", "/status/podIP", "/spec/nodeName", "/status/phase"];
    fields.iter().all(|field| old.pointer(field) == new.pointer(field)) && is_ready(old) == is_ready(new)
}

/// A Service whose pods are found here: it has a selector and is no mere name.
fn is_selecting(service: &Value) -> bool {
    text(service, "/spec/type") != "ExternalName" && !Selector::of_map(service.pointer("/spec/selector")).is_absent()
}

/// Pods of a Service that have an address, ordered by name.
fn pods_of(context: &Context<'_>, service: &Value) -> Vec<Arc<Value>> {
    let selector = Selector::of_map(service.pointer("/spec/selector"));
    let mut pods = context.index.pods_matching(namespace(service), &selector);
    pods.retain(|pod| !is_finished(pod) && !text(pod, "/status/podIP").is_empty());
    pods
}

/// The ports of a Service as this pod has them; a name that the pod does not know leaves the port out.
fn ports_of(service: &Value, pod: &Value) -> Vec<Value> {
    items(service, "/spec/ports").iter().filter_map(|port| resolve(port, pod)).collect()
}

fn resolve(port: &Value, pod: &Value) -> Option<Value> {
    let protocol = match text(port, "/protocol") {
        "" => "TCP",
        protocol => protocol,
    };
    let number = match port.get("targetPort") {
        Some(Value::String(wanted)) => container_port(pod, wanted, protocol)?,
        Some(Value::Number(number)) if number.as_i64() != Some(0) => number.as_i64()?,
        _ => port.get("port")?.as_i64()?,
    };
    let mut resolved = json!({"name": text(port, "/name"), "port": number, "protocol": protocol});
    if let Some(app) = port.get("appProtocol").filter(|app| !app.is_null()) {
        resolved["appProtocol"] = app.clone();
    }
    Some(resolved)
}

fn container_port(pod: &Value, wanted: &str, protocol: &str) -> Option<i64> {
    let sidecars = items(pod, "/spec/initContainers").iter().filter(|container| text(container, "/restartPolicy") == "Always");
    let ports = items(pod, "/spec/containers").iter().chain(sidecars).flat_map(|container| items(container, "/ports"));
    let is_it = |port: &&Value| text(port, "/name") == wanted && [protocol, default_protocol(protocol)].contains(&text(port, "/protocol"));
    ports.into_iter().find(is_it)?.get("containerPort")?.as_i64()
}

fn target(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)})
}

/// The host name that a headless Service gives a pod.
fn host_name<'a>(service: &Value, pod: &'a Value) -> Option<&'a str> {
    let host = text(pod, "/spec/hostname");
    (!host.is_empty() && text(pod, "/spec/subdomain") == name(service)).then_some(host)
}

fn is_headless(service: &Value) -> bool {
    text(service, "/spec/clusterIP") == "None"
}

fn publishes_unready(service: &Value) -> bool {
    flag(service, "/spec/publishNotReadyAddresses")
}

/// Ready for clients, which a terminating pod never is unless the Service publishes all.
fn is_offered(service: &Value, pod: &Value) -> bool {
    publishes_unready(service) || (is_ready(pod) && !is_deleting(pod))
}

/// A port without a protocol is one of TCP.
fn default_protocol(protocol: &str) -> &str {
    if protocol == "TCP" { "" } else { protocol }
}
