//! Wall time of a world, derived from tokio's clock.

use jiff::Timestamp;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    epoch_ms: i64,
}

impl Clock {
    pub fn new(epoch_ms: i64) -> Self {
        Self { start: Instant::now(), epoch_ms }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(self) -> i64 {
        self.epoch_ms + i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// `2026-11-23 02:05:30,123` for logs.
    pub fn log_time(self) -> String {
        let now = self.now_ms();
        format!("{},{:03}", date_time(now), now.rem_euclid(1000))
    }
}

/// `2026-11-23 02:05:30` in UTC.
pub(crate) fn date_time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// The same, `None` for "never", which Doris stores as 0 or less.
pub(crate) fn date_time_or_null(ms: i64) -> Option<String> {
    (ms > 0).then(|| date_time(ms))
}

/// `Mon Nov 23 02:05:28 UTC 2026`, the first line of a Java properties file.
pub(crate) fn properties_time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|time| time.strftime("%a %b %d %H:%M:%S UTC %Y").to_string()).unwrap_or_default()
}
