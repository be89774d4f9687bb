//! `PodDisruptionBudgets`: how many pods may be evicted now.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{BUDGET, DEFINITION, POD, REPLICA_SET, STATEFUL_SET};
use crate::owner::controller_of;
use crate::pods::{is_ready, seconds, set_condition, timestamp};
use crate::quantity::int_or_percent;
use crate::selector::Selector;
use crate::value::{count, group_of, is_deleting, items, kind_of, name, namespace, number, text, uid};

pub(crate) struct Disruption;

/// How long an evicted pod may take to show its deletion before it counts as healthy again.
const EVICTION_PATIENCE: SignedDuration = SignedDuration::from_mins(2);

impl Controller for Disruption {
    fn name(&self) -> &'static str {
        "controllermanager"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(BUDGET) {
            return if change.deleted { Vec::new() } else { vec![change.key()] };
        }
        let of_pod = |pod: &Value| index.selecting(BUDGET, namespace(pod), pod);
        let names = if change.is(POD) {
            let mut names = of_pod(&change.object);
            names.extend(old.into_iter().flat_map(of_pod));
            names
        } else if change.is(STATEFUL_SET) || change.is(REPLICA_SET) || change.kind == "Deployment" {
            let spec_is_same = old.is_some_and(|old| old.pointer("/spec/replicas") == change.object.pointer("/spec/replicas"));
            if spec_is_same {
                return Vec::new();
            }
            index.controlled(POD, uid(&change.object)).iter().flat_map(|pod| of_pod(pod)).collect()
        } else {
            return Vec::new();
        };
        names.into_iter().map(|name| Key::new(BUDGET, &change.namespace, &name)).collect()
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(budget) = context.index.at(key).cloned() else { return Ok(None) };
        let selector = Selector::of(budget.pointer("/spec/selector"));
        let pods = context.index.pods_matching(&key.namespace, &selector);
        if pods.is_empty() {
            context.normal(&budget, "NoPods", "No matching pods found");
        }
        let (disrupted, recheck) = still_disrupted(context, &budget, &pods);
        let healthy = pods.iter().filter(|pod| !is_deleting(pod) && !disrupted.contains_key(name(pod)) && is_ready(pod));
        let healthy = count(healthy.count());
        match expected(context, &budget, &pods) {
            Ok((total, desired)) => write(context, &budget, &disrupted, [total, desired, healthy], None)?,
            Err(message) => {
                context.warning(
                    &budget,
                    "CalculateExpectedPodCountFailed",
                    &format!("Failed to calculate the number of expected pods: {message}"),
                );
                let last = |field| number(&budget, field).unwrap_or(0);
                let counts = [last("/status/expectedPods"), last("/status/desiredHealthy"), last("/status/currentHealthy")];
                write(context, &budget, &disrupted, counts, Some(message))?;
            }
        }
        Ok(recheck.map(crate::statefulset::delay))
    }
}

/// Evicted pods whose deletion is not seen yet, and when the first of them has to be given up.
fn still_disrupted(context: &Context<'_>, budget: &Value, pods: &[Arc<Value>]) -> (BTreeMap<String, Value>, Option<SignedDuration>) {
    let mut left = BTreeMap::new();
    let mut recheck: Option<SignedDuration> = None;
    let recorded = budget.pointer("/status/disruptedPods").and_then(Value::as_object);
    for (pod_name, at) in recorded.into_iter().flatten() {
        let Some(since) = at.as_str().and_then(timestamp) else { continue };
        let is_live = pods.iter().any(|pod| name(pod) == pod_name && !is_deleting(pod));
        let rest = EVICTION_PATIENCE - context.now().duration_since(since);
        if is_live && rest.is_positive() {
            left.insert(pod_name.clone(), at.clone());
            recheck = Some(recheck.map_or(rest, |earlier| earlier.min(rest)));
        }
    }
    (left, recheck)
}

