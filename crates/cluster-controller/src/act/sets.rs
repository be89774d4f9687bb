//! Taking a StatefulSet away from its pods, so that it can be made anew with other claim templates: the pods run on.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::cache::ClusterKey;
use crate::context::{Context, SetView};
use crate::error::Error;

/// The server takes the owner off pods and revisions first, which takes moments.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Deletes the set and leaves its pods. `false`: it is not gone yet, and nothing else may be done to it.
pub async fn orphan(ctx: &Context, key: &ClusterKey, name: &str) -> Result<bool, Error> {
    let sets: Api<StatefulSet> = Api::namespaced(ctx.client.clone(), &key.namespace);
    let read = |source| Error::Read { what: "a StatefulSet that is made anew", source };
    let Some(live) = sets.get_opt(name).await.map_err(read)? else { return Ok(gone(ctx, key, name)) };
    let uid = live.uid();
    if live.metadata.deletion_timestamp.is_none() {
        let exactly = Preconditions { uid: uid.clone(), resource_version: live.resource_version() };
        let params = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() }.preconditions(exactly);
        ctx.gate.check()?;
        match sets.delete(name, &params).await {
            Ok(_) => tracing::info!(cluster = key.name, set = name, "a StatefulSet is made anew; its pods run on"),
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            // Changed since it was read: the next round looks again.
            Err(kube::Error::Api(status)) if status.is_conflict() => return Ok(false),
            Err(error) => return Err(Error::Apply { object: format!("StatefulSet {name}"), source: error.into() }),
        }
    }
    let end = ctx.clock.instant() + GONE_WITHIN;
    loop {
        match sets.get_opt(name).await.map_err(read)? {
            None => return Ok(gone(ctx, key, name)),
            Some(found) if found.uid() != uid => return Ok(false),
            Some(_) if ctx.clock.instant() >= end => return Ok(false),
            Some(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn gone(ctx: &Context, key: &ClusterKey, name: &str) -> bool {
    ctx.caches.sets.forget(key, name);
    true
}

/// Changes only how many pods a set has; its template stays as it is.
pub async fn resize(ctx: &Context, key: &ClusterKey, name: &str, view: &SetView, replicas: i32) -> Result<(), Error> {
    if view.replicas == replicas || view.leaving {
        return Ok(());
    }
    let body = json!({"metadata": {"uid": &*view.stamp.uid}, "spec": {"replicas": replicas}});
    let sets: Api<StatefulSet> = Api::namespaced(ctx.client.clone(), &key.namespace);
    let params = PatchParams { field_manager: Some(doris_api::labels::CLUSTER_CONTROLLER.to_owned()), ..PatchParams::default() };
    ctx.gate.check()?;
    match sets.patch(name, &params, &Patch::Merge(&body)).await {
        Ok(written) => {
            ctx.caches.sets.put(key, written, |set| SetView::of(&set));
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::Apply { object: format!("StatefulSet {name}"), source: error.into() }),
    }
}
