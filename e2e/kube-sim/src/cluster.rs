//! The state of the simulated cluster: what one request after the other reads and changes.

use std::sync::Arc;

use serde_json::Value;

use crate::access::Tokens;
use crate::clock::Identifiers;
use crate::registry::{Registry, Resource};
use crate::store::Store;

/// Everything that requests work on, behind one lock.
#[derive(Debug)]
pub struct Cluster {
    /// Objects.
    pub store: Store,
    /// Served resources.
    pub registry: Registry,
    /// Made-up identifiers.
    pub ids: Identifiers,
    /// Kubernetes 1.`minor` is simulated.
    pub minor: u32,
    /// Tokens of service accounts.
    pub tokens: Tokens,
}

impl Cluster {
    /// A cluster without objects.
    pub fn new(minor: u32, seed: u64) -> Self {
        Self { store: Store::default(), registry: Registry::builtin(minor), ids: Identifiers::seeded(seed), minor, tokens: Tokens::new() }
    }

    /// An object of a built-in kind of the core group.
    pub fn core(&self, plural: &str, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.store.get(&format!("{plural}."), namespace, name)
    }

    /// The resource that keeps objects of `group` and `kind`.
    pub fn resource_of(&self, group: &str, kind: &str) -> Option<Arc<Resource>> {
        self.registry.by_group_kind(group, kind).cloned()
    }
}
