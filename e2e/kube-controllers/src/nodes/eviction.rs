//! Pods leave a node whose `NoExecute` taints they do not bear, at once or after their toleration runs out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{NODE, POD};
use crate::pods::{is_finished, seconds, set_condition};
use crate::taints::{Patience, patience};
use crate::value::{is_deleting, items, name, namespace, text, uid};

#[derive(Default)]
pub(crate) struct TaintEviction {
    /// Since when a pod, by uid, bears taints for a limited time.
    since: BTreeMap<String, Timestamp>,
}

impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        let taints = |node: &Value| {
            items(node, "/spec/taints").iter().filter(|taint| text(taint, "/effect") == "NoExecute").cloned().collect::<Vec<_>>()
        };
        if change.is(NODE) && !change.deleted {
            let is_same = taints(&change.object) == old.map(taints).unwrap_or_default();
            return if is_same { Vec::new() } else { index.pods_on(&change.name).iter().map(|pod| Key::of(pod)).collect() };
        }
        if !change.is(POD) {
            return Vec::new();
        }
        if change.deleted {
            self.since.remove(uid(&change.object));
            return Vec::new();
        }
        let node = index.get(NODE, "", text(&change.object, "/spec/nodeName"));
        let is_placed = old.is_none_or(|old| old.pointer("/spec") != change.object.pointer("/spec"));
        if is_placed && node.is_some_and(|node| !taints(node).is_empty()) { vec![change.key()] } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(pod) = context.index.at(key).filter(|pod| !is_deleting(pod)).cloned() else { return Ok(None) };
        let Some(node) = context.index.get(NODE, "", text(&pod, "/spec/nodeName")) else { return Ok(None) };
        let now = context.now();
        match patience(node, &pod) {
            Patience::Endless => {
                if self.since.remove(uid(&pod)).is_some() {
                    let message = format!("Cancelling deletion of Pod {}/{}", namespace(&pod), name(&pod));
                    context.normal(&pod, "TaintManagerEviction", &message);
                }
                return Ok(None);
            }
            Patience::None => {}
            Patience::Seconds(limit) => {
                let since = *self.since.entry(uid(&pod).to_owned()).or_insert(now);
                let left = SignedDuration::from_secs(limit) - now.duration_since(since);
                if left.is_positive() {
                    return Ok(Some(crate::statefulset::delay(left)));
                }
            }
        }
        context.normal(&pod, "TaintManagerEviction", &format!("Marking for deletion Pod {}/{}", namespace(&pod), name(&pod)));
        mark(context, &pod)?;
        context.delete(&pod, None)?;
        self.since.remove(uid(&pod));
        Ok(None)
    }
}

/// Tells in the pod why it goes; the condition came with Kubernetes 1.26.
fn mark(context: &Context<'_>, pod: &Value) -> Result<(), ApiError> {
    if context.minor() < 26 || is_finished(pod) {
        return Ok(());
    }
    let mut status = pod["status"].clone();
    let mut conditions = items(pod, "/status/conditions").to_vec();
    set_condition(
        &mut conditions,
        json!({
            "type": "DisruptionTarget", "status": "True", "lastProbeTime": null, "lastTransitionTime": seconds(context.now()),
            "reason": "DeletionByTaintManager", "message": "Taint manager: deleting due to NoExecute taint",
        }),
    );
    status["conditions"] = conditions.into();
    match context.write_status(pod, status) {
        Err(error) if error.code != 404 => Err(error),
        _ => Ok(()),
    }
}
