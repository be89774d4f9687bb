//! Versioned objects and the log of their changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{broadcast, watch};

/// How many changes of one resource a watch can go back.
const LOG_LENGTH: usize = 2048;
/// Resource version of the first object: small ones are too old from the beginning, as on a server that runs for long.
const FIRST_REVISION: u64 = 1000;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was created.
    Added,
    /// It was written.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    /// Resource version of the change.
    pub revision: u64,
    /// What happened.
    pub change: Change,
    /// The object after it; for a deletion the last state with the deletion's resource version.
    pub object: Arc<Value>,
    /// The object before it.
    pub previous: Option<Arc<Value>>,
    /// The object in its storage version as JSON, made once for all watchers.
    json: OnceLock<Bytes>,
}

impl Event {
    /// The object as JSON.
    pub fn json(&self) -> &Bytes {
        self.json.get_or_init(|| Bytes::from(self.object.to_string()))
    }
}

/// Objects of one resource.
#[derive(Debug)]
pub struct Collection {
    objects: BTreeMap<String, BTreeMap<String, Arc<Value>>>,
    log: VecDeque<Arc<Event>>,
    /// Changes up to this one are no longer in the log.
    forgotten: u64,
    changed: watch::Sender<u64>,
}

impl Collection {
    fn new(forgotten: u64) -> Self {
        Self { objects: BTreeMap::new(), log: VecDeque::new(), forgotten, changed: watch::channel(0).0 }
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(namespace)?.get(name)
    }

    /// All objects, or those of one namespace, in order.
    pub fn iter<'a>(&'a self, namespace: Option<&'a str>) -> Box<dyn Iterator<Item = &'a Arc<Value>> + 'a> {
        match namespace {
            Some(namespace) => Box::new(self.objects.get(namespace).into_iter().flat_map(BTreeMap::values)),
            None => Box::new(self.objects.values().flat_map(BTreeMap::values)),
        }
    }

    /// Changes after `revision`, or `None` when some of them are forgotten.
    pub fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        if revision < self.forgotten {
            return None;
        }
        let start = self.log.partition_point(|event| event.revision <= revision);
        Some(self.log.range(start..))
    }

    /// Tells when something changed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn record(&mut self, event: Event) {
        let revision = event.revision;
        self.log.push_back(Arc::new(event));
        if self.log.len() > LOG_LENGTH
            && let Some(oldest) = self.log.pop_front()
        {
            self.forgotten = oldest.revision;
        }
        self.changed.send_replace(revision);
    }
}

/// All objects under one counter.
#[derive(Debug)]
pub struct Store {
    revision: u64,
    collections: BTreeMap<Arc<str>, Collection>,
    changes: broadcast::Sender<kube_controllers::api::Change>,
}

impl Default for Store {
    fn default() -> Self {
        Self { revision: FIRST_REVISION, collections: BTreeMap::new(), changes: broadcast::channel(4096).0 }
    }
}

impl Store {
    /// The newest resource version.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Changes of all resources, for the controllers of the same process.
    pub fn changes(&self) -> broadcast::Receiver<kube_controllers::api::Change> {
        self.changes.subscribe()
    }

    /// Objects of one resource, if there ever were any.
    pub fn collection(&self, key: &str) -> Option<&Collection> {
        self.collections.get(key)
    }

    /// Objects of one resource; an empty collection comes into being.
    pub fn collection_or_new(&mut self, key: &Arc<str>) -> &mut Collection {
        self.collections.entry(key.clone()).or_insert_with(|| Collection::new(FIRST_REVISION))
    }

    /// One object.
    pub fn get(&self, key: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.collections.get(key)?.get(namespace, name)
    }

    /// All objects of a resource, or those of one namespace.
    pub fn list<'a>(&'a self, key: &str, namespace: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Value>> {
        self.collections.get(key).into_iter().flat_map(move |collection| collection.iter(namespace))
    }

