//! Validation of `metadata`.
use serde_json::{Map, Value, json};

use super::names;
use crate::Kind;
use crate::error::FieldError;
use crate::value::{go_json, list, name, text};

/// Most bytes that the annotations of an object may have together.
const ANNOTATIONS_MAX: usize = 262_144;

/// What is wrong with the metadata of an object.
pub(super) fn validate(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = name(object);
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(name_problems(kind, name).iter().map(|p| FieldError::invalid("metadata.name", &json!(name), p)));
    }
    errors.extend(validate_map_keys(object));
    errors.extend(owner_references(object));
    errors.extend(finalizers(kind, object));
    errors
}

fn name_problems(kind: &Kind, name: &str) -> Vec<String> {
    if kind.is("", "Namespace") {
        return names::label(name);
    }
    if kind.is("", "Service") {
        return names::service(name);
    }
    if !kind.is_custom() && kind.gvk.group == "rbac.authorization.k8s.io" {
        return names::path_segment(name);
    }
    names::subdomain(name)
}

/// Labels and annotations.
pub(super) fn validate_map_keys(object: &Value) -> Vec<FieldError> {
    let metadata = |key: &str| object.get("metadata").and_then(|m| m.get(key));
    let mut errors = labels(metadata("labels"), "metadata.labels");
    let mut size = 0;
    for (key, value) in metadata("annotations").and_then(Value::as_object).into_iter().flatten() {
        for problem in names::qualified(&key.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", &json!(key), &problem));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_MAX));
    }
    errors
}

/// What is wrong with a map of labels.
pub(super) fn labels(map: Option<&Value>, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in map.and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        errors.extend(names::qualified(key).iter().map(|p| FieldError::invalid(field, &json!(key), p)));
        errors.extend(names::label_value(value).iter().map(|p| FieldError::invalid(field, &json!(value), p)));
    }
    errors
}

/// Owner references with their fields in the order of the server's own type.
fn print_references(list: &[Value]) -> Value {
    let order = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let one = |reference: &Value| {
        let fields = order.iter().filter_map(|k| Some(((*k).to_owned(), reference.get(*k)?.clone())));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    Value::Array(list.iter().map(one).collect())
}

fn owner_references(object: &Value) -> Vec<FieldError> {
    let references = list(object, "metadata.ownerReferences");
    let mut errors = Vec::new();
    for reference in references {
        for (field, what) in [("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")] {
            if text(reference, field).is_empty() {
                let detail = format!("{what} must not be empty");
                errors.push(FieldError::invalid(format!("metadata.ownerReferences.{field}"), &json!(""), &detail));
            }
        }
        if text(reference, "apiVersion") == "v1" && text(reference, "kind") == "Event" {
            let printed = print_references(std::slice::from_ref(reference));
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid("metadata.ownerReferences", &printed, detail));
        }
    }
    let mut controllers = references.iter().filter(|r| r.get("controller") == Some(&Value::Bool(true)));
    if let (Some(first), Some(second)) = (controllers.next(), controllers.next()) {
        let who = |r: &Value| format!("{}/{}", text(r, "kind"), text(r, "name"));
        let detail = "Only one reference can have Controller set to true. Found \"true\" in references for";
        let detail = format!("{detail} {} and {}", who(first), who(second));
        errors.push(FieldError::invalid("metadata.ownerReferences", &print_references(references), &detail));
    }
    errors
}

const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// Every finalizer is a qualified name. Types of Kubernetes' own take no other plain one than its own; of custom resources the server
/// only warns.
fn finalizers(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, finalizer) in list(object, "metadata.finalizers").iter().enumerate() {
        let text = finalizer.as_str().unwrap_or_default();
        let field = format!("metadata.finalizers[{index}]");
        errors.extend(names::qualified(text).iter().map(|p| FieldError::invalid(field.clone(), finalizer, p)));
        if !kind.is_custom() && !text.contains('/') && !STANDARD_FINALIZERS.contains(&text) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(field, finalizer, detail));
        }
    }
    errors
}

/// What an update may not change in metadata. The server checks its own types more than once, and reports each time.
pub(super) fn validate_update(kind: &Kind, object: &Value, old: &Value) -> Vec<FieldError> {
    let mut once = Vec::new();
    let field = |o: &Value, key: &str| o.get("metadata").and_then(|m| m.get(key)).cloned().unwrap_or_default();
    for key in ["name", "namespace", "uid", "creationTimestamp"] {
        let (new, was) = (field(object, key), field(old, key));
        if new != was {
            once.push(FieldError::invalid(format!("metadata.{key}"), &new, "field is immutable"));
        }
    }
    if !text(old, "metadata.deletionTimestamp").is_empty() {
        let was = list(old, "metadata.finalizers");
        let added: Vec<String> = list(object, "metadata.finalizers").iter().filter(|f| !was.contains(f)).map(go_json).collect();
        if !added.is_empty() {
            let detail = "no new finalizers can be added if the object is being deleted, found new finalizers []string{";
            once.push(FieldError::forbidden("metadata.finalizers", &format!("{detail}{}}}", added.join(", "))));
        }
    }
    if kind.is_custom() {
        return once;
    }
    let mut errors: Vec<FieldError> = std::iter::repeat_n(once, 2).flatten().collect();
    errors.extend(std::iter::repeat_n(owner_references(object), 4).flatten());
    errors.extend(finalizers(kind, object));
    errors
}
