//! Merging a configuration into a live object, and removing fields from it.
use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::path::Element;
use super::set::Set;
use super::typed::{Shape, shape};
use crate::schema::Schema;

/// Merges `config` into `live`: maps key by key, keyed lists element by element, everything else as one value.
pub fn merge(schema: Option<&Schema>, live: &Value, config: &Value) -> Value {
    match (shape(schema, live), shape(schema, config)) {
        (Shape::Map(a), Shape::Map(b)) => Value::Object(merge_maps(schema, a, b)),
        (Shape::List(a), Shape::List(b)) => Value::Array(merge_lists(schema, a, b)),
        _ => config.clone(),
    }
}

fn merge_maps(schema: Option<&Schema>, live: &Map<String, Value>, config: &Map<String, Value>) -> Map<String, Value> {
    let mut out = live.clone();
    for (key, value) in config {
        let child = schema.and_then(|s| s.field(key)).map(AsRef::as_ref);
        let merged = match live.get(key) {
            Some(old) => merge(child, old, value),
            None => value.clone(),
        };
        out.insert(key.clone(), merged);
    }
    out
}

/// Elements of the configuration come in its order; live elements that it does not name stay where they are relative to the shared ones.
fn merge_lists(schema: Option<&Schema>, live: &[Value], config: &[Value]) -> Vec<Value> {
    let items = schema.and_then(|s| s.items.as_deref());
    let element = |item: &Value| schema.and_then(|s| Element::of_item(s, item));
    let left: Vec<Option<Element>> = live.iter().map(element).collect();
    let right: Vec<Option<Element>> = config.iter().map(element).collect();
    let find =
        |list: &[Option<Element>], wanted: &Option<Element>| wanted.as_ref().and_then(|w| list.iter().position(|e| e.as_ref() == Some(w)));
    let mut shared: VecDeque<&Option<Element>> = right.iter().filter(|e| find(&left, e).is_some()).collect();
    let mut next = shared.pop_front();
    let mut done: BTreeSet<&Element> = BTreeSet::new();
    let (mut l, mut r, mut out) = (0, 0, Vec::with_capacity(live.len() + config.len()));
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() {
            if left[l].is_some() && left[l] == right[r] {
                out.push(merge(items, &live[l], &config[r]));
                done.extend(right[r].as_ref());
                (l, r) = (l + 1, r + 1);
                next = shared.pop_front();
                continue;
            }
            if find(&right, &left[l]).is_some() && next.is_some_and(|n| *n != left[l]) {
                l += 1;
                continue;
            }
        }
        if l < left.len() {
            if find(&right, &left[l]).is_none() {
                out.push(live[l].clone());
                l += 1;
                continue;
            }
            if left[l].as_ref().is_some_and(|e| done.contains(e)) {
                l += 1;
            }
        }
        if r < right.len() {
            let old = find(&left, &right[r]).map(|i| &live[i]);
            out.push(old.map_or_else(|| config[r].clone(), |old| merge(items, old, &config[r])));
            done.extend(right[r].as_ref());
            if next.is_some_and(|n| *n == right[r]) {
                next = shared.pop_front();
            }
            r += 1;
        }
    }
    out
}

/// Removes every path of `set`, with all that is below it.
pub fn remove(schema: Option<&Schema>, value: &mut Value, set: &Set) {
    match value {
        Value::Object(map) => map.retain(|key, child| {
            let element = Element::field(key);
            if set.has(&element) {
                return false;
            }
            if let Some(below) = set.below(&element) {
                remove(schema.and_then(|s| s.field(key)).map(AsRef::as_ref), child, below);
            }
            true
        }),
        Value::Array(list) => {
            let items = schema.and_then(|s| s.items.as_deref());
            list.retain_mut(|item| {
                let Some(element) = schema.and_then(|s| Element::of_item(s, item)) else { return true };
                if set.has(&element) {
                    return false;
                }
                if let Some(below) = set.below(&element) {
                    remove(items, item, below);
                }
                true
            });
        }
        _ => {}
    }
}
