//! Limits that keep one slow or dead cluster from delaying another.

use std::future::Future;
use std::time::Duration;

/// A reconcile took too long and was ended; what it sent may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reconcile was ended after {} s", .limit.as_secs())]
pub struct DeadlineExceeded {
    /// The limit.
    pub limit: Duration,
}

/// How many objects are worked on at once, and how long one may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects at once. kube never works on one object twice at once.
    pub concurrency: u16,
    /// The longest time of one reconcile.
    pub deadline: Duration,
    /// How long changes are collected before a reconcile; far below a second, since an object that
    /// changes more often than this would never be looked at.
    pub debounce: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 32, deadline: Duration::from_mins(2), debounce: Duration::from_millis(100) }
    }
}

impl Limits {
    /// For `Controller::with_config`.
    pub fn controller_config(&self) -> kube::runtime::controller::Config {
        kube::runtime::controller::Config::default().concurrency(self.concurrency).debounce(self.debounce)
    }

    /// Ends a reconcile that takes too long.
    pub async fn bounded<T>(&self, work: impl Future<Output = T>) -> Result<T, DeadlineExceeded> {
        tokio::time::timeout(self.deadline, work).await.map_err(|_| DeadlineExceeded { limit: self.deadline })
    }
}

#[cfg(test)]
mod tests {
    use super::{DeadlineExceeded, Limits};

    #[tokio::test(start_paused = true)]
    async fn a_hanging_reconcile_is_ended() {
        let limits = Limits::default();
        let ended = limits.bounded(std::future::pending::<()>()).await;
        assert_eq!(ended, Err(DeadlineExceeded { limit: limits.deadline }));
        assert_eq!(limits.bounded(async { 7 }).await, Ok(7));
    }
}
