//! Server-side apply with one field manager.
//!
//! Whether to send is decided by what was sent and what was answered, never by comparing what is
//! wanted with what is there: admission may override a value for ever, and injectors add their own.

mod compare;
mod error;
mod owned;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, ValidationDirective};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

pub use error::ApplyError;

use crate::clock::Clock;
use crate::expectations::at_least;
use crate::leadership::WriteGate;

/// A cache that does not show our write for longer is believed again, so that an object deleted at
/// once after its creation comes back.
const CACHE_PATIENCE: Duration = Duration::from_secs(30);

/// A namespaced kind of a type known at compile time.
pub trait Child:
    Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync
{
}

impl<K> Child for K where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync
{
}

/// What became of a child.
#[derive(Clone, Debug)]
pub struct Applied<K> {
    /// The object as the server has it, as far as known.
    pub object: K,
    /// Whether a request was sent.
    pub sent: bool,
    /// Fields that the server did not take as they were sent: something on the server overrides them.
    pub overridden: Vec<String>,
}

/// What became of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusWrite {
    /// It was there already.
    Unchanged,
    /// It was written.
    Written,
    /// It was written over somebody else's values.
    TakenBack {
        /// Whose.
        from: Vec<String>,
    },
}

/// There is one for every object of every cluster: it is kept small.
#[derive(Clone, Debug)]
struct Memory {
    /// Whose it is: its controlling owner, or itself.
    of: Hash,
    sent: Hash,
    answered: Hash,
    uid: Option<Box<str>>,
    resource_version: Option<Box<str>>,
    overridden: Box<[String]>,
    at: Instant,
}

/// Half of a SHA-256: no two objects of one process ever share it.
type Hash = [u8; 16];

impl Memory {
    /// Of an object as the server has it now. `whose` tells with what it goes.
    fn of<K: Child>(whose: &K, live: &K, (sent, answered): (Hash, Hash), overridden: &[String], at: Instant) -> Self {
        Self {
            of: name_hash(&owner_of(whose)),
            sent,
            answered,
            uid: live.uid().map(Into::into),
            resource_version: live.resource_version().map(Into::into),
            overridden: overridden.into(),
            at,
        }
    }

    fn is_about<K: Child>(&self, object: &K) -> bool {
        self.uid.as_deref() == object.meta().uid.as_deref()
    }
}

/// Applies as one field manager and remembers what it applied.
pub struct Applier {
    client: Client,
    manager: &'static str,
    siblings: &'static [&'static str],
    gate: Arc<dyn WriteGate>,
    clock: Arc<dyn Clock>,
    memory: Mutex<BTreeMap<Hash, Memory>>,
}

