//! `Ready`, `Reconciling` and `Stalled`, in the way that every GitOps tool reads them.

use doris_api::conditions::{READY, RECONCILING, STALLED, reason};
use doris_api::{Component, DorisCluster};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Facts, Finding, count};

/// Longest message of a condition.
const MAX_MESSAGE: usize = 32_768;
/// Longest text in the `STATUS` column.
const MAX_SUMMARY: usize = 120;

/// Everything the spec asks for is there and alive, and nothing is in the way.
pub fn is_ready(cluster: &DorisCluster, facts: &Facts) -> bool {
    facts.is_fresh
        && facts.waits.is_empty()
        && facts.stalls.is_empty()
        && facts.master.is_some()
        && Component::ALL.into_iter().all(|component| count(cluster, component, &facts.seen).is_complete())
}

/// The text of the `STATUS` column.
pub fn summary(is_ready: bool, facts: &Facts) -> String {
    let text = match (facts.stalls.first(), facts.waits.first()) {
        (Some(stall), _) => format!("Stalled ({}): {}", stall.reason, stall.message),
        (None, _) if is_ready => return "Ready".to_owned(),
        (None, Some(wait)) => format!("{}: {}", wait.reason, wait.message),
        (None, None) => "Waiting for members".to_owned(),
    };
    cut(&text, MAX_SUMMARY)
}

/// The conditions that the cluster-controller owns.
pub fn all(cluster: &DorisCluster, facts: &Facts, old: &[Condition], now: Timestamp) -> Vec<Condition> {
    let is_ready = is_ready(cluster, facts);
    let members = missing_members(cluster, facts);
    let waiting = facts.waits.first().cloned().unwrap_or_else(|| Finding::new(reason::MEMBERS_MISSING, members.clone()));
    let pending = facts.stalls.first().cloned().unwrap_or_else(|| Finding { message: told(&facts.waits, &members), ..waiting.clone() });
    let make = |type_: &str, holds: bool, finding: Finding| {
        let condition = Condition {
            type_: type_.to_owned(),
            status: if holds { "True" } else { "False" }.to_owned(),
            reason: finding.reason.to_owned(),
            message: cut(&finding.message, MAX_MESSAGE),
            observed_generation: cluster.metadata.generation,
            last_transition_time: Time(now),
        };
        keep_transition_time(old, condition)
    };
    let well = || Finding::new(reason::AS_SPECIFIED, running(cluster, facts));
    vec![
        make(READY, is_ready, if is_ready { well() } else { pending.clone() }),
        make(RECONCILING, !is_ready && facts.stalls.is_empty(), if is_ready { well() } else { pending.clone() }),
        make(
            STALLED,
            !facts.stalls.is_empty(),
            if facts.stalls.is_empty() {
                Finding::new(reason::AS_SPECIFIED, "nothing keeps the work from going on")
            } else {
                Finding { message: told(&facts.stalls, ""), ..pending }
            },
        ),
    ]
}

/// A condition that did not change keeps the time of its last change.
fn keep_transition_time(old: &[Condition], mut new: Condition) -> Condition {
    if let Some(before) = old.iter().find(|before| before.type_ == new.type_ && before.status == new.status) {
        new.last_transition_time = before.last_transition_time.clone();
    }
    new
}

fn told(findings: &[Finding], otherwise: &str) -> String {
    if findings.is_empty() {
        return otherwise.to_owned();
    }
    findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ")
}

fn running(cluster: &DorisCluster, facts: &Facts) -> String {
    let counts: Vec<String> = Component::ALL
        .into_iter()
        .map(|component| (component, count(cluster, component, &facts.seen)))
        .filter(|(_, counted)| counted.desired > 0)
        .map(|(component, counted)| format!("{component} {}/{}", counted.alive, counted.desired))
        .collect();
    format!("all members are alive: {}; master is {}", counts.join(", "), facts.master.as_deref().unwrap_or("unknown"))
}

fn missing_members(cluster: &DorisCluster, facts: &Facts) -> String {
    let missing: Vec<String> = Component::ALL
        .into_iter()
        .map(|component| (component, count(cluster, component, &facts.seen)))
        .filter(|(_, counted)| !counted.is_complete())
        .map(|(component, counted)| {
            let excess = if counted.pods > counted.desired {
                format!(", {} pods more than wanted", counted.pods - counted.desired)
            } else {
                String::new()
            };
            format!(
                "{component}: {} of {} registered, {} alive, {} ready{excess}",
                counted.registered, counted.desired, counted.alive, counted.ready
            )
        })
        .collect();
    if missing.is_empty() { "waiting for Doris to be asked".to_owned() } else { format!("waiting for members: {}", missing.join("; ")) }
}

/// Cuts a text at a character boundary and says so.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{kept}…")
}
