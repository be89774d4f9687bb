//! Whether this process may write, asked at every write.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;

/// This process may not write (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process is not the leader")]
pub struct NotLeader;

/// Asked just before each write.
pub trait WriteGate: Send + Sync + 'static {
    /// Whether a write may be sent now.
    fn check(&self) -> Result<(), NotLeader>;
}

/// Lets every write pass: for tools that hold no Lease.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ungated;

impl WriteGate for Ungated {
    fn check(&self) -> Result<(), NotLeader> {
        Ok(())
    }
}

/// Lets no write pass: for what only reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Closed;

impl WriteGate for Closed {
    fn check(&self) -> Result<(), NotLeader> {
        Err(NotLeader)
    }
}

/// The leadership that [`crate::lease::LeaderElector`] keeps up to date. Clones are the same leadership.
#[derive(Clone)]
pub struct Leadership {
    clock: Arc<dyn Clock>,
    /// Until when writes may be sent without another renewal.
    until: Arc<Mutex<Option<Instant>>>,
    leads: watch::Sender<bool>,
}

impl Leadership {
    /// Not the leader yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, until: Arc::new(Mutex::new(None)), leads: watch::Sender::new(false) }
    }

    /// Whether writes may be sent now.
    pub fn is_held(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| self.clock.instant() < until)
    }

    /// Waits until this process leads. Never returns if the election ended.
    pub async fn acquired(&self) {
        let mut leads = self.leads.subscribe();
        if leads.wait_for(|leads| *leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this process no longer leads, after it did.
    pub async fn lost(&self) {
        self.acquired().await;
        let mut leads = self.leads.subscribe();
        // The sender lives as long as `self`.
        let _ = leads.wait_for(|leads| !*leads).await;
    }

    /// The Lease was renewed by a request sent at `asked`.
    pub(crate) fn renewed(&self, asked: Instant, writable: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked + writable);
        self.leads.send_if_modified(|leads| !std::mem::replace(leads, true));
    }

    /// The Lease is somebody else's, or given up.
    pub(crate) fn ended(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.leads.send_if_modified(|leads| std::mem::replace(leads, false));
    }
}

impl WriteGate for Leadership {
    fn check(&self) -> Result<(), NotLeader> {
        if self.is_held() { Ok(()) } else { Err(NotLeader) }
    }
}