impl Applier {
    /// `siblings` are the field managers of our other controllers: a conflict with one of them is a
    /// breach of the contract between us, one with anybody else is taken back.
    pub fn new(
        client: Client,
        manager: &'static str,
        siblings: &'static [&'static str],
        gate: Arc<dyn WriteGate>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { client, manager, siblings, gate, clock, memory: Mutex::new(BTreeMap::new()) }
    }

    /// Our field manager.
    pub fn manager(&self) -> &'static str {
        self.manager
    }

    /// Applies a freshly built object whole. `cached` is what the watch shows: without it, an object
    /// that is there already is taken over; with it, the write lands on that object or nowhere.
    pub async fn apply<K: Child>(&self, desired: &K, cached: Option<&K>) -> Result<Applied<K>, ApplyError> {
        let body = body_of(desired)?;
        let key = name_hash(&key_of(desired));
        let sent = hash(&body);
        if let Some(unchanged) = self.unchanged(&key, sent, &body, cached)? {
            return Ok(unchanged);
        }
        let mut request = body.clone();
        if let Some(uid) = cached.and_then(ResourceExt::uid)
            && let Some(metadata) = request.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.insert("uid".to_owned(), Value::String(uid));
        }
        self.gate.check()?;
        let answer = self.api::<K>(desired).patch(&desired.name_any(), &self.params(true), &Patch::Apply(&request)).await?;
        let answered = to_value(&answer)?;
        let overridden = compare::overridden(&body, &answered);
        let memory = Memory::of(desired, &answer, (sent, hash_of_live(&answered)), &overridden, self.clock.instant());
        self.lock().insert(key, memory);
        Ok(Applied { object: answer, sent: true, overridden })
    }

    /// Asks the server what it would answer, without changing anything.
    pub async fn dry_run<K: Child>(&self, desired: &K) -> Result<K, ApplyError> {
        let params = PatchParams { dry_run: true, ..self.params(true) };
        Ok(self.api::<K>(desired).patch(&desired.name_any(), &params, &Patch::Apply(&body_of(desired)?)).await?)
    }

    /// Applies this manager's **whole** status. What it sent before and leaves out now is deleted by
    /// the server. `object` is what the decision was made on: a newer one is not overwritten.
    pub async fn apply_status<K: Child>(&self, object: &K, status: &Value) -> Result<StatusWrite, ApplyError> {
        self.put_status(object, status).await.map(|(outcome, _)| outcome)
    }

    /// The same, and with it the object as it is after a write, for whoever writes again before the cache shows it.
    pub async fn put_status<K: Child>(&self, object: &K, status: &Value) -> Result<(StatusWrite, Option<K>), ApplyError> {
        let live = to_value(object)?;
        let current = live.get("status").unwrap_or(&Value::Null);
        let has_it = compare::overridden(status, current).is_empty();
        let key = name_hash(&format!("{} status", key_of(object)));
        let sent = hash(status);
        if has_it && self.owns_status(&key, sent, object, status).await? {
            return Ok((StatusWrite::Unchanged, None));
        }
        if self.awaits_cache(&key, object) {
            return Ok((StatusWrite::Unchanged, None));
        }
        let body = status_body(object, status);
        self.gate.check()?;
        let api = self.api::<K>(object);
        let (answer, outcome) = match api.patch_status(&object.name_any(), &self.params(false), &Patch::Apply(&body)).await {
            Ok(answer) => (answer, StatusWrite::Written),
            Err(error) => {
                let from = ApplyError::from(error).into_foreign_managers(self.siblings)?;
                self.gate.check()?;
                let answer = api.patch_status(&object.name_any(), &self.params(true), &Patch::Apply(&body)).await?;
                (answer, StatusWrite::TakenBack { from })
            }
        };
        self.lock().insert(key, remembered_status(object, sent, &answer, self.clock.instant()));
        Ok((outcome, Some(answer)))
    }

    /// Whether exactly this status is on record as ours. Where the cache has no record of it, what we sent last tells; after a restart
    /// that is asked of the server, once.
    async fn owns_status<K: Child>(&self, key: &Hash, sent: Hash, object: &K, status: &Value) -> Result<bool, ApplyError> {
        let covers = |meta: &ObjectMeta| {
            let fields = owned::fields(meta, self.manager, Some("status"))?;
            Some(fields.get("f:status").map_or_else(|| is_empty(status), |fields| owned::covers_exactly(fields, status)))
        };
        if let Some(is_ours) = covers(object.meta()) {
            return Ok(is_ours);
        }
        if let Some(memory) = self.lock().get(key).filter(|memory| memory.is_about(object)) {
            return Ok(memory.sent == sent);
        }
        // Whoever watches a kind may list it; getting one would be a right of its own.
        let just_this = ListParams::default().fields(&format!("metadata.name={}", object.name_any()));
        let listed = self.api::<K>(object).list(&just_this).await?;
        let same = |live: &&K| live.uid() == object.uid() && live.resource_version() == object.resource_version();
        let Some(live) = listed.items.iter().find(same).filter(|live| covers(live.meta()) == Some(true)) else { return Ok(false) };
        self.lock().insert(*key, remembered_status(object, sent, live, self.clock.instant()));
        Ok(true)
    }

    /// Forgets an object that is gone, and all that it controlled.
    pub fn forget(&self, kind: &str, namespace: &str, name: &str) {
        let gone = name_hash(&format!("{kind} {namespace}/{name}"));
        self.lock().retain(|_, memory| memory.of != gone);
    }

    /// Whether nothing has to be sent: the same was sent before, and the object is as it was answered.
    fn unchanged<K: Child>(&self, key: &Hash, sent: Hash, body: &Value, cached: Option<&K>) -> Result<Option<Applied<K>>, ApplyError> {
        let remembered = self.lock().get(key).cloned();
        let Some(cached) = cached else { return Ok(None) };
        let live = to_value(cached)?;
        let answered = hash_of_live(&live);
        match remembered {
            Some(memory) if memory.sent != sent => Ok(None),
            Some(memory) => {
                let is_as_answered = memory.is_about(cached) && memory.answered == answered;
                let same = is_as_answered || self.is_behind(&memory, cached);
                Ok(same.then(|| Applied { object: cached.clone(), sent: false, overridden: memory.overridden.into_vec() }))
            }
            // After a restart the server's own record of our last apply tells.
            None => {
                let owned = owned::fields(cached.meta(), self.manager, None);
                let is_ours = owned.is_some_and(|fields| owned::covers_exactly(&fields, &owned::ownable(body)));
                if !is_ours || !compare::overridden(body, &live).is_empty() {
                    return Ok(None);
                }
                let memory = Memory::of(cached, cached, (sent, answered), &[], self.clock.instant());
                self.lock().insert(*key, memory);
                Ok(Some(Applied { object: cached.clone(), sent: false, overridden: Vec::new() }))
            }
        }
    }

    /// Whether the cache is older than what we wrote last: whatever is decided on it would be refused, and the change that is on its way
    /// has everything looked at again.
    fn awaits_cache<K: Child>(&self, key: &Hash, cached: &K) -> bool {
        self.lock().get(key).is_some_and(|memory| self.is_behind(memory, cached))
    }

    fn is_behind<K: Child>(&self, memory: &Memory, cached: &K) -> bool {
        memory.is_about(cached)
            && !at_least(cached.resource_version().as_deref(), memory.resource_version.as_deref())
            && self.clock.instant().duration_since(memory.at) <= CACHE_PATIENCE
    }

    fn params(&self, force: bool) -> PatchParams {
        let params = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(self.manager) };
        if force { params.force() } else { params }
    }

    fn api<K: Child>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), object.namespace().as_deref().unwrap_or("default"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Hash, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered of a status that the server has in this version.
fn remembered_status<K: Child>(object: &K, sent: Hash, answer: &K, at: Instant) -> Memory {
    Memory::of(object, answer, (sent, Hash::default()), &[], at)
}

/// Names an object for people, logs and memory: `Kind namespace/name`.
pub fn key_of<K: Child>(object: &K) -> String {
    format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

/// Names what an object goes with: its controlling owner, else itself.
fn owner_of<K: Child>(object: &K) -> String {
    let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true));
    owner.map_or_else(|| key_of(object), |owner| format!("{} {}/{}", owner.kind, object.namespace().unwrap_or_default(), owner.name))
}

