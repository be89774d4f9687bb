//! Watches that cannot stall each other.
//!
//! kube's `Controller` merges its watches into one stream and pauses all of it when one of them
//! fails. Here each watch runs in its own task with its own back-off; what reaches the controller
//! never fails.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::Metrics;

/// Below the idle limit of load balancers, so that a dead connection is noticed.
const WATCH_SECONDS: u32 = 200;
const PAGE: u32 = 200;

/// How a kind is watched: short enough for load balancers, in pages.
pub fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// Waits that double from 200 ms up to a limit, and begin again after a success.
#[derive(Clone, Debug)]
pub struct Capped {
    next: Duration,
    longest: Duration,
}

impl Capped {
    const FIRST: Duration = Duration::from_millis(200);

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

/// How the watches fare. Liveness fails when one brings nothing but errors for ten minutes.
#[derive(Clone)]
pub struct WatchHealth {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    failing_since: Arc<Mutex<BTreeMap<&'static str, Instant>>>,
}

impl WatchHealth {
    const PATIENCE: Duration = Duration::from_mins(10);

    /// All is well at first.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { clock, metrics, failing_since: Arc::default() }
    }

    /// The watches that brought nothing but errors for too long.
    pub fn dead(&self) -> Vec<&'static str> {
        let now = self.clock.instant();
        let failing = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        failing.iter().filter(|(_, since)| now.duration_since(**since) >= Self::PATIENCE).map(|(name, _)| *name).collect()
    }

    fn well(&self, watch: &'static str) {
        self.failing_since.lock().unwrap_or_else(PoisonError::into_inner).remove(watch);
    }

    fn failed(&self, watch: &'static str, error: &watcher::Error) {
        self.metrics.watch_failed(watch);
        tracing::warn!(watch, error = %error, "a watch failed and is tried again");
        let now = self.clock.instant();
        self.failing_since.lock().unwrap_or_else(PoisonError::into_inner).entry(watch).or_insert(now);
    }
}

/// Watches a kind in a task of its own and keeps a store of it.
///
/// `interested` tells for an object which others have to be looked at; they come out of the stream, also
/// for an object that was deleted while no watch was open. The task ends with `stop`.
pub fn watch<K, T, I>(
    name: &'static str,
    api: Api<K>,
    config: watcher::Config,
    health: WatchHealth,
    stop: CancellationToken,
    interested: impl Fn(&K) -> I + Send + Sync + 'static,
) -> (Store<K>, mpsc::UnboundedReceiver<T>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
    I: IntoIterator<Item = T>,
    T: Send + 'static,
{
    let (reader, mut writer) = reflector::store();
    let (sender, receiver) = mpsc::unbounded();
    let store = reader.clone();
    tokio::spawn(async move {
        let events = watcher::watcher(api, config);
        let mut backoff = Capped::up_to(Duration::from_secs(30));
        tokio::pin!(events);
        let mut listed: Vec<K> = Vec::new();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.try_next() => event,
            };
            let event = match event {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    health.failed(name, &error);
                    let wait = backoff.next().unwrap_or(Capped::FIRST);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(wait) => continue,
                    }
                }
            };
            // A list that begins proves nothing: it begins before the server was asked. (kube's own
            // back-off would begin anew with it.)
            if !matches!(event, Event::Init) {
                backoff.reset();
                health.well(name);
            }
            let before = if matches!(event, Event::InitDone) { store.state() } else { Vec::new() };
            writer.apply_watcher_event(&event);
            let touched: Vec<K> = match event {
                Event::Init => {
                    listed.clear();
                    Vec::new()
                }
                // The store shows a list only when it is complete.
                Event::InitApply(object) => {
                    listed.push(object);
                    Vec::new()
                }
                Event::InitDone => std::mem::take(&mut listed).into_iter().chain(gone(before, &store)).collect(),
                Event::Apply(object) | Event::Delete(object) => vec![object],
            };
            for one in touched.iter().flat_map(&interested) {
                // The controller is gone: this process ends.
                if sender.unbounded_send(one).is_err() {
                    return;
                }
            }
        }
    });
    (reader, receiver)
}

/// What was in the store and is no longer there after a new list.
fn gone<K>(before: Vec<Arc<K>>, store: &Store<K>) -> impl Iterator<Item = K>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
{
    before.into_iter().filter(|object| store.get(&ObjectRef::from_obj(object.as_ref())).is_none()).map(|object| object.as_ref().clone())
}

/// The main kind of a controller: the objects themselves, in the form that `Controller::for_stream`
/// takes after a filter such as `predicates::generation.combine(predicates::finalizers)`.
pub fn watch_main<K>(
    name: &'static str,
    api: Api<K>,
    config: watcher::Config,
    health: WatchHealth,
    stop: CancellationToken,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static + use<K>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
{
    let (store, objects) = watch(name, api, config, health, stop, |object: &K| Some(object.clone()));
    (store, objects.map(Ok))
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
