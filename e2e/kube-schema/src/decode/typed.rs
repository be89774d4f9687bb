//! What decoding into a Go type does to a value.
use serde_json::Value;

use super::optional;
use crate::quantity::Quantity;
use crate::schema::{Schema, Type};

/// Checks types, spells quantities canonically and drops what is not printed. The error is the server's text.
pub(super) fn coerce(schema: &Schema, value: &mut Value, path: &str) -> Result<(), String> {
    match (schema.kind, &mut *value) {
        (_, Value::Null) | (Type::Any, _) | (Type::IntOrString, Value::String(_) | Value::Number(_)) => Ok(()),
        (Type::Quantity, _) => canonical_quantity(value),
        (Type::Object, Value::Object(_)) => coerce_object(schema, value, path),
        (Type::Array, Value::Array(list)) => match &schema.items {
            Some(items) => list.iter_mut().try_for_each(|item| coerce(items, item, path)),
            None => Ok(()),
        },
        (Type::String, Value::String(text)) if schema.format == "date-time" => check_time(text),
        (Type::String, Value::String(_)) | (Type::Boolean, Value::Bool(_)) | (Type::Number, Value::Number(_)) => Ok(()),
        (Type::Integer, Value::Number(number)) => check_integer(number, schema, path),
        (wanted, found) => Err(mismatch(wanted, found, schema, path)),
    }
}

fn coerce_object(schema: &Schema, value: &mut Value, path: &str) -> Result<(), String> {
    let Value::Object(map) = value else { return Ok(()) };
    let mut failure = None;
    map.retain(|key, child| {
        let Some(child_schema) = schema.field(key) else { return true };
        let declared = schema.properties.contains_key(key);
        if child.is_null() && declared {
            return false;
        }
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Err(error) = coerce(child_schema, child, &here) {
            failure.get_or_insert(error);
        }
        !declared || optional::is_printed(schema, key, child_schema, child)
    });
    failure.map_or(Ok(()), Err)
}

fn canonical_quantity(value: &mut Value) -> Result<(), String> {
    let quantity = Quantity::from_json(value).map_err(|e| e.to_string())?;
    let canonical = quantity.canonical();
    if value.as_str() != Some(&canonical) {
        *value = Value::String(canonical);
    }
    Ok(())
}

fn check_time(text: &str) -> Result<(), String> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\"")),
    }
}

fn check_integer(number: &serde_json::Number, schema: &Schema, path: &str) -> Result<(), String> {
    let go = if schema.format == "int64" { "int64" } else { "int32" };
    let fits = number.as_i64().is_some_and(|n| go == "int64" || i32::try_from(n).is_ok());
    // A float without a fraction decodes as an integer.
    let whole = number.as_f64().is_some_and(|f| f.fract() == 0.0 && f.abs() < 2_147_483_648.0);
    if fits || whole {
        return Ok(());
    }
    Err(format!("json: cannot unmarshal number {number} into Go struct field {path} of type {go}"))
}

fn mismatch(wanted: Type, found: &Value, schema: &Schema, path: &str) -> String {
    let found = match found {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "null",
    };
    let go = match wanted {
        Type::String => "string",
        Type::Boolean => "bool",
        Type::Number => "float64",
        Type::Integer if schema.format == "int64" => "int64",
        Type::Integer => "int32",
        Type::Array => "[]",
        _ if schema.values.is_some() => "map[string]string",
        _ => "struct",
    };
    format!("json: cannot unmarshal {found} into Go struct field {path} of type {go}")
}

/// Refuses values of a map that are not base64.
pub(super) fn check_base64(object: &Value, field: &str) -> Result<(), String> {
    let Some(map) = object.get(field).and_then(Value::as_object) else { return Ok(()) };
    for value in map.values() {
        if let Some(at) = bad_base64(value.as_str().unwrap_or_default()) {
            return Err(format!("illegal base64 data at input byte {at}"));
        }
    }
    Ok(())
}

/// Where a text stops being base64.
fn bad_base64(text: &str) -> Option<usize> {
    let bytes: Vec<(usize, u8)> = text.bytes().enumerate().filter(|(_, b)| *b != b'\n' && *b != b'\r').collect();
    let body = bytes.iter().rposition(|(_, b)| *b != b'=').map_or(0, |i| i + 1);
    if let Some((at, _)) = bytes[..body].iter().find(|(_, b)| !(b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/')) {
        return Some(*at);
    }
    if !bytes.len().is_multiple_of(4) || bytes.len() - body > 2 {
        return Some(if bytes.len() - body > 2 { body } else { text.len() });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_checked_where_the_server_stops_reading() {
        assert_eq!(bad_base64("not base64!"), Some(3));
        assert_eq!(bad_base64("cm9vdA=="), None);
        assert_eq!(bad_base64(""), None);
        assert_eq!(bad_base64("AAE"), Some(3));
    }
}
