//! Reading and writing untyped objects without ceremony.

use serde_json::{Map, Value};

/// The string at a JSON pointer, empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at a JSON pointer.
pub(crate) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// Whether the value at a JSON pointer is `true`.
pub(crate) fn flag(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at a JSON pointer, empty when there is none.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The string-valued entries of the map at a JSON pointer.
pub(crate) fn entries<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(crate) fn kind_of(object: &Value) -> &str {
    text(object, "/kind")
}

/// API group of an object, empty for the core one.
pub(crate) fn group_of(object: &Value) -> &str {
    text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group)
}

pub(crate) fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> + Clone {
    entries(object, "/metadata/labels")
}

pub(crate) fn member<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.pointer(map)?.get(key)?.as_str()
}

pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    member(object, "/metadata/labels", key)
}

pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    member(object, "/metadata/annotations", key)
}

/// The object is on its way out: it has a deletion timestamp.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
}

pub(crate) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    items(object, "/metadata/finalizers").iter().any(|entry| entry == finalizer)
}

/// Sets a value at a path of map keys, making the maps on the way.
pub(crate) fn set(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    let mut at = object;
    for key in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(map) = at else { return };
        at = map.entry(*key).or_insert(Value::Null);
    }
    *at = value.into();
}

/// Removes the value at a path of map keys.
pub(crate) fn remove(object: &mut Value, path: &[&str]) {
    let Some((last, head)) = path.split_last() else { return };
    let mut at = object;
    for key in head {
        let Some(next) = at.get_mut(*key) else { return };
        at = next;
    }
    if let Value::Object(map) = at {
        map.shift_remove(*last);
    }
}

/// Takes one finalizer out; an empty list goes too.
pub(crate) fn without_finalizer(object: &Value, finalizer: &str) -> Value {
    let mut changed = object.clone();
    let rest: Vec<Value> = items(object, "/metadata/finalizers").iter().filter(|entry| *entry != finalizer).cloned().collect();
    if rest.is_empty() {
        remove(&mut changed, &["metadata", "finalizers"]);
    } else {
        set(&mut changed, &["metadata", "finalizers"], rest);
    }
    changed
}

/// Adds one finalizer at the end.
pub(crate) fn with_finalizer(object: &Value, finalizer: &str) -> Value {
    let mut changed = object.clone();
    let mut all = items(object, "/metadata/finalizers").to_vec();
    all.push(finalizer.into());
    set(&mut changed, &["metadata", "finalizers"], all);
    changed
}

/// A length as the integers of the API are.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
