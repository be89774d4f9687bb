//! The pod garbage collector: pods whose node is gone, and those of a node declared out of service, are removed by force.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::{ApiError, Change, DeleteOptions};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{NODE, POD};
use crate::pods::{is_finished, seconds, set_condition};
use crate::value::{is_deleting, items, name, set, text, uid};

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

#[derive(Default)]
pub(crate) struct PodCollector {
    /// Since when a node that pods name is missing.
    missing: BTreeMap<String, Timestamp>,
}

impl Controller for PodCollector {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(NODE) {
            if !change.deleted {
                self.missing.remove(&change.name);
            }
            return vec![change.key()];
        }
        if !change.is(POD) || change.deleted {
            return Vec::new();
        }
        let node_name = text(&change.object, "/spec/nodeName");
        if node_name.is_empty() {
            return Vec::new();
        }
        let is_orphan = index.get(NODE, "", node_name).is_none_or(|node| is_out_of_service(node));
        let is_moved = old.is_none_or(|old| text(old, "/spec/nodeName") != node_name || is_deleting(old) != is_deleting(&change.object));
        if is_orphan && is_moved { vec![Key::new(NODE, "", node_name)] } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let pods = context.index.pods_on(&key.name);
        let Some(node) = context.index.at(key) else { return self.collect_orphans(context, &key.name) };
        // Out of service by a person's word, and indeed not ready: what terminates there will never be stopped by its kubelet.
        if is_out_of_service(node) && !crate::nodes::is_ready(node) && context.minor() >= 24 {
            for pod in pods.iter().filter(|pod| is_deleting(pod)) {
                remove(context, pod, "DeletionByPodGC", "PodGC: node is out of service")?;
            }
        }
        Ok(None)
    }
}

fn is_out_of_service(node: &Value) -> bool {
    items(node, "/spec/taints").iter().any(|taint| text(taint, "/key") == OUT_OF_SERVICE)
}

impl PodCollector {
    fn collect_orphans(&mut self, context: &Context<'_>, node: &str) -> Result<Next, ApiError> {
        let pods = context.index.pods_on(node);
        if pods.is_empty() {
            self.missing.remove(node);
            return Ok(None);
        }
        let now = context.now();
        let since = *self.missing.entry(node.to_owned()).or_insert(now);
        let quarantine = SignedDuration::try_from(context.options.gone_node_quarantine).unwrap_or_default();
        let left = quarantine - now.duration_since(since);
        if left.is_positive() {
            return Ok(Some(crate::statefulset::delay(left)));
        }
        for pod in &pods {
            remove(context, pod, "DeletionByPodGC", "PodGC: node no longer exists")?;
        }
        Ok(None)
    }
}

/// Marks a pod as failed and removes it without asking its kubelet.
fn remove(context: &Context<'_>, pod: &Value, reason: &str, message: &str) -> Result<(), ApiError> {
    if context.minor() >= 26 && !is_finished(pod) {
        let mut status = pod["status"].clone();
        let mut conditions = items(pod, "/status/conditions").to_vec();
        set_condition(
            &mut conditions,
            json!({
                "type": "DisruptionTarget", "status": "True", "lastProbeTime": null, "lastTransitionTime": seconds(context.now()),
                "reason": reason, "message": message,
            }),
        );
        set(&mut status, &["phase"], "Failed");
        status["conditions"] = conditions.into();
        match context.write_status(pod, status) {
            Err(error) if error.code != 404 => return Err(error),
            _ => {}
        }
    }
    tracing::debug!(pod = name(pod), message, "removed by force");
    let options = DeleteOptions { uid: Some(uid(pod).to_owned()), grace_period_seconds: Some(0), ..DeleteOptions::default() };
    context.delete_with(pod, &options)
}
