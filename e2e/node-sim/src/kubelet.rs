//! Hands changes to the tasks of the pods they concern.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::cache::{Key, Touched};
use crate::faults::NodeLoss;
use crate::names::NameService;
use crate::pod::{self, Mail, Mailbox};
use crate::shared::{Shared, lock};

/// A running task of a pod.
struct Actor {
    key: Key,
    node: String,
    mailbox: Arc<Mailbox>,
    /// Objects whose changes concern the pod.
    references: BTreeSet<Touched>,
}

impl Actor {
    fn tell(&self, mail: Mail) {
        *lock(&self.mailbox.mail) = mail;
        self.mailbox.notify.notify_one();
    }
}

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    names: Arc<NameService>,
    storage: UnboundedSender<Touched>,
    /// By pod uid.
    actors: BTreeMap<String, Actor>,
    /// Uids of the actors of pods of a name: two for a moment when one replaces another.
    by_name: BTreeMap<Key, BTreeSet<String>>,
    /// Uids of the pods that refer to an object.
    users: BTreeMap<Touched, BTreeSet<String>>,
    nodes: BTreeSet<String>,
    tasks: JoinSet<()>,
}

/// Handles notes until their senders are gone.
pub(crate) async fn dispatch(
    shared: Arc<Shared>,
    names: Arc<NameService>,
    storage: UnboundedSender<Touched>,
    mut notes: UnboundedReceiver<Touched>,
) {
    let ours = shared.options.nodes.iter().map(|node| node.name.clone()).collect();
    let mut dispatcher = Dispatcher {
        shared,
        names,
        storage,
        actors: BTreeMap::new(),
        by_name: BTreeMap::new(),
        users: BTreeMap::new(),
        nodes: ours,
        tasks: JoinSet::new(),
    };
    let mut batch = Vec::new();
    while notes.recv_many(&mut batch, 1024).await > 0 {
        let mut namespaces = BTreeSet::new();
        for note in batch.drain(..) {
            if let Touched::Pod((namespace, _)) | Touched::Service((namespace, _)) = &note {
                namespaces.insert(namespace.clone());
            }
            dispatcher.handle(&note);
        }
        for namespace in namespaces {
            if dispatcher.names.refresh(&dispatcher.shared, &namespace) {
                dispatcher.shared.engine.names_changed(&namespace, &dispatcher.names.namespace(&namespace));
            }
        }
        while dispatcher.tasks.try_join_next().is_some() {}
    }
}

impl Dispatcher {
    fn handle(&mut self, note: &Touched) {
        match note {
            Touched::Pod(key) => self.pod(key),
            Touched::ConfigMap(_) | Touched::Secret(_) => self.wake_users(note),
            Touched::Claim(_) => {
                self.wake_users(note);
                self.to_storage(note.clone());
            }
            Touched::Volume(_) | Touched::Class(_) => self.to_storage(note.clone()),
            Touched::Service(_) => {}
            Touched::Fault => self.look_again(),
        }
    }

    fn to_storage(&self, note: Touched) {
        if self.storage.send(note).is_err() {
            tracing::debug!("the provisioner has ended");
        }
    }

    fn wake_users(&self, note: &Touched) {
        for uid in self.users.get(note).into_iter().flatten() {
            self.shared.wake(uid);
        }
    }

