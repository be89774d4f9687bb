//! Watched objects, kept in order, and a note to the dispatcher for each change.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// Which watched object changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touched {
    Pod(Key),
    ConfigMap(Key),
    Secret(Key),
    Claim(Key),
    Volume(Key),
    Service(Key),
    Class(Key),
    /// A pod's containers or readiness changed on this side, before the API server says so.
    Fault,
}

/// The last seen state of all objects of a kind.
#[derive(Debug)]
pub(crate) struct Cache<K>(Mutex<BTreeMap<Key, Arc<K>>>);

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Cache<K> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.lock().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let start = (namespace.to_owned(), String::new());
        self.lock().range(start..).take_while(|((found, _), _)| found == namespace).map(|(_, object)| object.clone()).collect()
    }
}

/// Waits 200 ms, doubling to 2 s: a watch that fails must neither hammer nor fall far behind.
struct Capped(Duration);

impl Iterator for Capped {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(Duration::from_secs(2));
        Some(wait)
    }
}

impl Backoff for Capped {
    fn reset(&mut self) {
        self.0 = Duration::from_millis(200);
    }
}

/// Keeps a cache up to date until the receiver of the notes is gone.
pub(crate) async fn follow<K>(api: Api<K>, cache: Arc<Cache<K>>, notes: UnboundedSender<Touched>, note: fn(Key) -> Touched)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = watcher(api, watcher::Config::default()).backoff(Capped(Duration::from_millis(200))).boxed();
    let mut fresh: Option<BTreeMap<Key, Arc<K>>> = None;
    while let Some(event) = events.next().await {
        let touched = match event {
            Ok(Event::Init) => {
                fresh = Some(BTreeMap::new());
                Vec::new()
            }
            Ok(Event::InitApply(object)) => {
                if let Some(fresh) = &mut fresh {
                    fresh.insert(key(&object), Arc::new(object));
                }
                Vec::new()
            }
            Ok(Event::InitDone) => replace(&cache, fresh.take().unwrap_or_default()),
            Ok(Event::Apply(object)) => {
                let key = key(&object);
                cache.lock().insert(key.clone(), Arc::new(object));
                vec![key]
            }
            Ok(Event::Delete(object)) => {
                let key = key(&object);
                cache.lock().remove(&key);
                vec![key]
            }
            Err(error) => {
                tracing::debug!(%error, "a watch failed and is started again");
                Vec::new()
            }
        };
        for key in touched {
            if notes.send(note(key)).is_err() {
                return;
            }
        }
    }
}

fn key<K: Resource>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Puts a complete list in place and returns what may have changed by it.
fn replace<K: Resource>(cache: &Cache<K>, fresh: BTreeMap<Key, Arc<K>>) -> Vec<Key> {
    let mut held = cache.lock();
    let gone = held.keys().filter(|key| !fresh.contains_key(*key)).cloned();
    let changed =
        fresh.iter().filter(|(key, object)| held.get(*key).is_none_or(|old| old.meta().resource_version != object.meta().resource_version));
    let touched = gone.chain(changed.map(|(key, _)| key.clone())).collect();
    *held = fresh;
    touched
}
