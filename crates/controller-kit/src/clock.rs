//! Time as an argument: the wall clock for what people read, the monotonic clock for what is decided.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Wall time, for timestamps that are written down. Never compared with another machine's.
    fn now(&self) -> Timestamp;

    /// Monotonic time, for ages and deadlines. Stands still with paused tokio time.
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A wall clock that begins at a given time and goes on with tokio's, paused or not.
#[derive(Clone, Copy, Debug)]
pub struct SteppedClock {
    begin: Timestamp,
    started: Instant,
}

impl SteppedClock {
    /// Begins at a time, now.
    pub fn starting_at(begin: Timestamp) -> Self {
        Self { begin, started: Instant::now() }
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.started.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
        self.begin.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}

/// A timestamp cut to whole seconds, as `metav1.Time` keeps it: a fraction would be lost on the
/// server and make what was sent differ from what is there for ever.
pub fn whole_seconds(timestamp: Timestamp) -> Timestamp {
    Timestamp::from_second(timestamp.as_second()).unwrap_or(timestamp)
}

/// How far a duration goes in whole seconds, at least one.
pub(crate) fn at_least_a_second(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Clock as _, SteppedClock, whole_seconds};
    use jiff::Timestamp;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_stepped_clock_goes_on_with_paused_time() {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = SteppedClock::starting_at(begin);
        tokio::time::advance(Duration::from_millis(90_500)).await;
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30.5Z");
        assert_eq!(whole_seconds(clock.now()).to_string(), "2026-01-01T00:01:30Z");
    }
}