    fn pod(&mut self, key: &Key) {
        let pod = self.shared.caches.pods.get(&key.0, &key.1);
        let uid = pod.as_ref().and_then(|pod| pod.uid());
        let known = self.by_name.get(key).into_iter().flatten();
        let replaced: Vec<String> = known.filter(|known| Some(*known) != uid.as_ref()).cloned().collect();
        for known in replaced {
            self.forget(&known);
        }
        let (Some(pod), Some(uid)) = (pod, uid) else { return };
        let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|node| self.nodes.contains(node)) else { return };
        if lock(&self.shared.faults).lost_nodes.contains_key(&node) {
            return;
        }
        match self.actors.get(&uid) {
            Some(actor) => actor.tell(Mail::Seen(pod)),
            None if over(&pod) => {}
            None => self.begin(pod, uid, node),
        }
    }

    fn begin(&mut self, pod: Arc<Pod>, uid: String, node: String) {
        let notify = Arc::new(Notify::new());
        let key = (pod.namespace().unwrap_or_default(), pod.name_any());
        let mailbox = Arc::new(Mailbox { mail: Mutex::new(Mail::Seen(pod.clone())), notify: notify.clone() });
        lock(&self.shared.wakers).insert(uid.clone(), notify);
        let references = references(&pod);
        for reference in &references {
            if matches!(reference, Touched::Claim(_)) {
                self.to_storage(reference.clone());
            }
            self.users.entry(reference.clone()).or_default().insert(uid.clone());
        }
        self.tasks.spawn(pod::run(self.shared.clone(), mailbox.clone(), pod));
        self.by_name.entry(key.clone()).or_default().insert(uid.clone());
        self.actors.insert(uid, Actor { key, node, mailbox, references });
    }

    /// The pod's object is gone: its kubelet ends it, unless that hears nothing.
    fn forget(&mut self, uid: &str) {
        let Some(actor) = self.actors.get(uid) else { return };
        if lock(&self.shared.faults).lost_nodes.get(&actor.node) == Some(&NodeLoss::Unreachable) {
            return;
        }
        self.drop_actor(uid, Mail::Gone);
    }

    fn drop_actor(&mut self, uid: &str, mail: Mail) {
        let Some(actor) = self.actors.remove(uid) else { return };
        actor.tell(mail);
        lock(&self.shared.wakers).remove(uid);
        remove_from(&mut self.by_name, &actor.key, uid);
        for reference in &actor.references {
            remove_from(&mut self.users, reference, uid);
        }
    }

    /// Nodes were lost or came back.
    fn look_again(&mut self) {
        let lost = lock(&self.shared.faults).lost_nodes.clone();
        let off: Vec<String> = self
            .actors
            .iter()
            .filter(|(_, actor)| lost.get(&actor.node) == Some(&NodeLoss::PowerOff))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in off {
            self.drop_actor(&uid, Mail::PowerOff);
        }
        let mut keys: BTreeSet<Key> = self.actors.values().map(|actor| actor.key.clone()).collect();
        keys.extend(self.shared.caches.pods.all().iter().map(|pod| (pod.namespace().unwrap_or_default(), pod.name_any())));
        for key in keys {
            self.pod(&key);
        }
    }
}

/// Takes a uid off a set, and the set off the map with its last one.
fn remove_from<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<String>>, key: &K, uid: &str) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(uid);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

/// A pod that ended does not run again.
fn over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
}

/// The objects whose changes concern a pod.
fn references(pod: &Pod) -> BTreeSet<Touched> {
    let namespace = pod.namespace().unwrap_or_default();
    let key = |name: &str| (namespace.clone(), name.to_owned());
    let mut found = BTreeSet::new();
    found.extend(crate::storage::claims_of(pod).map(|name| Touched::Claim(key(name))));
    let Some(spec) = &pod.spec else { return found };
    for volume in spec.volumes.iter().flatten() {
        found.extend(volume.config_map.as_ref().map(|source| Touched::ConfigMap(key(&source.name))));
        found.extend(volume.secret.as_ref().and_then(|source| source.secret_name.as_deref()).map(|name| Touched::Secret(key(name))));
        for part in volume.projected.iter().flat_map(|source| source.sources.iter().flatten()) {
            found.extend(part.config_map.as_ref().map(|source| Touched::ConfigMap(key(&source.name))));
            found.extend(part.secret.as_ref().map(|source| Touched::Secret(key(&source.name))));
        }
    }
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        for source in container.env_from.iter().flatten() {
            found.extend(source.config_map_ref.as_ref().map(|source| Touched::ConfigMap(key(&source.name))));
            found.extend(source.secret_ref.as_ref().map(|source| Touched::Secret(key(&source.name))));
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            found.extend(source.config_map_key_ref.as_ref().map(|source| Touched::ConfigMap(key(&source.name))));
            found.extend(source.secret_key_ref.as_ref().map(|source| Touched::Secret(key(&source.name))));
        }
    }
    found
}
