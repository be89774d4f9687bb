//! The one disruptive operation of a cluster: its record in the status, and the Lease that it holds.
//!
//! Every kind of operation goes through here, so that two of them never work on a cluster at once:
//! what is written down in `status.operation` is finished, or brought to a safe point, before another begins.

use controller_kit::clock::whole_seconds;
use controller_kit::lease::{Fence, Holding, Operation};
use doris_api::cluster::OperationStatus;

use super::Round;
use crate::act::pods;
use crate::error::Error;

/// Name of the operation that restarts members for a changed spec.
pub(super) const ROLLING: &str = "RollingRestart";
/// What it is called while it leads to another version.
pub(super) const UPGRADE: &str = "Upgrade";

/// A roll or a scale in with no member under work is at a safe point, whatever holds it there: another
/// operation may begin, and this one goes on behind it.
pub(super) fn is_between_members(operation: &OperationStatus) -> bool {
    [ROLLING, super::scaling::KIND.name].contains(&operation.kind.as_str()) && operation.member.is_none()
}

/// An upgrade between two members rests as well, but not for everybody: only what heals a member, or takes away one that
/// does not work, may come between. Without that it would wait for ever for the very member.
pub(super) fn may_be_helped(operation: &OperationStatus) -> bool {
    is_between_members(operation) || operation.kind == UPGRADE && operation.member.is_none()
}

/// What is remembered of an operation between two rounds.
#[derive(Debug, Default)]
pub struct OperationMemory {
    /// The operation as it was decided last, until the status shows it.
    decided: Option<Box<OperationStatus>>,
    /// What we hold the operation Lease for.
    holds_lease: Option<&'static str>,
}

/// What an operation is called, and how it is told to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its name in the Lease and in the status.
    pub name: &'static str,
    /// Reason of the wait for somebody else's Lease.
    pub reason: &'static str,
    /// What happens to the target, as in "demo-be-2 is restarted".
    pub done_to_target: &'static str,
}

/// Operations that restart members one at a time: one goes over into the other without losing the member under work.
const RESTARTS: [&str; 2] = [ROLLING, UPGRADE];

impl Kind {
    /// Whether an operation of that name is one of this kind.
    fn covers(self, name: &str) -> bool {
        self.name == name || RESTARTS.contains(&self.name) && RESTARTS.contains(&name)
    }
}

impl Round<'_> {
    /// The operation under way, of whatever kind: as the server has it, or as we decided it a moment ago.
    pub(super) fn under_way(&self) -> Option<OperationStatus> {
        let written = self.cluster.status.as_ref().and_then(|status| status.operation.clone());
        self.memory.operation.decided.as_deref().cloned().or(written)
    }

    /// The operation under way, if it is of this kind.
    pub(super) fn operation(&self, kind: Kind) -> Option<OperationStatus> {
        self.under_way().filter(|operation| kind.covers(&operation.kind))
    }

    /// An operation of another kind that is under way: this one waits until it is done, or at a safe point.
    pub(super) fn other_operation(&self, kind: Kind) -> Option<OperationStatus> {
        self.under_way().filter(|operation| !kind.covers(&operation.kind) && !is_between_members(operation))
    }

    /// Whether the status on the server shows what was decided last, and names this member as the one under work: only then may it
    /// be touched.
    pub(super) fn is_written_down(&self, kind: Kind, pod: &str) -> bool {
        let written = self.cluster.status.as_ref().and_then(|status| status.operation.as_ref());
        written
            .filter(|operation| kind.covers(&operation.kind))
            .and_then(|operation| operation.member.as_ref())
            .is_some_and(|member| member.pod == pod && self.memory.operation.decided.is_none())
    }

    /// Whether the status on the server tells of this operation: only then its first step may be done.
    pub(super) fn is_in_status(&self, kind: Kind) -> bool {
        let written = self.cluster.status.as_ref().and_then(|status| status.operation.as_ref());
        written.is_some_and(|operation| operation.kind == kind.name) && self.memory.operation.decided.is_none()
    }

    /// Puts the operation into the status, and keeps it until the status shows it.
    pub(super) fn decide(&mut self, told: Option<OperationStatus>) {
        let written = self.cluster.status.as_ref().and_then(|status| status.operation.as_ref());
        let identity = |operation: &OperationStatus| (operation.kind.clone(), operation.target.clone(), operation.member.clone());
        let decided = told.clone().filter(|decided| written.map(identity) != Some(identity(decided)));
        self.memory.operation.decided = decided.map(Box::new);
        self.facts.operation = told;
    }

    /// Takes or keeps the operation Lease; tells who has it otherwise.
    pub(super) async fn hold_lease(&mut self, kind: Kind, target: &str) -> Result<Option<Fence>, Error> {
        let since = self.facts.operation.as_ref().and_then(|operation| operation.started_at.as_ref()).map(|time| time.0);
        let operation = Operation {
            kind: kind.name.to_owned(),
            target: target.to_owned(),
            started: since.unwrap_or_else(|| whole_seconds(self.ctx.clock.now())),
        };
        match self.ctx.operations.hold(&self.key.namespace, &self.key.name, &operation).await? {
            Holding::Ours { fence, .. } => {
                self.memory.operation.holds_lease = Some(kind.name);
                Ok(Some(fence))
            }
            Holding::Busy { holder, operation } => {
                let what = operation.map_or_else(String::new, |operation| format!(" for {} of {}", operation.kind, operation.target));
                let done = kind.done_to_target;
                self.wait(kind.reason, format!("{target} {done} once {holder} gives the cluster's operation Lease up, held{what}"));
                Ok(None)
            }
        }
    }

    /// Gives the Lease up at a safe point, if it is held for this kind of operation.
    pub(super) async fn release_lease(&mut self, kind: Kind) -> Result<(), Error> {
        if self.memory.operation.holds_lease.is_some_and(|held| kind.covers(held)) {
            self.memory.operation.holds_lease = None;
            self.ctx.operations.release(&self.key.namespace, &self.key.name).await?;
        }
        Ok(())
    }

    /// Whether a statement that cannot be fenced may be sent now.
    pub(super) async fn may_speak(&mut self, fence: &Fence) -> bool {
        self.ctx.operations.is_fresh(&self.key.namespace, &self.key.name, fence).await
    }

    /// Deletes exactly this pod, if the Lease is still ours by a fresh look.
    pub(super) async fn delete_pod(&mut self, pod: &str, uid: &str, fence: &Fence) -> Result<(), Error> {
        self.ctx.operations.check_just_before_act(&self.key.namespace, &self.key.name, fence).await?;
        pods::delete(self.ctx, self.key, pod, uid).await
    }

    /// The failover-watcher asks for the Lease: it is given up at the next safe point.
    pub(super) fn requested_by_watcher(&self) -> Option<String> {
        let failover = self.cluster.status.as_ref()?.failover.as_ref()?;
        let request = failover.requested.as_ref()?;
        Some(format!("the failover-watcher asked to work on {} first ({})", request.target, request.kind))
    }
}
