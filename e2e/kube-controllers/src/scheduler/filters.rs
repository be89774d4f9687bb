//! Whether a node by itself can take a pod: resources, taints, selectors.

use serde_json::Value;

use crate::index::Index;
use crate::node_usage::requests_of;
use crate::quantity::nanos;
use crate::selector::Selector;
use crate::taints::untolerated;
use crate::value::{entries, flag, items, label, name, text};

/// Why this node cannot take the pod.
pub(crate) fn refusals(index: &Index, pod: &Value, node: &Value) -> Option<Vec<String>> {
    if let Some(why) = placement(pod, node) {
        return Some(vec![why]);
    }
    let lacking = lacking_resources(index, pod, node);
    (!lacking.is_empty()).then_some(lacking)
}

fn placement(pod: &Value, node: &Value) -> Option<String> {
    let unschedulable = serde_json::json!({"spec": {"taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}});
    if flag(node, "/spec/unschedulable") && untolerated(&unschedulable, pod, &["NoSchedule"]).is_some() {
        return Some("node(s) were unschedulable".to_owned());
    }
    if let Some(taint) = untolerated(node, pod, &["NoSchedule", "NoExecute"]) {
        let (key, value) = (text(taint, "/key"), text(taint, "/value"));
        return Some(format!("node(s) had untolerated taint {{{key}: {value}}}"));
    }
    (!matches_node(pod, node)).then(|| "node(s) didn't match Pod's node affinity/selector".to_owned())
}

/// The pod's node selector and required node affinity accept the node.
pub(crate) fn matches_node(pod: &Value, node: &Value) -> bool {
    let selected = entries(pod, "/spec/nodeSelector").all(|(key, value)| label(node, key) == Some(value));
    let required = pod.pointer("/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    selected && required.is_none_or(|required| matches_terms(items(required, "/nodeSelectorTerms"), node))
}

/// One of the terms accepts the node; an empty term accepts none.
pub(crate) fn matches_terms(terms: &[Value], node: &Value) -> bool {
    terms.iter().any(|term| {
        let (labels, fields) = (items(term, "/matchExpressions"), items(term, "/matchFields"));
        (!labels.is_empty() || !fields.is_empty())
            && Selector::of_expressions(labels).selects(node)
            && Selector::of_expressions(fields).matches(|field| (field == "metadata.name").then(|| name(node).to_owned()))
    })
}

fn lacking_resources(index: &Index, pod: &Value, node: &Value) -> Vec<String> {
    let usage = index.usage(name(node));
    let mut lacking = Vec::new();
    for (resource, wanted) in requests_of(pod) {
        let total = node.pointer("/status/allocatable").and_then(|all| all.get(&resource)).map(nanos);
        // A node that says nothing of its capacity, as a bare test object does, is not limited in it.
        let is_bare = node.pointer("/status/allocatable").is_none();
        let total = match total {
            Some(total) => total,
            None if is_bare || matches!(resource.as_str(), "pods" | "ephemeral-storage") => continue,
            None => 0,
        };
        let used = usage.and_then(|usage| usage.requests.get(&resource).copied()).unwrap_or(0);
        if wanted > 0 && used + wanted > total {
            lacking.push(if resource == "pods" { "Too many pods".to_owned() } else { format!("Insufficient {resource}") });
        }
    }
    lacking
}
