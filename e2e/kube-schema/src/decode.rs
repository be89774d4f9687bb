//! From a request's JSON to a typed object.
mod optional;
mod typed;

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::schema::{Schema, Type};
use crate::{Gvk, Kind};

/// What to do with fields that the schema does not know (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Refuse the request.
    Strict,
    /// Drop them and warn; the server's default.
    #[default]
    Warn,
    /// Drop them silently.
    Ignore,
}

/// A typed object and what to warn about.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The object: unknown fields dropped, quantities canonical.
    pub object: Value,
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
}

/// Makes a typed object of a request's body: drops or refuses unknown fields, refuses wrong types, spells quantities canonically and drops
/// what a typed object does not print. The caller has compared `apiVersion` and `kind` (see [`check_type`]).
pub fn decode(kind: &Kind, mut object: Value, validation: FieldValidation) -> Result<Decoded, ApiError> {
    let mut unknown = Vec::new();
    let schema = &kind.schema;
    if kind.is_custom() {
        prune(schema, &mut object, "", &mut unknown);
        if let Some(meta) = schema.property("metadata")
            && let Some(value) = object.get_mut("metadata")
        {
            typed::coerce(meta, value, "metadata").map_err(|e| handled(kind, &e))?;
        }
    } else {
        prune(schema, &mut object, "", &mut unknown);
        typed::coerce(schema, &mut object, "").map_err(|e| handled(kind, &e))?;
        if kind.is("", "Secret") {
            typed::check_base64(&object, "data").map_err(|e| handled(kind, &e))?;
        }
        if kind.is("", "ConfigMap") {
            typed::check_base64(&object, "binaryData").map_err(|e| handled(kind, &e))?;
        }
    }
    unknown.sort();
    if validation == FieldValidation::Strict && !unknown.is_empty() {
        return Err(handled(kind, &format!("strict decoding error: {}", unknown.join(", "))));
    }
    let warnings = if validation == FieldValidation::Warn { unknown } else { Vec::new() };
    Ok(Decoded { object, warnings })
}

/// Removes what the schema does not know from an object that is read back, such as one stored under an older schema.
pub fn prune_unknown(kind: &Kind, object: &mut Value) {
    prune(&kind.schema, object, "", &mut Vec::new());
}

/// Compares `apiVersion` and `kind` of a body with the type that the request's path names; fills them in when both are absent.
pub fn check_type(kind: &Kind, object: &mut Value) -> Result<(), ApiError> {
    let Some(map) = object.as_object_mut() else {
        return Err(ApiError::bad_request("the object provided is unrecognized"));
    };
    let text = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, name) = (text(map, "apiVersion"), text(map, "kind"));
    let wanted = &kind.gvk;
    if version.is_empty() && name.is_empty() {
        map.insert("apiVersion".to_owned(), wanted.api_version().into());
        map.insert("kind".to_owned(), wanted.kind.clone().into());
        return Ok(());
    }
    if version.is_empty() {
        map.insert("apiVersion".to_owned(), wanted.api_version().into());
    }
    if name.is_empty() {
        map.insert("kind".to_owned(), wanted.kind.clone().into());
    }
    let found = Gvk::parse(&text(map, "apiVersion"), &text(map, "kind"));
    if found == *wanted {
        return Ok(());
    }
    if found.group == wanted.group && found.kind == wanted.kind {
        let message = "the API version in the data ({}) does not match the expected API version ({})";
        let message = message.replacen("{}", &found.api_version(), 1).replacen("{}", &wanted.api_version(), 1);
        return Err(ApiError::bad_request(message));
    }
    let package = if wanted.group.is_empty() { "core" } else { wanted.group.split('.').next().unwrap_or("core") };
    Err(ApiError::bad_request(format!(
        "{found_kind} in version \"{version}\" cannot be handled as a {kind}: converting ({version}.{found_kind}) to ({package}.{kind}): unknown conversion",
        found_kind = found.kind,
        version = found.version,
        kind = wanted.kind,
    )))
}

fn handled(kind: &Kind, problem: &str) -> ApiError {
    ApiError::bad_request(format!("{0} in version \"{1}\" cannot be handled as a {0}: {problem}", kind.gvk.kind, kind.gvk.version))
}

/// Drops undeclared fields and notes them as the server names them.
fn prune(schema: &Schema, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => prune_object(schema, map, path, unknown),
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for (index, item) in list.iter_mut().enumerate() {
                    prune(items, item, &format!("{path}[{index}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

fn prune_object(schema: &Schema, map: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) {
    if matches!(schema.kind, Type::Quantity | Type::IntOrString | Type::String) {
        return;
    }
    let declared_type = schema.kind == Type::Object || !schema.properties.is_empty();
    map.retain(|key, value| {
        let here = || if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(child) = schema.field(key) {
            prune(child, value, &here(), unknown);
            return true;
        }
        if schema.is_open() || !declared_type {
            return true;
        }
        unknown.push(format!("unknown field \"{}\"", here()));
        false
    });
}
