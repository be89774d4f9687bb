//! Scaling in: what the plan needs is gathered here, and its one step is carried out.

mod carry;
mod gather;
mod judge;
mod progress;
mod told;
mod volumes;

use std::collections::{BTreeMap, VecDeque};

use doris_api::Component;
use doris_api::cluster::OperationStatus;
use doris_api::conditions::reason;
use doris_client::Session;
use jiff::SignedDuration;
use tokio::time::Instant;

pub(super) use volumes::ClaimView;

use super::Round;
use super::operation::{Kind, UPGRADE, may_be_helped};
use crate::act::identity::Stored;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::scaling::{Admission, Focus, Leaver, Limits, Record, Scene, plan};

/// What this operation is called.
pub(super) const KIND: Kind = Kind { name: "ScaleIn", reason: reason::SCALING, done_to_target: "leaves" };

/// Between two changes of the frontends' group: more than one heartbeat of every version.
const BETWEEN_DROPS: SignedDuration = SignedDuration::from_secs(15);

/// What is remembered of a scale in between two rounds. It only spares work, and tells how fast it goes.
#[derive(Debug, Default)]
pub struct ScaleMemory {
    /// Pods that a set is to have from now on: until it is sent.
    pub(super) lowered: BTreeMap<Component, i32>,
    /// What backends that are to leave were told, what that was decided on, and until when it holds.
    admission: Option<(u64, Instant, judge::Verdict)>,
    /// Since when backends that leave are empty.
    empty_since: BTreeMap<u64, Instant>,
    /// Whether Doris drops backends that it has emptied, and when that was asked.
    drops_by_itself: Option<(Instant, bool)>,
    /// Loads and exports under way, and when that was asked.
    loads: Option<(Instant, u64)>,
    /// Tablets on the backends that leave, over the last minutes.
    samples: VecDeque<(Instant, u64)>,
    /// The fewest tablets so far, and since when it is that many.
    fewest: Option<(u64, Instant)>,
    /// Why nothing moves, and when that was asked.
    stall: Option<(Instant, String)>,
    /// What an Event told last.
    told: Option<String>,
}

impl Round<'_> {
    /// One step of a scale in, if one is due.
    pub(super) async fn scale_in(&mut self, doris: &Doris, session: &mut Session, stored: &Stored) -> Result<(), Error> {
        self.free_claims_in_use().await?;
        let operation = self.operation(KIND);
        let record = operation.as_ref().and_then(told::record_of);
        let mut leavers = self.leavers(doris, record.as_ref());
        self.leaving = leavers.iter().map(|leaver| leaver.component).collect();
        if leavers.is_empty() && operation.is_none() {
            self.memory.scaling = ScaleMemory::default();
            return Ok(());
        }
        if let Some(other) = self.other_operation(KIND).filter(|other| !(may_be_helped(other) && leavers.iter().all(Leaver::is_down))) {
            self.wait_for_others(&other, &leavers);
            return Ok(());
        }
        self.ask_leavers(doris, session, &mut leavers).await?;
        let stayers = self.stayers(doris, record.as_ref());
        let sets = self.sets();
        let limits = self.scale_limits();
        let now = self.ctx.clock.now();
        let progress = self.progress(session, operation.as_ref(), &leavers).await?;
        let mut scene = Scene {
            leavers: &leavers,
            stayers: &stayers,
            sets: &sets,
            record: record.as_ref(),
            backends: Admission::Free,
            followers: doris.frontends.iter().filter(|row| row.role == doris_client::FrontendRole::Follower).count(),
            one_follower_is_safe: self.one_follower_is_safe(),
            one_follower_is_meant: self.one_follower_is_meant(),
            progress: progress.sentence.clone(),
            limits: &limits,
            now,
        };
        let blocked = self.admit_backends(doris, session, &leavers, limits.held_by.is_some()).await?;
        if let Some(refusal) = &blocked {
            scene.backends = Admission::Blocked(told::sentence(refusal, &told::backends_of(&leavers)));
        }
        let outcome = plan(&scene);
        tracing::debug!(cluster = self.key.name, step = ?outcome.step, "scale in");
        let act = carry::Act { doris, stored, leavers: &leavers, record: record.as_ref(), progress: &progress };
        self.carry_out_scale_in(session, &act, outcome, operation, blocked).await
    }

    /// Nobody leaves while another operation works on the cluster: who waits, for what, and what that waits for.
    fn wait_for_others(&mut self, other: &OperationStatus, leavers: &[Leaver]) {
        let names: Vec<&str> = leavers.iter().map(|leaver| leaver.pod.as_str()).collect();
        if names.is_empty() {
            return;
        }
        let (names, verb) = (names.join(", "), if names.len() == 1 { "leaves" } else { "leave" });
        let begin = match self.upgrade_under_way().map(|upgrade| upgrade.to.clone()).filter(|_| other.kind == UPGRADE) {
            Some(to) => format!(
                "{names} {verb} once the upgrade to {to} is done, for until then tablets stay where they are; before that only members leave \
                 that do not work"
            ),
            None => format!("{names} {verb} once {} of {} is done", other.kind, other.target),
        };
        let step = if other.step.is_empty() { String::new() } else { format!("; it is at this: {}", other.step) };
        self.wait(reason::SCALING, format!("{begin}{step}"));
    }

    fn scale_limits(&self) -> Limits {
        Limits {
            drain: SignedDuration::from_secs(i64::from(self.cluster.spec.update.timeouts.drain_seconds)),
            between_drops: BETWEEN_DROPS,
            held_by: self.requested_by_watcher(),
        }
    }

    /// Whether the server's status names all of these: only then may anything be done to them.
    fn is_recorded(&self, record: Option<&Record>) -> bool {
        let written = self.cluster.status.as_ref().and_then(|status| status.operation.as_ref());
        let written = written.filter(|operation| operation.kind == KIND.name).and_then(told::record_of);
        let named = |record: &Record| (record.targets.clone(), record.focus.as_ref().map(focus_of));
        matches!((written, record), (Some(written), Some(record)) if named(&written) == named(record))
    }

    /// Whether a registered host is a member of ours that leaves: its pod, its set or the identity knows it.
    pub(super) fn leaves(&self, host: &str) -> bool {
        let Some((component, ordinal)) = self.member_of(host) else { return false };
        let has_slot = self.sets().get(&component).is_some_and(|set| ordinal < set.pods);
        let record = self.operation(KIND).as_ref().and_then(told::record_of);
        let is_target = record.is_some_and(|record| record.targets.contains(&doris_api::names::pod(&self.key.name, component, ordinal)));
        has_slot || is_target || self.pod_by_fqdn(host).is_some() || self.known_hosts().contains(host)
    }
}

fn focus_of(focus: &Focus) -> (String, String, i32) {
    (focus.pod.clone(), focus.uid.clone(), focus.restarts)
}
