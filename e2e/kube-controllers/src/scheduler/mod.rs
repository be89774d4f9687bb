//! The scheduler: a node for each pod, or the reasons why there is none.

mod affinity;
mod filters;
mod spread;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{CLAIM, NODE, POD, STORAGE_CLASS, VOLUME};
use crate::pods::{condition, is_finished, seconds, set_condition};
use crate::value::{count, is_deleting, items, name, namespace, text, uid};

pub(crate) use filters::matches_node;

#[derive(Default)]
pub(crate) struct Scheduler {
    /// Pods that found no node; a change of the cluster gives them another chance.
    stuck: std::collections::BTreeSet<Key>,
}

fn is_pending(pod: &Value) -> bool {
    text(pod, "/spec/nodeName").is_empty()
        && !is_deleting(pod)
        && !is_finished(pod)
        && matches!(text(pod, "/spec/schedulerName"), "" | "default-scheduler")
        && items(pod, "/spec/schedulingGates").is_empty()
}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        "default-scheduler"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(POD) {
            let key = change.key();
            if !change.deleted && is_pending(&change.object) {
                // What the scheduler itself wrote about a stuck pod gives it no new chance.
                let is_new = old.is_none_or(|old| {
                    old.pointer("/spec") != change.object.pointer("/spec")
                        || old.pointer("/metadata/labels") != change.object.pointer("/metadata/labels")
                });
                return if is_new { vec![key] } else { Vec::new() };
            }
            self.stuck.remove(&key);
            let frees = change.deleted || is_finished(&change.object);
            let binds = old.is_some_and(|old| text(old, "/spec/nodeName").is_empty());
            return if (frees && !text(&change.object, "/spec/nodeName").is_empty()) || binds { self.retry() } else { Vec::new() };
        }
        if change.is(NODE) {
            let same = |field: &str| old.is_some_and(|old| old.pointer(field) == change.object.pointer(field));
            let is_same = same("/spec") && same("/metadata/labels") && same("/status/allocatable");
            return if is_same || change.deleted { Vec::new() } else { self.retry() };
        }
        if change.is(CLAIM) {
            let pods = index.pods_of_claim(&change.namespace, &change.name);
            return pods.iter().filter(|pod| is_pending(pod)).map(|pod| Key::of(pod)).collect();
        }
        if change.is(VOLUME) || change.is(STORAGE_CLASS) { self.retry() } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(pod) = context.index.at(key).filter(|pod| is_pending(pod)).cloned() else {
            self.stuck.remove(key);
            return Ok(None);
        };
        match choose(context, &pod) {
            Verdict::Node(node) => {
                self.stuck.remove(key);
                bind(context, &pod, &node)
            }
            // The pod is looked at again when its claims change.
            Verdict::SelectNode(node, claims) => volumes::select_node(context, &claims, &node).map(|()| None),
            Verdict::Impossible(message) => {
                self.stuck.insert(key.clone());
                refuse(context, &pod, &message)
            }
        }
    }
}

impl Scheduler {
    fn retry(&self) -> Vec<Key> {
        self.stuck.iter().cloned().collect()
    }
}

enum Verdict {
    Node(String),
    /// A node for which volumes have to be made first.
    SelectNode(String, Vec<Arc<Value>>),
    Impossible(String),
}

fn choose(context: &Context<'_>, pod: &Value) -> Verdict {
    let nodes: Vec<Arc<Value>> = context.index.list(NODE).cloned().collect();
    let no_node = |why: &str| Verdict::Impossible(format!("0/{} nodes are available: {why}", nodes.len()));
    if nodes.is_empty() {
        return Verdict::Impossible("no nodes available to schedule pods".to_owned());
    }
    let delayed = match volumes::delayed_claims(context.index, pod) {
        Ok(claims) => claims,
        Err(why) => return no_node(&format!("{why}. {}", unhelpful(context.minor(), nodes.len()))),
    };
    let surroundings = affinity::Surroundings::of(context.index, pod, &nodes);
    let mut reasons: BTreeMap<String, i64> = BTreeMap::new();
    let mut fitting = Vec::new();
    for node in &nodes {
        let why = filters::refusals(context.index, pod, node)
            .or_else(|| volumes::refusal(context.index, pod, node))
            .or_else(|| spread::refusal(context.index, pod, node, &nodes))
            .or_else(|| surroundings.refusal(pod, node).map(|why| vec![why]));
        match why {
            None => fitting.push(node),
            Some(why) => why.into_iter().for_each(|why| *reasons.entry(why).or_default() += 1),
        }
    }
    let Some(best) = fitting.into_iter().min_by_key(|node| crowding(context.index, pod, node)) else {
        let why: Vec<_> = reasons.iter().map(|(why, count)| format!("{count} {why}")).collect();
        let mut why = why;
        why.sort();
        return no_node(&format!("{}. {}", why.join(", "), unhelpful(context.minor(), nodes.len())));
    };
    let node = name(best).to_owned();
    if delayed.is_empty() { Verdict::Node(node) } else { Verdict::SelectNode(node, delayed) }
}

/// What the real scheduler adds about preemption, which is not modelled: priorities are equal here.
fn unhelpful(minor: u32, nodes: usize) -> String {
    if minor >= 32 {
        return format!("preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling.");
    }
    format!("preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling..")
}

/// Fewest siblings first, then least requested, then by name.
fn crowding(index: &Index, pod: &Value, node: &Value) -> (i64, i128, String) {
    let owner = crate::owner::controller_uid(pod);
    let is_here = |sibling: &&Arc<Value>| text(sibling, "/spec/nodeName") == name(node);
    let siblings = if owner.is_empty() { 0 } else { count(index.controlled(POD, owner).iter().filter(is_here).count()) };
    let usage = index.usage(name(node));
    let requested =
        usage.map_or(0, |usage| usage.requests.get("memory").copied().unwrap_or(0) + usage.requests.get("pods").copied().unwrap_or(0));
    (siblings, requested, name(node).to_owned())
}

fn bind(context: &Context<'_>, pod: &Value, node: &str) -> Result<Next, ApiError> {
    match context.api.bind(context.manager, namespace(pod), name(pod), uid(pod), node) {
        Ok(()) => {
            let message = format!("Successfully assigned {}/{} to {node}", namespace(pod), name(pod));
            context.normal(pod, "Scheduled", &message);
            Ok(None)
        }
        // The pod is gone or somebody else bound it.
        Err(error) if error.code == 404 || error.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

fn refuse(context: &Context<'_>, pod: &Value, message: &str) -> Result<Next, ApiError> {
    let known = condition(pod, "PodScheduled").is_some_and(|known| text(known, "/message") == message);
    context.warning(pod, "FailedScheduling", message);
    if known {
        return Ok(None);
    }
    let mut conditions = items(pod, "/status/conditions").to_vec();
    let mut entry = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastProbeTime": null, "lastTransitionTime": seconds(context.now()),
    });
    if context.minor() >= 34 {
        entry["observedGeneration"] = pod["metadata"]["generation"].clone();
    }
    set_condition(&mut conditions, entry);
    let mut status = pod.get("status").cloned().unwrap_or_else(|| json!({}));
    status["conditions"] = conditions.into();
    match context.write_status(pod, status) {
        Err(error) if error.code != 404 => Err(error),
        _ => Ok(None),
    }
}
