//! How the watches fare: what readiness, liveness and a metric say of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::metrics::Metrics;

/// Which watch: what it brings, and from where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchName {
    /// A word from a fixed set, for example `pods`: the label of the metrics.
    pub what: &'static str,
    /// The namespace that is watched; all if `None`.
    pub namespace: Option<String>,
}

impl WatchName {
    /// The watch of a kind in one namespace or in all.
    pub fn new(what: &'static str, namespace: Option<&str>) -> Self {
        Self { what, namespace: namespace.map(str::to_owned) }
    }
}

impl fmt::Display for WatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} of namespace {namespace}", self.what),
            None => f.write_str(self.what),
        }
    }
}

/// A watch that brought nothing but errors since a time.
#[derive(Clone, Debug)]
struct Failing {
    since: Instant,
    error: String,
}

/// How the watches fare. The process is not ready while one has been failing for half a minute,
/// and its liveness ends after ten minutes. Clones are the same record.
#[derive(Clone)]
pub struct WatchHealth {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    failing: Arc<Mutex<BTreeMap<WatchName, Failing>>>,
}

impl WatchHealth {
    /// A server that restarts is no news.
    const READY_PATIENCE: Duration = Duration::from_secs(30);
    const LIVE_PATIENCE: Duration = Duration::from_mins(10);

    /// All is well at first.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { clock, metrics, failing: Arc::default() }
    }

    /// The watches that have brought nothing but errors for half a minute: what this process sees of them is old.
    pub fn stale(&self) -> Vec<String> {
        self.failing_for(Self::READY_PATIENCE)
    }

    /// The watches that brought nothing but errors for so long that a new process is worth a try.
    pub fn dead(&self) -> Vec<String> {
        self.failing_for(Self::LIVE_PATIENCE)
    }

    fn failing_for(&self, patience: Duration) -> Vec<String> {
        let now = self.clock.instant();
        let told = |(name, failing): (&WatchName, &Failing)| {
            let lasts = now.duration_since(failing.since);
            (lasts >= patience).then(|| format!("{name} (for {} s: {})", lasts.as_secs(), failing.error))
        };
        self.lock().iter().filter_map(told).collect()
    }

    pub(super) fn well(&self, watch: &WatchName) {
        let mut failing = self.lock();
        if failing.remove(watch).is_some() {
            tracing::info!(%watch, "a watch goes on");
            self.count(&failing, watch.what);
        }
    }

    pub(super) fn failed(&self, watch: &WatchName, error: String) {
        self.metrics.watch_failed(watch.what);
        tracing::warn!(%watch, error, "a watch failed and is tried again");
        let now = self.clock.instant();
        let mut failing = self.lock();
        failing.entry(watch.clone()).or_insert_with(|| Failing { since: now, error: String::new() }).error = error;
        self.count(&failing, watch.what);
    }

    fn count(&self, failing: &BTreeMap<WatchName, Failing>, what: &'static str) {
        let count = failing.keys().filter(|name| name.what == what).count();
        self.metrics.watches_failing(what, i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Every change under the lock is a single call, so a panic elsewhere leaves the record whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WatchName, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
