//! Waits between tries.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// Waits that double from 200 ms up to a limit, and begin again after a success.
#[derive(Clone, Debug)]
pub struct Capped {
    next: Duration,
    longest: Duration,
}

impl Capped {
    pub(super) const FIRST: Duration = Duration::from_millis(200);

    /// Waits at most so long.
    pub fn up_to(longest: Duration) -> Self {
        Self { next: Self::FIRST, longest }
    }
}

impl Iterator for Capped {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next.min(self.longest);
        self.next = wait.saturating_mul(2);
        Some(wait)
    }
}

impl Backoff for Capped {
    fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::Capped;
    use std::time::Duration;

    #[test]
    fn waits_double_up_to_the_limit() {
        let waits: Vec<u64> =
            Capped::up_to(Duration::from_secs(2)).take(6).map(|wait| u64::try_from(wait.as_millis()).expect("small")).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 2000, 2000]);
    }
}
