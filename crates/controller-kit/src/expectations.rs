//! Whether a watch's cache already shows our own last write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::ObjectMeta;
use tokio::time::Instant;

use crate::clock::Clock;

/// A cache that is behind for longer is not waited for: the object is read from the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a cache shows, compared with what we wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// At least our last write.
    Fresh,
    /// Older than our last write: decide nothing on it that cannot be undone.
    Behind,
    /// Older than our last write for too long: read the object itself.
    Overdue,
}

#[derive(Clone, Debug)]
enum Expected {
    Written { uid: Option<String>, resource_version: Option<String>, at: Instant },
    Gone { uid: String, at: Instant },
}

/// Remembers our own writes until the cache shows them.
pub struct Expectations {
    clock: Arc<dyn Clock>,
    expected: Mutex<BTreeMap<String, Expected>>,
}

impl Expectations {
    /// Remembers nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, expected: Mutex::new(BTreeMap::new()) }
    }

    /// Remembers what the server answered to a write. `key` names the object, for example `Pod ns/name`.
    pub fn wrote(&self, key: &str, answer: &ObjectMeta) {
        let at = self.clock.instant();
        let expected = Expected::Written { uid: answer.uid.clone(), resource_version: answer.resource_version.clone(), at };
        self.lock().insert(key.to_owned(), expected);
    }

    /// Remembers that an object was deleted by us.
    pub fn deleted(&self, key: &str, uid: &str) {
        let at = self.clock.instant();
        self.lock().insert(key.to_owned(), Expected::Gone { uid: uid.to_owned(), at });
    }

    /// Compares what the cache shows. Something fresh is forgotten: from then on the cache is right.
    pub fn check(&self, key: &str, cached: Option<&ObjectMeta>) -> Freshness {
        let mut all = self.lock();
        let Some(expected) = all.get(key) else { return Freshness::Fresh };
        let (shows, at) = match expected {
            Expected::Written { uid, resource_version, at } => {
                let shows = cached.is_some_and(|cached| {
                    // Another object of this name was made after ours was deleted.
                    cached.uid != *uid || at_least(cached.resource_version.as_deref(), resource_version.as_deref())
                });
                (shows, *at)
            }
            Expected::Gone { uid, at } => {
                let is_there = cached.is_some_and(|cached| cached.uid.as_ref() == Some(uid) && cached.deletion_timestamp.is_none());
                (!is_there, *at)
            }
        };
        if shows {
            all.remove(key);
            return Freshness::Fresh;
        }
        if self.clock.instant().duration_since(at) > PATIENCE { Freshness::Overdue } else { Freshness::Behind }
    }

    /// Forgets an object, for example after it was read from the server itself.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Expected>> {
        // Nothing in here is left half-done by a panic elsewhere.
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a cached version is the written one or a later one. Versions are numbers on every server
/// there is; where they were not, only the very same one counts.
pub(crate) fn at_least(cached: Option<&str>, written: Option<&str>) -> bool {
    let (Some(cached), Some(written)) = (cached, written) else { return cached == written };
    match (cached.parse::<u64>(), written.parse::<u64>()) {
        (Ok(cached), Ok(written)) => cached >= written,
        _ => cached == written,
    }
}

#[cfg(test)]
mod tests {
    use super::{Expectations, Freshness};
    use crate::clock::SystemClock;
    use kube::api::ObjectMeta;
    use std::sync::Arc;
    use std::time::Duration;

    fn meta(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()), ..ObjectMeta::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_is_behind_until_it_shows_our_write() {
        let expectations = Expectations::new(Arc::new(SystemClock));
        assert_eq!(expectations.check("Pod a/b", None), Freshness::Fresh);
        expectations.wrote("Pod a/b", &meta("u", "99"));
        assert_eq!(expectations.check("Pod a/b", None), Freshness::Behind);
        assert_eq!(expectations.check("Pod a/b", Some(&meta("u", "98"))), Freshness::Behind);
        assert_eq!(expectations.check("Pod a/b", Some(&meta("u", "100"))), Freshness::Fresh);
        assert_eq!(expectations.check("Pod a/b", Some(&meta("u", "1"))), Freshness::Fresh, "forgotten once fresh");

        expectations.wrote("Pod a/b", &meta("u", "101"));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(expectations.check("Pod a/b", Some(&meta("u", "9"))), Freshness::Overdue);
        assert_eq!(expectations.check("Pod a/b", Some(&meta("v", "9"))), Freshness::Fresh, "a namesake made later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_object_is_expected_to_go() {
        let expectations = Expectations::new(Arc::new(SystemClock));
        expectations.deleted("Pod a/b", "u");
        assert_eq!(expectations.check("Pod a/b", Some(&meta("u", "1"))), Freshness::Behind);
        assert_eq!(expectations.check("Pod a/b", Some(&meta("v", "1"))), Freshness::Fresh);
    }
}
