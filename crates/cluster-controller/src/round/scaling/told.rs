//! The record of a scale in, and what people are told of it.

use std::collections::BTreeSet;

use controller_kit::clock::whole_seconds;
use controller_kit::events::Severity;
use doris_api::Component;
use doris_api::cluster::{MemberUnderWork, OperationStatus};
use doris_api::conditions::reason;
use doris_safety::Refusal;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::Round;
use super::KIND;
use super::progress::{Progress, counts_tablets};
use crate::plan::scaling::{Focus, Leaver, Outcome, Record, Step};

/// What an operation's status says of who leaves; nothing if nobody was begun with.
pub(super) fn record_of(operation: &OperationStatus) -> Option<Record> {
    let member = operation.member.as_ref()?;
    let targets = operation.target.split(',').map(|pod| pod.trim().to_owned()).filter(|pod| !pod.is_empty()).collect();
    let since = member.since.as_ref().map_or(Timestamp::UNIX_EPOCH, |since| since.0);
    let restarts = member.restarts.unwrap_or(0);
    Some(Record { targets, focus: Some(Focus { pod: member.pod.clone(), uid: member.uid.clone(), since, restarts }) })
}

/// Backends that leave and are still registered.
pub(super) fn backends_of(leavers: &[Leaver]) -> String {
    let backends = leavers.iter().filter(|leaver| leaver.component == Component::Be && leaver.row.is_some());
    backends.map(|leaver| leaver.pod.as_str()).collect::<Vec<_>>().join(", ")
}

/// A refusal as a person reads it.
pub(super) fn sentence(refusal: &Refusal, who: &str) -> String {
    let all: Vec<String> = refusal.blocked.iter().map(ToString::to_string).collect();
    format!("ScaleIn of {who} is blocked by {}", all.join("; "))
}

fn text(targets: &BTreeSet<String>) -> String {
    targets.iter().rev().map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl Round<'_> {
    /// What the status tells of the operation after this step; nothing once it is over.
    pub(super) fn told_scale_in(
        &self,
        before: Option<OperationStatus>,
        leavers: &[Leaver],
        outcome: &Outcome,
        progress: &Progress,
        refusal: Option<&Refusal>,
    ) -> Option<OperationStatus> {
        let now = Time(whole_seconds(self.ctx.clock.now()));
        let blank = OperationStatus { kind: KIND.name.to_owned(), started_at: Some(now), ..OperationStatus::default() };
        let mut operation = match (&outcome.step, before) {
            (Step::Rest | Step::Done, _) => return None,
            (Step::Begin { .. }, before) => before.unwrap_or(blank),
            (_, Some(before)) => before,
            // Nobody has begun: what is in the way is told, and gone when it is not.
            (_, None) => OperationStatus { target: leavers.iter().map(|l| l.pod.as_str()).collect::<Vec<_>>().join(", "), ..blank },
        };
        if let Step::Begin { targets, focus } = &outcome.step {
            operation.target = text(targets);
            operation.member = Some(MemberUnderWork {
                pod: focus.pod.clone(),
                uid: focus.uid.clone(),
                since: Some(Time(whole_seconds(focus.since))),
                restarts: (focus.restarts > 0).then_some(focus.restarts),
                reason: "the spec asks for fewer".to_owned(),
                ..MemberUnderWork::default()
            });
        }
        let was_of_tablets = counts_tablets(&operation);
        if let Some(words) = words(outcome) {
            operation.step = words;
        }
        operation.blocked_by = refusal.map(Refusal::status).unwrap_or_default();
        count(&mut operation, leavers, progress, was_of_tablets);
        Some(operation)
    }

    /// Tells what the plan waits for, and what a person has to look at.
    pub(super) fn tell_scale_in(&mut self, outcome: &Outcome, leavers: &[Leaver], operation: Option<&OperationStatus>, is_blocked: bool) {
        let why = if is_blocked { reason::BLOCKED } else { reason::SCALING };
        for sentence in &outcome.told {
            self.wait(why, sentence.clone());
        }
        if let Some(sentence) = &outcome.stopped {
            self.stall(reason::SCALE_IN_STOPPED, sentence.clone());
        }
        if outcome.told.is_empty()
            && let Some(sentence) = words(outcome)
        {
            self.wait(reason::SCALING, sentence);
        }
        let limit = SignedDuration::from_secs(i64::from(self.cluster.spec.scale_in.timeout_seconds));
        let since = operation.and_then(|operation| operation.started_at.as_ref()).map(|time| time.0);
        let Some(since) = since.filter(|since| self.ctx.clock.now().duration_since(*since) >= limit) else { return };
        let names = leavers.iter().map(|leaver| leaver.pod.as_str()).collect::<Vec<_>>().join(", ");
        let what = outcome.told.first().cloned().or_else(|| words(outcome)).unwrap_or_default();
        self.stall(
            reason::SCALE_IN_STOPPED,
            format!(
                "{names} should have left within {} s (scaleIn.timeoutSeconds), and have not since {since}: {what}. It goes on; the former number \
                 of replicas stops it",
                limit.as_secs()
            ),
        );
    }

    /// Tells a refusal by an Event and a number, once for each.
    pub(super) async fn tell_scale_refusal(&mut self, refusal: Option<&Refusal>, who: &str) {
        let key =
            refusal.map(|refusal| refusal.blocked.iter().map(|one| format!("{} {}", one.rule, one.object)).collect::<Vec<_>>().join(", "));
        if self.memory.scaling.told == key {
            return;
        }
        self.memory.scaling.told = key;
        let Some(refusal) = refusal else { return };
        self.ctx.safety.refused(&refusal.blocked.iter().map(|blocked| blocked.rule).collect());
        self.announce(Severity::Warning, reason::BLOCKED, KIND.name, sentence(refusal, who)).await;
    }
}

