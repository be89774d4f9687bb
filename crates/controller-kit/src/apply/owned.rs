//! The server's own record of what a manager applied last, `metadata.managedFields`.

use kube::api::ObjectMeta;
use serde_json::Value;

/// The fields that a manager owns by apply in an object or one of its subresources.
/// `None` where the record says nothing, for example because it was pruned from a cache.
pub(super) fn fields(metadata: &ObjectMeta, manager: &str, subresource: Option<&str>) -> Option<Value> {
    let records = metadata.managed_fields.as_ref()?;
    let ours = records.iter().find(|record| {
        record.manager.as_deref() == Some(manager)
            && record.operation.as_deref() == Some("Apply")
            && record.subresource.as_deref().filter(|name| !name.is_empty()) == subresource
    });
    match ours {
        Some(record) => Some(record.fields_v1.as_ref().map_or(Value::Null, |fields| fields.0.clone())),
        // Managers are on record, and we are not among them: we own nothing.
        None if !records.is_empty() => Some(Value::Null),
        None => None,
    }
}

/// The part of a sent document that the server keeps a record of.
pub(super) fn ownable(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(object) = body.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
        let empty = object.get_mut("metadata").and_then(Value::as_object_mut).is_some_and(|metadata| {
            metadata.remove("name");
            metadata.remove("namespace");
            metadata.is_empty()
        });
        if empty {
            object.remove("metadata");
        }
    }
    body
}

/// Whether the record names exactly the fields of a document: nothing more, nothing less.
pub(super) fn covers_exactly(record: &Value, document: &Value) -> bool {
    let Some(entries) = record.as_object() else { return false };
    let children: Vec<(&String, &Value)> = entries.iter().filter(|(name, _)| *name != ".").collect();
    // A leaf of the record: a scalar, or a list or map that is owned as a whole.
    if children.is_empty() {
        return true;
    }
    match document {
        Value::Object(fields) => {
            let named = |name: &str| entries.get(&format!("f:{name}"));
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .all(|(name, value)| named(name).is_some_and(|record| covers_exactly(record, value)))
                && children
                    .iter()
                    .all(|(name, _)| name.strip_prefix("f:").is_some_and(|name| fields.get(name).is_some_and(|value| !value.is_null())))
        }
        Value::Array(items) => {
            children.len() == items.len() && items.iter().all(|item| children.iter().any(|(name, record)| is_record_of(name, record, item)))
        }
        _ => false,
    }
}

/// Whether an entry `k:{...}` or `v:...` of a list's record stands for an item.
fn is_record_of(name: &str, record: &Value, item: &Value) -> bool {
    if let Some(value) = name.strip_prefix("v:") {
        return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
    }
    let Some(Ok(Value::Object(keys))) = name.strip_prefix("k:").map(serde_json::from_str) else { return false };
    let is_key = |key: &String, value: &Value| match item.get(key) {
        Some(own) => own == value,
        // A default of the server's, such as `protocol: TCP`.
        None => keys.len() > 1,
    };
    keys.iter().all(|(key, value)| is_key(key, value)) && covers_exactly(record, item)
}

#[cfg(test)]
mod tests {
    use super::{covers_exactly, ownable};
    use serde_json::{Value, json};

    #[test]
    fn a_record_covers_what_was_sent_and_nothing_else() {
        let record = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:containers": {
            "k:{\"name\":\"be\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}},
            "f:metadata": {"f:finalizers": {".": {}, "v:\"x/y\"": {}}}});
        let sent = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "namespace": "b", "finalizers": ["x/y"]},
            "spec": {"replicas": 3, "template": {"containers": [{"name": "be", "image": "i", "ports": [{"containerPort": 80}]}]}}});
        assert!(covers_exactly(&record, &ownable(&sent)));

        let mut removed = sent.clone();
        removed["spec"].as_object_mut().expect("a map").remove("replicas");
        assert!(!covers_exactly(&record, &ownable(&removed)), "a field that we own is no longer sent");
        let mut added = sent.clone();
        added["spec"]["serviceName"] = json!("s");
        assert!(!covers_exactly(&record, &ownable(&added)), "a field that is new");
        let mut renamed = sent;
        renamed["spec"]["template"]["containers"][0]["name"] = json!("fe");
        assert!(!covers_exactly(&record, &ownable(&renamed)), "another item");
    }

    #[test]
    fn an_atomic_list_is_owned_as_a_whole() {
        assert!(covers_exactly(&json!({"f:args": {}}), &json!({"args": ["a", "b"]})));
        assert!(!covers_exactly(&Value::Null, &json!({"args": []})));
    }
}
