//! What users got: queries and loads, second by second.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::asked::Registration;
use super::watch::{BackendDrop, BackendStop, Crossing, FrontendStop, SettingChange};
use crate::world::World;

/// What a user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A query on stored or external data.
    Query,
    /// A load.
    Load,
}

/// What ended within one second, in one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Queries that succeeded.
    pub queries: u64,
    /// Queries that failed.
    pub failed_queries: u64,
    /// Loads that succeeded.
    pub loads: u64,
    /// Loads that failed or were refused.
    pub failed_loads: u64,
}

/// A cluster's seconds by seconds since 1970; those without any work are absent.
pub type Traffic = BTreeMap<i64, Second>;

/// Something that a user did not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it ended, in the world's milliseconds since 1970.
    pub at_ms: i64,
    /// Cluster; 0 if none could be told.
    pub cluster_id: u32,
    /// What was asked for.
    pub work: Work,
    /// Account.
    pub user: String,
    /// `database.table`, or what else was read.
    pub table: String,
    /// What the user was told.
    pub reason: String,
}

/// Everything that was seen happening.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    traffic: BTreeMap<u32, Traffic>,
    failures: Vec<Failure>,
    pub backend_stops: Vec<BackendStop>,
    pub frontend_stops: Vec<FrontendStop>,
    pub drops: Vec<BackendDrop>,
    pub crossings: Vec<Crossing>,
    pub settings: Vec<SettingChange>,
    pub registrations: Vec<Registration>,
}

impl World {
    /// Notes how a user's work ended; `entry` is the address that it was asked of.
    pub(crate) fn note_work(&self, entry: IpAddr, work: Work, user: &str, table: &str, reason: Option<String>) {
        let mut state = self.state();
        let (at_ms, cluster_id) = (state.clock.now_ms(), super::cluster_at(&state, entry));
        let traffic = state.ledger.traffic.entry(cluster_id).or_default();
        let second = traffic.entry(at_ms.div_euclid(1000)).or_default();
        let count = match (work, reason.is_some()) {
            (Work::Query, false) => &mut second.queries,
            (Work::Query, true) => &mut second.failed_queries,
            (Work::Load, false) => &mut second.loads,
            (Work::Load, true) => &mut second.failed_loads,
        };
        *count += 1;
        if let Some(reason) = reason {
            let failure = Failure { at_ms, cluster_id, work, user: user.to_owned(), table: table.to_owned(), reason };
            state.ledger.failures.push(failure);
        }
    }

    /// What users got of a cluster, second by second.
    pub fn traffic(&self, cluster_id: u32) -> Traffic {
        self.state().ledger.traffic.get(&cluster_id).cloned().unwrap_or_default()
    }

    /// What users got of all clusters together since a moment in the world's milliseconds since 1970.
    pub fn served_since(&self, from_ms: i64) -> Second {
        let state = self.state();
        let seconds = state.ledger.traffic.values().flat_map(|traffic| traffic.range(from_ms.div_euclid(1000)..));
        seconds.fold(Second::default(), |sum, (_, second)| Second {
            queries: sum.queries + second.queries,
            failed_queries: sum.failed_queries + second.failed_queries,
            loads: sum.loads + second.loads,
            failed_loads: sum.failed_loads + second.failed_loads,
        })
    }

    /// Everything that a user did not get, in order.
    pub fn failures(&self) -> Vec<Failure> {
        self.state().ledger.failures.clone()
    }
}
