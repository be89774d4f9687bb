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
/// and its liveness ends after ten minutes. A watch of one namespace among several counts only when
/// that of every other one fails as well: a tenant that gives us no rights is nobody else's trouble.
/// Clones are the same record.
#[derive(Clone)]
pub struct WatchHealth {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Every watch that told of itself; `None` for one that is well.
    watches: Arc<Mutex<BTreeMap<WatchName, Option<Failing>>>>,
}

impl WatchHealth {
    /// A server that restarts is no news.
    const READY_PATIENCE: Duration = Duration::from_secs(30);
    const LIVE_PATIENCE: Duration = Duration::from_mins(10);

    /// All is well at first.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { clock, metrics, watches: Arc::default() }
    }

    /// The watches that have brought nothing but errors for half a minute: what this process sees of them is old.
    pub fn stale(&self) -> Vec<String> {
        self.failing_for(Self::READY_PATIENCE)
    }

    /// The watches that brought nothing but errors for so long that a new process is worth a try.
    pub fn dead(&self) -> Vec<String> {
        self.failing_for(Self::LIVE_PATIENCE)
    }

    /// Whether the last thing that some watch of this namespace brought was an error.
    pub fn is_failing_in(&self, namespace: &str) -> bool {
        self.lock().iter().any(|(name, failing)| name.namespace.as_deref() == Some(namespace) && failing.is_some())
    }

    /// A namespace is not watched any more.
    pub fn forget(&self, namespace: &str) {
        let mut watches = self.lock();
        let mut kinds: Vec<&'static str> = watches.keys().map(|name| name.what).collect();
        kinds.dedup();
        watches.retain(|name, _| name.namespace.as_deref() != Some(namespace));
        for what in kinds {
            self.count(&watches, what);
        }
    }

    fn failing_for(&self, patience: Duration) -> Vec<String> {
        let now = self.clock.instant();
        let watches = self.lock();
        let lasts = |failing: &Option<Failing>| failing.as_ref().map(|failing| now.duration_since(failing.since)).unwrap_or_default();
        let has_well_neighbours = |name: &WatchName| {
            let others = watches.iter().filter(|(other, _)| other.what == name.what && other.namespace.is_some());
            name.namespace.is_some() && others.into_iter().any(|(_, failing)| lasts(failing) < patience)
        };
        let told = |(name, failing): (&WatchName, &Option<Failing>)| {
            let (failing, lasts) = (failing.as_ref()?, lasts(failing));
            let counts = lasts >= patience && !has_well_neighbours(name);
            counts.then(|| format!("{name} (for {} s: {})", lasts.as_secs(), failing.error))
        };
        watches.iter().filter_map(told).collect()
    }

    pub(super) fn well(&self, watch: &WatchName) {
        let mut watches = self.lock();
        if watches.insert(watch.clone(), None).flatten().is_some() {
            tracing::info!(%watch, "a watch goes on");
            self.count(&watches, watch.what);
        }
    }

    pub(super) fn failed(&self, watch: &WatchName, error: String) {
        self.metrics.watch_failed(watch.what);
        tracing::warn!(%watch, error, "a watch failed and is tried again");
        let now = self.clock.instant();
        let mut watches = self.lock();
        let failing = watches.entry(watch.clone()).or_default();
        failing.get_or_insert_with(|| Failing { since: now, error: String::new() }).error = error;
        self.count(&watches, watch.what);
    }

    fn count(&self, watches: &BTreeMap<WatchName, Option<Failing>>, what: &'static str) {
        let count = watches.iter().filter(|(name, failing)| name.what == what && failing.is_some()).count();
        self.metrics.watches_failing(what, i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Every change under the lock is a single call, so a panic elsewhere leaves the record whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WatchName, Option<Failing>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{WatchHealth, WatchName};
    use crate::clock::SteppedClock;
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn one_tenant_without_rights_is_nobody_elses_trouble() {
        let clock = Arc::new(SteppedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
        let health = WatchHealth::new(clock, Arc::new(Metrics::new("t")));
        let [a, b, all] = [("pods", Some("a")), ("pods", Some("b")), ("namespaces", None)].map(|(what, place)| WatchName::new(what, place));
        for well in [&b, &all] {
            health.well(well);
        }
        health.failed(&a, "no right".into());
        tokio::time::advance(Duration::from_mins(11)).await;
        assert!(health.is_failing_in("a") && !health.is_failing_in("b"));
        assert_eq!((health.stale(), health.dead()), (vec![], vec![]));
        health.failed(&b, "no right".into());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(health.stale().len(), 2, "nothing is seen of any namespace");
        assert_eq!(health.dead(), [] as [String; 0]);
        health.forget("a");
        health.forget("b");
        assert_eq!(health.stale(), [] as [String; 0]);
        health.failed(&all, "no right".into());
        tokio::time::advance(Duration::from_mins(10)).await;
        assert_eq!(health.dead().len(), 1);
    }
}
