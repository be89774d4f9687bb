//! Growing members' claims: only their sizes are ours to change, and only upward.

use doris_api::labels;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cache::{ClusterKey, slim_claim};
use crate::context::Context;
use crate::error::Error;
use crate::plan::storage::growth::Ask;

/// What the server made of a claim's larger size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The claim asks for it now.
    Taken,
    /// The claim is another one, or none: it is looked at again.
    Gone,
    /// The server refuses; its own words.
    Refused(String),
}

/// Lets exactly this claim ask for a larger size. Whether its class lets volumes grow is known to the server: no
/// `StorageClass` is read, which would take a right beyond the namespace.
pub async fn ask(ctx: &Context, key: &ClusterKey, ask: &Ask) -> Result<Answer, Error> {
    let body = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": ask.claim, "namespace": key.namespace, "uid": ask.uid},
        "spec": {"resources": {"requests": {"storage": ask.size}}},
    });
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), &key.namespace);
    ctx.gate.check()?;
    match claims.patch(&ask.claim, &PatchParams::apply(labels::CLUSTER_CONTROLLER).force(), &Patch::Apply(&body)).await {
        Ok(written) => {
            tracing::info!(claim = ask.claim, size = ask.size.0, "a volume grows");
            ctx.caches.claims.put(key, written, slim_claim);
            Ok(Answer::Taken)
        }
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(Answer::Gone),
        // A class that does not let volumes grow, a quota, a policy, or a claim whose size is fixed for another reason.
        Err(kube::Error::Api(status)) if status.code == 403 || status.code == 422 => Ok(Answer::Refused(status.message.clone())),
        Err(error) => Err(Error::Apply { object: format!("PersistentVolumeClaim {}", ask.claim), source: error.into() }),
    }
}
