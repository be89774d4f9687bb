//! Watch caches, indexed by cluster: a reconcile that changes nothing reads only these.
//!
//! Each watch runs in a task of its own with a back-off of its own, so that one broken watch
//! delays no other. Only labelled objects are watched, and only what is looked at is kept: memory
//! grows with our clusters and with nothing else on the server.

mod packed;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{Hash as _, Hasher as _};
use std::ops::ControlFlow;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use controller_kit::scope::Place;
use controller_kit::watch::{self as kit, WatchHealth, WatchName};
use doris_api::labels;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use litemap::LiteMap;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub use packed::{Packed, slim_claim, slim_pod};

/// A cluster: namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterKey {
    /// Namespace of the cluster and all that belongs to it.
    pub namespace: String,
    /// Name of the cluster.
    pub name: String,
}

impl ClusterKey {
    /// The key of a cluster.
    pub fn of<K: ResourceExt>(cluster: &K) -> Self {
        Self { namespace: cluster.namespace().unwrap_or_default(), name: cluster.name_any() }
    }
}

/// An object and what tells its versions apart.
struct Entry<T> {
    uid: Option<Box<str>>,
    version: Option<u64>,
    object: Arc<T>,
}

impl<T> Entry<T> {
    fn new<K: ResourceExt>(object: K, keep: impl FnOnce(K) -> T) -> Self {
        let version = object.resource_version().and_then(|version| version.parse().ok());
        Self { uid: object.uid().map(Into::into), version, object: Arc::new(keep(object)) }
    }

    /// An object of this name as it was before: an event that our own write, or an object made anew, has overtaken.
    fn is_before(&self, other: &Self) -> bool {
        matches!((self.version, other.version), (Some(own), Some(theirs)) if own < theirs)
    }
}

/// A cluster has a handful of a kind: a sorted list takes a fraction of a tree's memory.
type Objects<T> = LiteMap<Box<str>, Entry<T>>;

/// The labelled objects of one kind, by cluster and name, each kept as a `T`.
pub struct Index<T> {
    objects: RwLock<BTreeMap<ClusterKey, Objects<T>>>,
    /// The places that are watched, and whether the first list of each is complete.
    lists: watch::Sender<BTreeMap<Place, bool>>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { objects: RwLock::default(), lists: watch::Sender::new(BTreeMap::new()) }
    }
}

impl<T> Index<T> {
    /// All objects of a cluster, by name.
    pub fn of(&self, cluster: &ClusterKey) -> BTreeMap<String, Arc<T>> {
        let all = self.read();
        let objects = all.get(cluster).into_iter().flat_map(LiteMap::iter);
        objects.map(|(name, entry)| (name.to_string(), entry.object.clone())).collect()
    }

    /// One object of a cluster.
    pub fn get(&self, cluster: &ClusterKey, name: &str) -> Option<Arc<T>> {
        self.read().get(cluster).and_then(|objects| objects.get(name)).map(|entry| entry.object.clone())
    }

    /// Puts the answer to our own write in at once, so that the next reconcile sees it.
    pub fn put<K: ResourceExt>(&self, cluster: &ClusterKey, object: K, keep: impl FnOnce(K) -> T) {
        let (name, entry) = (object.name_any(), Entry::new(object, keep));
        let mut all = self.write();
        let objects = all.entry(cluster.clone()).or_default();
        if !objects.get(name.as_str()).is_some_and(|known| entry.is_before(known)) {
            objects.insert(name.into(), entry);
        }
    }

    /// Takes an object out that is known to be gone, before a watch tells.
    pub fn forget(&self, cluster: &ClusterKey, name: &str) {
        self.remove(cluster, name, |_| true);
    }

    fn remove(&self, cluster: &ClusterKey, name: &str, is_meant: impl Fn(&Entry<T>) -> bool) {
        let mut all = self.write();
        if let Some(objects) = all.get_mut(cluster) {
            if objects.get(name).is_some_and(is_meant) {
                objects.remove(name);
            }
            if objects.is_empty() {
                all.remove(cluster);
            }
        }
    }

    /// Puts the complete list of a namespace, or of all, in the place of what there was; returns whom that concerns.
    fn replace(&self, namespace: Option<&str>, fresh: BTreeMap<ClusterKey, Objects<T>>) -> Vec<ClusterKey> {
        let mut all = self.write();
        let is_listed = |key: &ClusterKey| namespace.is_none_or(|namespace| key.namespace == namespace);
        let mut concerned: Vec<ClusterKey> = all.keys().filter(|key| is_listed(key)).chain(fresh.keys()).cloned().collect();
        all.retain(|key, _| !is_listed(key));
        all.extend(fresh);
        concerned.sort();
        concerned.dedup();
        concerned
    }

