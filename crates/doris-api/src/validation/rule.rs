//! Rules, and the tables that say where they apply.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value, json};

use super::text;
use crate::DorisCluster;

/// Nodes of one kind in an object, each with its path: list items by key, as `spec.be.storage[d1]`.
pub(super) type Nodes<'a, T> = Vec<(String, &'a T)>;

/// Minor version of Kubernetes from which CEL rules are known.
pub(super) const CEL: u32 = 25;
/// Minor version from which `fieldPath` is known.
const FIELD_PATH: u32 = 28;
/// Minor version from which `quantity` is known.
pub(super) const QUANTITY: u32 = 29;
/// Minor version from which a rule may make text of a field that is a number or a text: servers before it take such a text for as long as
/// a request may be, whatever its `maxLength` (kubernetes/kubernetes#132837), and refuse the definition for the cost.
const TEXT: u32 = 34;
/// Minor version from which `isIP` and `isCIDR` may be used in a new rule; the one before only runs rules that have them.
pub(super) const NETWORK: u32 = 31;

/// A rule that a spec breaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Where, such as `spec.fe.replicas`.
    pub path: String,
    /// What is wrong, in a sentence that names the field.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// The Rust half of a rule.
pub(super) enum Check<T: 'static> {
    /// Holds for a value by itself.
    State(fn(&T) -> bool),
    /// Holds between the new value and the old one.
    Change(fn(&T, &T) -> bool),
}

/// A rule about nodes of one kind.
pub(super) struct Rule<T: 'static> {
    /// The CEL half.
    pub cel: Cow<'static, str>,
    /// The sentence; `{at}` stands for the node's place, such as `fe.resources`.
    pub message: &'static str,
    /// The field below the node that is to blame, such as `.replicas`; empty for the node itself.
    pub field: &'static str,
    /// Minor version of Kubernetes that knows what the CEL half uses.
    pub since: u32,
    /// The Rust half.
    pub check: Check<T>,
}

impl<T> Rule<T> {
    /// A rule about a value by itself.
    pub(super) const fn state(field: &'static str, message: &'static str, cel: &'static str, holds: fn(&T) -> bool) -> Self {
        Self { cel: Cow::Borrowed(cel), message, field, since: CEL, check: Check::State(holds) }
    }

    /// A rule about a change.
    pub(super) const fn change(field: &'static str, message: &'static str, cel: &'static str, holds: fn(&T, &T) -> bool) -> Self {
        Self { cel: Cow::Borrowed(cel), message, field, since: CEL, check: Check::Change(holds) }
    }

    /// The same, for servers from a minor version on.
    pub(super) const fn only_from(mut self, minor: u32) -> Self {
        self.since = minor;
        self
    }

    /// Minor version of the first server that takes it.
    fn since(&self) -> u32 {
        if self.cel.contains("string(") { self.since.max(TEXT) } else { self.since }
    }

    fn to_json(&self, place: &str, kubernetes_minor: u32) -> Value {
        let mut rule = Map::new();
        rule.insert("rule".into(), json!(self.cel));
        rule.insert("message".into(), json!(self.message.replace("{at}", &text::place(place))));
        if !self.field.is_empty() && kubernetes_minor >= FIELD_PATH {
            rule.insert("fieldPath".into(), json!(self.field));
        }
        Value::Object(rule)
    }

    fn holds(&self, new: &T, old: Option<&T>) -> bool {
        match (&self.check, old) {
            (Check::State(holds), _) => holds(new),
            (Check::Change(holds), Some(old)) => holds(new, old),
            // As on the server: a change needs something to change from.
            (Check::Change(_), None) => true,
        }
    }
}

/// Rules about nodes of one kind, and where these nodes are in an object.
pub(super) struct Table<T: 'static, K: 'static = DorisCluster> {
    /// Paths in the schema; `[]` stands for the items of a list.
    pub places: &'static [&'static str],
    /// The rules.
    pub rules: fn() -> Vec<Rule<T>>,
    /// The nodes in an object.
    pub nodes: for<'a> fn(&'a K) -> Nodes<'a, T>,
}

/// A table whose kind of node does not matter.
pub(super) trait AnyTable<K = DorisCluster> {
    /// Writes the rules that a server of this minor version understands into a schema.
    fn attach(&self, schema: &mut Value, kubernetes_minor: u32);
    /// Applies the rules.
    fn check(&self, object: &K, old: Option<&K>) -> Vec<Violation>;
}

impl<T, K> AnyTable<K> for Table<T, K> {
    fn attach(&self, schema: &mut Value, kubernetes_minor: u32) {
        if kubernetes_minor < CEL {
            return;
        }
        for place in self.places {
            let Some(node) = schema_node(schema, place) else { continue };
            let known = (self.rules)().into_iter().filter(|rule| rule.since() <= kubernetes_minor);
            let rules: Vec<Value> = known.map(|rule| rule.to_json(place, kubernetes_minor)).collect();
            if rules.is_empty() {
                continue;
            }
            let list = node.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.extend(rules);
            }
        }
    }

    fn check(&self, object: &K, old: Option<&K>) -> Vec<Violation> {
        let before = old.map(self.nodes).unwrap_or_default();
        let mut violations = Vec::new();
        for (path, node) in (self.nodes)(object) {
            let was = before.iter().find(|(before, _)| *before == path).map(|(_, node)| *node);
            let broken = (self.rules)().into_iter().filter(|rule| !rule.holds(node, was));
            violations.extend(broken.map(|rule| Violation {
                path: format!("{path}{}", rule.field),
                message: rule.message.replace("{at}", &text::place(&path)),
            }));
        }
        violations
    }
}

/// The schema of the node at a path.
fn schema_node<'a>(schema: &'a mut Value, place: &str) -> Option<&'a mut Map<String, Value>> {
    let mut node = schema;
    for part in place.split('.').filter(|part| !part.is_empty()) {
        let (name, is_list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        node = node.get_mut("properties")?.get_mut(name)?;
        if is_list {
            node = node.get_mut("items")?;
        }
    }
    node.as_object_mut()
}
