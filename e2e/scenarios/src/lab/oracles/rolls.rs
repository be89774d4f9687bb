//! Rules about members that a controller stops: each stop is judged by what is so at that moment.

use std::collections::BTreeSet;
use std::time::Duration;

use doris_sim::{BackendStop, FrontendStop, World};
use tokio::time::Instant;

use super::history::History;
use super::{ClusterName, model};
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
        for stop in backends {
            if let Some(cluster) = self.cause(&stop.fqdn, &deletions) {
                broken.extend(backend(&stop, history, &cluster));
            }
        }
        for stop in frontends {
            if let Some(cluster) = self.cause(&stop.fqdn, &deletions) {
                broken.extend(frontend(&stop, history, &cluster));
            }
        }
        broken
    }

    /// The cluster of a member whose pod a controller deleted a while ago.
    fn cause(&mut self, fqdn: &str, deletions: &[(Instant, String)]) -> Option<ClusterName> {
        let pod = fqdn.split('.').next()?;
        let now = Instant::now();
        let is_cause =
            |(number, (at, name)): &(usize, &(Instant, String))| name == pod && now - *at <= GRACE && !self.used.contains(number);
        let (number, _) = deletions.iter().enumerate().rev().find(is_cause)?;
        self.used.insert(number);
        model::cluster_of(fqdn)
    }
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

/// `one-at-a-time`, `keeps-majority` and `master-last`.
fn frontend(stop: &FrontendStop, history: &History, cluster: &ClusterName) -> Vec<String> {
    let mut broken = Vec::new();
    let name = short(&stop.fqdn);
    if !stop.others_down.is_empty() {
        broken.push(format!("one-at-a-time: {name} was stopped while {} did not run", names(&stop.others_down)));
    }
    if stop.followers >= 3 && stop.followers_left * 2 <= stop.followers {
        broken.push(format!("keeps-majority: {name} was stopped, and {} of {} followers were left", stop.followers_left, stop.followers));
    }
    let behind = history.outdated_frontends(cluster, name);
    if stop.master && !behind.is_empty() {
        broken.push(format!("master-last: {name} was master and was stopped before {}", behind.join(", ")));
    }
    broken
}

fn short(fqdn: &str) -> &str {
    fqdn.split('.').next().unwrap_or(fqdn)
}

fn names(fqdns: &[String]) -> String {
    fqdns.iter().map(|fqdn| short(fqdn)).collect::<Vec<_>>().join(", ")
}
