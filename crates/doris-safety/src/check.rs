//! Asking all rules.

use doris_api::cluster::UnavailableTables;
use doris_api::rules::SafetyRule;
use jiff::Timestamp;

use crate::blocked::{Blocked, Refusal};
use crate::observed::{Backend, Observed};
use crate::overrides::{Override, OverrideUse};
use crate::rules;
use crate::step::{FrontendRole, Step};
use crate::text::short;

/// What a person has said.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The operation that the step belongs to, with its start: the same step of another one is another step.
    pub operation: &'a str,
    /// `spec.update.unavailableTables`.
    pub unavailable_tables: UnavailableTables,
    /// Overrides in force.
    pub overrides: &'a [Override],
    /// Overrides that were used before.
    pub used: &'a [OverrideUse],
    /// The time.
    pub now: Timestamp,
}

/// A step that may be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Overrides without which it might not: to be recorded before it is done.
    pub used: Vec<OverrideUse>,
    /// What they overrode, to be reported.
    pub overridden: Vec<Blocked>,
}

/// The rules that a step has to pass, in the order of [`SafetyRule::ALL`].
pub fn applicable(step: &Step) -> Vec<SafetyRule> {
    use SafetyRule as R;
    let own: &[SafetyRule] = match step {
        Step::RestartFrontend { .. } => &[R::FeQuorum, R::MasterLast, R::NoReturn],
        Step::RestartBackends { .. } => &[R::ServeReplica, R::LoadQuorum, R::TabletHealth, R::BackupIdle],
        Step::AddFrontend { .. } | Step::DeleteFrontendClaim { .. } => &[R::FeQuorum],
        Step::DropFrontend { .. } => &[R::FeQuorum, R::MasterLast],
        Step::DecommissionBackends { .. } => &[R::DecommissionFeasible, R::BackupIdle],
        Step::DropBackend { .. } => &[R::KeepReplica, R::LoadQuorum, R::BackupIdle],
        Step::DropComputeNode { .. } => &[R::KeepReplica],
        Step::RemovePod { .. } => &[R::FeQuorum, R::KeepReplica],
        Step::DeleteBackendClaim { .. } => &[R::KeepReplica, R::BackupIdle],
        Step::ChangeVersion { .. } => &[R::BackupIdle, R::VersionPath],
        Step::Suspend => &[R::BackupIdle],
    };
    let everywhere = [R::OneAtATime, R::Fresh];
    SafetyRule::ALL.into_iter().filter(|rule| own.contains(rule) || everywhere.contains(rule)).collect()
}

/// Whether a step may be done now. Every rule that is against it is heard.
pub fn check(observed: &Observed, step: &Step, terms: &Terms<'_>) -> Result<Passed, Refusal> {
    let named = format!("{} {step}", terms.operation);
    let mut passed = Passed::default();
    let mut refused = Vec::new();
    for rule in applicable(step) {
        if is_accepted(rule, step, terms) {
            continue;
        }
        let over = terms.overrides.iter().find(|one| one.rule == rule && one.applies(&named, terms.used, terms.now));
        for blocked in rules::judge(rule, observed, step) {
            match over {
                Some(over) if blocked.hard.is_none() => {
                    let record = over.used_for(&named, terms.now);
                    if !passed.used.contains(&record) {
                        passed.used.push(record);
                    }
                    passed.overridden.push(blocked);
                }
                // Two questions of one rule can want the same thing that was not read.
                _ if refused.contains(&blocked) => {}
                _ => refused.push(blocked),
            }
        }
    }
    if refused.is_empty() { Ok(passed) } else { Err(Refusal { blocked: refused }) }
}

/// Whether the spec accepts what a rule would refuse: tables that are away during a restart.
fn is_accepted(rule: SafetyRule, step: &Step, terms: &Terms<'_>) -> bool {
    matches!(step, Step::RestartBackends { .. })
        && matches!(rule, SafetyRule::ServeReplica | SafetyRule::LoadQuorum)
        && terms.unavailable_tables == UnavailableTables::Allow
}

/// What clients will notice of a step although it may be done, as sentences without a full stop.
pub fn consequences(observed: &Observed, step: &Step) -> Vec<String> {
    let mut sentences = rules::unavailable(observed, step);
    if let (Step::RestartFrontend { host, .. }, Some(frontends)) = (step, &observed.frontends) {
        let is_master = frontends.master.as_ref().is_ok_and(|master| master.host == *host);
        let is_follower = frontends.find(host).is_some_and(|member| member.role == FrontendRole::Follower);
        let name = short(host);
        sentences.extend(match frontends.followers().count() {
            1 if is_follower => Some(format!("nobody can connect until {name} is back, for it is the only follower")),
            2 if is_follower => Some(format!("nothing can be written until {name} is back, for two followers need each other")),
            _ if is_master => Some(format!("nothing can be written for some seconds, until another frontend than {name} is elected")),
            _ => None,
        });
    }
    sentences
}

/// Whether backends go in a step that nobody else can answer for: queries are then not kept away from
/// them before they go, for every one of those would fail at once.
pub fn sole_server(observed: &Observed, step: &Step) -> bool {
    rules::sole_server(observed, step)
}

/// What keeps tablets on backends that are being emptied, as far as rules tell.
pub fn stalls(observed: &Observed, step: &Step) -> Vec<Blocked> {
    rules::judge(SafetyRule::DecommissionFeasible, observed, step)
}

/// How many backends go in a step or are not well anyway. [`crate::TabletMap::needs_placing`] tells
/// with it which partitions have to be looked into before the step can be judged.
pub fn away(backends: &[Backend], step: &Step) -> usize {
    rules::away(backends, step)
}
