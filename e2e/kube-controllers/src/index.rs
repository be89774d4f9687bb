//! Everything the controllers know: all objects, found by name, owner, label, node or claim.
//!
//! It follows the changes that the server announces. The driver takes in all pending changes
//! before each step, so that a controller always sees its own last write.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::api::{Change, Kind};
use crate::label_index::{LabelIndex, SelectorIndex};
use crate::node_usage::NodeUsage;
use crate::owner::controller_uid;
use crate::selector::Selector;
use crate::value::{group_of, items, kind_of, labels, name, namespace, text, uid};

/// Where an object is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn of(object: &Value) -> Self {
        Self {
            group: group_of(object).into(),
            kind: kind_of(object).into(),
            namespace: namespace(object).into(),
            name: name(object).into(),
        }
    }

    pub(crate) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { group: kind.group.into(), kind: kind.kind.into(), namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind.kind && self.group == kind.group
    }
}

impl Change {
    /// Whether the changed object is of this kind.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind.kind && self.group == kind.group
    }

    pub(crate) fn key(&self) -> Key {
        Key { group: self.group.clone(), kind: self.kind.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

type Objects = BTreeMap<String, BTreeMap<String, Arc<Value>>>;

/// All objects but Events, with the ways to find them.
#[derive(Default)]
pub(crate) struct Index {
    /// By group, kind, namespace and name.
    objects: BTreeMap<String, BTreeMap<String, Objects>>,
    by_uid: HashMap<String, Key>,
    dependents: HashMap<String, BTreeSet<Key>>,
    /// By kind and namespace: what has no controller.
    orphans: HashMap<(String, String), BTreeSet<String>>,
    pods_by_label: LabelIndex,
    pods_by_node: HashMap<String, BTreeSet<(String, String)>>,
    pods_by_claim: HashMap<(String, String), BTreeSet<String>>,
    usage: HashMap<String, NodeUsage>,
    selectors: HashMap<String, SelectorIndex>,
}

/// Kinds that controllers adopt.
fn is_adoptable(kind: &str) -> bool {
    matches!(kind, "Pod" | "ReplicaSet" | "ControllerRevision" | "Job")
}

/// Selectors of an object by which it is found from a pod's labels.
fn selectors_of(kind: &str, object: &Value) -> Vec<Selector> {
    match kind {
        "Service" => vec![Selector::of_map(object.pointer("/spec/selector"))],
        "PodDisruptionBudget" => vec![Selector::of(object.pointer("/spec/selector"))],
        "Pod" => items(object, "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution")
            .iter()
            .map(|term| Selector::of(term.get("labelSelector")))
            .collect(),
        _ => Vec::new(),
    }
}

/// Names of the claims that a pod mounts.
pub(crate) fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    items(pod, "/spec/volumes").iter().map(|volume| text(volume, "/persistentVolumeClaim/claimName")).filter(|name| !name.is_empty())
}

impl Index {
    /// Takes a change in. Returns the object as it was before.
    pub(crate) fn take(&mut self, change: &Change) -> Option<Arc<Value>> {
        if change.kind == "Event" {
            return None;
        }
        let key = change.key();
        let old = self.find(&key.group, &key.kind, &key.namespace, &key.name).cloned();
        if let Some(old) = &old {
            self.forget(&key, old);
        }
        if !change.deleted {
            self.remember(&key, &change.object);
        }
        old
    }

    fn remember(&mut self, key: &Key, object: &Arc<Value>) {
        for owner in items(object, "/metadata/ownerReferences") {
            self.dependents.entry(text(owner, "/uid").to_owned()).or_default().insert(key.clone());
        }
        self.by_uid.insert(uid(object).to_owned(), key.clone());
        if is_adoptable(&key.kind) && controller_uid(object).is_empty() {
            self.orphans.entry((key.kind.clone(), key.namespace.clone())).or_default().insert(key.name.clone());
        }
        for selector in selectors_of(&key.kind, object) {
            self.selectors.entry(key.kind.clone()).or_default().add(&key.namespace, &key.name, &selector);
        }
        if key.is(crate::kinds::POD) {
            self.pods_by_label.add(&key.namespace, &key.name, labels(object));
            for claim in claims_of(object) {
                self.pods_by_claim.entry((key.namespace.clone(), claim.to_owned())).or_default().insert(key.name.clone());
            }
            let node = text(object, "/spec/nodeName");
            if !node.is_empty() {
                self.pods_by_node.entry(node.to_owned()).or_default().insert((key.namespace.clone(), key.name.clone()));
                self.usage.entry(node.to_owned()).or_default().add(object);
            }
        }
        let kinds = self.objects.entry(key.group.clone()).or_default();
        kinds.entry(key.kind.clone()).or_default().entry(key.namespace.clone()).or_default().insert(key.name.clone(), Arc::clone(object));
    }

    fn forget(&mut self, key: &Key, object: &Arc<Value>) {
        for owner in items(object, "/metadata/ownerReferences") {
            drop_from(&mut self.dependents, text(owner, "/uid"), key);
        }
        self.by_uid.remove(uid(object));
        if let Some(set) = self.orphans.get_mut(&(key.kind.clone(), key.namespace.clone())) {
            set.remove(&key.name);
        }
        if let Some(selectors) = self.selectors.get_mut(&key.kind) {
            selectors.remove(&key.namespace, &key.name);
        }
        if key.is(crate::kinds::POD) {
            self.pods_by_label.remove(&key.namespace, &key.name, labels(object));
            for claim in claims_of(object) {
                drop_from(&mut self.pods_by_claim, &(key.namespace.clone(), claim.to_owned()), &key.name);
            }
            let node = text(object, "/spec/nodeName");
            drop_from(&mut self.pods_by_node, node, &(key.namespace.clone(), key.name.clone()));
            if let Some(usage) = self.usage.get_mut(node) {
                usage.remove(object);
            }
        }
        if let Some(names) = self
            .objects
            .get_mut(&key.group)
            .and_then(|kinds| kinds.get_mut(&key.kind))
            .and_then(|namespaces| namespaces.get_mut(&key.namespace))
        {
            names.remove(&key.name);
        }
    }

    /// An object by its group, kind, namespace and name.
    pub(crate) fn find(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(group)?.get(kind)?.get(namespace)?.get(name)
    }

    pub(crate) fn at(&self, key: &Key) -> Option<&Arc<Value>> {
        self.find(&key.group, &key.kind, &key.namespace, &key.name)
    }

    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.find(kind.group, kind.kind, namespace, name)
    }

    /// All objects of a kind in one namespace; the empty one for cluster-scoped kinds.
    pub(crate) fn list_in(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Value>> {
        self.objects
            .get(kind.group)
            .and_then(|kinds| kinds.get(kind.kind))
            .and_then(|namespaces| namespaces.get(namespace))
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// All objects of a kind everywhere.
    pub(crate) fn list(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.objects
            .get(kind.group)
            .and_then(|kinds| kinds.get(kind.kind))
            .into_iter()
            .flat_map(BTreeMap::values)
            .flat_map(BTreeMap::values)
    }

    /// Everything there is.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<_> = self.by_uid.values().cloned().collect();
        keys.sort();
        keys
    }

    pub(crate) fn by_uid(&self, uid: &str) -> Option<&Arc<Value>> {
        self.at(self.by_uid.get(uid)?)
    }

    /// Keys of all objects that name this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// Objects of a kind that this one manages, ordered by name.
    pub(crate) fn controlled(&self, kind: Kind, owner_uid: &str) -> Vec<Arc<Value>> {
        self.dependents(owner_uid)
            .filter(|key| key.is(kind))
            .filter_map(|key| self.at(key))
            .filter(|object| controller_uid(object) == owner_uid)
            .cloned()
            .collect()
    }

    /// Objects of a kind in a namespace that nobody manages.
    pub(crate) fn orphans(&self, kind: Kind, namespace: &str) -> Vec<Arc<Value>> {
        let names = self.orphans.get(&(kind.kind.to_owned(), namespace.to_owned()));
        names.into_iter().flatten().filter_map(|name| self.get(kind, namespace, name)).cloned().collect()
    }

    /// Pods of a namespace that a selector selects, ordered by name.
    pub(crate) fn pods_matching(&self, namespace: &str, selector: &Selector) -> Vec<Arc<Value>> {
        if selector.is_absent() {
            return Vec::new();
        }
        let pod = |name: &String| self.get(crate::kinds::POD, namespace, name);
        let pods: Vec<_> = match self.pods_by_label.rarest(namespace, &selector.pairs) {
            Some(names) => names.iter().filter_map(pod).filter(|pod| selector.selects(pod)).cloned().collect(),
            None => self.list_in(crate::kinds::POD, namespace).filter(|pod| selector.selects(pod)).cloned().collect(),
        };
        pods
    }

    pub(crate) fn pods_on(&self, node: &str) -> Vec<Arc<Value>> {
        let keys = self.pods_by_node.get(node).into_iter().flatten();
        keys.filter_map(|(namespace, name)| self.get(crate::kinds::POD, namespace, name)).cloned().collect()
    }

    pub(crate) fn pods_of_claim(&self, namespace: &str, claim: &str) -> Vec<Arc<Value>> {
        let names = self.pods_by_claim.get(&(namespace.to_owned(), claim.to_owned()));
        names.into_iter().flatten().filter_map(|name| self.get(crate::kinds::POD, namespace, name)).cloned().collect()
    }

    /// What the pods of a node ask for together.
    pub(crate) fn usage(&self, node: &str) -> Option<&NodeUsage> {
        self.usage.get(node)
    }

    /// Names of objects of a kind whose selector may select this object's labels; callers check again.
    pub(crate) fn selecting(&self, kind: Kind, namespace: &str, object: &Value) -> BTreeSet<String> {
        self.selectors.get(kind.kind).map(|selectors| selectors.candidates(namespace, labels(object))).unwrap_or_default()
    }

    /// Keys of pods in any namespace whose required anti-affinity may name this object's labels.
    pub(crate) fn averse_pods(&self, object: &Value) -> BTreeSet<(String, String)> {
        self.selectors.get("Pod").map(|selectors| selectors.candidates_everywhere(&labels(object))).unwrap_or_default()
    }
}

fn drop_from<K, Q, V>(map: &mut HashMap<K, BTreeSet<V>>, key: &Q, value: &V)
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
    V: Ord,
{
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}
