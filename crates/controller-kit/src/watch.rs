//! Watches that cannot stall each other.
//!
//! kube's `Controller` merges its watches into one stream and pauses all of it when one of them
//! fails. Here each watch runs in its own task with its own back-off; what reaches the controller
//! never fails.

mod backoff;
mod health;

use std::fmt::Debug;
use std::hash::Hash;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::report::full_text;

pub use backoff::Capped;
pub use health::{WatchHealth, WatchName};

/// Below the idle limit of load balancers, so that a dead connection is noticed.
const WATCH_SECONDS: u32 = 200;
const PAGE: u32 = 200;
/// Between two pages of a list.
const LIST_PATIENCE: Duration = Duration::from_mins(1);
/// Between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How a kind is watched: short enough for load balancers, in pages.
pub fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// Follows one watch until nobody wants its events any more, with a back-off and a record of its own.
///
/// `begin` opens the watch anew; `handle` gets every event in order. A list that brings nothing for a minute
/// counts as failed and is begun again: kube itself waits for it without end.
pub async fn drive<K, S>(name: WatchName, begin: impl Fn() -> S, health: WatchHealth, mut handle: impl FnMut(Event<K>) -> ControlFlow<()>)
where
    S: Stream<Item = watcher::Result<Event<K>>> + Send,
{
    let mut events = Box::pin(begin());
    let mut backoff = Capped::up_to(LONGEST_WAIT);
    let mut is_listing = true;
    loop {
        let next = if is_listing {
            tokio::time::timeout(LIST_PATIENCE, events.try_next()).await
        } else {
            // Quiet is what a watch usually is; kube renews it below its time limit.
            Ok(events.try_next().await)
        };
        let error = match next {
            Ok(Ok(None)) => return,
            Ok(Ok(Some(event))) => {
                is_listing = matches!(event, Event::Init | Event::InitApply(_));
                // A list that begins proves nothing: it begins before the server was asked. (kube's own
                // back-off would begin anew with it.)
                if !matches!(event, Event::Init) {
                    backoff.reset();
                    health.well(&name);
                }
                if handle(event).is_break() {
                    return;
                }
                continue;
            }
            Ok(Err(error)) => full_text(&error),
            Err(_) => {
                events = Box::pin(begin());
                format!("a list brought nothing for {} s", LIST_PATIENCE.as_secs())
            }
        };
        health.failed(&name, error);
        tokio::time::sleep(backoff.next().unwrap_or(LONGEST_WAIT)).await;
    }
}

/// Watches a kind in a task of its own and keeps a store of it.
///
/// `interested` tells for an object which others have to be looked at; they come out of the stream, also
/// for an object that was deleted while no watch was open. The task ends with `stop`.
pub fn watch<K, T, I>(
    name: WatchName,
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
    watch_trimmed(name, (api, config), health, stop, interested, |_| ())
}

/// The same, with objects that are trimmed before anybody keeps them.
fn watch_trimmed<K, T, I>(
    name: WatchName,
    (api, config): (Api<K>, watcher::Config),
    health: WatchHealth,
    stop: CancellationToken,
    interested: impl Fn(&K) -> I + Send + Sync + 'static,
    trim: fn(&mut K),
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
    let mut listed: Vec<K> = Vec::new();
    let handle = move |event: Event<K>| {
        let event = event.modify(trim);
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
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    tokio::spawn(async move {
        let begin = || watcher::watcher(api.clone(), config.clone());
        tokio::select! {
            () = stop.cancelled() => {}
            () = drive(name, begin, health, handle) => {}
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
///
/// Without the record of who wrote which field, which is larger than all the rest of most objects:
/// [`crate::apply::Applier`] remembers what it wrote, and asks the server after a restart.
pub fn watch_main<K>(
    name: WatchName,
    api: Api<K>,
    config: watcher::Config,
    health: WatchHealth,
    stop: CancellationToken,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + 'static + use<K>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
{
    let trim = |object: &mut K| object.meta_mut().managed_fields = None;
    let (store, objects) = watch_trimmed(name, (api, config), health, stop, |object: &K| Some(object.clone()), trim);
    (store, objects.map(Ok))
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