/// How far it is: members, or tablets while backends are emptied.
fn count(operation: &mut OperationStatus, leavers: &[Leaver], progress: &Progress, was_of_tablets: bool) {
    let number = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    operation.estimated_completion = progress.estimate.map(Time);
    if let Some(left) = progress.left {
        operation.total = Some(number(progress.total));
        operation.done = Some(number(progress.total.saturating_sub(left)));
        return;
    }
    let left = i32::try_from(leavers.len()).unwrap_or(i32::MAX);
    let total = operation.total.filter(|_| !was_of_tablets).unwrap_or(0).max(left);
    operation.total = Some(total);
    operation.done = Some(total - left);
}

/// What a step is, where it is no wait.
pub(super) fn words(outcome: &Outcome) -> Option<String> {
    let pods = |hosts: &[String]| hosts.iter().map(|host| host.split('.').next().unwrap_or(host)).collect::<Vec<_>>().join(", ");
    Some(match &outcome.step {
        Step::Rest | Step::Done => return None,
        Step::Wait => return outcome.told.last().or(outcome.stopped.as_ref()).cloned(),
        Step::Begin { focus, .. } => format!("it is the turn of {}", focus.pod),
        Step::Cancel { hosts } => format!("{} stay: they are no longer emptied", pods(hosts)),
        Step::Undrain { host } => format!("{} stays: queries and loads come to it again", pods(std::slice::from_ref(host))),
        Step::Serve { pod } => format!("{pod} stays: clients are sent to it again"),
        Step::Decommission { hosts } => format!("begins to empty {}", pods(hosts)),
        Step::Drain { hosts } => format!("keeps queries and loads away from {}", pods(hosts)),
        Step::StopServing { pod } => format!("sends clients to other frontends than {pod}"),
        Step::RestartMaster { pod, .. } => format!("restarts {pod}, so that a frontend that stays becomes master"),
        Step::DropFrontend { pod, .. } => format!("takes {pod} out of the frontends' group"),
        Step::DropRow { host, .. } => format!("takes {} out of Doris", pods(std::slice::from_ref(host))),
        Step::Mark { pods } => format!("notes on the volumes of {} what becomes of them", pods.join(", ")),
        Step::Forget { hosts } => format!("strikes {} off the identity", pods(hosts)),
        Step::Lower { component, to } => format!("lets {component} have {to} pods"),
        Step::Discard { claim, .. } => format!("deletes the volume claim {claim}"),
    })
}
