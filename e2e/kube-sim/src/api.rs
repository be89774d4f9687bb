//! The API server as the built-in controllers of the same process use it.

use std::sync::Arc;

use jiff::Timestamp;
use kube_controllers::api::{Api, ApiError, Change, DeleteOptions, Kind};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::call::{Call, Target};
use crate::cluster::Cluster;
use crate::convert::to_requested;
use crate::http::options;
use crate::registry::{Resource, split_api_version};
use crate::sim::{Inner, KubeSim};
use crate::status::ApiStatus;
use crate::store::text;

/// The store behind the trait of the controllers.
pub struct ControllerApi {
    inner: Arc<Inner>,
}

impl KubeSim {
    /// The API as the built-in controllers see it, for controllers and nodes of the same process.
    pub fn controller_api(&self) -> Arc<ControllerApi> {
        Arc::new(ControllerApi { inner: self.inner.clone() })
    }
}

impl From<ApiStatus> for Refused {
    fn from(status: ApiStatus) -> Self {
        Self(ApiError { code: status.code, reason: status.reason, message: status.message })
    }
}

struct Refused(ApiError);

fn refused(status: ApiStatus) -> ApiError {
    Refused::from(status).0
}

impl ControllerApi {
    fn call(&self, manager: &str) -> Call {
        Call::of_controller(manager, self.inner.options.clock.now())
    }

    /// The resource of an object, and where it stands.
    fn target(cluster: &Cluster, object: &Value, subresource: &str) -> Result<Target, ApiError> {
        let (group, version) = split_api_version(object["apiVersion"].as_str().unwrap_or_default());
        let kind = object["kind"].as_str().unwrap_or_default();
        let resource = cluster.registry.by_kind(group, version, kind).or_else(|| cluster.registry.by_group_kind(group, kind));
        let resource = resource.cloned().ok_or_else(|| refused(ApiStatus::no_such_resource()))?;
        let namespace = if resource.namespaced { text(object, "namespace").to_owned() } else { String::new() };
        Ok(Target { resource, namespace, name: text(object, "name").to_owned(), subresource: subresource.to_owned() })
    }

    fn write(&self, manager: &str, object: Value, subresource: &str) -> Result<Arc<Value>, ApiError> {
        let mut cluster = self.inner.cluster();
        let target = Self::target(&cluster, &object, subresource)?;
        let mut call = self.call(manager);
        let written = cluster.update(&mut call, &target, object).map_err(refused)?;
        Ok(requested(&target.resource, written.0))
    }
}

fn requested(resource: &Resource, object: Arc<Value>) -> Arc<Value> {
    if resource.is_converted() { Arc::new(to_requested(resource, &object)) } else { object }
}

impl Api for ControllerApi {
    fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let cluster = self.inner.cluster();
        let resource = cluster.registry.by_kind(kind.group, kind.version, kind.kind)?;
        cluster.store.get(&resource.key, namespace, name).map(|object| requested(resource, object.clone()))
    }

    fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let cluster = self.inner.cluster();
        let Some(resource) = cluster.registry.by_kind(kind.group, kind.version, kind.kind) else { return Vec::new() };
        cluster.store.list(&resource.key, namespace).map(|object| requested(resource, object.clone())).collect()
    }

    fn served(&self) -> Vec<(String, String, String, bool)> {
        let cluster = self.inner.cluster();
        let mut kinds: Vec<&Arc<Resource>> = cluster.registry.preferred();
        // One kind kept once is listed once: events are served in two groups.
        kinds.retain(|resource| resource.group == resource.storage.0);
        let strings = |resource: &Arc<Resource>| {
            (resource.group.to_string(), resource.version.to_string(), resource.kind.to_string(), resource.namespaced)
        };
        kinds.into_iter().map(strings).collect()
    }

    fn list_dynamic(&self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let cluster = self.inner.cluster();
        let Some(resource) = cluster.registry.by_group_kind(group, kind) else { return Vec::new() };
        cluster.store.list(&resource.key, namespace).map(|object| requested(resource, object.clone())).collect()
    }

    fn create(&self, manager: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        let mut cluster = self.inner.cluster();
        let target = Self::target(&cluster, &object, "")?;
        let mut call = self.call(manager);
        let created = cluster.create(&mut call, &target, object).map_err(refused)?;
        Ok(requested(&target.resource, created))
    }

    fn update(&self, manager: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        self.write(manager, object, "")
    }

    fn update_status(&self, manager: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        self.write(manager, object, "status")
    }

    fn delete(&self, manager: &str, group: &str, kind: &str, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), ApiError> {
        let mut cluster = self.inner.cluster();
        let resource = cluster.resource_of(group, kind).ok_or_else(|| refused(ApiStatus::no_such_resource()))?;
        let target = Target { resource, namespace: namespace.to_owned(), name: name.to_owned(), subresource: String::new() };
        let options = options::DeleteOptions {
            uid: options.uid.clone(),
            resource_version: options.resource_version.clone(),
            propagation: options.propagation.clone(),
            grace: options.grace_period_seconds,
            dry_run: false,
        };
        cluster.delete(&self.call(manager), &target, &options).map(|_| ()).map_err(refused)
    }

    fn bind(&self, manager: &str, namespace: &str, name: &str, uid: &str, node: &str) -> Result<(), ApiError> {
        let mut cluster = self.inner.cluster();
        let resource = cluster.resource_of("", "Pod").ok_or_else(|| refused(ApiStatus::no_such_resource()))?;
        let target = Target { resource, namespace: namespace.to_owned(), name: name.to_owned(), subresource: "binding".to_owned() };
        let binding = json!({"metadata": {"uid": uid}, "target": {"kind": "Node", "name": node}});
        match cluster.post_special(&mut self.call(manager), &target, &binding) {
            Some(Err(refusal)) => Err(refused(refusal)),
            _ => Ok(()),
        }
    }

    fn finalize_namespace(&self, manager: &str, namespace: Value) -> Result<Arc<Value>, ApiError> {
        self.write(manager, namespace, "finalize")
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.cluster().store.changes()
    }

    fn now(&self) -> Timestamp {
        self.inner.options.clock.now()
    }

    fn minor_version(&self) -> u32 {
        self.inner.options.minor
    }
}
