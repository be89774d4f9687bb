//! Schemas from the `openAPIV3Schema` of a `CustomResourceDefinition`.
use std::sync::Arc;

use serde_json::Value;

use super::{ListType, Schema, Type, object_meta};
use crate::crd::Checks;

/// Builds the schema of a custom resource. At the root `apiVersion`, `kind` and `metadata` are added as every object has them.
pub fn from_openapi(json: &Value) -> Schema {
    let mut root = node(json);
    add_object_fields(&mut root);
    root
}

fn add_object_fields(schema: &mut Schema) {
    let properties = Arc::make_mut(&mut schema.properties);
    let text = Arc::new(Schema { kind: Type::String, ..Schema::default() });
    properties.insert("apiVersion".to_owned(), Arc::clone(&text));
    properties.insert("kind".to_owned(), text);
    let mut meta = Schema::clone(&object_meta());
    meta.default = Some(Value::Object(serde_json::Map::new()));
    properties.insert("metadata".to_owned(), Arc::new(meta));
}

fn node(json: &Value) -> Schema {
    let flag = |key: &str| json.get(key).and_then(Value::as_bool).unwrap_or(false);
    let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut schema = Schema {
        kind: kind_of(json),
        format: text("format").to_owned(),
        nullable: flag("nullable"),
        default: json.get("default").cloned(),
        list: list_type(json),
        atomic: text("x-kubernetes-map-type") == "atomic",
        allowed: json.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        preserve_unknown: flag("x-kubernetes-preserve-unknown-fields") || json.get("additionalProperties") == Some(&Value::Bool(true)),
        embedded: flag("x-kubernetes-embedded-resource"),
        checks: Checks::read(json, node),
        ..Schema::default()
    };
    if let Some(properties) = json.get("properties").and_then(Value::as_object) {
        schema.properties = Arc::new(properties.iter().map(|(name, p)| (name.clone(), Arc::new(node(p)))).collect());
    }
    if let Some(values) = json.get("additionalProperties").filter(|v| v.is_object()) {
        schema.values = Some(Arc::new(node(values)));
    }
    if let Some(items) = json.get("items").filter(|v| v.is_object()) {
        schema.items = Some(Arc::new(node(items)));
    }
    if let Some(required) = json.get("required").and_then(Value::as_array) {
        schema.required = Arc::new(required.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    if schema.embedded {
        add_object_fields(&mut schema);
    }
    schema
}

fn kind_of(json: &Value) -> Type {
    if json.get("x-kubernetes-int-or-string").and_then(Value::as_bool) == Some(true) {
        return Type::IntOrString;
    }
    match json.get("type").and_then(Value::as_str) {
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        _ => Type::Any,
    }
}

fn list_type(json: &Value) -> ListType {
    match json.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => {
            let keys = json.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            ListType::Map(keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => ListType::Atomic,
    }
}