fn to_value<K: Serialize>(object: &K) -> Result<Value, ApplyError> {
    serde_json::to_value(object).map_err(|error| ApplyError::Defect { message: format!("an object cannot be written as JSON: {error}") })
}

/// The object as it is sent: with its type, without a status and without what only the server writes.
fn body_of<K: Child>(desired: &K) -> Result<Value, ApplyError> {
    let mut body = to_value(desired)?;
    if let Some(object) = body.as_object_mut() {
        object.remove("status");
        object.insert("apiVersion".to_owned(), Value::String(K::api_version(&()).into_owned()));
        object.insert("kind".to_owned(), Value::String(K::kind(&()).into_owned()));
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for server_side in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"] {
                metadata.remove(server_side);
            }
        }
    }
    Ok(body)
}

fn status_body<K: Child>(object: &K, status: &Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), Value::String(object.name_any()));
    if let Some(namespace) = object.namespace() {
        metadata.insert("namespace".to_owned(), Value::String(namespace));
    }
    // The uid is not looked at here: only the version keeps the write off a re-created namesake.
    if let Some(version) = object.resource_version() {
        metadata.insert("resourceVersion".to_owned(), Value::String(version));
    }
    serde_json::json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata, "status": status})
}

fn is_empty(status: &Value) -> bool {
    status.is_null() || status.as_object().is_some_and(Map::is_empty)
}

/// A hash that does not depend on the order of keys.
fn hash(value: &Value) -> Hash {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    half(&hasher.finalize().into())
}

fn name_hash(name: &str) -> Hash {
    half(&Sha256::digest(name.as_bytes()).into())
}

fn half(whole: &[u8; 32]) -> Hash {
    *whole.first_chunk().expect("32 bytes begin with 16")
}

/// The hash of a live object without what changes all the time.
fn hash_of_live(live: &Value) -> Hash {
    let mut live = live.clone();
    if let Some(object) = live.as_object_mut() {
        object.remove("status");
        // Lists leave these out of their items, single answers do not.
        object.remove("apiVersion");
        object.remove("kind");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            metadata.remove("resourceVersion");
        }
    }
    hash(&live)
}

fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            hasher.update(b"{");
            for (key, value) in sorted {
                hasher.update(key.as_bytes());
                hasher.update(b"\0");
                feed(hasher, value);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        other => hasher.update(other.to_string().as_bytes()),
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
