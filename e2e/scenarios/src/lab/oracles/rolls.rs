//! Rules about members that a controller stops: each stop is judged by what is so at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::{Component, names};
use doris_sim::{BackendStop, FrontendFacts, FrontendStop, MemberFacts, ProcessId, World};
use tokio::time::Instant;

use super::history::History;
use super::pods::Turned;
use super::{ClusterName, UNNOTICED, model};
use crate::lab::storm::Storm;

/// A process is told to end this long after its pod was deleted, at most.
const GRACE: Duration = Duration::from_secs(300);

/// Stops that were judged.
#[derive(Debug, Default)]
pub(super) struct Rolls {
    backends: usize,
    frontends: usize,
    /// Deletions that a stop was put down to.
    used: BTreeSet<usize>,
}

/// Whether a process that is told to end worked until then, as far as anybody could tell.
fn worked(members: &[MemberFacts], process: ProcessId, fqdn: &str) -> bool {
    let mut frontends = members.iter().filter_map(MemberFacts::frontend);
    let rows = |fe: &FrontendFacts| fe.says_master && fe.registered.iter().any(|row| row.host == fqdn && row.alive);
    frontends.clone().any(|fe| fe.start.process == process && fe.ready) || frontends.any(rows)
}

impl Rolls {
    /// Judges what was stopped since the last look. Stops that no controller caused are nobody's fault.
    pub fn look(&mut self, world: &World, storm: &Storm, history: &History) -> Vec<String> {
        let (backends, frontends) = world.stops_after(self.backends, self.frontends);
        if backends.is_empty() && frontends.is_empty() {
            return Vec::new();
        }
        self.backends += backends.len();
        self.frontends += frontends.len();
        let deletions = storm.deletions();
        let mut broken = Vec::new();
        let members = world.members();
        // A pod that somebody else took at about the same time is nobody's to judge.
        let is_own = |fqdn: &str, deleted: Instant| !storm.is_taken_since(short(fqdn), deleted.checked_sub(UNNOTICED).unwrap_or(deleted));
        let forgiven = |deleted: Instant| storm.is_disturbed_for(deleted.elapsed() + UNNOTICED);
        let needless = |process: ProcessId, fqdn: &str, cluster: &ClusterName, deleted: Instant| {
            let is_judged = !forgiven(deleted) && worked(&members, process, fqdn);
            is_judged.then(|| needless(history, cluster, short(fqdn), deleted)).flatten()
        };
        for mut stop in backends {
            if let Some((cluster, deleted)) = self.cause(&stop.fqdn, &deletions).filter(|cause| is_own(&stop.fqdn, cause.1)) {
                broken.extend(needless(stop.process, &stop.fqdn, &cluster, deleted));
                if forgiven(deleted) {
                    stop.others_down.clear();
                    // What it alone served may have been elsewhere a moment later.
                    stop.drained |= stop.loads_drained;
                    stop.unreadable.clear();
                }
                stop.others_down.retain(|host| has_worked(&members, host));
                broken.extend(backend(&stop, history, &cluster));
            }
        }
        for mut stop in frontends {
            if let Some((cluster, deleted)) = self.cause(&stop.fqdn, &deletions).filter(|cause| is_own(&stop.fqdn, cause.1)) {
                broken.extend(needless(stop.process, &stop.fqdn, &cluster, deleted));
                if forgiven(deleted) {
                    stop.others_down.clear();
                    stop.followers = 0;
                }
                broken.extend(frontend(&stop, history, &cluster));
            }
        }
        broken
    }

    /// The cluster of a member whose pod a controller deleted a while ago, and when it did.
    fn cause(&mut self, fqdn: &str, deletions: &[(Instant, String)]) -> Option<(ClusterName, Instant)> {
        let pod = fqdn.split('.').next()?;
        let now = Instant::now();
        let is_cause =
            |(number, (at, name)): &(usize, &(Instant, String))| name == pod && now - *at <= GRACE && !self.used.contains(number);
        let (number, (at, _)) = deletions.iter().enumerate().rev().find(is_cause)?;
        self.used.insert(number);
        Some((model::cluster_of(fqdn)?, *at))
    }
}

