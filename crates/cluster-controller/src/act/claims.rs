//! Volume claims of members that left: what is noted on them, and their end.

use doris_api::labels;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use crate::cache::{ClusterKey, slim_claim};
use crate::context::Context;
use crate::error::Error;

/// What is noted on a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Its member left, and it stays; under which name or id Doris had the member.
    Kept(String),
    /// Its member left, and it is deleted once the pod is gone.
    Discarded(String),
    /// It has a member again.
    Nothing,
}

/// Notes it on exactly this claim.
pub async fn note(ctx: &Context, key: &ClusterKey, claim: &str, uid: &str, note: &Note) -> Result<(), Error> {
    let (kept, discarded) = match note {
        Note::Kept(member) => (Value::from(member.as_str()), Value::Null),
        Note::Discarded(member) => (Value::Null, Value::from(member.as_str())),
        Note::Nothing => (Value::Null, Value::Null),
    };
    let body = json!({"metadata": {"uid": uid, "labels": {labels::DROPPED: kept, labels::DISCARDED: discarded}}});
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), &key.namespace);
    ctx.gate.check()?;
    let params = PatchParams { field_manager: Some(labels::CLUSTER_CONTROLLER.to_owned()), ..PatchParams::default() };
    match claims.patch(claim, &params, &Patch::Merge(&body)).await {
        Ok(written) => {
            ctx.caches.claims.put(key, written, slim_claim);
            Ok(())
        }
        // Somebody deleted it: there is nothing to note.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(Error::Apply { object: format!("PersistentVolumeClaim {claim}"), source: error.into() }),
    }
}

/// Deletes exactly this claim. One that is gone, or was made anew meanwhile, is left alone.
pub async fn delete(ctx: &Context, key: &ClusterKey, claim: &str, uid: &str) -> Result<(), Error> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), &key.namespace);
    let exactly = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    ctx.gate.check()?;
    match claims.delete(claim, &DeleteParams::default().preconditions(exactly)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::Apply { object: format!("PersistentVolumeClaim {claim}"), source: error.into() }),
    }
}
