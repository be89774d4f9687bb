//! Numbers of a controller. Labels are words from fixed sets, never names of objects.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByController {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    controller: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWatch {
    watch: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWrite {
    resource: String,
    verb: &'static str,
}

/// The numbers that every controller has, and a place for its own.
pub struct Metrics {
    registry: Mutex<Registry>,
    reconciles: Family<ByController, Histogram, fn() -> Histogram>,
    errors: Family<ByReason, Counter>,
    watch_errors: Family<ByWatch, Counter>,
    watches_failing: Family<ByWatch, Gauge>,
    writes: Family<ByWrite, Counter>,
    events_lost: Counter,
    leader: Gauge,
    waits_for_installation: Gauge,
}

impl Metrics {
    /// `prefix` begins the name of every metric, for example `doris_operator`.
    pub fn new(prefix: &str) -> Self {
        let mut registry = Registry::with_prefix(prefix);
        let reconciles = Family::<ByController, Histogram, fn() -> Histogram>::new_with_constructor(durations);
        let errors = Family::<ByReason, Counter>::default();
        let watch_errors = Family::<ByWatch, Counter>::default();
        let watches_failing = Family::<ByWatch, Gauge>::default();
        let writes = Family::<ByWrite, Counter>::default();
        let events_lost = Counter::default();
        let leader = Gauge::default();
        let waits_for_installation = Gauge::default();
        registry.register_with_unit("reconcile_duration", "Time that a reconcile took", Unit::Seconds, reconciles.clone());
        registry.register("reconcile_errors", "Reconciles that failed, by reason", errors.clone());
        registry.register("watch_errors", "Failures of watches", watch_errors.clone());
        registry.register("watches_failing", "Watches that bring nothing but errors now", watches_failing.clone());
        registry.register("writes", "Requests sent that may change an object, by resource and verb", writes.clone());
        registry.register("events_lost", "Events that could not be recorded", events_lost.clone());
        registry.register("leader", "1 while this process may write", leader.clone());
        registry.register(
            "waits_for_installation",
            "1 while another installation looks after all namespaces",
            waits_for_installation.clone(),
        );
        Self {
            registry: Mutex::new(registry),
            reconciles,
            errors,
            watch_errors,
            watches_failing,
            writes,
            events_lost,
            leader,
            waits_for_installation,
        }
    }

    /// Adds metrics of a controller's own.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A reconcile ended, well or not.
    pub fn reconciled(&self, controller: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ByController { controller }).observe(took.as_secs_f64());
    }

    /// A reconcile failed.
    pub fn failed(&self, controller: &'static str, reason: &'static str) {
        self.errors.get_or_create(&ByReason { controller, reason }).inc();
    }

    /// A watch failed.
    pub fn watch_failed(&self, watch: &'static str) {
        self.watch_errors.get_or_create(&ByWatch { watch }).inc();
    }

    /// So many watches of a kind bring nothing but errors now.
    pub fn watches_failing(&self, watch: &'static str, count: i64) {
        self.watches_failing.get_or_create(&ByWatch { watch }).set(count);
    }

    /// A write was sent: `pods`, or `pods/status` with a subresource.
    pub fn wrote(&self, resource: &str, verb: &'static str) {
        self.writes.get_or_create(&ByWrite { resource: resource.to_owned(), verb }).inc();
    }

    /// An Event could not be recorded.
    pub fn event_lost(&self) {
        self.events_lost.inc();
    }

    /// Leadership was won or lost.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Another installation looks after what we are to look after, or does not any more.
    pub fn waits_for_installation(&self, waits: bool) {
        self.waits_for_installation.set(i64::from(waits));
    }

    /// All metrics as `OpenMetrics` text.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut body = String::new();
        text::encode(&mut body, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(body)
    }
}

fn durations() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0])
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use std::time::Duration;

    #[test]
    fn what_is_counted_is_rendered_as_openmetrics() {
        let metrics = Metrics::new("doris_operator");
        metrics.reconciled("cluster", Duration::from_millis(30));
        metrics.failed("cluster", "ApiServerError");
        metrics.leads(true);
        let text = metrics.render().expect("text");
        for line in [
            "doris_operator_reconcile_duration_seconds_count{controller=\"cluster\"} 1",
            "doris_operator_reconcile_errors_total{controller=\"cluster\",reason=\"ApiServerError\"} 1",
            "doris_operator_leader 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
