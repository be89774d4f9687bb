//! What the server adds to objects and refuses on grounds of other objects.

mod limits;
mod pod_security;
mod pods;
mod quota;
pub mod topology;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::access::escalation;
use crate::call::Call;
use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::ApiStatus;
use crate::store::text;

/// What is about to happen to an object.
#[derive(Clone, Debug)]
pub enum Operation {
    /// It is created.
    Create,
    /// It, or its subresource, is updated.
    Update {
        /// Its state before.
        live: Arc<Value>,
        /// The subresource, or empty.
        subresource: String,
    },
}

impl Operation {
    fn is_create(&self) -> bool {
        matches!(self, Self::Create)
    }

    fn is_main(&self) -> bool {
        match self {
            Self::Create => true,
            Self::Update { subresource, .. } => subresource.is_empty(),
        }
    }
}

/// Fills in what depends on the cluster.
pub fn mutate(cluster: &Cluster, call: &Call, resource: &Resource, operation: &Operation, object: &mut Value) -> Result<(), ApiStatus> {
    if !operation.is_main() {
        return Ok(());
    }
    match (&*resource.group, &*resource.plural) {
        ("", "pods") if operation.is_create() => pods::complete(cluster, resource, object),
        ("", "persistentvolumeclaims") if operation.is_create() => {
            complete_claim(cluster, object);
            Ok(())
        }
        ("", "persistentvolumes") if operation.is_create() => {
            add_finalizer(object, "kubernetes.io/pv-protection");
            Ok(())
        }
        ("", "namespaces") => {
            complete_namespace(cluster, operation, object);
            Ok(())
        }
        ("apiextensions.k8s.io", _) => {
            // Objects of the kind are deleted with it, which needs the server's own finalizer on a real one; here it is done at once.
            let _ = call;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Fills in what validation has to see as the request left it.
pub fn complete(resource: &Resource, object: &mut Value) {
    if resource.is_core("pods") {
        pods::default_service_account(object);
    }
}

/// Refuses on grounds of other objects.
pub fn validate(cluster: &Cluster, call: &mut Call, resource: &Resource, operation: &Operation, object: &Value) -> Result<(), ApiStatus> {
    if !operation.is_main() {
        return Ok(());
    }
    escalation::check(&cluster.store, &call.user, resource, object)?;
    pod_security::check(cluster, call, resource, operation, object)?;
    if operation.is_create() && resource.is_core("pods") {
        limits::check(cluster, resource, object)?;
    }
    if let Operation::Update { live, .. } = operation
        && resource.is_core("persistentvolumeclaims")
    {
        check_expansion(cluster, resource, live, object)?;
    }
    quota::check(cluster, resource, operation, object)
}

fn add_finalizer(object: &mut Value, finalizer: &str) {
    let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|known| known == finalizer) {
        finalizers.push(finalizer.into());
        object["metadata"]["finalizers"] = finalizers.into();
    }
}

fn complete_claim(cluster: &Cluster, claim: &mut Value) {
    add_finalizer(claim, "kubernetes.io/pvc-protection");
    let beta = claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].is_string();
    if claim["spec"]["storageClassName"].is_null() && !beta {
        let default = cluster
            .store
            .list("storageclasses.storage.k8s.io", None)
            .find(|class| class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true");
        if let Some(class) = default {
            claim["spec"]["storageClassName"] = text(class, "name").into();
        }
    }
}

/// A claim grows only where its class lets it.
fn check_expansion(cluster: &Cluster, resource: &Resource, live: &Value, claim: &Value) -> Result<(), ApiStatus> {
    let size = |claim: &Value| claim["spec"]["resources"]["requests"]["storage"].clone();
    let grows = match (kube_schema::quantity::Quantity::from_json(&size(live)), kube_schema::quantity::Quantity::from_json(&size(claim))) {
        (Ok(old), Ok(new)) => new.nanos() > old.nanos(),
        _ => false,
    };
    if !grows || live["status"]["phase"] != "Bound" {
        return Ok(());
    }
    let class = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
    let expandable =
        cluster.store.get("storageclasses.storage.k8s.io", "", class).is_some_and(|class| class["allowVolumeExpansion"] == true);
    if expandable {
        return Ok(());
    }
    let text = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    Err(ApiStatus::forbidden(resource, crate::store::text(claim, "name"), text))
}

fn complete_namespace(cluster: &Cluster, operation: &Operation, namespace: &mut Value) {
    if cluster.minor >= 21 {
        let name = namespace["metadata"]["name"].clone();
        if !namespace["metadata"]["labels"].is_object() {
            namespace["metadata"]["labels"] = json!({});
        }
        namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    }
    if operation.is_create() {
        let finalizers = &namespace["spec"]["finalizers"];
        if finalizers.as_array().is_none_or(Vec::is_empty) {
            namespace["spec"] = json!({"finalizers": ["kubernetes"]});
        }
        namespace["status"] = json!({"phase": "Active"});
    }
}
