//! As much of structural schemas as our definitions use.

use serde_json::Value;

/// What a schema, its rules aside, has against a value: `path: reason`.
pub fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| *name == "spec") {
        check(schema, &value[name], name, &mut errors);
    }
    errors
}

fn check(schema: &Value, value: &Value, path: &str, errors: &mut Vec<String>) {
    if schema["x-kubernetes-int-or-string"] == true {
        if !(value.is_i64() || value.is_string()) {
            errors.push(format!("{path}: neither a number nor text"));
        }
        return;
    }
    match (schema["type"].as_str().unwrap_or_default(), value) {
        ("object", Value::Object(fields)) => check_object(schema, fields, path, errors),
        ("array", Value::Array(items)) => check_array(schema, items, path, errors),
        ("string", Value::String(text)) => check_text(schema, text, path, errors),
        ("integer", Value::Number(number)) => check_number(schema, number.as_f64(), path, errors),
        ("boolean", Value::Bool(_)) => {}
        (kind, _) => errors.push(format!("{path}: not of type {kind}")),
    }
}

fn check_object(schema: &Value, fields: &serde_json::Map<String, Value>, path: &str, errors: &mut Vec<String>) {
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            errors.push(format!("{path}.{required}: required"));
        }
    }
    if schema["maxProperties"].as_u64().is_some_and(|most| fields.len() as u64 > most) {
        errors.push(format!("{path}: too many"));
    }
    for (name, value) in fields {
        let below = format!("{path}.{name}");
        if let Some(schema) = schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
            check(schema, value, &below, errors);
        } else if schema["x-kubernetes-preserve-unknown-fields"] != true {
            errors.push(format!("{below}: unknown field"));
        }
    }
}

fn check_array(schema: &Value, items: &[Value], path: &str, errors: &mut Vec<String>) {
    if schema["maxItems"].as_u64().is_some_and(|most| items.len() as u64 > most) {
        errors.push(format!("{path}: too many"));
    }
    let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (index, item) in items.iter().enumerate() {
        let same = |other: &Value| keys.iter().all(|key| other[*key] == item[*key]);
        if !keys.is_empty() && items[..index].iter().any(same) {
            errors.push(format!("{path}[{index}]: duplicate"));
        }
        check(&schema["items"], item, &format!("{path}[{index}]"), errors);
    }
}

fn check_text(schema: &Value, text: &str, path: &str, errors: &mut Vec<String>) {
    let allowed = schema["enum"].as_array();
    if allowed.is_some_and(|allowed| !allowed.iter().any(|value| value == text)) {
        errors.push(format!("{path}: not one of {allowed:?}"));
    }
    if schema["maxLength"].as_u64().is_some_and(|most| text.chars().count() as u64 > most) {
        errors.push(format!("{path}: too long"));
    }
}

fn check_number(schema: &Value, number: Option<f64>, path: &str, errors: &mut Vec<String>) {
    let number = number.unwrap_or(f64::NAN);
    if schema["minimum"].as_f64().is_some_and(|least| number < least) || schema["maximum"].as_f64().is_some_and(|most| number > most) {
        errors.push(format!("{path}: out of range"));
    }
}
