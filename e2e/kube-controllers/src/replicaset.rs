//! `ReplicaSets`: so many equal pods.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::claiming::claim;
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{POD, REPLICA_SET};
use crate::owner::{controller_of, controller_reference};
use crate::pods::{from_template, is_active, is_available, is_finished, is_ready, phase, seconds, until_available};
use crate::selector::Selector;
use crate::statefulset::{delay, managers_of};
use crate::value::{count, is_deleting, items, labels, name, namespace, number, text, uid};

pub(crate) struct ReplicaSets;

/// Pods that one step creates or deletes at most.
const BURST: usize = 500;

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(REPLICA_SET) {
            return vec![change.key()];
        }
        if !change.is(POD) {
            return Vec::new();
        }
        let mut keys = managers_of(REPLICA_SET, change, old);
        if !change.deleted && controller_of(&change.object).is_none() {
            let selecting = index.list_in(REPLICA_SET, &change.namespace);
            let selecting = selecting.filter(|set| Selector::of(set.pointer("/spec/selector")).selects(&change.object));
            keys.extend(selecting.map(|set| Key::of(set)));
        }
        keys
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(set) = context.index.at(key).cloned() else { return Ok(None) };
        let selector = Selector::of(set.pointer("/spec/selector"));
        let mut pods = claim(context, POD, &set, &selector, |_| true)?;
        let terminating = pods.iter().filter(|pod| is_deleting(pod) && !is_finished(pod)).count();
        pods.retain(|pod| is_active(pod));
        let outcome = if is_deleting(&set) { Ok(()) } else { scale(context, &set, &mut pods) };
        write_status(context, &set, &pods, terminating, outcome.as_ref().err())?;
        outcome?;
        let min_ready = number(&set, "/spec/minReadySeconds").unwrap_or(0);
        let lefts = pods.iter().filter_map(|pod| until_available(pod, min_ready, context.now()));
        Ok(lefts.filter(|left| !left.is_zero()).min().map(delay))
    }
}

/// Creates or deletes pods. The status tells of the pods as they were before.
fn scale(context: &Context<'_>, set: &Value, pods: &mut [Arc<Value>]) -> Result<(), ApiError> {
    let wanted = usize::try_from(number(set, "/spec/replicas").unwrap_or(1)).unwrap_or(0);
    if pods.len() < wanted {
        return create(context, set, (wanted - pods.len()).min(BURST));
    }
    let surplus = (pods.len() - wanted).min(BURST);
    if surplus == 0 {
        return Ok(());
    }
    rank(context, set, pods);
    for pod in &pods[..surplus] {
        delete_pod(context, set, pod)?;
    }
    Ok(())
}

/// Deletes a pod of an owner and says so.
pub(crate) fn delete_pod(context: &Context<'_>, owner: &Value, pod: &Value) -> Result<(), ApiError> {
    match context.delete(pod, None) {
        Ok(()) => {
            context.normal(owner, "SuccessfulDelete", &format!("Deleted pod: {}", name(pod)));
            Ok(())
        }
        Err(error) => {
            context.warning(owner, "FailedDelete", &format!("Error deleting: {}", error.message));
            Err(error)
        }
    }
}

/// Creates a pod of an owner and says so.
pub(crate) fn create_pod(context: &Context<'_>, owner: &Value, pod: Value) -> Result<Arc<Value>, ApiError> {
    match context.api.create(context.manager, pod) {
        Ok(pod) => {
            context.normal(owner, "SuccessfulCreate", &format!("Created pod: {}", name(&pod)));
            Ok(pod)
        }
        Err(error) => {
            context.warning(owner, "FailedCreate", &format!("Error creating: {}", error.message));
            Err(error)
        }
    }
}

fn create(context: &Context<'_>, set: &Value, missing: usize) -> Result<(), ApiError> {
    let template = set.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    let prefix = format!("{}-", name(set));
    for _ in 0..missing {
        create_pod(context, set, from_template(&template, namespace(set), &controller_reference(set), &prefix))?;
    }
    Ok(())
}

