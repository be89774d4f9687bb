//! A set of field paths.
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::Element;
use crate::schema::{Schema, Type};

/// A set of field paths, as a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Set {
    nodes: BTreeMap<Element, Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Node {
    /// Whether the path that ends here is in the set.
    member: bool,
    below: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl Set {
    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.nodes.values().all(Node::is_empty)
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[Element]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.nodes.entry(first.clone()).or_default();
            if rest.is_empty() {
                node.member = true;
            } else {
                node.below.insert(rest);
            }
        }
    }

    /// Whether exactly this path is in the set.
    pub fn contains(&self, path: &[Element]) -> bool {
        match path.split_first() {
            Some((first, [])) => self.nodes.get(first).is_some_and(|n| n.member),
            Some((first, rest)) => self.nodes.get(first).is_some_and(|n| n.below.contains(rest)),
            None => false,
        }
    }

    pub(crate) fn has(&self, element: &Element) -> bool {
        self.nodes.get(element).is_some_and(|n| n.member)
    }

    pub(crate) fn below(&self, element: &Element) -> Option<&Self> {
        self.nodes.get(element).map(|n| &n.below).filter(|s| !s.is_empty())
    }

    /// Paths in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (element, node) in &other.nodes {
            let slot = out.nodes.entry(element.clone()).or_default();
            slot.member |= node.member;
            slot.below = slot.below.union(&node.below);
        }
        out
    }

    /// Paths in this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(|element, node| match other.nodes.get(element) {
            None => node.clone(),
            Some(o) => Node { member: node.member && !o.member, below: node.below.difference(&o.below) },
        })
    }

    /// Paths in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(|element, node| match other.nodes.get(element) {
            None => Node::default(),
            Some(o) => Node { member: node.member && o.member, below: node.below.intersection(&o.below) },
        })
    }

    /// Paths in this set that neither are in the other nor lie below a path of the other.
    #[must_use]
    pub fn difference_with_below(&self, other: &Self) -> Self {
        self.combine(|element, node| match other.nodes.get(element) {
            None => node.clone(),
            Some(o) if o.member => Node::default(),
            Some(o) => Node { member: node.member, below: node.below.difference_with_below(&o.below) },
        })
    }

    fn combine(&self, f: impl Fn(&Element, &Node) -> Node) -> Self {
        let nodes = self.nodes.iter().map(|(e, n)| (e.clone(), f(e, n))).filter(|(_, n)| !n.is_empty()).collect();
        Self { nodes }
    }

    /// This set and every declared field on the way to its paths (not the keys of maps).
    #[must_use]
    pub(crate) fn with_named_parents(&self, schema: Option<&Schema>) -> Self {
        let nodes = self
            .nodes
            .iter()
            .map(|(element, node)| {
                let declared = element.field_name().is_some_and(|name| schema.is_some_and(|s| s.property(name).is_some()));
                let child = child_schema(schema, element);
                let below = node.below.with_named_parents(child);
                (element.clone(), Node { member: node.member || (declared && !below.is_empty()), below })
            })
            .collect();
        Self { nodes }
    }

    /// Every path, in order.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<Element>, out: &mut Vec<Vec<Element>>) {
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            if node.member {
                out.push(prefix.clone());
            }
            node.below.collect(prefix, out);
            prefix.pop();
        }
    }

    /// Reads `fieldsV1`.
    pub fn from_json(json: &Value) -> Self {
        let mut nodes = BTreeMap::new();
        for (key, value) in json.as_object().into_iter().flatten().filter(|(k, _)| *k != ".") {
            let below = Self::from_json(value);
            let member = value.get(".").is_some() || below.is_empty();
            nodes.insert(Element::parse(key), Node { member, below });
        }
        Self { nodes }
    }

    /// Writes `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (element, node) in self.nodes.iter().filter(|(_, n)| !n.is_empty()) {
            let mut below = match node.below.to_json() {
                Value::Object(map) => map,
                _ => Map::new(),
            };
            if node.member && !below.is_empty() {
                below.shift_insert(0, ".".to_owned(), Value::Object(Map::new()));
            }
            out.insert(element.as_str().to_owned(), Value::Object(below));
        }
        Value::Object(out)
    }
}

fn child_schema<'a>(schema: Option<&'a Schema>, element: &Element) -> Option<&'a Schema> {
    let schema = schema?;
    match element.field_name() {
        Some(name) => schema.field(name).map(AsRef::as_ref),
        None if schema.kind == Type::Array => schema.items.as_deref(),
        None => None,
    }
}
