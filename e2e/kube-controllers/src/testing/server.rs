//! As much of an API server as the controllers need: versions, finalizers, grace periods, propagation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::api::{Api, ApiError, Change, DeleteOptions, Kind};
use crate::index::Key;
use crate::value::{has_finalizer, is_deleting, items, name, number, set, text, uid};

pub(crate) struct Server {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
    started: tokio::time::Instant,
    minor: u32,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
}

pub(crate) const KINDS: [(&str, &str, bool); 20] = [
    ("", "ConfigMap", true),
    ("", "Endpoints", true),
    ("", "Namespace", false),
    ("", "Node", false),
    ("", "PersistentVolume", false),
    ("", "PersistentVolumeClaim", true),
    ("", "Pod", true),
    ("", "ResourceQuota", true),
    ("", "Secret", true),
    ("", "Service", true),
    ("", "ServiceAccount", true),
    ("apps", "ControllerRevision", true),
    ("apps", "DaemonSet", true),
    ("apps", "Deployment", true),
    ("apps", "ReplicaSet", true),
    ("apps", "StatefulSet", true),
    ("batch", "CronJob", true),
    ("batch", "Job", true),
    ("coordination.k8s.io", "Lease", true),
    ("discovery.k8s.io", "EndpointSlice", true),
];

fn error(code: u16, reason: &str, message: String) -> ApiError {
    ApiError { code, reason: reason.into(), message }
}

impl Server {
    pub(crate) fn new(minor: u32) -> Self {
        Self { state: Mutex::default(), changes: broadcast::channel(4096).0, started: tokio::time::Instant::now(), minor }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the lock")
    }

    fn announce(&self, key: &Key, object: &Arc<Value>, deleted: bool) {
        let Key { group, kind, namespace, name } = key.clone();
        // Without a receiver nobody wants to know.
        let _ = self.changes.send(Change { group, kind, namespace, name, object: Arc::clone(object), deleted });
    }

    fn store(&self, state: &mut State, key: &Key, mut object: Value) -> Arc<Value> {
        state.version += 1;
        set(&mut object, &["metadata", "resourceVersion"], state.version.to_string());
        let object = Arc::new(object);
        if is_deleting(&object)
            && items(&object, "/metadata/finalizers").is_empty()
            && number(&object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) == 0
        {
            state.objects.remove(key);
            self.announce(key, &object, true);
        } else {
            state.objects.insert(key.clone(), Arc::clone(&object));
            self.announce(key, &object, false);
        }
        object
    }

    fn replace(&self, object: &Value, status_only: bool) -> Result<Arc<Value>, ApiError> {
        let mut state = self.state();
        let key = Key::of(object);
        let Some(old) = state.objects.get(&key).cloned() else { return Err(error(404, "NotFound", format!("{} not found", key.name))) };
        let version = text(object, "/metadata/resourceVersion");
        if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
            return Err(error(409, "Conflict", "the object has been modified".into()));
        }
        let mut new = if status_only { (*old).clone() } else { object.clone() };
        let status = if status_only { object.get("status") } else { old.get("status") };
        if let Some(status) = status {
            new["status"] = status.clone();
        }
        if key.kind == "Pod" && !status_only && (old["spec"]["volumes"] != new["spec"]["volumes"]) {
            let message = format!(
                "Pod {:?} is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`",
                key.name
            );
            return Err(error(422, "Invalid", message));
        }
        if !status_only && old.get("spec") != new.get("spec") {
            let generation = number(&old, "/metadata/generation").unwrap_or(1) + 1;
            set(&mut new, &["metadata", "generation"], generation);
        }
        if *old == new {
            return Ok(old);
        }
        Ok(self.store(&mut state, &key, new))
    }
}

