//! Limit ranges: defaults and bounds of containers.

use kube_schema::quantity::Quantity;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::ApiStatus;
use crate::store::text;

fn ranges<'a>(cluster: &'a Cluster, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
    let ranges = cluster.store.list("limitranges.", Some(namespace));
    ranges.flat_map(|range| range["spec"]["limits"].as_array().into_iter().flatten())
}

const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

/// Requests and limits that containers leave out.
pub fn apply_defaults(cluster: &Cluster, pod: &mut Value) {
    let namespace = text(pod, "namespace").to_owned();
    let defaults: Vec<Value> = ranges(cluster, &namespace).filter(|limit| limit["type"] == "Container").cloned().collect();
    for limit in &defaults {
        for list in CONTAINERS {
            for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
                for (source, field) in [("default", "limits"), ("defaultRequest", "requests")] {
                    for (name, quantity) in limit[source].as_object().into_iter().flatten() {
                        if !container["resources"][field].is_object() {
                            container["resources"][field] = json!({});
                        }
                        if container["resources"][field][name].is_null() {
                            container["resources"][field][name] = quantity.clone();
                        }
                    }
                }
            }
        }
    }
}

/// Refuses containers outside the bounds.
pub fn check(cluster: &Cluster, resource: &Resource, pod: &Value) -> Result<(), ApiStatus> {
    let mut problems = Vec::new();
    for limit in ranges(cluster, text(pod, "namespace")).filter(|limit| limit["type"] == "Container") {
        for container in CONTAINERS.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten()) {
            check_container(limit, container, &mut problems);
        }
    }
    match problems.as_slice() {
        [] => Ok(()),
        [one] => Err(ApiStatus::forbidden(resource, text(pod, "name"), one)),
        several => Err(ApiStatus::forbidden(resource, text(pod, "name"), &format!("[{}]", several.join(", ")))),
    }
}

fn check_container(limit: &Value, container: &Value, problems: &mut Vec<String>) {
    let amount = |value: &Value| Quantity::from_json(value).ok().map(|quantity| quantity.nanos());
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, bound) in limit["max"].as_object().into_iter().flatten() {
        let given = &container["resources"]["limits"][name];
        match (amount(given), amount(bound)) {
            (None, Some(_)) => problems.push(format!("maximum {name} usage per Container is {}.  No limit is specified", shown(bound))),
            (Some(has), Some(most)) if has > most => {
                problems.push(format!("maximum {name} usage per Container is {}, but limit is {}", shown(bound), shown(given)));
            }
            _ => {}
        }
    }
    for (name, bound) in limit["min"].as_object().into_iter().flatten() {
        let given = &container["resources"]["requests"][name];
        match (amount(given), amount(bound)) {
            (None, Some(_)) => problems.push(format!("minimum {name} usage per Container is {}.  No request is specified", shown(bound))),
            (Some(has), Some(least)) if has < least => {
                problems.push(format!("minimum {name} usage per Container is {}, but request is {}", shown(bound), shown(given)));
            }
            _ => {}
        }
    }
}