    /// The objects of a resource, or those of one namespace, as they were at `revision`; `None` when that is forgotten.
    pub fn at(&self, key: &str, namespace: Option<&str>, revision: u64) -> Option<Vec<Arc<Value>>> {
        let Some(collection) = self.collections.get(key) else { return Some(Vec::new()) };
        let mut changed = collection.since(revision)?.peekable();
        if changed.peek().is_none() {
            return Some(collection.iter(namespace).cloned().collect());
        }
        let place = |object: &Value| (text(object, "namespace").to_owned(), text(object, "name").to_owned());
        let mut objects: BTreeMap<(String, String), Arc<Value>> =
            collection.iter(None).map(|object| (place(object), object.clone())).collect();
        let changed: Vec<&Arc<Event>> = changed.collect();
        for event in changed.into_iter().rev() {
            match &event.previous {
                Some(previous) => objects.insert(place(previous), previous.clone()),
                None => objects.remove(&place(&event.object)),
            };
        }
        let wanted = |at: &(String, String)| namespace.is_none_or(|namespace| at.0 == namespace);
        Some(objects.into_iter().filter(|(at, _)| wanted(at)).map(|(_, object)| object).collect())
    }

    /// Creates or replaces an object under a new resource version.
    pub fn put(&mut self, key: &Arc<str>, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        let revision = self.revision;
        set_resource_version(&mut object, revision);
        let (namespace, name) = (text(&object, "namespace").to_owned(), text(&object, "name").to_owned());
        let object = Arc::new(object);
        let collection = self.collections.entry(key.clone()).or_insert_with(|| Collection::new(FIRST_REVISION));
        let previous = collection.objects.entry(namespace.clone()).or_default().insert(name.clone(), object.clone());
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        collection.record(Event { revision, change, object: object.clone(), previous, json: OnceLock::new() });
        self.announce(namespace, name, &object, false);
        object
    }

    /// Removes an object; its last state, with the resource version of the removal, is returned.
    pub fn remove(&mut self, key: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let collection = self.collections.get_mut(key)?;
        let objects = collection.objects.get_mut(namespace)?;
        let previous = objects.remove(name)?;
        if objects.is_empty() {
            collection.objects.remove(namespace);
        }
        self.revision += 1;
        let mut object = (*previous).clone();
        set_resource_version(&mut object, self.revision);
        let object = Arc::new(object);
        collection.record(Event {
            revision: self.revision,
            change: Change::Deleted,
            object: object.clone(),
            previous: Some(previous),
            json: OnceLock::new(),
        });
        self.announce(namespace.to_owned(), name.to_owned(), &object, true);
        Some(object)
    }

    /// Forgets an empty collection; its watches end.
    pub fn forget(&mut self, key: &str) {
        self.collections.remove(key);
    }

    fn announce(&self, namespace: String, name: String, object: &Arc<Value>, deleted: bool) {
        let (group, _) = crate::registry::split_api_version(object["apiVersion"].as_str().unwrap_or_default());
        let change = kube_controllers::api::Change {
            group: group.to_owned(),
            kind: object["kind"].as_str().unwrap_or_default().to_owned(),
            namespace,
            name,
            object: object.clone(),
            deleted,
        };
        // Nobody listens as long as no controllers run.
        let _ = self.changes.send(change);
    }
}

/// A text of the metadata, empty when absent.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn set_resource_version(object: &mut Value, revision: u64) {
    object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource_version(object: &Value) -> u64 {
        text(object, "resourceVersion").parse().expect("a number")
    }

    fn object(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": name}})
    }

    #[test]
    fn versions_rise_over_all_resources_and_deletions_are_logged_with_their_own() {
        let mut store = Store::default();
        let key: Arc<str> = "configmaps.".into();
        let first = store.put(&key, object("a"));
        let second = store.put(&"secrets.".into(), object("a"));
        assert!(resource_version(&second) > resource_version(&first));
        let last = store.remove(&key, "n", "a").expect("it was there");
        assert!(resource_version(&last) > resource_version(&second));
        let collection = store.collection(&key).expect("it exists");
        let changes: Vec<Change> =
            collection.since(resource_version(&first)).expect("nothing forgotten").map(|event| event.change).collect();
        assert_eq!(changes, [Change::Deleted]);
    }

    #[test]
    fn what_fell_out_of_the_log_is_too_old() {
        let mut store = Store::default();
        let key: Arc<str> = "configmaps.".into();
        let first = resource_version(&store.put(&key, object("a")));
        for _ in 0..=LOG_LENGTH {
            store.put(&key, object("a"));
        }
        let collection = store.collection(&key).expect("it exists");
        assert!(collection.since(first).is_none());
        assert!(collection.since(1).is_none());
        assert!(collection.since(store.revision()).is_some());
    }
}
