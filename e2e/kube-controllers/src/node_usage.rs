//! What pods ask of nodes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::pods::is_finished;
use crate::quantity::nanos;
use crate::value::{items, text};

/// Requests by resource name, in billionths; `pods` counts pods.
pub(crate) type Requests = BTreeMap<String, i128>;

/// The sum of the requests of a node's pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeUsage {
    pub(crate) requests: Requests,
}

impl NodeUsage {
    pub(crate) fn add(&mut self, pod: &Value) {
        self.change(pod, 1);
    }

    pub(crate) fn remove(&mut self, pod: &Value) {
        self.change(pod, -1);
    }

    fn change(&mut self, pod: &Value, sign: i128) {
        if is_finished(pod) {
            return;
        }
        for (resource, amount) in requests_of(pod) {
            *self.requests.entry(resource).or_default() += sign * amount;
        }
    }
}

/// What a pod asks for: the sum of its containers and sidecars, or its largest init container if that is more.
pub(crate) fn requests_of(pod: &Value) -> Requests {
    let mut sum = Requests::new();
    for container in items(pod, "/spec/containers") {
        add(&mut sum, container);
    }
    let mut sidecars = Requests::new();
    let mut peak = Requests::new();
    for container in items(pod, "/spec/initContainers") {
        if text(container, "/restartPolicy") == "Always" {
            add(&mut sum, container);
            add(&mut sidecars, container);
        } else {
            let mut here = sidecars.clone();
            add(&mut here, container);
            raise(&mut peak, &here);
        }
    }
    raise(&mut sum, &peak);
    if let Some(overhead) = pod.pointer("/spec/overhead").and_then(Value::as_object) {
        for (resource, amount) in overhead {
            *sum.entry(resource.clone()).or_default() += nanos(amount);
        }
    }
    sum.insert("pods".into(), nanos(&1.into()));
    sum
}

fn add(sum: &mut Requests, container: &Value) {
    for (resource, amount) in container.pointer("/resources/requests").and_then(Value::as_object).into_iter().flatten() {
        *sum.entry(resource.clone()).or_default() += nanos(amount);
    }
}

fn raise(sum: &mut Requests, other: &Requests) {
    for (resource, amount) in other {
        let entry = sum.entry(resource.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}
