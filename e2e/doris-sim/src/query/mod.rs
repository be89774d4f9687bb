//! Queries: planned by a frontend, run on backends, planned again when one of them goes.

mod plan;
mod run;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use run::run;

use crate::fe::Fe;

/// What is known of a query before it is planned.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub source: Data,
    /// How long it runs; `None` takes the usual time.
    pub duration: Option<Duration>,
    /// Rows go out while it runs, not only at its end.
    pub streams: bool,
}

/// Where a query's data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// It has none.
    Nowhere,
    Table {
        database: u64,
        table: u64,
    },
    /// Another system's.
    External,
}

/// A backend that a frontend does not use for a while.
#[derive(Clone, Debug)]
struct Banned {
    until: Instant,
    reason: String,
}

/// What one frontend process does for its clients; in its memory alone.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    banned: BTreeMap<u64, Banned>,
    /// Queries that run now.
    pub running: usize,
    pub failed: u64,
    /// Turns the choice of replicas.
    turn: usize,
}

/// A frontend leaves a backend alone for this long where no setting says otherwise.
const BLACKLIST_SECONDS: u64 = 120;

impl Fe {
    /// Remembers that a call to a backend failed.
    fn ban(&mut self, backend: u64, reason: &str) {
        if self.settings.flag("disable_backend_black_list") {
            return;
        }
        let configured = self.settings.key("blacklist_duration_second").map(|_| self.settings.number("blacklist_duration_second"));
        let until = Instant::now() + Duration::from_secs(configured.unwrap_or(BLACKLIST_SECONDS));
        self.workload.banned.insert(backend, Banned { until, reason: reason.to_owned() });
    }

    /// Why a backend gets no part of a query, if it gets none.
    fn unfit(&self, backend: u64) -> Option<String> {
        let Some(row) = self.catalog.backends.get(&backend) else { return Some("not exist".to_owned()) };
        // What a heartbeat says of stopping counts from 2.1 on; older backends never say it.
        let fact = row.unfit_for_queries().map(str::to_owned);
        let banned = || self.workload.banned.get(&backend).filter(|banned| banned.until > Instant::now());
        fact.or_else(|| banned().map(|banned| format!("in black list({})", banned.reason)))
    }
}
