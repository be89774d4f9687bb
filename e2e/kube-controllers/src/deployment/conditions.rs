//! What a Deployment says about itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::deployment::{Family, available, until};
use crate::pods::{condition, seconds, set_condition, timestamp};
use crate::value::{flag, items, name, number, text};

/// Sum of a status field over `ReplicaSets`.
fn sum<'a>(sets: impl Iterator<Item = &'a std::sync::Arc<Value>>, field: &str) -> i64 {
    sets.filter_map(|set| number(set, field)).sum()
}

struct Counts {
    replicas: i64,
    updated: i64,
    ready: i64,
    available: i64,
    terminating: i64,
}

fn counts(family: &Family<'_>) -> Counts {
    Counts {
        replicas: sum(family.all(), "/status/replicas"),
        updated: sum(family.new.iter(), "/status/replicas"),
        ready: sum(family.all(), "/status/readyReplicas"),
        available: family.all().map(|set| available(set)).sum(),
        terminating: sum(family.all(), "/status/terminatingReplicas"),
    }
}

/// All pods are of the new template and available.
pub(crate) fn is_complete(family: &Family<'_>) -> bool {
    let counts = counts(family);
    [counts.updated, counts.replicas, counts.available] == [family.wanted(); 3] && observed(family)
}

fn observed(family: &Family<'_>) -> bool {
    number(&family.deployment, "/status/observedGeneration") >= number(&family.deployment, "/metadata/generation")
}

fn progressing(family: &Family<'_>, status: &str, reason: &str, message: &str) -> Value {
    let at = seconds(family.context.now());
    json!({
        "type": "Progressing", "status": status, "lastUpdateTime": at, "lastTransitionTime": at, "reason": reason, "message": message,
    })
}

/// Writes a step of progress at once.
pub(crate) fn note(family: &mut Family<'_>, reason: &str, message: &str) -> Result<(), ApiError> {
    if number(&family.deployment, "/spec/progressDeadlineSeconds").is_none() {
        return Ok(());
    }
    let status = if reason == "DeploymentPaused" || reason == "DeploymentResumed" { "Unknown" } else { "True" };
    let mut conditions = items(&family.deployment, "/status/conditions").to_vec();
    if !set_condition(&mut conditions, progressing(family, status, reason, message)) {
        return Ok(());
    }
    let mut changed = (*family.deployment).clone();
    crate::value::set(&mut changed, &["status", "conditions"], conditions);
    family.deployment = family.context.api.update_status(family.context.manager, changed)?;
    Ok(())
}

/// Remembers that a Deployment was paused or goes on, so that the time in between does not count as a lack of progress.
pub(crate) fn note_pause(family: &mut Family<'_>) -> Result<(), ApiError> {
    let reason = condition(&family.deployment, "Progressing").map_or("", |known| text(known, "/reason")).to_owned();
    if reason == "ProgressDeadlineExceeded" {
        return Ok(());
    }
    let is_paused = flag(&family.deployment, "/spec/paused");
    match (is_paused, reason == "DeploymentPaused") {
        (true, false) => note(family, "DeploymentPaused", "Deployment is paused"),
        (false, true) => note(family, "DeploymentResumed", "Deployment is resumed"),
        _ => Ok(()),
    }
}

