//! The numbers that the `scale` subresource reads.
use serde_json::{Value, json};

use crate::Kind;
use crate::error::FieldError;
use crate::jsonpath::JsonPath;

pub(super) fn validate(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let Some(scale) = kind.custom.as_ref().and_then(|c| c.scale.as_ref()) else { return Vec::new() };
    [&scale.spec, &scale.status].into_iter().filter_map(|path| number(path, object)).collect()
}

fn number(path: &str, object: &Value) -> Option<FieldError> {
    let parsed = JsonPath::parse(path)?;
    match parsed.first(object)? {
        Value::Number(n) => {
            let n = n.as_i64().unwrap_or(0);
            if n < 0 {
                Some(FieldError::invalid(path, &json!(n), "should be a non-negative integer"))
            } else if n > i64::from(i32::MAX) {
                Some(FieldError::invalid(path, &json!(n), &format!("should be less than or equal to {}", i32::MAX)))
            } else {
                None
            }
        }
        Value::Null => None,
        other => {
            let (printed, kind) = match other {
                Value::String(text) => (text.clone(), "string"),
                Value::Bool(b) => (b.to_string(), "bool"),
                Value::Array(_) => (other.to_string(), "[]interface {}"),
                _ => (other.to_string(), "map[string]interface {}"),
            };
            let detail = format!("{path} accessor error: {printed} is of the type {kind}, expected int64");
            Some(FieldError::invalid(path, &json!(0), &detail))
        }
    }
}
