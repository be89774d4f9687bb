//! `EndpointSlices`: endpoints with the same ports, at most 100 in each.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::endpoints::{host_name, is_headless, is_offered, is_selecting, pods_of, ports_of, services, target};
use crate::index::{Index, Key};
use crate::kinds::{NODE, SERVICE, SLICE};
use crate::owner::controller_reference;
use crate::pods::{is_ready, seconds};
use crate::statefulset::managers_of;
use crate::value::{entries, is_deleting, label, name, namespace, set, text, uid};

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
const LONGEST: usize = 100;

pub(crate) struct Slices;

impl Controller for Slices {
    fn name(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(SLICE) {
            let is_ours = label(&change.object, MANAGED_BY) == Some(MANAGER);
            return if is_ours && !is_deleting(&change.object) { managers_of(SERVICE, change, old) } else { Vec::new() };
        }
        services(index, change, old)
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        // The kind in this version is served since Kubernetes 1.21.
        if context.minor() < 21 {
            return Ok(None);
        }
        let Some(service) = context.index.at(key).filter(|service| is_selecting(service) && !is_deleting(service)).cloned() else {
            return Ok(None);
        };
        let wanted = groups(context, &service);
        let mut present = context.index.controlled(SLICE, uid(&service));
        present.retain(|slice| label(slice, MANAGED_BY) == Some(MANAGER) && !is_deleting(slice));
        let outcome = write(context, &service, wanted, present);
        if let Err(error) = &outcome
            && error.code != 409
            && error.code != 404
        {
            let message =
                format!("Error updating Endpoint Slices for Service {}/{}: {}", namespace(&service), name(&service), error.message);
            context.warning(&service, "FailedToUpdateEndpointSlices", &message);
        }
        outcome.map(|()| None)
    }
}

/// Ports with the endpoints that have them. A Service without any pod has one empty group.
fn groups(context: &Context<'_>, service: &Value) -> Vec<(Value, Vec<Value>)> {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for pod in pods_of(context, service) {
        let ports = Value::from(ports_of(service, &pod));
        let endpoint = endpoint(context, service, &pod);
        match groups.iter_mut().find(|(known, endpoints)| *known == ports && endpoints.len() < LONGEST) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => groups.push((ports, vec![endpoint])),
        }
    }
    if groups.is_empty() {
        groups.push((Value::Null, Vec::new()));
    }
    groups
}

fn endpoint(context: &Context<'_>, service: &Value, pod: &Value) -> Value {
    let mut conditions = json!({"ready": is_offered(service, pod)});
    // Both came with Kubernetes 1.22.
    if context.minor() >= 22 {
        conditions["serving"] = is_ready(pod).into();
        conditions["terminating"] = is_deleting(pod).into();
    }
    let mut endpoint = json!({"addresses": [text(pod, "/status/podIP")], "conditions": conditions, "targetRef": target(pod)});
    let node = text(pod, "/spec/nodeName");
    if !node.is_empty() {
        endpoint["nodeName"] = node.into();
        let zone = context.index.get(NODE, "", node).and_then(|node| label(node, "topology.kubernetes.io/zone"));
        if let Some(zone) = zone {
            endpoint["zone"] = zone.into();
        }
    }
    if let Some(host) = host_name(service, pod) {
        endpoint["hostname"] = host.into();
    }
    endpoint
}

/// Brings the slices that are there to the wanted groups: equal ports first, then any slice, then new ones.
fn write(context: &Context<'_>, service: &Value, wanted: Vec<(Value, Vec<Value>)>, mut present: Vec<Arc<Value>>) -> Result<(), ApiError> {
    for (ports, endpoints) in wanted {
        let same = present.iter().position(|slice| slice.get("ports") == Some(&ports)).or_else(|| (!present.is_empty()).then_some(0));
        if let Some(at) = same {
            update(context, service, &present.remove(at), &ports, endpoints)?;
        } else {
            let slice = build(context, service, &ports, &endpoints);
            context.api.create(context.manager, slice)?;
        }
    }
    for surplus in present {
        context.delete(&surplus, None)?;
    }
    Ok(())
}

fn labels(service: &Value) -> Value {
    let mut labels = json!({});
    for (key, value) in entries(service, "/metadata/labels").filter(|(key, _)| *key != MANAGED_BY) {
        labels[key] = value.into();
    }
    labels[MANAGED_BY] = MANAGER.into();
    labels["kubernetes.io/service-name"] = name(service).into();
    if is_headless(service) {
        labels["service.kubernetes.io/headless"] = "".into();
    }
    labels
}

fn build(context: &Context<'_>, service: &Value, ports: &Value, endpoints: &[Value]) -> Value {
    let family = text(service, "/spec/ipFamilies/0");
    json!({
        "apiVersion": SLICE.api_version(), "kind": SLICE.kind,
        "metadata": {
            "generateName": format!("{}-", name(service)), "namespace": namespace(service), "labels": labels(service),
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": seconds(context.now())},
            "ownerReferences": [controller_reference(service)],
        },
        "addressType": if family.is_empty() { "IPv4" } else { family },
        "endpoints": endpoints, "ports": ports,
    })
}

fn update(context: &Context<'_>, service: &Value, slice: &Value, ports: &Value, endpoints: Vec<Value>) -> Result<(), ApiError> {
    let labels = labels(service);
    let endpoints = Value::from(endpoints);
    let is_same = |field: &str, wanted: &Value| {
        let present = slice.get(field).filter(|value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
        present == Some(wanted).filter(|value| value.as_array().is_some_and(|list| !list.is_empty()))
    };
    if is_same("endpoints", &endpoints) && is_same("ports", ports) && slice.pointer("/metadata/labels") == Some(&labels) {
        return Ok(());
    }
    let mut changed = slice.clone();
    changed["endpoints"] = endpoints;
    changed["ports"] = ports.clone();
    set(&mut changed, &["metadata", "labels"], labels);
    set(&mut changed, &["metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"], seconds(context.now()));
    context.api.update(context.manager, changed).map(drop)
}