impl Api for Server {
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.state().objects.get(&Key::new(kind, namespace, name)).cloned()
    }

    fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.list_dynamic(kind.group, kind.kind, namespace)
    }

    fn served(&self) -> Vec<(String, String, String, bool)> {
        let kinds = KINDS.iter().map(|(group, kind, namespaced)| ((*group).into(), "v1".into(), (*kind).into(), *namespaced));
        kinds
            .chain(
                [("policy", "PodDisruptionBudget", true), ("storage.k8s.io", "StorageClass", false), ("", "Event", true)]
                    .map(|(group, kind, namespaced)| (group.into(), "v1".into(), kind.into(), namespaced)),
            )
            .collect()
    }

    fn list_dynamic(&self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let state = self.state();
        let is_listed = |key: &&Key| key.group == group && key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        state.objects.iter().filter(|(key, _)| is_listed(key)).map(|(_, object)| Arc::clone(object)).collect()
    }

    fn create(&self, _manager: &str, mut object: Value) -> Result<Arc<Value>, ApiError> {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        if name(&object).is_empty() {
            let generated = format!("{}{version:05}", text(&object, "/metadata/generateName"));
            set(&mut object, &["metadata", "name"], generated);
        }
        let key = Key::of(&object);
        if state.objects.contains_key(&key) {
            return Err(error(409, "AlreadyExists", format!("{} already exists", key.name)));
        }
        set(&mut object, &["metadata", "uid"], format!("uid-{version}"));
        set(&mut object, &["metadata", "generation"], 1);
        set(&mut object, &["metadata", "creationTimestamp"], crate::pods::seconds(self.now()));
        if matches!(key.kind.as_str(), "Pod" | "PersistentVolumeClaim" | "PersistentVolume") {
            set(&mut object, &["status", "phase"], "Pending");
        }
        Ok(self.store(&mut state, &key, object))
    }

    fn update(&self, _manager: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        self.replace(&object, false)
    }

    fn update_status(&self, _manager: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        self.replace(&object, true)
    }

    fn delete(
        &self,
        _manager: &str,
        group: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), ApiError> {
        let mut state = self.state();
        let key = Key { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() };
        let Some(old) = state.objects.get(&key).cloned() else { return Err(error(404, "NotFound", format!("{name} not found"))) };
        if options.uid.as_ref().is_some_and(|wanted| wanted != uid(&old)) {
            return Err(error(409, "Conflict", "the UID in the precondition does not match".into()));
        }
        let mut doomed = (*old).clone();
        let finalizer = match options.propagation.as_deref() {
            Some("Foreground") => Some("foregroundDeletion"),
            Some("Orphan") => Some("orphan"),
            _ => None,
        };
        if let Some(finalizer) = finalizer.filter(|finalizer| !has_finalizer(&old, finalizer)) {
            doomed = crate::value::with_finalizer(&doomed, finalizer);
        }
        let is_scheduled = key.kind == "Pod" && !text(&old, "/spec/nodeName").is_empty() && !crate::pods::is_finished(&old);
        let grace = options.grace_period_seconds.unwrap_or(if is_scheduled { 30 } else { 0 });
        if is_deleting(&old) && number(&old, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) <= grace {
            return Ok(());
        }
        set(&mut doomed, &["metadata", "deletionTimestamp"], crate::pods::seconds(self.now()));
        set(&mut doomed, &["metadata", "deletionGracePeriodSeconds"], grace);
        self.store(&mut state, &key, doomed);
        Ok(())
    }

    fn bind(&self, _manager: &str, namespace: &str, pod: &str, wanted: &str, node: &str) -> Result<(), ApiError> {
        let mut state = self.state();
        let key = Key::new(crate::kinds::POD, namespace, pod);
        let old = state.objects.get(&key).filter(|old| uid(old) == wanted).cloned();
        let Some(old) = old else { return Err(error(404, "NotFound", format!("{pod} not found"))) };
        let mut bound = (*old).clone();
        set(&mut bound, &["spec", "nodeName"], node);
        self.store(&mut state, &key, bound);
        Ok(())
    }

    fn finalize_namespace(&self, _manager: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        let mut state = self.state();
        let key = Key::of(&object);
        if items(&object, "/spec/finalizers").is_empty() {
            let object = Arc::new(json!(object));
            state.objects.remove(&key);
            self.announce(&key, &object, true);
            return Ok(object);
        }
        Ok(self.store(&mut state, &key, object))
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn now(&self) -> jiff::Timestamp {
        let start = jiff::Timestamp::from_second(1_780_000_000).expect("a time within range");
        start + self.started.elapsed()
    }

    fn minor_version(&self) -> u32 {
        self.minor
    }
}