/// `one-bad-image`: another image is given to a second member of a component once the first one works with it.
pub(super) fn images(storm: &Storm, history: &History) -> Vec<String> {
    let deletions = storm.deletions();
    let is_own = |turned: &&Turned| {
        let is_cause = |(at, name): &&(Instant, String)| *name == turned.pod && *at <= turned.at && turned.at - *at <= GRACE;
        deletions.iter().rev().any(|deletion| is_cause(&deletion))
    };
    let mut waiting: BTreeMap<(&ClusterName, Component, &str), Vec<&str>> = BTreeMap::new();
    for turned in history.pods().turned().filter(is_own) {
        waiting.entry((&turned.cluster, turned.component, &turned.image)).or_default().push(&turned.pod);
    }
    let several = waiting.into_iter().filter(|(_, pods)| pods.len() > 1);
    several
        .map(|((_, _, image), pods)| format!("one-bad-image: {} got {image}, and none of them has worked with it", pods.join(" and ")))
        .collect()
}

/// `restarts-for-a-reason`: a member that works is stopped if its successor will be another pod, or its volume waits for one.
/// What Doris takes while it runs stands in no template.
fn needless(history: &History, cluster: &ClusterName, pod: &str, deleted: Instant) -> Option<String> {
    let since = history.template_since(cluster, pod)?;
    let is_settled = since + UNNOTICED < deleted;
    let (component, ordinal) = names::parse_pod(&cluster.1, pod)?;
    let stays = history.members_wanted(cluster, component).is_some_and(|wanted| ordinal < wanted);
    let is_needless = is_settled && stays && !history.pods().waits_for_another(&cluster.0, pod);
    is_needless.then(|| format!("restarts-for-a-reason: {pod} was stopped, and its successor is made from the same template"))
}

/// `one-at-a-time`, `drained-before`, `tables-stay-readable` and `backups-go-on`.
fn backend(stop: &BackendStop, history: &History, cluster: &ClusterName) -> Vec<String> {
    let mut broken = Vec::new();
    let name = short(&stop.fqdn);
    if !stop.others_down.is_empty() {
        broken.push(format!("one-at-a-time: {name} was stopped while {} did not run", names(&stop.others_down)));
    }
    let may_be_away = history.allows_unavailable_tables(cluster);
    // What only it serves is read from it until it stops.
    let keeps_queries = may_be_away && !stop.unreadable.is_empty() && stop.loads_drained;
    if !stop.drained && !keeps_queries {
        broken.push(format!("drained-before: {name} was stopped while frontends sent work to it"));
    }
    if !stop.unreadable.is_empty() && !may_be_away {
        broken.push(format!("tables-stay-readable: {name} was stopped, and nobody could read {}", stop.unreadable.join(", ")));
    }
    if !stop.snapshots.is_empty() && !history.allows_broken_backups(cluster) {
        broken.push(format!("backups-go-on: {name} was stopped while it had work to do for {}", stop.snapshots.join(", ")));
    }
    broken
}

/// `one-at-a-time`, `keeps-majority`, `whole-while-it-grows` and `master-last`.
fn frontend(stop: &FrontendStop, history: &History, cluster: &ClusterName) -> Vec<String> {
    let mut broken = Vec::new();
    let name = short(&stop.fqdn);
    if !stop.others_down.is_empty() {
        broken.push(format!("one-at-a-time: {name} was stopped while {} did not run", names(&stop.others_down)));
    }
    if stop.followers >= 3 && stop.followers_left * 2 <= stop.followers {
        broken.push(format!("keeps-majority: {name} was stopped, and {} of {} followers were left", stop.followers_left, stop.followers));
    }
    if stop.followers == 2 && history.members_wanted(cluster, Component::Fe).is_some_and(|wanted| wanted > 2) {
        broken.push(format!("whole-while-it-grows: {name} was stopped while the cluster had two followers on its way to more"));
    }
    let behind = history.outdated_frontends(cluster, name);
    if stop.master && !behind.is_empty() {
        broken.push(format!("master-last: {name} was master and was stopped before {}", behind.join(", ")));
    }
    broken
}

/// A backend that was just registered and has never been heard of is not taken away from anybody.
fn has_worked(members: &[MemberFacts], host: &str) -> bool {
    members.iter().filter_map(MemberFacts::backend).any(|backend| backend.fqdn == host && !backend.accepted_cluster_ids.is_empty())
}

fn short(fqdn: &str) -> &str {
    fqdn.split('.').next().unwrap_or(fqdn)
}

fn names(fqdns: &[String]) -> String {
    fqdns.iter().map(|fqdn| short(fqdn)).collect::<Vec<_>>().join(", ")
}