    /// A poisoned lock only means that a reader panicked; the map is whole, for every change is one call.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ClusterKey, Objects<T>>> {
        self.objects.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ClusterKey, Objects<T>>> {
        self.objects.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The cluster that an object is labelled with.
fn cluster_of<K: ResourceExt>(object: &K) -> Option<ClusterKey> {
    Some(ClusterKey { namespace: object.namespace()?, name: object.labels().get(labels::CLUSTER)?.clone() })
}

/// An index of any kind, as far as lists go.
pub trait Lists: Sync {
    /// A place is watched from now on: its list is to come before anybody decides by it.
    fn expect_list(&self, place: Option<&str>);
    /// Waits until the first list of a place is complete.
    fn synced<'a>(&'a self, place: Option<&'a str>) -> BoxFuture<'a, ()>;
    /// Places whose first list is not complete.
    fn incomplete(&self) -> Vec<Place>;
    /// A namespace is not watched any more; what was known of it is forgotten.
    fn leave(&self, namespace: &str);
}

impl<T: Send + Sync> Lists for Index<T> {
    fn expect_list(&self, place: Option<&str>) {
        self.lists.send_modify(|lists| {
            lists.insert(place.map(str::to_owned), false);
        });
    }

    fn synced<'a>(&'a self, place: Option<&'a str>) -> BoxFuture<'a, ()> {
        let place = place.map(str::to_owned);
        Box::pin(async move {
            // The sender lives as long as the index, so the wait only ends by the value.
            let _ = self.lists.subscribe().wait_for(|lists| lists.get(&place) == Some(&true)).await;
        })
    }

    fn incomplete(&self) -> Vec<Place> {
        self.lists.borrow().iter().filter(|(_, is_complete)| !**is_complete).map(|(place, _)| place.clone()).collect()
    }

    fn leave(&self, namespace: &str) {
        self.lists.send_modify(|lists| {
            lists.remove(&Some(namespace.to_owned()));
        });
        self.write().retain(|key, _| key.namespace != namespace);
    }
}

/// Keeps an index up to date until it is dropped, and tells which clusters are touched. `keep`
/// turns an object into what is kept of it. The index was told before to expect one more list.
pub async fn follow<K, T>(
    watch: (WatchName, WatchHealth),
    (api, config): (Api<K>, watcher::Config),
    index: Arc<Index<T>>,
    touched: mpsc::UnboundedSender<ClusterKey>,
    keep: fn(K) -> T,
) where
    K: Resource<DynamicType: Clone + Default + Debug> + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Send + Sync + 'static,
{
    let (name, health) = watch;
    let config = config.labels(labels::CLUSTER);
    let mut listing = Listing { namespace: name.namespace.clone(), fresh: BTreeMap::new(), is_complete: false };
    let handle = |event| {
        for cluster in absorb(&index, &mut listing, event, keep) {
            // Nobody listens any more only when the controller ends.
            let _ = touched.unbounded_send(cluster);
        }
        ControlFlow::Continue(())
    };
    kit::drive(name, || watcher::watcher(api.clone(), config.clone()), health, handle).await;
}

/// A list under way.
struct Listing<T> {
    namespace: Option<String>,
    fresh: BTreeMap<ClusterKey, Objects<T>>,
    /// It was complete once.
    is_complete: bool,
}

fn absorb<K: ResourceExt, T>(index: &Index<T>, listing: &mut Listing<T>, event: Event<K>, keep: fn(K) -> T) -> Vec<ClusterKey> {
    match event {
        Event::Init => {
            listing.fresh.clear();
            Vec::new()
        }
        Event::InitApply(object) => {
            if let Some(cluster) = cluster_of(&object) {
                let name = object.name_any();
                listing.fresh.entry(cluster).or_default().insert(name.into(), Entry::new(object, keep));
            }
            Vec::new()
        }
        Event::InitDone => {
            let concerned = index.replace(listing.namespace.as_deref(), std::mem::take(&mut listing.fresh));
            if !std::mem::replace(&mut listing.is_complete, true) {
                index.lists.send_modify(|lists| {
                    lists.insert(listing.namespace.clone(), true);
                });
            }
            concerned
        }
        Event::Apply(object) => {
            let Some(cluster) = cluster_of(&object) else { return Vec::new() };
            index.put(&cluster, object, keep);
            vec![cluster]
        }
        Event::Delete(object) => {
            let Some(cluster) = cluster_of(&object) else { return Vec::new() };
            // One that was made anew by this name is not meant.
            let uid = object.uid();
            index.remove(&cluster, &object.name_any(), |known| known.uid.as_deref() == uid.as_deref());
            vec![cluster]
        }
    }
}

/// Which version of an object the server has; all that is kept of objects that are only written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Uid.
    pub uid: Arc<str>,
    /// Changes whenever something may have changed that we write.
    pub version: u64,
}

impl Stamp {
    /// The stamp of any object. Where the server counts generations, a change of the status alone
    /// leaves it as it is.
    pub fn of<K: ResourceExt>(object: &K) -> Self {
        let meta = object.meta();
        let mut hasher = std::hash::DefaultHasher::new();
        match meta.generation {
            Some(generation) => {
                (generation, &meta.labels, &meta.annotations, &meta.finalizers, &meta.deletion_timestamp.is_some()).hash(&mut hasher);
                for owner in meta.owner_references.iter().flatten() {
                    (&owner.uid, owner.controller, owner.block_owner_deletion).hash(&mut hasher);
                }
            }
            None => object.resource_version().hash(&mut hasher),
        }
        Self { uid: object.uid().unwrap_or_default().into(), version: hasher.finish() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::Event;

    use super::{ClusterKey, Index, Listing, Lists as _, absorb};

    fn object(cluster: &str, name: &str, version: &str) -> ConfigMap {
        serde_json::from_value(serde_json::json!({
            "metadata": {"namespace": "n", "name": name, "resourceVersion": version, "uid": name, "labels": {"doris-operator.dev/cluster": cluster}}
        }))
        .expect("a ConfigMap")
    }

    fn version_of(object: ConfigMap) -> String {
        object.metadata.resource_version.unwrap_or_default()
    }

    fn listing(namespace: Option<&str>) -> Listing<String> {
        Listing { namespace: namespace.map(str::to_owned), fresh: BTreeMap::new(), is_complete: false }
    }

    fn key(name: &str) -> ClusterKey {
        ClusterKey { namespace: "n".into(), name: name.into() }
    }

    fn versions(index: &Index<String>, cluster: &str) -> Vec<String> {
        index.of(&key(cluster)).into_iter().map(|(name, version)| format!("{name}@{version}")).collect()
    }

    #[test]
    fn objects_are_found_by_the_cluster_they_are_labelled_with() {
        let (index, mut listing) = (Index::<String>::default(), listing(None));
        let mut see = |event| absorb(&index, &mut listing, event, version_of);
        assert_eq!(see(Event::Apply(object("a", "x", "1"))), [key("a")]);
        assert_eq!(see(Event::Apply(object("b", "y", "2"))), [key("b")]);
        assert_eq!(see(Event::Apply(object("a", "x", "3"))), [key("a")]);
        assert_eq!(versions(&index, "a"), ["x@3"]);
        assert_eq!(see(Event::Delete(object("a", "x", "3"))), [key("a")]);
        assert!(versions(&index, "a").is_empty());
        assert_eq!(versions(&index, "b"), ["y@2"]);
    }

    #[test]
    fn an_event_that_our_own_write_has_overtaken_is_not_believed() {
        let (index, mut listing) = (Index::<String>::default(), listing(None));
        index.put(&key("a"), object("a", "x", "9"), version_of);
        absorb(&index, &mut listing, Event::Apply(object("a", "x", "7")), version_of);
        assert_eq!(versions(&index, "a"), ["x@9"]);
        absorb(&index, &mut listing, Event::Apply(object("a", "x", "10")), version_of);
        assert_eq!(versions(&index, "a"), ["x@10"]);
    }

    #[test]
    fn a_new_list_replaces_all_and_touches_those_that_lost_an_object() {
        let (index, mut listing) = (Index::<String>::default(), listing(None));
        let mut see = |event| absorb(&index, &mut listing, event, version_of);
        see(Event::Apply(object("gone", "x", "1")));
        see(Event::Init);
        see(Event::InitApply(object("new", "y", "2")));
        assert_eq!(see(Event::InitDone), [key("gone"), key("new")]);
        assert!(versions(&index, "gone").is_empty());
    }

    #[test]
    fn a_list_of_one_namespace_leaves_the_others_and_all_are_waited_for() {
        let index = Index::<String>::default();
        let mut lists = ["n", "other"].map(|namespace| {
            index.expect_list(Some(namespace));
            listing(Some(namespace))
        });
        let incomplete = |index: &Index<String>| index.incomplete().into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(incomplete(&index), ["n", "other"], "nothing was listed yet");
        let mut complete = |index: &Index<String>, which: usize, objects: &[ConfigMap]| {
            let mut see = |event| absorb(index, &mut lists[which], event, version_of);
            see(Event::Init);
            for object in objects {
                see(Event::InitApply(object.clone()));
            }
            see(Event::InitDone)
        };
        complete(&index, 0, &[object("a", "x", "1")]);
        assert_eq!(incomplete(&index), ["other"], "one namespace is not all of them");
        complete(&index, 0, &[object("a", "x", "1")]);
        assert_eq!(incomplete(&index), ["other"], "the same list again is no other one");
        assert_eq!(complete(&index, 1, &[]), []);
        assert_eq!(incomplete(&index), [] as [String; 0]);
        assert_eq!(versions(&index, "a"), ["x@1"]);
        index.leave("other");
        assert_eq!(versions(&index, "a"), ["x@1"]);
        index.leave("n");
        assert_eq!(versions(&index, "a"), [] as [String; 0], "nothing is known of a namespace that was left");
    }
}
