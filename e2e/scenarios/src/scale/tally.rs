//! Requests, counted by what they do to what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube_sim::Audit;

/// How often each verb was sent to each resource.
pub type Counts = BTreeMap<(String, String), u64>;

/// A running count.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

impl Tally {
    /// Counts a request of a client that came over the network.
    pub fn count(&self, audit: &Audit) {
        if !audit.client.is_empty() || audit.resource.is_empty() {
            return;
        }
        let key = (audit.verb.to_owned(), audit.resource.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What was counted between two moments.
pub fn between(before: &Counts, after: &Counts) -> Counts {
    let counts = after.iter().map(|(key, count)| (key.clone(), count - before.get(key).unwrap_or(&0)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Whether a verb changes something.
pub fn is_write(verb: &str) -> bool {
    ["create", "update", "patch", "delete", "deletecollection"].contains(&verb)
}

/// Writes for the clusters, reads for them, and requests about Leases, which are the process' own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Writes.
    pub writes: u64,
    /// Reads; watches and lists are what a process starts with.
    pub reads: u64,
    /// Requests about Leases.
    pub leases: u64,
}

/// Sums up.
pub fn totals(counts: &Counts) -> Totals {
    let mut totals = Totals::default();
    for ((verb, resource), count) in counts {
        let part = if resource == "leases" {
            &mut totals.leases
        } else if is_write(verb) {
            &mut totals.writes
        } else {
            &mut totals.reads
        };
        *part += count;
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::{Counts, Totals, between, totals};

    fn counts(list: &[(&str, &str, u64)]) -> Counts {
        list.iter().map(|(verb, resource, count)| (((*verb).to_owned(), (*resource).to_owned()), *count)).collect()
    }

    #[test]
    fn leases_are_no_clusters_writes() {
        let counted = counts(&[("patch", "pods", 3), ("get", "secrets", 2), ("update", "leases", 5), ("create", "events", 1)]);
        assert_eq!(totals(&counted), Totals { writes: 4, reads: 2, leases: 5 });
    }

    #[test]
    fn only_what_came_in_between_counts() {
        let (before, after) = (counts(&[("patch", "pods", 3), ("get", "pods", 1)]), counts(&[("patch", "pods", 5), ("get", "pods", 1)]));
        assert_eq!(between(&before, &after), counts(&[("patch", "pods", 2)]));
    }
}
