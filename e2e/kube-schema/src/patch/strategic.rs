//! Strategic merge patch: a merge patch that knows the keys of lists.
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::schema::{Schema, Type};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch to an object of that schema.
pub fn strategic_merge(schema: &Schema, object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let Some(patch) = patch.as_object() else {
        return Err(ApiError::bad_request("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"));
    };
    merge_map(Some(schema), object, patch)
}

fn merge_map(schema: Option<&Schema>, target: &mut Value, patch: &Map<String, Value>) -> Result<(), ApiError> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            let rest = patch.iter().filter(|(k, _)| *k != DIRECTIVE).map(|(k, v)| (k.clone(), v.clone())).collect();
            *target = Value::Object(rest);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(ApiError::bad_request(format!("unknown patch type found: {other}"))),
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return Ok(()) };
    if let Some(retained) = patch.get(RETAIN).and_then(Value::as_array) {
        map.retain(|key, _| retained.iter().any(|r| r.as_str() == Some(key)));
    }
    for (key, value) in patch {
        if key == DIRECTIVE || key == RETAIN || key.starts_with(ORDER) {
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE) {
            delete_from(map, field, value);
            continue;
        }
        merge_field(schema, map, key, value, patch)?;
    }
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix(ORDER).filter(|f| !patch.contains_key(*f)) {
            reorder_only(schema, map, field, order);
        }
    }
    Ok(())
}

fn delete_from(map: &mut Map<String, Value>, field: &str, values: &Value) {
    let gone = values.as_array().map_or(&[][..], Vec::as_slice);
    if let Some(Value::Array(list)) = map.get_mut(field) {
        list.retain(|item| !gone.contains(item));
    }
}

fn reorder_only(schema: Option<&Schema>, map: &mut Map<String, Value>, field: &str, order: &Value) {
    let child = schema.and_then(|s| s.field(field));
    let key = child.and_then(|c| c.merge_key.clone());
    if let (Some(Value::Array(list)), Some(order)) = (map.get_mut(field), order.as_array()) {
        let live = list.clone();
        *list = ordered(std::mem::take(list), order, &live, key.as_deref());
    }
}

fn merge_field(
    schema: Option<&Schema>,
    map: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    patch: &Map<String, Value>,
) -> Result<(), ApiError> {
    let child = schema.and_then(|s| s.field(key)).map(AsRef::as_ref);
    match value {
        Value::Null => {
            map.shift_remove(key);
        }
        Value::Object(fields) => {
            if fields.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
                map.shift_remove(key);
                return Ok(());
            }
            let slot = map.entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            merge_map(child, slot, fields)?;
        }
        Value::Array(items) if child.is_some_and(|c| c.merge && c.kind == Type::Array) => {
            let order = patch.get(&format!("{ORDER}{key}")).and_then(Value::as_array);
            let live = match map.get_mut(key) {
                Some(Value::Array(list)) => std::mem::take(list),
                _ => Vec::new(),
            };
            let merged = merge_list(child, &live, items, order.map(Vec::as_slice))?;
            map.insert(key.to_owned(), Value::Array(merged));
        }
        other => {
            map.insert(key.to_owned(), stripped(other));
        }
    }
    Ok(())
}

/// A value of a patch without the directives in it.
fn stripped(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(k, v)| !k.starts_with('$') && !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), stripped(v))).collect())
        }
        Value::Array(list) => {
            let is_directive = |v: &&Value| v.get(DIRECTIVE).is_some();
            Value::Array(list.iter().filter(|v| !is_directive(v)).map(stripped).collect())
        }
        other => other.clone(),
    }
}

fn merge_list(schema: Option<&Schema>, live: &[Value], patch: &[Value], order: Option<&[Value]>) -> Result<Vec<Value>, ApiError> {
    if patch.iter().any(|item| item.get(DIRECTIVE).and_then(Value::as_str) == Some("replace")) {
        return Ok(stripped(&Value::Array(patch.to_vec())).as_array().cloned().unwrap_or_default());
    }
    let Some(key) = schema.and_then(|s| s.merge_key.as_deref()) else {
        return Ok(merge_scalars(live, patch, order));
    };
    let items = schema.and_then(|s| s.items.as_deref());
    let mut merged = live.to_vec();
    for item in patch {
        let Some(id) = item.get(key) else {
            return Err(ApiError::internal(format!("map: {item} does not contain declared merge key: {key}")));
        };
        let found = merged.iter().position(|m| m.get(key) == Some(id));
        if item.get(DIRECTIVE).and_then(Value::as_str) == Some("delete") {
            merged.retain(|m| m.get(key) != Some(id));
            continue;
        }
        let Some(fields) = item.as_object() else { continue };
        if let Some(slot) = found.and_then(|at| merged.get_mut(at)) {
            merge_map(items, slot, fields)?;
        } else {
            let mut fresh = Value::Object(Map::new());
            merge_map(items, &mut fresh, fields)?;
            merged.push(fresh);
        }
    }
    let patch_order = order.unwrap_or(patch);
    Ok(ordered(merged, patch_order, live, Some(key)))
}

fn merge_scalars(live: &[Value], patch: &[Value], order: Option<&[Value]>) -> Vec<Value> {
    let mut merged = live.to_vec();
    for item in patch {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    ordered(merged, order.unwrap_or(patch), live, None)
}

/// Where a value stands in a list, by its key.
fn position(list: &[Value], value: &Value, key: Option<&str>) -> Option<usize> {
    match key {
        Some(key) => list.iter().position(|item| item.get(key).is_some() && item.get(key) == value.get(key)),
        None => list.iter().position(|item| item == value),
    }
}

/// The order of a merged list: the patch's items in the patch's order, the server's own in the live order, interleaved as the live list has them.
fn ordered(merged: Vec<Value>, order: &[Value], live: &[Value], key: Option<&str>) -> Vec<Value> {
    let (mut ours, mut servers): (Vec<Value>, Vec<Value>) = merged.into_iter().partition(|v| position(order, v, key).is_some());
    ours.sort_by_key(|v| position(order, v, key));
    servers.sort_by_key(|v| position(live, v, key).unwrap_or(usize::MAX));
    let mut out = Vec::with_capacity(ours.len() + servers.len());
    let mut ours = ours.into_iter().peekable();
    for server in servers {
        let before = position(live, &server, key);
        while let Some(next) = ours.peek() {
            let at = position(live, next, key);
            if matches!((before, at), (Some(s), Some(o)) if s < o) {
                break;
            }
            out.extend(ours.next());
        }
        out.push(server);
    }
    out.extend(ours);
    out
}
