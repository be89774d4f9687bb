//! A node that no longer renews its lease becomes unknown, is tainted, and its pods are marked not ready.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{LEASE, NODE};
use crate::pods::{condition, is_ready, seconds};
use crate::value::{flag, items, name, set, text};

const LEASE_NAMESPACE: &str = "kube-node-lease";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Grace of a node that never reported, from its creation on.
const STARTUP_GRACE: SignedDuration = SignedDuration::from_secs(60);

#[derive(Default)]
pub(crate) struct NodeLifecycle {
    /// The last sign of life of each node and when it was seen.
    seen: BTreeMap<String, (String, Timestamp)>,
    /// When the next node may be given the taint that evicts.
    next_eviction: Option<Timestamp>,
}

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, _old: Option<&Value>) -> Vec<Key> {
        if change.is(NODE) {
            if change.deleted {
                self.seen.remove(&change.name);
                return Vec::new();
            }
            return vec![change.key()];
        }
        let is_heartbeat = change.is(LEASE) && change.namespace == LEASE_NAMESPACE && !change.deleted;
        // A renewal matters at once only for a node that was given up; of others the timer will see it.
        let node = index.get(NODE, "", &change.name).filter(|_| is_heartbeat);
        let concerns = node.is_some_and(|node| !crate::nodes::is_ready(node)) || (is_heartbeat && !self.seen.contains_key(&change.name));
        if concerns { vec![Key::new(NODE, "", &change.name)] } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(node) = context.index.at(key).cloned() else { return Ok(None) };
        let now = context.now();
        let left = self.grace_left(context, &node, now);
        let is_lost = !left.is_positive();
        let node = if is_lost { give_up(context, &node)? } else { std::sync::Arc::new(node.as_ref().clone()) };
        let wait = self.taint(context, &node, now)?;
        if !crate::nodes::is_ready(&node) {
            mark_pods(context, &node)?;
        }
        let check = (!is_lost).then(|| crate::statefulset::delay(left));
        Ok([wait, check].into_iter().flatten().min())
    }
}

impl NodeLifecycle {
    /// How long the node may stay silent from now.
    fn grace_left(&mut self, context: &Context<'_>, node: &Value, now: Timestamp) -> SignedDuration {
        let lease = context.index.get(LEASE, LEASE_NAMESPACE, name(node));
        let renewed = lease.map_or("", |lease| text(lease, "/spec/renewTime"));
        let ready = condition(node, "Ready");
        let own = ready.map_or("", |ready| text(ready, "/lastHeartbeatTime"));
        let sign = format!("{renewed} {own}");
        if sign == " " {
            let created = crate::pods::timestamp(text(node, "/metadata/creationTimestamp")).unwrap_or(now);
            return STARTUP_GRACE - now.duration_since(created);
        }
        // What a renewal says of its time counts, but never more than when it was first seen.
        let entry = self.seen.entry(name(node).to_owned()).or_insert_with(|| (String::new(), now));
        if entry.0 != sign {
            let told = [renewed, own].into_iter().filter_map(crate::pods::timestamp).max().unwrap_or(now);
            *entry = (sign, told.min(now));
        }
        let grace = SignedDuration::try_from(context.options.node_grace_period).unwrap_or(SignedDuration::MAX);
        grace - now.duration_since(entry.1)
    }

