//! Members' pods: the notes on them, whether clients are sent there, and their end.

use std::collections::BTreeMap;

use doris_api::labels;
use doris_api::member::{TICKET_ANNOTATION, Ticket};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;

use crate::cache::{ClusterKey, slim_pod};
use crate::context::Context;
use crate::error::Error;
use crate::observe::pods::INCARNATION_ANNOTATION;

/// All that we write on a pod. What is left out is taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Leave to start on an empty volume.
    pub ticket: Option<Ticket>,
    /// The name that Doris gave a founder.
    pub incarnation: Option<String>,
}

/// Writes the notes on exactly this pod. A pod made anew by the same name is not touched.
pub async fn annotate(ctx: &Context, key: &ClusterKey, pod: &str, uid: &str, notes: &Notes) -> Result<(), Error> {
    let ticket = notes.ticket.as_ref().map(|ticket| (TICKET_ANNOTATION, ticket.to_string()));
    let incarnation = notes.incarnation.as_ref().map(|incarnation| (INCARNATION_ANNOTATION, incarnation.clone()));
    let annotations: BTreeMap<&str, String> = ticket.into_iter().chain(incarnation).collect();
    let body = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod, "namespace": key.namespace, "uid": uid, "annotations": annotations},
    });
    let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &key.namespace);
    ctx.gate.check()?;
    let written = pods
        .patch(pod, &PatchParams::apply(labels::CLUSTER_CONTROLLER).force(), &Patch::Apply(&body))
        .await
        .map_err(|error| Error::Apply { object: format!("Pod {pod}"), source: error.into() })?;
    ctx.caches.pods.put(key, written, slim_pod);
    Ok(())
}

/// Sends clients to exactly this pod, or to others.
pub async fn set_serving(ctx: &Context, key: &ClusterKey, pod: &str, uid: &str, serving: bool) -> Result<(), Error> {
    let body = json!({"metadata": {"uid": uid, "labels": {labels::SERVING: serving.to_string()}}});
    let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &key.namespace);
    ctx.gate.check()?;
    let params = PatchParams { field_manager: Some(labels::CLUSTER_CONTROLLER.to_owned()), ..PatchParams::default() };
    let written = pods
        .patch(pod, &params, &Patch::Merge(&body))
        .await
        .map_err(|error| Error::Apply { object: format!("Pod {pod}"), source: error.into() })?;
    ctx.caches.pods.put(key, written, slim_pod);
    Ok(())
}

/// Deletes exactly this pod, with the grace that its template gives it. One that is gone, or was
/// made anew meanwhile, is left alone.
pub async fn delete(ctx: &Context, key: &ClusterKey, pod: &str, uid: &str) -> Result<(), Error> {
    let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &key.namespace);
    let exactly = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    ctx.gate.check()?;
    match pods.delete(pod, &DeleteParams::default().preconditions(exactly)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::Apply { object: format!("Pod {pod}"), source: error.into() }),
    }
}
