//! `ConfigMaps` and Secrets.
use serde_json::{Value, json};

use super::names;
use crate::error::FieldError;
use crate::value::text;

/// Most bytes that a ConfigMap or Secret may hold.
const MAX: usize = 1_048_576;

pub(super) fn config_map(object: &Value) -> Vec<FieldError> {
    let mut errors = keys(object, "data");
    errors.extend(keys(object, "binaryData"));
    if size(object, "data") + size(object, "binaryData") > MAX {
        errors.push(FieldError::too_long("", MAX));
    }
    errors
}

pub(super) fn secret(object: &Value) -> Vec<FieldError> {
    let mut errors = keys(object, "data");
    if size(object, "data") * 3 / 4 > MAX {
        errors.push(FieldError::too_long("data", MAX));
    }
    let required: &[&str] = match text(object, "type") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    let data = object.get("data");
    let missing = required.iter().filter(|key| data.and_then(|d| d.get(**key)).is_none());
    errors.extend(missing.map(|key| FieldError::required(format!("data[{key}]"), "")));
    errors
}

fn keys(object: &Value, field: &str) -> Vec<FieldError> {
    let map = object.get(field).and_then(Value::as_object);
    let problems = map.into_iter().flatten().flat_map(|(key, _)| {
        let at = format!("{field}[{key}]");
        names::config_key(key).into_iter().map(move |p| FieldError::invalid(at.clone(), &json!(key), &p))
    });
    problems.collect()
}

fn size(object: &Value, field: &str) -> usize {
    let map = object.get(field).and_then(Value::as_object);
    map.into_iter().flatten().map(|(_, v)| v.as_str().map_or(0, str::len)).sum()
}
