//! Required affinity and anti-affinity between pods.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::index::Index;
use crate::kinds::{NAMESPACE, NODE, POD};
use crate::pods::is_finished;
use crate::selector::Selector;
use crate::value::{is_deleting, items, label, name, namespace, text};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// A topology: a node label's key and value.
type Domain = (String, String);

/// What the pods that run already mean for one that wants a node.
pub(crate) struct Surroundings {
    /// For each affinity term the domains where a matching pod runs, and whether the pod itself would do where none runs.
    wanted: Vec<(String, BTreeSet<Domain>, bool)>,
    /// Domains with a pod that this one does not want to be near.
    avoided: BTreeSet<Domain>,
    /// Domains with a pod that does not want this one near.
    hostile: BTreeSet<Domain>,
}

impl Surroundings {
    pub(crate) fn of(index: &Index, pod: &Value, nodes: &[Arc<Value>]) -> Self {
        let domain = |node: &str, key: &str| {
            let node = nodes.iter().find(|known| name(known) == node)?;
            Some((key.to_owned(), label(node, key)?.to_owned()))
        };
        let occupied = |term: &Value| -> BTreeSet<Domain> {
            let key = text(term, "/topologyKey");
            matching(index, term, pod).iter().filter_map(|other| domain(text(other, "/spec/nodeName"), key)).collect()
        };
        let wanted = terms(pod, "podAffinity").iter().map(|term| {
            let domains = occupied(term);
            let alone = domains.is_empty() && selects(index, term, pod, pod);
            (text(term, "/topologyKey").to_owned(), domains, alone)
        });
        let avoided = terms(pod, "podAntiAffinity").iter().flat_map(occupied).collect();
        let mut hostile = BTreeSet::new();
        for (space, other) in index.averse_pods(pod) {
            let Some(other) = index.get(POD, &space, &other).filter(|other| counts(other)) else { continue };
            for term in terms(other, "podAntiAffinity").iter().filter(|term| selects(index, term, other, pod)) {
                hostile.extend(domain(text(other, "/spec/nodeName"), text(term, "/topologyKey")));
            }
        }
        Self { wanted: wanted.collect(), avoided, hostile }
    }

    /// Why the pod may not run on this node.
    pub(crate) fn refusal(&self, _pod: &Value, node: &Value) -> Option<String> {
        let here = |key: &str| label(node, key).map(|value| (key.to_owned(), value.to_owned()));
        let is_missing = self.wanted.iter().any(|(key, domains, alone)| match here(key) {
            Some(domain) => !*alone && !domains.contains(&domain),
            None => true,
        });
        if is_missing {
            return Some("node(s) didn't match pod affinity rules".to_owned());
        }
        let is_in = |domains: &BTreeSet<Domain>| domains.iter().any(|(key, value)| label(node, key) == Some(value));
        if is_in(&self.avoided) {
            return Some("node(s) didn't match pod anti-affinity rules".to_owned());
        }
        is_in(&self.hostile).then(|| "node(s) didn't satisfy existing pods anti-affinity rules".to_owned())
    }
}

fn terms<'a>(pod: &'a Value, kind: &str) -> &'a [Value] {
    items(pod, &format!("/spec/affinity/{kind}/{REQUIRED}"))
}

/// A pod that occupies its node.
fn counts(pod: &Value) -> bool {
    !text(pod, "/spec/nodeName").is_empty() && !is_finished(pod) && !is_deleting(pod)
}

/// The term of `owner` selects this pod.
fn selects(index: &Index, term: &Value, owner: &Value, pod: &Value) -> bool {
    namespaces(index, term, owner).contains(&namespace(pod).to_owned()) && selector(term, owner).selects(pod)
}

/// The term's selector, with the labels that it takes from its own pod (`matchLabelKeys`).
fn selector(term: &Value, owner: &Value) -> Selector {
    let mut labels = term.get("labelSelector").cloned().unwrap_or(Value::Null);
    for (field, operator) in [("/matchLabelKeys", "In"), ("/mismatchLabelKeys", "NotIn")] {
        for key in items(term, field).iter().filter_map(Value::as_str) {
            let Some(value) = label(owner, key) else { continue };
            let mut all = items(&labels, "/matchExpressions").to_vec();
            all.push(json!({"key": key, "operator": operator, "values": [value]}));
            crate::value::set(&mut labels, &["matchExpressions"], all);
        }
    }
    Selector::of(Some(&labels))
}

/// Where the term looks: the namespaces it names or selects, else the pod's own.
fn namespaces(index: &Index, term: &Value, owner: &Value) -> Vec<String> {
    let mut names: Vec<String> = items(term, "/namespaces").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if let Some(by_label) = term.get("namespaceSelector").filter(|selector| !selector.is_null()) {
        let by_label = Selector::of(Some(by_label));
        names.extend(index.list(NAMESPACE).filter(|space| by_label.selects(space)).map(|space| name(space).to_owned()));
    } else if names.is_empty() {
        names.push(namespace(owner).to_owned());
    }
    names
}

/// Running pods that a term of `owner` selects.
fn matching(index: &Index, term: &Value, owner: &Value) -> Vec<Arc<Value>> {
    let selector = selector(term, owner);
    let mut pods: Vec<_> = namespaces(index, term, owner).iter().flat_map(|space| index.pods_matching(space, &selector)).collect();
    pods.retain(|pod| counts(pod));
    pods
}

/// Nodes that a topology key divides, and how many pods of a selector run in each domain.
pub(crate) fn population(
    index: &Index,
    pod: &Value,
    selector: &Selector,
    key: &str,
    nodes: &[Arc<Value>],
) -> std::collections::BTreeMap<String, i64> {
    let mut domains: std::collections::BTreeMap<String, i64> =
        nodes.iter().filter_map(|node| label(node, key)).map(|value| (value.to_owned(), 0)).collect();
    for other in index.pods_matching(namespace(pod), selector).iter().filter(|other| counts(other)) {
        let node = index.get(NODE, "", text(other, "/spec/nodeName"));
        if let Some(number) = node.and_then(|node| label(node, key)).and_then(|value| domains.get_mut(value)) {
            *number += 1;
        }
    }
    domains
}
