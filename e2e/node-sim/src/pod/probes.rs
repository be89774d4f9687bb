//! Probes with their periods and thresholds.

use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::Probe;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::time::Instant;

use crate::engine::Check;

/// What a probe's threshold says after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Enough answers were good.
    Good,
    /// Enough answers were bad.
    Bad,
    /// Not enough of either.
    Open,
}

/// One probe of a running container.
#[derive(Debug)]
pub(crate) struct Prober {
    check: Check,
    period: Duration,
    good_needed: i32,
    bad_needed: i32,
    first: Instant,
    /// When to ask next; `None` while nothing can have changed.
    next: Option<Instant>,
    run: i32,
    last: Option<bool>,
    pub(crate) grace: Option<i64>,
}

impl Prober {
    pub(crate) fn new(probe: &Probe, container: &Container, started: Instant) -> Option<Self> {
        let seconds = |value: Option<i32>, default: i32| {
            Duration::from_secs(value.filter(|value| *value > 0).unwrap_or(default).unsigned_abs().into())
        };
        let first = started + seconds(probe.initial_delay_seconds, 0);
        Some(Self {
            check: check_of(probe, container)?,
            period: seconds(probe.period_seconds, 10),
            good_needed: probe.success_threshold.unwrap_or(1).max(1),
            bad_needed: probe.failure_threshold.unwrap_or(3).max(1),
            first,
            next: Some(first),
            run: 0,
            last: None,
            grace: probe.termination_grace_period_seconds,
        })
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(crate) fn check(&self) -> &Check {
        &self.check
    }

    /// Asks again at the next full period, since an answer may have changed.
    pub(crate) fn unpark(&mut self, now: Instant) {
        if self.next.is_none() {
            let passed = now.saturating_duration_since(self.first).as_nanos();
            let periods = u32::try_from(passed.div_ceil(self.period.as_nanos().max(1))).unwrap_or(u32::MAX);
            self.next = Some(self.first + self.period.saturating_mul(periods));
        }
    }

    /// Counts an answer. `settles`: the process tells when an answer may change.
    pub(crate) fn answer(&mut self, good: bool, now: Instant, settles: bool) -> Verdict {
        self.run = if self.last == Some(good) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(good);
        let needed = if good { self.good_needed } else { self.bad_needed };
        let reached = self.run >= needed;
        self.next = (!(settles && reached)).then_some(now + self.period);
        match (reached, good) {
            (false, _) => Verdict::Open,
            (true, true) => Verdict::Good,
            (true, false) => Verdict::Bad,
        }
    }

    /// Starts over after the container was restarted by this probe.
    pub(crate) fn stop(&mut self) {
        self.next = None;
    }
}

fn check_of(probe: &Probe, container: &Container) -> Option<Check> {
    let port = |port: &IntOrString| match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            named.and_then(|port| u16::try_from(port.container_port).ok())
        }
    };
    if let Some(exec) = &probe.exec {
        return Some(Check::Exec(exec.command.clone().unwrap_or_default()));
    }
    if let Some(tcp) = &probe.tcp_socket {
        return port(&tcp.port).map(Check::Tcp);
    }
    if let Some(http) = &probe.http_get {
        return port(&http.port).map(|port| Check::Http { port, path: http.path.clone().unwrap_or_else(|| "/".into()) });
    }
    probe.grpc.as_ref().and_then(|grpc| u16::try_from(grpc.port).ok()).map(Check::Tcp)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::{Container, ExecAction, Probe};
    use tokio::time::Instant;

    use super::{Prober, Verdict};

    #[tokio::test(start_paused = true)]
    async fn thresholds_count_answers_in_a_row_and_a_settled_probe_is_parked() {
        let now = Instant::now();
        let probe =
            Probe { exec: Some(ExecAction { command: None }), failure_threshold: Some(2), period_seconds: Some(5), ..Probe::default() };
        let mut prober = Prober::new(&probe, &Container::default(), now).expect("a probe with a command");
        assert_eq!(prober.answer(false, now, true), Verdict::Open);
        assert_eq!(prober.answer(true, now, true), Verdict::Good);
        assert_eq!(prober.next(), None, "settled");
        prober.unpark(now + Duration::from_secs(7));
        assert_eq!(prober.next(), Some(now + Duration::from_secs(10)), "the next full period");
        assert_eq!(prober.answer(false, now, true), Verdict::Open);
        assert_eq!(prober.answer(false, now, false), Verdict::Bad);
        assert_eq!(prober.next(), Some(now + Duration::from_secs(5)), "goes on without notifications");
    }
}
