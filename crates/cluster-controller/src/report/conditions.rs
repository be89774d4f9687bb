//! `Ready`, `Reconciling` and `Stalled`, in the way that every GitOps tool reads them.

use controller_kit::conditions::{Conditions, Progress, Truth};
use doris_api::conditions::{SUSPENDED, reason};
use doris_api::{Component, DorisCluster};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Facts, Finding, count};
use crate::plan::upgrade::{Course, course};
use crate::release;

/// Longest text in the `STATUS` column.
const MAX_SUMMARY: usize = 120;

/// What is so of a cluster that is suspended.
const STOPPED: &str = "every member is stopped; volumes, identity and Services are kept. Set spec.suspend to false to start them again; what was \
                       changed in the spec meanwhile (version, configuration, replicas, volumes) takes effect then";

/// Everything the spec asks for is there and alive, and nothing is in the way.
pub fn is_ready(cluster: &DorisCluster, facts: &Facts) -> bool {
    facts.is_fresh
        && facts.waits.is_empty()
        && facts.stalls.is_empty()
        && facts.master.is_some()
        && runs_what_is_wanted(cluster, facts)
        && Component::ALL.into_iter().all(|component| count(cluster, component, &facts.seen).is_complete())
}

/// No other build is wanted than the one that runs, and no upgrade is under way.
fn runs_what_is_wanted(cluster: &DorisCluster, facts: &Facts) -> bool {
    let Some(release) = facts.identity.as_ref().and_then(|identity| identity.release.as_ref()) else { return true };
    release::wanted(&cluster.spec).is_ok_and(|wanted| course(release, &wanted) == Course::Settled)
}

/// The text of the `STATUS` column.
pub fn summary(is_ready: bool, facts: &Facts) -> String {
    if facts.suspended == Some(true) && facts.stalls.is_empty() {
        return "Suspended".to_owned();
    }
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
    let mut conditions = Conditions::new(old, cluster.metadata.generation, now);
    conditions.set_progress(&progress(cluster, facts));
    match facts.suspended {
        Some(true) => {
            conditions.set(SUSPENDED, Truth::True, reason::SUSPENDED, STOPPED);
        }
        Some(false) => {
            conditions.set(SUSPENDED, Truth::False, reason::SUSPENDING, told(&facts.waits));
        }
        None => {}
    }
    conditions.finish()
}

fn progress(cluster: &DorisCluster, facts: &Facts) -> Progress {
    if let Some(stall) = facts.stalls.first() {
        return Progress::Stalled { reason: stall.reason, message: told(&facts.stalls) };
    }
    if facts.suspended == Some(true) {
        return Progress::Resting { reason: reason::SUSPENDED, message: STOPPED.to_owned() };
    }
    if is_ready(cluster, facts) {
        return Progress::Ready { message: running(cluster, facts) };
    }
    match facts.waits.first() {
        Some(wait) => Progress::Reconciling { reason: wait.reason, message: told(&facts.waits) },
        None => Progress::Reconciling { reason: reason::MEMBERS_MISSING, message: missing_members(cluster, facts) },
    }
}

fn told(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ")
}

fn running(cluster: &DorisCluster, facts: &Facts) -> String {
    let counts: Vec<String> = Component::ALL
        .into_iter()
        .map(|component| (component, count(cluster, component, &facts.seen)))
        .filter(|(_, counted)| counted.desired > 0)
        .map(|(component, counted)| format!("{component} {}/{}", counted.alive, counted.desired))
        .collect();
    let unknown: Vec<String> = facts.unknown.iter().map(|member| format!("{} {}:{}", member.component, member.host, member.port)).collect();
    let unknown = if unknown.is_empty() { String::new() } else { format!("; registered, and asked for by nobody: {}", unknown.join(", ")) };
    format!("all members are alive: {}; master is {}{unknown}", counts.join(", "), facts.master.as_deref().unwrap_or("unknown"))
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
