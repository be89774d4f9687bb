//! Deleting objects of ours that the spec does not ask for any more.
//!
//! Claims and the identity are never ours to delete; they have no owner and are not looked at.

use std::collections::BTreeMap;

use controller_kit::apply::Child;
use doris_api::{DorisCluster, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, ResourceExt as _};

use crate::cache::{ClusterKey, Stamp};
use crate::context::Context;
use crate::error::Error;

/// What is remembered of sweeping: it only spares reads.
#[derive(Debug, Default)]
pub struct SweepMemory {
    /// Objects with our label that are not ours, as they were looked at.
    foreign: BTreeMap<String, Stamp>,
    /// What the last look for unneeded ConfigMaps was made on.
    pub pruned: Option<u64>,
}

/// Deletes objects of one cluster.
pub struct Sweeper<'a> {
    ctx: &'a Context,
    cluster: &'a DorisCluster,
    key: &'a ClusterKey,
    memory: &'a mut SweepMemory,
    /// Whether the server has the spec that we go by; asked once, before the first deletion.
    is_current: Option<bool>,
}

impl<'a> Sweeper<'a> {
    /// Nothing is asked or sent yet.
    pub fn new(ctx: &'a Context, cluster: &'a DorisCluster, key: &'a ClusterKey, memory: &'a mut SweepMemory) -> Self {
        Self { ctx, cluster, key, memory, is_current: None }
    }

    /// Deletes one object if it is ours, exactly as it is now. `stamp` is what the cache shows of it.
    pub async fn remove<K: Child>(&mut self, name: &str, stamp: &Stamp) -> Result<(), Error> {
        let id = format!("{} {name}", K::kind(&()));
        if self.memory.foreign.get(&id) == Some(stamp) {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let read = api.get_metadata_opt(name).await;
        let Some(live) = read.map_err(|source| Error::Read { what: "an object that is not wanted any more", source })? else {
            return Ok(());
        };
        if live.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        if !is_ours(&live.metadata, self.cluster) {
            tracing::info!(object = id, "it bears the cluster's label and is not ours: it stays");
            self.memory.foreign.insert(id, stamp.clone());
            return Ok(());
        }
        if !self.goes_by_the_present_spec().await? {
            return Ok(());
        }
        let exactly = Preconditions { uid: live.uid(), resource_version: live.resource_version() };
        self.ctx.gate.check()?;
        match api.delete(name, &DeleteParams::background().preconditions(exactly)).await {
            Ok(_) => {
                tracing::info!(object = id, cluster = self.key.name, "deleted, since the spec does not ask for it any more");
                Ok(())
            }
            // Gone, or changed since it was read: the next round looks again.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => Err(Error::Apply { object: id, source: error.into() }),
        }
    }

    /// A spec from a cache that is behind must not delete what the present one asks for.
    async fn goes_by_the_present_spec(&mut self) -> Result<bool, Error> {
        if let Some(known) = self.is_current {
            return Ok(known);
        }
        let clusters: Api<DorisCluster> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let ours = ListParams::default().fields(&format!("metadata.name={}", self.key.name));
        let listed =
            clusters.list_metadata(&ours).await.map_err(|source| Error::Read { what: "the cluster's present generation", source })?;
        let is_same = |live: &ObjectMeta| live.uid == self.cluster.metadata.uid && live.generation == self.cluster.metadata.generation;
        let is_current = listed.items.first().is_some_and(|live| is_same(&live.metadata) && live.metadata.deletion_timestamp.is_none());
        self.is_current = Some(is_current);
        Ok(is_current)
    }
}

/// Ours by label, by owner and by who applied it: all three.
fn is_ours(object: &ObjectMeta, cluster: &DorisCluster) -> bool {
    let is_labelled = object.labels.as_ref().and_then(|labels| labels.get(labels::CLUSTER)) == cluster.metadata.name.as_ref();
    let is_owned = object
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && Some(&owner.uid) == cluster.metadata.uid.as_ref());
    let is_applied = object
        .managed_fields
        .iter()
        .flatten()
        .any(|entry| entry.manager.as_deref() == Some(labels::CLUSTER_CONTROLLER) && entry.operation.as_deref() == Some("Apply"));
    is_labelled && is_owned && is_applied
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, json};

    use super::is_ours;
    use crate::build::fixtures::{cluster, small};

    #[test]
    fn ours_is_only_what_label_owner_and_manager_say_together() {
        let ours = json!({
            "name": "demo-cn",
            "labels": {"doris-operator.dev/cluster": "demo"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "DorisCluster", "name": "demo", "uid": "u-1", "controller": true}],
            "managedFields": [{"manager": "doris-cluster-controller", "operation": "Apply"}],
        });
        let cases: [(&str, &str, Value, bool); 6] = [
            ("as we made it", "/name", json!("demo-cn"), true),
            ("another cluster's", "/labels/doris-operator.dev~1cluster", json!("other"), false),
            ("of a former cluster of this name", "/ownerReferences/0/uid", json!("u-0"), false),
            ("merely also owned", "/ownerReferences/0/controller", json!(false), false),
            ("applied by another", "/managedFields/0/manager", json!("argocd"), false),
            ("owned by nobody", "/ownerReferences", json!([]), false),
        ];
        for (name, field, value, expected) in cases {
            let mut object = ours.clone();
            *object.pointer_mut(field).expect("the field is there") = value;
            let object: ObjectMeta = serde_json::from_value(object).expect("metadata");
            assert_eq!(is_ours(&object, &cluster(&small())), expected, "{name}");
        }
    }
}
