//! What the schemas of built-in types say: required fields and enumerations. Runs last, for fields that nothing else has reported.
use serde_json::Value;

use crate::error::FieldError;
use crate::schema::{Schema, Type};

/// Adds what the schema refuses outside `metadata` and `status`.
pub(super) fn validate(schema: &Schema, object: &Value, errors: &mut Vec<FieldError>) {
    for (name, child) in schema.properties.iter().filter(|(n, _)| !matches!(n.as_str(), "metadata" | "status" | "apiVersion" | "kind")) {
        field(schema, object, name, child, name, errors);
    }
}

fn field(owner: &Schema, value: &Value, name: &str, schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    let found = value.get(name).filter(|v| !v.is_null());
    let missing = match found {
        None => !matches!(schema.kind, Type::Array | Type::Any | Type::Integer),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if missing && owner.required.iter().any(|r| r == name) {
        add(errors, FieldError::required(path, ""));
        return;
    }
    if let Some(found) = found {
        walk(schema, found, path, errors);
    }
}

fn walk(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (name, child) in schema.properties.iter().filter(|(n, _)| *n != "status") {
                field(schema, value, name, child, &format!("{path}.{name}"), errors);
            }
            if let Some(values) = &schema.values {
                for (key, child) in map.iter().filter(|(k, _)| !schema.properties.contains_key(*k)) {
                    walk(values, child, &format!("{path}[{key}]"), errors);
                }
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                if let Some(items) = &schema.items {
                    walk(items, item, &format!("{path}[{index}]"), errors);
                }
            }
        }
        Value::String(text) if !schema.allowed.is_empty() && !text.is_empty() && !schema.allowed.contains(value) => {
            let allowed: Vec<&str> = schema.allowed.iter().filter_map(Value::as_str).collect();
            add(errors, FieldError::not_supported(path, value, &allowed));
        }
        _ => {}
    }
}

/// A field is reported once.
fn add(errors: &mut Vec<FieldError>, error: FieldError) {
    if !errors.iter().any(|e| e.field == error.field) {
        errors.push(error);
    }
}
