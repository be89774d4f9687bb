//! Endpoints: one object a Service, named as it is.

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::endpoints::{host_name, is_headless, is_selecting, pods_of, ports_of, publishes_unready, services, target};
use crate::index::{Index, Key};
use crate::kinds::{ENDPOINTS, SERVICE};
use crate::pods::{is_ready, seconds};
use crate::value::{entries, is_deleting, items, name, namespace, set, text};

pub(crate) struct LegacyEndpoints;

impl Controller for LegacyEndpoints {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(ENDPOINTS) {
            return vec![Key::new(SERVICE, &change.namespace, &change.name)];
        }
        services(index, change, old)
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let present = context.index.get(ENDPOINTS, &key.namespace, &key.name).cloned();
        let Some(service) = context.index.at(key).filter(|service| !is_deleting(service)).cloned() else {
            // Endpoints go with their Service, but not those that somebody keeps for a name without a Service.
            if let Some(endpoints) = present.filter(|endpoints| is_managed(endpoints)) {
                context.delete(&endpoints, None)?;
            }
            return Ok(None);
        };
        if !is_selecting(&service) {
            return Ok(None);
        }
        let outcome = write(context, &service, present.as_deref());
        if let Err(error) = &outcome
            && error.code != 409
            && error.code != 404
        {
            let verb = if present.is_some() { "Update" } else { "Create" };
            let message = format!("Failed to {} endpoint {}/{}: {}", verb.to_lowercase(), key.namespace, key.name, error.message);
            context.warning(&service, &format!("FailedTo{verb}Endpoint"), &message);
        }
        outcome.map(|()| None)
    }
}

const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const HEADLESS: &str = "service.kubernetes.io/headless";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";

fn is_managed(endpoints: &Value) -> bool {
    crate::value::annotation(endpoints, TRIGGERED).is_some()
}

fn address(service: &Value, pod: &Value) -> Value {
    let mut address = json!({"ip": text(pod, "/status/podIP"), "targetRef": target(pod)});
    if !text(pod, "/spec/nodeName").is_empty() {
        address["nodeName"] = text(pod, "/spec/nodeName").into();
    }
    if let Some(host) = host_name(service, pod) {
        address["hostname"] = host.into();
    }
    address
}

/// Addresses by their ports, ready and not ready apart.
fn subsets(context: &Context<'_>, service: &Value) -> Vec<Value> {
    let mut groups: Vec<(Vec<Value>, Vec<Value>, Vec<Value>)> = Vec::new();
    for pod in pods_of(context, service) {
        if is_deleting(&pod) && !publishes_unready(service) {
            continue;
        }
        let mut ports = ports_of(service, &pod);
        for port in &mut ports {
            if port["name"] == "" {
                crate::value::remove(port, &["name"]);
            }
        }
        if ports.is_empty() && !is_headless(service) {
            continue;
        }
        let at = groups.iter().position(|(known, _, _)| *known == ports).unwrap_or_else(|| {
            groups.push((ports, Vec::new(), Vec::new()));
            groups.len() - 1
        });
        let (_, ready, unready) = &mut groups[at];
        if publishes_unready(service) || is_ready(&pod) { ready } else { unready }.push(address(service, &pod));
    }
    groups.into_iter().map(|(ports, ready, unready)| subset(ports, ready, unready)).collect()
}

fn subset(ports: Vec<Value>, ready: Vec<Value>, unready: Vec<Value>) -> Value {
    let mut subset = json!({});
    for (field, list) in [("addresses", ready), ("notReadyAddresses", unready), ("ports", ports)] {
        if !list.is_empty() {
            subset[field] = list.into();
        }
    }
    subset
}

fn write(context: &Context<'_>, service: &Value, present: Option<&Value>) -> Result<(), ApiError> {
    let subsets = subsets(context, service);
    let mut labels = json!({});
    for (key, value) in entries(service, "/metadata/labels") {
        labels[key] = value.into();
    }
    if is_headless(service) {
        labels[HEADLESS] = "".into();
    }
    if context.minor() >= 33 {
        labels[MANAGED_BY] = "endpoint-controller".into();
    }
    if let Some(present) = present {
        let has_labels = present.pointer("/metadata/labels").unwrap_or(&json!({})) == &labels;
        if items(present, "/subsets") == subsets.as_slice() && has_labels {
            return Ok(());
        }
    }
    let mut endpoints = present.cloned().unwrap_or_else(
        || json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name(service), "namespace": namespace(service)}}),
    );
    set(&mut endpoints, &["metadata", "labels"], labels);
    set(&mut endpoints, &["metadata", "annotations", TRIGGERED], seconds(context.now()));
    if subsets.is_empty() {
        crate::value::remove(&mut endpoints, &["subsets"]);
    } else {
        set(&mut endpoints, &["subsets"], subsets);
    }
    let answer =
        if present.is_some() { context.api.update(context.manager, endpoints) } else { context.api.create(context.manager, endpoints) };
    answer.map(drop)
}