/// How many pods there should be and how many of them have to be healthy.
fn expected(context: &Context<'_>, budget: &Value, pods: &[Arc<Value>]) -> Result<(i64, i64), String> {
    if let Some(most) = budget.pointer("/spec/maxUnavailable").filter(|value| !value.is_null()) {
        let total = scale(context, pods)?;
        return Ok((total, (total - int_or_percent(most, total, true)).max(0)));
    }
    match budget.pointer("/spec/minAvailable") {
        Some(least) if least.is_string() => {
            let total = scale(context, pods)?;
            Ok((total, int_or_percent(least, total, true)))
        }
        Some(least) => Ok((count(pods.len()), least.as_i64().unwrap_or(0))),
        None => Ok((count(pods.len()), 0)),
    }
}

/// The sum of the replicas that the pods' owners ask for.
fn scale(context: &Context<'_>, pods: &[Arc<Value>]) -> Result<i64, String> {
    let mut owners: BTreeMap<String, i64> = BTreeMap::new();
    for pod in pods {
        let Some(owner) = controller_of(pod) else { return Err(format!("found no controller ref for pod {:?}", name(pod))) };
        if owners.contains_key(text(owner, "/uid")) {
            continue;
        }
        let (id, replicas) =
            replicas_of(context, namespace(pod), owner).ok_or_else(|| format!("found no controllers for pod {:?}", name(pod)))?;
        owners.insert(id, replicas);
    }
    Ok(owners.values().sum())
}

/// Uid and replicas of the owner that is scaled: a Deployment rather than its `ReplicaSet`.
fn replicas_of(context: &Context<'_>, space: &str, reference: &Value) -> Option<(String, i64)> {
    let owner = context.index.find(group_of(reference), kind_of(reference), space, text(reference, "/name"))?;
    if uid(owner) != text(reference, "/uid") {
        return None;
    }
    if kind_of(owner) == REPLICA_SET.kind
        && let Some(above) = controller_of(owner)
    {
        return replicas_of(context, space, above);
    }
    let path = match kind_of(owner) {
        "StatefulSet" | "ReplicaSet" | "Deployment" | "ReplicationController" => "/spec/replicas".to_owned(),
        _ => scale_path(context, owner)?,
    };
    Some((uid(owner).to_owned(), number(owner, &path)?))
}

/// Where a custom resource keeps the replicas of its scale subresource.
fn scale_path(context: &Context<'_>, owner: &Value) -> Option<String> {
    let is_its = |definition: &&Arc<Value>| {
        text(definition, "/spec/group") == group_of(owner) && text(definition, "/spec/names/kind") == kind_of(owner)
    };
    let definition = context.index.list(DEFINITION).find(is_its)?;
    let version =
        items(definition, "/spec/versions").iter().find(|version| !text(version, "/subresources/scale/specReplicasPath").is_empty())?;
    Some(text(version, "/subresources/scale/specReplicasPath").replace('.', "/"))
}

fn write(
    context: &Context<'_>,
    budget: &Value,
    disrupted: &BTreeMap<String, Value>,
    [total, desired, healthy]: [i64; 3],
    failure: Option<String>,
) -> Result<(), ApiError> {
    let allowed = if failure.is_some() || total <= 0 { 0 } else { (healthy - desired).max(0) };
    let generation = &budget["metadata"]["generation"];
    let mut conditions = items(budget, "/status/conditions").to_vec();
    let (status, reason, message) = match failure {
        Some(message) => ("False", "SyncFailed", message),
        None if allowed > 0 => ("True", "SufficientPods", String::new()),
        None => ("False", "InsufficientPods", String::new()),
    };
    set_condition(
        &mut conditions,
        json!({
            "type": "DisruptionAllowed", "status": status, "observedGeneration": generation,
            "lastTransitionTime": seconds(context.now()), "reason": reason, "message": message,
        }),
    );
    let mut status = json!({
        "observedGeneration": generation, "disruptionsAllowed": allowed, "currentHealthy": healthy,
        "desiredHealthy": desired, "expectedPods": total,
    });
    if context.minor() >= 21 {
        status["conditions"] = conditions.into();
    }
    if !disrupted.is_empty() {
        status["disruptedPods"] = json!(disrupted);
    }
    context.write_status(budget, status)
}
