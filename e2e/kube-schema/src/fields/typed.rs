//! Typed values: whether they fit their schema, and which fields they set.
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::path::{Element, print_path};
use super::set::Set;
use crate::schema::{ListType, Schema, Type};

/// How server-side apply treats a value of this schema.
pub(super) enum Shape<'a> {
    /// One value.
    Leaf,
    /// Key by key.
    Map(&'a Map<String, Value>),
    /// Element by element.
    List(&'a [Value]),
}

pub(super) fn shape<'a>(schema: Option<&Schema>, value: &'a Value) -> Shape<'a> {
    let atomic = schema.is_some_and(|s| s.atomic);
    match value {
        Value::Object(map) if !atomic && !is_scalar(schema) => Shape::Map(map),
        Value::Array(list) if schema.is_some_and(|s| s.list != ListType::Atomic) => Shape::List(list),
        _ => Shape::Leaf,
    }
}

fn is_scalar(schema: Option<&Schema>) -> bool {
    schema.is_some_and(|s| !matches!(s.kind, Type::Object | Type::Any | Type::Array))
}

/// The fields that an applied configuration sets: leaves, and elements of keyed lists.
pub fn field_set(schema: &Schema, value: &Value) -> Set {
    let mut set = Set::default();
    collect(Some(schema), value, &mut Vec::new(), &mut set, false);
    set
}

/// Every path in a value, objects and lists themselves included.
pub(super) fn full_set(schema: Option<&Schema>, value: &Value, path: &mut Vec<Element>, set: &mut Set) {
    set.insert(path);
    collect(schema, value, path, set, true);
}

fn collect(schema: Option<&Schema>, value: &Value, path: &mut Vec<Element>, set: &mut Set, parents: bool) {
    match shape(schema, value) {
        Shape::Map(map) if !map.is_empty() => {
            for (key, child) in map {
                path.push(Element::field(key));
                let child_schema = schema.and_then(|s| s.field(key)).map(AsRef::as_ref);
                if parents {
                    set.insert(path);
                }
                collect(child_schema, child, path, set, parents);
                path.pop();
            }
        }
        Shape::List(list) if !list.is_empty() => {
            let items = schema.and_then(|s| s.items.as_deref());
            for item in list {
                let Some(element) = schema.and_then(|s| Element::of_item(s, item)) else { continue };
                path.push(element);
                set.insert(path);
                collect(items, item, path, set, parents);
                path.pop();
            }
        }
        _ => set.insert(path),
    }
}

/// What does not fit the schema, as server-side apply words it.
pub fn check(schema: &Schema, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    check_at(schema, value, &mut Vec::new(), &mut problems);
    problems
}

fn check_at(schema: &Schema, value: &Value, path: &mut Vec<Element>, problems: &mut Vec<String>) {
    let wrong = |wanted: &str| format!("{}: expected {wanted}, got {}", print_path(path), value);
    match (schema.kind, value) {
        (_, Value::Null) | (Type::Any | Type::Quantity | Type::IntOrString, _) if !matches!(value, Value::Object(_) if schema.kind == Type::Any) =>
            {}
        (Type::Object | Type::Any, Value::Object(map)) => check_map(schema, map, path, problems),
        (Type::Array, Value::Array(list)) => check_list(schema, list, path, problems),
        (Type::String, Value::String(_)) | (Type::Boolean, Value::Bool(_)) | (Type::Integer | Type::Number, Value::Number(_)) => {}
        (Type::Object, _) => problems.push(wrong("map")),
        (Type::Array, _) => problems.push(wrong("list")),
        (Type::String, _) => problems.push(wrong("string")),
        (Type::Boolean, _) => problems.push(wrong("boolean")),
        (Type::Integer | Type::Number, _) => problems.push(wrong("numeric (int or float)")),
        _ => {}
    }
}

fn check_map(schema: &Schema, map: &Map<String, Value>, path: &mut Vec<Element>, problems: &mut Vec<String>) {
    for (key, value) in map {
        path.push(Element::field(key));
        match schema.field(key) {
            Some(child) => check_at(child, value, path, problems),
            None if schema.is_open() || (schema.properties.is_empty() && schema.values.is_none()) => {}
            None => problems.push(format!("{}: field not declared in schema", print_path(path))),
        }
        path.pop();
    }
}

fn check_list(schema: &Schema, list: &[Value], path: &mut Vec<Element>, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        let element = match (&schema.list, Element::of_item(schema, item)) {
            (ListType::Atomic, _) => Element::parse(&format!("i:{index}")),
            (_, Some(element)) => element,
            (_, None) => {
                problems.push(format!("{}: element {index}: {}", print_path(path), missing_key(schema, item)));
                continue;
            }
        };
        if schema.list != ListType::Atomic && !seen.insert(element.clone()) {
            let printed = print_path(std::slice::from_ref(&element));
            problems.push(format!("{}: duplicate entries for key {printed}", print_path(path)));
        }
        if let Some(items) = &schema.items {
            path.push(element);
            check_at(items, item, path, problems);
            path.pop();
        }
    }
}

fn missing_key(schema: &Schema, item: &Value) -> String {
    let ListType::Map(keys) = &schema.list else { return String::new() };
    let missing = keys.iter().find(|k| item.get(*k).is_none()).map_or("", String::as_str);
    if item.is_null() {
        return "associative list with keys may not have a null element".to_owned();
    }
    format!("associative list with keys has an element that omits key field \"{missing}\" (and doesn't have default value)")
}
