//! Topology spread constraints that must hold (`DoNotSchedule`).

use std::sync::Arc;

use serde_json::Value;

use crate::index::Index;
use crate::scheduler::affinity::population;
use crate::scheduler::filters::matches_node;
use crate::selector::Selector;
use crate::value::{items, label, number, text};

/// Why the node would make a constraint's skew too large.
pub(crate) fn refusal(index: &Index, pod: &Value, node: &Value, nodes: &[Arc<Value>]) -> Option<Vec<String>> {
    let constraints = items(pod, "/spec/topologySpreadConstraints").iter();
    for constraint in constraints.filter(|constraint| text(constraint, "/whenUnsatisfiable") == "DoNotSchedule") {
        let key = text(constraint, "/topologyKey");
        let Some(domain) = label(node, key) else {
            return Some(vec!["node(s) didn't match pod topology spread constraints (missing required label)".to_owned()]);
        };
        let eligible: Vec<_> = nodes.iter().filter(|node| matches_node(pod, node)).cloned().collect();
        let selector = Selector::of(constraint.get("labelSelector"));
        let domains = population(index, pod, &selector, key, &eligible);
        let least = if number(constraint, "/minDomains").is_some_and(|least| crate::value::count(domains.len()) < least) {
            0
        } else {
            domains.values().copied().min().unwrap_or(0)
        };
        let here = domains.get(domain).copied().unwrap_or(0) + i64::from(selector.selects(pod));
        if here - least > number(constraint, "/maxSkew").unwrap_or(1) {
            return Some(vec!["node(s) didn't match pod topology spread constraints".to_owned()]);
        }
    }
    None
}