/// Those that are missed least come first: unscheduled, not running, not ready, crowded together, ready for a shorter time, restarted, young.
fn rank(context: &Context<'_>, set: &Value, pods: &mut [Arc<Value>]) {
    // Pods of the other ReplicaSets of the same Deployment count as neighbours too.
    let family: Vec<String> = match controller_of(set) {
        Some(above) => context.index.controlled(REPLICA_SET, text(above, "/uid")).iter().map(|set| uid(set).to_owned()).collect(),
        None => vec![uid(set).to_owned()],
    };
    let relatives: Vec<Arc<Value>> =
        family.iter().flat_map(|uid| context.index.controlled(POD, uid)).filter(|pod| is_active(pod)).collect();
    let neighbours = |pod: &Value| {
        let node = text(pod, "/spec/nodeName");
        count(relatives.iter().filter(|other| text(other, "/spec/nodeName") == node && is_ready(other)).count())
    };
    pods.sort_by_cached_key(|pod| {
        let stage = match phase(pod) {
            "Pending" | "" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let cost: i64 =
            crate::value::annotation(pod, "controller.kubernetes.io/pod-deletion-cost").and_then(|cost| cost.parse().ok()).unwrap_or(0);
        let restarts =
            items(pod, "/status/containerStatuses").iter().filter_map(|status| number(status, "/restartCount")).max().unwrap_or(0);
        let ready_since = crate::pods::condition(pod, "Ready").map_or("", |ready| text(ready, "/lastTransitionTime")).to_owned();
        let created = text(pod, "/metadata/creationTimestamp").to_owned();
        let is_scheduled = !text(pod, "/spec/nodeName").is_empty();
        let newest_first = std::cmp::Reverse((ready_since, std::cmp::Reverse(restarts), created, name(pod).to_owned()));
        (is_scheduled, stage, is_ready(pod), cost, std::cmp::Reverse(neighbours(pod)), newest_first)
    });
}

fn write_status(
    context: &Context<'_>,
    set: &Value,
    pods: &[Arc<Value>],
    terminating: usize,
    failure: Option<&ApiError>,
) -> Result<(), ApiError> {
    let min_ready = number(set, "/spec/minReadySeconds").unwrap_or(0);
    let template: std::collections::BTreeMap<_, _> = crate::value::entries(set, "/spec/template/metadata/labels").collect();
    let fully = |pod: &&Arc<Value>| template.iter().all(|(key, value)| labels(pod).any(|(k, v)| k == *key && v == *value));
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let available = pods.iter().filter(|pod| is_available(pod, min_ready, context.now())).count();
    let mut status = json!({"replicas": pods.len()});
    for (field, number) in
        [("fullyLabeledReplicas", pods.iter().filter(fully).count()), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if number > 0 {
            status[field] = number.into();
        }
    }
    // The field is on by default since Kubernetes 1.35.
    if context.minor() >= 35 {
        status["terminatingReplicas"] = terminating.into();
    }
    status["observedGeneration"] = set["metadata"]["generation"].clone();
    let mut conditions: Vec<Value> =
        items(set, "/status/conditions").iter().filter(|entry| entry["type"] != "ReplicaFailure").cloned().collect();
    if let Some(failure) = failure {
        let reason = if count(pods.len()) < number(set, "/spec/replicas").unwrap_or(1) { "FailedCreate" } else { "FailedDelete" };
        let known = items(set, "/status/conditions").iter().find(|entry| entry["type"] == "ReplicaFailure");
        let since = known.map_or_else(|| Value::from(seconds(context.now())), |known| known["lastTransitionTime"].clone());
        conditions.push(json!({
            "type": "ReplicaFailure", "status": "True", "lastTransitionTime": since, "reason": reason, "message": failure.message,
        }));
    }
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    context.write_status(set, status)
}
