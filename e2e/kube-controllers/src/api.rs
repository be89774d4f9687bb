//! What a built-in controller sees of the API server: implemented by the simulator's store, in
//! the same process and without serialisation.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::broadcast;

/// A group, version and kind, for example `apps/v1 StatefulSet`; the core group is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// API group, empty for the core one.
    pub group: &'static str,
    /// Version of the group.
    pub version: &'static str,
    /// Kind as written in manifests.
    pub kind: &'static str,
}

/// Which object changed. A controller reads the object again and decides from its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// API group of the changed object.
    pub group: String,
    /// Kind of the changed object.
    pub kind: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The object as it was last, so that a deletion still tells labels and owners.
    pub object: Arc<Value>,
    /// The object is gone.
    pub deleted: bool,
}

/// A refusal by the API server, as a controller needs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// `reason` of the Status object, for example `Conflict`.
    pub reason: String,
    /// `message` of the Status object.
    pub message: String,
}

/// How an object is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Only when the object still has this uid.
    pub uid: Option<String>,
    /// Only when the object still has this resource version.
    pub resource_version: Option<String>,
    /// `Background`, `Foreground` or `Orphan`; the kind's default otherwise.
    pub propagation: Option<String>,
    /// Seconds given to a pod; the pod's own otherwise. 0 removes the object at once.
    pub grace_period_seconds: Option<i64>,
}

/// The API server as its built-in controllers use it. Calls go through the same admission,
/// validation, defaulting and ownership tracking as requests over HTTP, under the user name of
/// the controller (`manager`, for example `statefulset-controller`).
pub trait Api: Send + Sync + 'static {
    /// One object, or `None`.
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// All objects of a kind, in one namespace or everywhere, ordered by namespace and name.
    fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Arc<Value>>;
    /// All kinds that are served now, custom resources included, each in its preferred version:
    /// (group, version, kind, namespaced). For garbage collection and namespace deletion.
    fn served(&self) -> Vec<(String, String, String, bool)>;
    /// As `list`, for a kind known by its strings only.
    fn list_dynamic(&self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<Arc<Value>>;
    /// Creates; `metadata.generateName` is honoured.
    fn create(&self, manager: &str, object: Value) -> Result<Arc<Value>, ApiError>;
    /// Replaces (PUT); with `metadata.resourceVersion` only that version.
    fn update(&self, manager: &str, object: Value) -> Result<Arc<Value>, ApiError>;
    /// Replaces the status alone.
    fn update_status(&self, manager: &str, object: Value) -> Result<Arc<Value>, ApiError>;
    /// Deletes by group and kind, with preconditions and propagation policy.
    fn delete(&self, manager: &str, group: &str, kind: &str, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), ApiError>;
    /// Binds a pod to a node (the `binding` subresource): sets `spec.nodeName`, the condition `PodScheduled` and, from Kubernetes 1.35 on,
    /// the node's topology labels. Only while the pod has this uid and no node.
    fn bind(&self, manager: &str, namespace: &str, pod: &str, uid: &str, node: &str) -> Result<(), ApiError>;
    /// Replaces `spec.finalizers` of a namespace (the `finalize` subresource); a deleted namespace without any is gone.
    fn finalize_namespace(&self, manager: &str, object: Value) -> Result<Arc<Value>, ApiError>;
    /// All changes from now on, sent before the call that made them returns. A receiver that lags has to look at everything again.
    fn changes(&self) -> broadcast::Receiver<Change>;
    /// The server's wall clock.
    fn now(&self) -> jiff::Timestamp;
    /// Minor version of the Kubernetes that is simulated, for example 36.
    fn minor_version(&self) -> u32;
}
