//! Objects between the version they are kept in and the one that is asked for.

use serde_json::{Map, Value, json};

use crate::registry::Resource;

/// From the stored version to that of the resource.
pub fn to_requested(resource: &Resource, stored: &Value) -> Value {
    let mut object = stored.clone();
    if resource.is_converted() {
        object["apiVersion"] = resource.api_version().into();
        match (&*resource.group, &*resource.version, &*resource.kind) {
            ("events.k8s.io", _, _) => object = event_to_new(object),
            ("autoscaling", "v1", _) => autoscaler_to_v1(&mut object),
            ("discovery.k8s.io", "v1beta1", _) => rename_in_list(&mut object, "endpoints", "deprecatedTopology", "topology"),
            _ => {}
        }
    }
    object
}

/// From the version of the resource to the stored one.
pub fn to_stored(resource: &Resource, mut object: Value) -> Value {
    if resource.is_converted() {
        object["apiVersion"] = resource.storage_version().into();
        match (&*resource.group, &*resource.version, &*resource.kind) {
            ("events.k8s.io", _, _) => object = event_to_core(object),
            ("autoscaling", "v1", _) => autoscaler_to_v2(&mut object),
            ("discovery.k8s.io", "v1beta1", _) => rename_in_list(&mut object, "endpoints", "topology", "deprecatedTopology"),
            _ => {}
        }
    }
    object
}

/// Fields of an Event in the core group and in `events.k8s.io`.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn event_to_new(event: Value) -> Value {
    rename(event, |key| EVENT_FIELDS.iter().find(|(core, _)| *core == key).map(|(_, new)| *new))
}

fn event_to_core(event: Value) -> Value {
    let mut event = rename(event, |key| EVENT_FIELDS.iter().find(|(_, new)| *new == key).map(|(core, _)| *core));
    if event["involvedObject"].is_null() {
        event["involvedObject"] = json!({});
    }
    event
}

fn rename(object: Value, new_name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(fields) = object else { return object };
    let renamed: Map<String, Value> = fields.into_iter().map(|(key, value)| (new_name(&key).map_or(key, str::to_owned), value)).collect();
    Value::Object(renamed)
}

fn rename_in_list(object: &mut Value, list: &str, from: &str, to: &str) {
    for item in object[list].as_array_mut().into_iter().flatten() {
        if let Some(value) = item.as_object_mut().and_then(|item| item.remove(from)) {
            item[to] = value;
        }
    }
}

fn autoscaler_to_v1(object: &mut Value) {
    let metrics = object["spec"].as_object_mut().and_then(|spec| spec.remove("metrics"));
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("behavior");
    }
    let target = metrics
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find_map(|metric| (metric["resource"]["name"] == "cpu").then(|| metric["resource"]["target"]["averageUtilization"].clone()));
    if let Some(target) = target.filter(|target| !target.is_null()) {
        object["spec"]["targetCPUUtilizationPercentage"] = target;
    }
    if let Some(status) = object["status"].as_object_mut() {
        status.remove("currentMetrics");
        status.remove("conditions");
    }
}

fn autoscaler_to_v2(object: &mut Value) {
    let target = object["spec"].as_object_mut().and_then(|spec| spec.remove("targetCPUUtilizationPercentage"));
    if let Some(target) = target.filter(|target| !target.is_null()) {
        let wanted = json!({"type": "Utilization", "averageUtilization": target});
        object["spec"]["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": wanted}}]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn an_event_is_the_same_object_in_both_groups() {
        let registry = Registry::builtin(36);
        let new = registry.by_plural("events.k8s.io", "v1", "events").expect("built in");
        let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "hello", "regarding": {"name": "a"}});
        let stored = to_stored(new, event.clone());
        assert_eq!(stored, json!({"apiVersion": "v1", "kind": "Event", "message": "hello", "involvedObject": {"name": "a"}}));
        assert_eq!(to_requested(new, &stored), event);
    }
}
