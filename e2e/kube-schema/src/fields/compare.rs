//! What differs between two typed values.
use std::collections::BTreeMap;

use serde_json::Value;

use super::path::Element;
use super::set::Set;
use super::typed::{Shape, full_set, shape};
use crate::schema::Schema;

/// Paths that differ between an old and a new value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Only in the new value.
    pub added: Set,
    /// In both, with different values.
    pub modified: Set,
    /// Only in the old value.
    pub removed: Set,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }
}

/// Compares two objects of a schema.
pub fn compare(schema: &Schema, old: &Value, new: &Value) -> Comparison {
    let mut out = Comparison::default();
    walk(Some(schema), Some(old), Some(new), &mut Vec::new(), &mut out);
    out
}

fn walk(schema: Option<&Schema>, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<Element>, out: &mut Comparison) {
    let (old, new) = match (old, new) {
        (None, None) => return,
        (None, Some(new)) => return full_set(schema, new, path, &mut out.added),
        (Some(old), None) => return full_set(schema, old, path, &mut out.removed),
        (Some(old), Some(new)) => (old, new),
    };
    if std::ptr::eq(old, new) {
        return;
    }
    match (shape(schema, old), shape(schema, new)) {
        (Shape::Map(a), Shape::Map(b)) => {
            let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
            for key in keys {
                let child = schema.and_then(|s| s.field(key)).map(AsRef::as_ref);
                let (x, y) = inline(child, a.get(key), b.get(key));
                path.push(Element::field(key));
                walk(child, x, y, path, out);
                path.pop();
            }
            if a.is_empty() != b.is_empty() && !path.is_empty() && !schema.is_some_and(Schema::is_inline_struct) {
                // The set of an empty map is the map itself.
                let side = if a.is_empty() { &mut out.added } else { &mut out.removed };
                side.insert(path);
            }
        }
        (Shape::List(a), Shape::List(b)) => walk_list(schema, a, b, path, out),
        _ if old == new => {}
        _ => out.modified.insert(path),
    }
}

static EMPTY: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::Object(serde_json::Map::new()));

/// A struct that is always there in a typed object counts as empty when it is absent on one side.
fn inline<'a>(schema: Option<&Schema>, a: Option<&'a Value>, b: Option<&'a Value>) -> (Option<&'a Value>, Option<&'a Value>) {
    if !schema.is_some_and(Schema::is_inline_struct) {
        return (a, b);
    }
    let filled = |v: Option<&'a Value>| Some(v.filter(|v| !v.is_null()).unwrap_or_else(|| &EMPTY));
    (filled(a), filled(b))
}

fn walk_list(schema: Option<&Schema>, a: &[Value], b: &[Value], path: &mut Vec<Element>, out: &mut Comparison) {
    let items = schema.and_then(|s| s.items.as_deref());
    let index = |list: &[Value]| -> BTreeMap<Element, usize> {
        let keyed = list.iter().enumerate().filter_map(|(i, item)| Some((Element::of_item(schema?, item)?, i)));
        keyed.collect()
    };
    let (left, right) = (index(a), index(b));
    let elements = left.keys().chain(right.keys().filter(|e| !left.contains_key(*e)));
    for element in elements {
        let x = left.get(element).and_then(|i| a.get(*i));
        let y = right.get(element).and_then(|i| b.get(*i));
        path.push(element.clone());
        walk(items, x, y, path, out);
        path.pop();
    }
}