    /// Gives the node the taints of its state and takes off those of another. Returns when it may be tainted further.
    fn taint(&mut self, context: &Context<'_>, node: &Value, now: Timestamp) -> Result<Option<Duration>, ApiError> {
        let status = condition(node, "Ready").map_or("", |ready| text(ready, "/status"));
        let key = match status {
            "True" => None,
            // A node that has not reported yet is not ready; one that fell silent cannot be reached.
            "False" | "" => Some(NOT_READY),
            _ => Some(UNREACHABLE),
        };
        let mut wait = None;
        let mut evicts = key.is_some() && !status.is_empty();
        let has = |key: &str, effect: &str| {
            items(node, "/spec/taints").iter().any(|taint| text(taint, "/key") == key && text(taint, "/effect") == effect)
        };
        if let Some(key) = key.filter(|key| evicts && !has(key, "NoExecute")) {
            if let Some(at) = self.next_eviction.filter(|at| *at > now) {
                evicts = false;
                wait = Some(crate::statefulset::delay(at.duration_since(now)));
            } else {
                let interval = SignedDuration::try_from(context.options.node_eviction_interval).unwrap_or_default();
                self.next_eviction = Some(now + interval);
                tracing::debug!(node = name(node), key, "pods of the node are evicted");
            }
        }
        let wanted = wanted_taints(node, key, evicts, now);
        if wanted.as_slice() != items(node, "/spec/taints") {
            let mut tainted = node.clone();
            if wanted.is_empty() {
                crate::value::remove(&mut tainted, &["spec", "taints"]);
            } else {
                set(&mut tainted, &["spec", "taints"], wanted);
            }
            context.api.update(context.manager, tainted)?;
        }
        Ok(wait)
    }
}

/// The node's taints with those that this controller sets brought up to date.
fn wanted_taints(node: &Value, key: Option<&str>, evicts: bool, now: Timestamp) -> Vec<Value> {
    let present = items(node, "/spec/taints");
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    if let Some(key) = key {
        wanted.push((key, "NoSchedule"));
        if evicts {
            wanted.push((key, "NoExecute"));
        }
    }
    let unschedulable = "node.kubernetes.io/unschedulable";
    if flag(node, "/spec/unschedulable") {
        wanted.push((unschedulable, "NoSchedule"));
    }
    let is_ours = |taint: &Value| [NOT_READY, UNREACHABLE, unschedulable].contains(&text(taint, "/key"));
    let mut taints: Vec<Value> = present
        .iter()
        .filter(|taint| !is_ours(taint) || wanted.contains(&(text(taint, "/key"), text(taint, "/effect"))))
        .cloned()
        .collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| text(taint, "/key") == key && text(taint, "/effect") == effect) {
            taints.push(json!({"key": key, "effect": effect, "timeAdded": seconds(now)}));
        }
    }
    taints
}

/// Writes that nothing is known of the node any more.
fn give_up(context: &Context<'_>, node: &Value) -> Result<std::sync::Arc<Value>, ApiError> {
    let was = condition(node, "Ready");
    if was.is_some_and(|ready| text(ready, "/status") == "Unknown") {
        return Ok(std::sync::Arc::new(node.clone()));
    }
    let now = seconds(context.now());
    let mut changed = node.clone();
    let mut conditions = items(node, "/status/conditions").to_vec();
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        let known = conditions.iter_mut().find(|entry| entry["type"] == kind);
        let (reason, message) = if known.is_some() {
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        } else {
            ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
        };
        let heartbeat =
            known.as_ref().map_or_else(|| node["metadata"]["creationTimestamp"].clone(), |known| known["lastHeartbeatTime"].clone());
        let unknown = json!({
            "type": kind, "status": "Unknown", "lastHeartbeatTime": heartbeat, "lastTransitionTime": now, "reason": reason, "message": message,
        });
        match known {
            Some(known) => *known = unknown,
            None => conditions.push(unknown),
        }
    }
    set(&mut changed, &["status", "conditions"], conditions);
    let written = context.api.update_status(context.manager, changed)?;
    context.normal(&written, "NodeNotReady", &format!("Node {} status is now: NodeNotReady", name(node)));
    Ok(written)
}

/// Pods of a node that is not ready are not ready either.
fn mark_pods(context: &Context<'_>, node: &Value) -> Result<(), ApiError> {
    for pod in context.index.pods_on(name(node)).iter().filter(|pod| is_ready(pod)) {
        let mut status = pod["status"].clone();
        for entry in status.pointer_mut("/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            if entry["type"] == "Ready" {
                entry["status"] = "False".into();
                entry["lastTransitionTime"] = seconds(context.now()).into();
            }
        }
        match context.write_status(pod, status) {
            Ok(()) => context.warning(pod, "NodeNotReady", "Node is not ready"),
            Err(error) if error.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
