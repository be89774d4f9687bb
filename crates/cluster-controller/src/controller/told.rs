//! What a round leads to for people: the status, and an Event when something new needs them.

use std::time::Duration;

use controller_kit::apply::{ApplyError, StatusWrite};
use controller_kit::events::{Happening, Severity};
use doris_api::conditions::{READY, STALLED};
use doris_api::{DorisCluster, DorisClusterStatus};
use kube::{Resource as _, ResourceExt as _};

use crate::cache::ClusterKey;
use crate::context::Context;
use crate::error::Error;
use crate::identity::Identity;
use crate::report::{self, Facts};

/// Between two writes of a status that only tell how far the work is.
const STATUS_PACE: Duration = Duration::from_secs(10);
/// The same for a cluster that comes to life: once soon, so that whatever holds it up is told; from
/// then on ever more rarely. A hundred clusters that come up at once on a busy server cost no more
/// writes each than one alone.
const BIRTH_PACES: [Duration; 3] = [Duration::from_secs(15), Duration::from_mins(1), Duration::from_mins(2)];

/// Writes the status if it differs. A step on the way waits until the last write is a few seconds
/// old: people see progress, and a cluster that comes up costs few writes.
pub(super) async fn write_status(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey, facts: &Facts) -> Result<(), Error> {
    let failed = |source| Error::Apply { object: format!("the status of DorisCluster {}", cluster.name_any()), source };
    let status = report::status(cluster, facts, ctx.clock.now());
    let memory = ctx.memory(key);
    let mut memory = memory.lock().await;
    let now = ctx.clock.instant();
    let pace = pace(cluster, facts, memory.reports);
    let is_recent = memory.reported_at.is_some_and(|at| now.duration_since(at) < pace);
    if is_recent && !is_turn(cluster.status.as_ref(), &status) {
        return Ok(());
    }
    let status = serde_json::to_value(&status).map_err(|error| Error::Build(format!("the status is no JSON: {error}")))?;
    let written = match ctx.applier.apply_status(cluster, &status).await {
        // The cache is behind: what is coming wakes us with the newer version.
        Err(ApplyError::Race { .. }) => return Ok(()),
        other => other.map_err(failed)?,
    };
    if written != StatusWrite::Unchanged {
        memory.reported_at = Some(now);
        memory.reports = memory.reports.saturating_add(1);
    }
    if let StatusWrite::TakenBack { from } = written {
        tracing::warn!(cluster = cluster.name_any(), managers = from.join(", "), "somebody else had written our status; it was taken back");
    }
    Ok(())
}

/// How old the last of so many writes of this process has to be before another one only tells how far the work is.
fn pace(cluster: &DorisCluster, facts: &Facts, reports: u32) -> Duration {
    // Members are on record from the moment on that all of them are there.
    let has_backends = |identity: &Identity| cluster.spec.be.is_none() || !identity.backends.is_empty();
    let came_to_life = facts.identity.as_ref().is_some_and(|identity| !identity.frontends.is_empty() && has_backends(identity));
    match reports {
        _ if came_to_life => STATUS_PACE,
        0 | 1 => BIRTH_PACES[0],
        2 => BIRTH_PACES[1],
        _ => BIRTH_PACES[2],
    }
}

/// Whether a status tells something that nobody should wait for: another readiness, a new spec
/// taken notice of, or work that stands still.
fn is_turn(old: Option<&DorisClusterStatus>, new: &DorisClusterStatus) -> bool {
    let truth = |status: &DorisClusterStatus, type_: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .map(|condition| (condition.status.clone(), condition.reason.clone()))
    };
    let Some(old) = old else { return true };
    let holds = |status: &DorisClusterStatus, type_: &str| truth(status, type_).map(|(holds, _)| holds);
    let under_work = |status: &DorisClusterStatus| {
        let operation = status.operation.as_ref()?;
        Some((operation.kind.clone(), operation.target.clone(), operation.member.clone()))
    };
    under_work(old) != under_work(new)
        || old.overrides != new.overrides
        || old.observed_generation != new.observed_generation
        || holds(old, READY) != holds(new, READY)
        || truth(old, STALLED) != truth(new, STALLED) && holds(new, STALLED).as_deref() == Some("True")
        || holds(old, STALLED) != holds(new, STALLED)
}

/// Records an Event when something new needs a person.
pub(super) async fn tell(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey, facts: &Facts) {
    let memory = ctx.memory(key);
    let mut memory = memory.lock().await;
    let Some(stall) = facts.stalls.first() else {
        memory.told = None;
        return;
    };
    if memory.told.as_ref() == Some(stall) {
        return;
    }
    memory.told = Some(stall.clone());
    let happening = Happening {
        severity: Severity::Warning,
        reason: stall.reason.to_owned(),
        action: "Reconcile".to_owned(),
        note: stall.message.clone(),
    };
    ctx.recorder.record(&cluster.object_ref(&()), &happening).await;
}