/// Writes the counts and conditions.
pub(crate) fn write(family: &Family<'_>) -> Result<(), ApiError> {
    let counts = counts(family);
    let unavailable = (sum_wanted(family) - counts.available).max(0);
    let deployment = &family.deployment;
    let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
    let fields = [
        ("replicas", counts.replicas),
        ("updatedReplicas", counts.updated),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
        ("unavailableReplicas", unavailable),
    ];
    for (field, number) in fields.into_iter().filter(|(_, number)| *number > 0) {
        status[field] = number.into();
    }
    if family.context.minor() >= 35 {
        status["terminatingReplicas"] = counts.terminating.into();
    }
    if let Some(collisions) = deployment.pointer("/status/collisionCount") {
        status["collisionCount"] = collisions.clone();
    }
    let mut conditions = items(deployment, "/status/conditions").to_vec();
    set_condition(&mut conditions, availability(family, counts.available));
    if let Some(progress) = progress(family, &counts) {
        let is_new = condition(deployment, "Progressing")
            .is_none_or(|known| known["reason"] != progress["reason"] || known["message"] != progress["message"]);
        let moves = progress["reason"] == "ReplicaSetUpdated";
        if is_new || moves {
            // Each step of progress starts the deadline anew.
            let since = condition(deployment, "Progressing")
                .filter(|known| known["status"] == progress["status"])
                .map(|known| known["lastTransitionTime"].clone());
            conditions.retain(|entry| entry["type"] != "Progressing");
            let mut progress = progress;
            if let Some(since) = since {
                progress["lastTransitionTime"] = since;
            }
            conditions.push(progress);
        }
    }
    let failure = family.all().find_map(|set| condition(set, "ReplicaFailure"));
    conditions.retain(|entry| entry["type"] != "ReplicaFailure");
    conditions.extend(failure.cloned());
    status["conditions"] = conditions.into();
    family.context.write_status(deployment, status)
}

fn sum_wanted(family: &Family<'_>) -> i64 {
    family.all().map(|set| crate::deployment::replicas(set)).sum()
}

fn availability(family: &Family<'_>, available: i64) -> Value {
    let at = seconds(family.context.now());
    let (status, reason, message) = if available >= family.wanted() - family.max_unavailable() {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    json!({"type": "Available", "status": status, "lastUpdateTime": at, "lastTransitionTime": at, "reason": reason, "message": message})
}

/// The condition of progress, if there is anything to say beyond what is known.
fn progress(family: &Family<'_>, counts: &Counts) -> Option<Value> {
    number(&family.deployment, "/spec/progressDeadlineSeconds")?;
    let subject = family
        .new
        .as_ref()
        .map_or_else(|| format!("Deployment {:?}", name(&family.deployment)), |new| format!("ReplicaSet {:?}", name(new)));
    let known = condition(&family.deployment, "Progressing");
    let is_finished = counts.replicas == counts.updated && known.is_some_and(|known| text(known, "/reason") == "NewReplicaSetAvailable");
    if is_finished || flag(&family.deployment, "/spec/paused") {
        return None;
    }
    if [counts.updated, counts.replicas, counts.available] == [family.wanted(); 3] {
        return Some(progressing(family, "True", "NewReplicaSetAvailable", &format!("{subject} has successfully progressed.")));
    }
    let before = |field: &str| number(&family.deployment, field).unwrap_or(0);
    let old = counts.replicas - counts.updated;
    let old_before = before("/status/replicas") - before("/status/updatedReplicas");
    let has_moved = counts.updated > before("/status/updatedReplicas")
        || old < old_before
        || counts.ready > before("/status/readyReplicas")
        || counts.available > before("/status/availableReplicas");
    if has_moved || known.is_none() {
        return Some(progressing(family, "True", "ReplicaSetUpdated", &format!("{subject} is progressing.")));
    }
    let counts_time = known.is_some_and(|known| !matches!(text(known, "/reason"), "ProgressDeadlineExceeded" | "NewReplicaSetAvailable"));
    let is_late = counts_time && until_deadline(family).is_none();
    is_late.then(|| progressing(family, "False", "ProgressDeadlineExceeded", &format!("{subject} has timed out progressing.")))
}

/// Time left to make progress, while there is anything to wait for.
pub(crate) fn until_deadline(family: &Family<'_>) -> Option<Duration> {
    let deadline = number(&family.deployment, "/spec/progressDeadlineSeconds").filter(|seconds| *seconds < i64::from(i32::MAX))?;
    let known = condition(&family.deployment, "Progressing")?;
    if matches!(text(known, "/reason"), "NewReplicaSetAvailable" | "ProgressDeadlineExceeded" | "DeploymentPaused") {
        return None;
    }
    until(timestamp(text(known, "/lastUpdateTime"))?, deadline, family.context.now())
}
