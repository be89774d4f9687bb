//! What an error leads to: a reason for Event, condition and metric, and a delay until the next try.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Nobody has to: something changed under our hands and is looked at again.
    Race,
    /// The user: the spec, a right, a missing Secret.
    User,
    /// Whoever runs the cluster: a server that does not answer.
    Environment,
    /// We: a bug.
    Defect,
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only when something changes (and at the slow regular look).
    OnChange,
    /// In about a second.
    Short,
    /// After a time that doubles with every failure.
    Backoff,
}

/// An error of a reconcile.
pub trait ReconcileError: std::error::Error {
    /// A word in camel case from a fixed set: Event reason, condition reason and metric label.
    fn reason(&self) -> &'static str;
    /// Who can do something about it.
    fn category(&self) -> Category;
    /// When to try again.
    fn retry(&self) -> Retry;
}

/// Failures in a row of each object, for back-off with jitter. The jitter comes from a seed.
pub struct Failures {
    state: Mutex<(BTreeMap<String, u32>, Rng)>,
}

impl Failures {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_mins(5);
    /// The slow regular look at an object that nothing happens to.
    const REGULAR: Duration = Duration::from_mins(8);

    /// Begins without failures.
    pub fn new(seed: u64) -> Self {
        Self { state: Mutex::new((BTreeMap::new(), Rng::with_seed(seed))) }
    }

    /// Counts a failure of an object and tells how long to wait.
    pub fn after_error(&self, object: &str, retry: Retry) -> Duration {
        let (counts, random) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match retry {
            Retry::OnChange => jittered(Self::REGULAR, random),
            Retry::Short => jittered(Self::FIRST, random),
            Retry::Backoff => {
                let count = counts.entry(object.to_owned()).or_default();
                let wait = Self::FIRST.saturating_mul(1u32.checked_shl(*count).unwrap_or(u32::MAX)).min(Self::LONGEST);
                *count = count.saturating_add(1).min(31);
                jittered(wait, random)
            }
        }
    }

    /// Forgets the failures of an object that went well, and tells when to look at it anyhow.
    pub fn after_success(&self, object: &str) -> Duration {
        let (counts, random) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        counts.remove(object);
        jittered(Self::REGULAR, random)
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &str) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.remove(object);
    }
}

/// Plus or minus a fifth, so that a thousand objects do not come at once.
fn jittered(wait: Duration, random: &mut Rng) -> Duration {
    wait.mul_f64(0.8 + 0.4 * random.f64())
}

/// The text of an error with its causes. The text of a `kube::Error` has its causes in it already.
pub fn full_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut current = error;
    while current.downcast_ref::<kube::Error>().is_none()
        && let Some(cause) = current.source()
    {
        let cause_text = cause.to_string();
        // A transparent error is the same text again.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        current = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Failures, Retry, full_text};
    use std::time::Duration;

    #[test]
    fn waiting_doubles_up_to_five_minutes_and_begins_again_after_success() {
        let failures = Failures::new(7);
        let waits: Vec<f64> = (0..40).map(|_| failures.after_error("a", Retry::Backoff).as_secs_f64()).collect();
        for (index, wait) in waits.iter().enumerate() {
            let exact = 2f64.powi(i32::try_from(index).expect("small")).min(300.0);
            assert!((exact * 0.8..=exact * 1.2).contains(wait), "{index}: {wait}");
        }
        assert!(failures.after_error("b", Retry::Backoff) < Duration::from_secs(2), "objects do not share a count");
        failures.after_success("a");
        assert!(failures.after_error("a", Retry::Backoff) < Duration::from_secs(2));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let failures = Failures::new(seed);
            (0..5).map(|_| failures.after_error("a", Retry::Short)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn causes_are_told_once() {
        assert_eq!(full_text(&Outer(Inner)), "outer: inner");
    }
}
