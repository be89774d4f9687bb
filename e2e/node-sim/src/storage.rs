//! The `StorageClass`, and a provisioner and resizer for its claims.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimCondition, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::cache::Key;
use crate::options::Binding;
use crate::shared::{Shared, lock};

/// Name of the provisioner.
pub(crate) const PROVISIONER: &str = "node-sim.local/volumes";
/// Parameter of a class: how its volumes grow.
const RESIZE: &str = "node-sim.local/resize";
/// Value of [`RESIZE`]: a file system grows only when it is mounted anew. Otherwise it grows while it is in use.
const OFFLINE: &str = "Offline";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Registers the `StorageClass`.
pub(crate) async fn register(shared: &Shared) -> Result<(), kube::Error> {
    let options = &shared.options;
    let default = BTreeMap::from([("storageclass.kubernetes.io/is-default-class".to_owned(), "true".to_owned())]);
    let class = StorageClass {
        metadata: ObjectMeta {
            name: Some(options.storage_class.clone()),
            annotations: options.default_class.then_some(default),
            ..ObjectMeta::default()
        },
        provisioner: PROVISIONER.into(),
        allow_volume_expansion: Some(true),
        reclaim_policy: Some("Delete".into()),
        volume_binding_mode: Some(mode(options.binding).into()),
        ..StorageClass::default()
    };
    match Api::<StorageClass>::all(shared.client.clone()).create(&PostParams::default(), &class).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}

fn mode(binding: Binding) -> &'static str {
    match binding {
        Binding::Immediate => "Immediate",
        Binding::WaitForFirstConsumer => "WaitForFirstConsumer",
    }
}

/// The class of a claim if its volumes come from here.
fn our_class(shared: &Shared, claim: &PersistentVolumeClaim) -> Option<std::sync::Arc<StorageClass>> {
    let name = claim.spec.as_ref()?.storage_class_name.as_deref()?;
    shared.caches.classes.get("", name).filter(|class| class.provisioner == PROVISIONER)
}

/// Makes the volume that a claim waits for, or lets it grow.
pub(crate) async fn serve_claim(shared: &Shared, key: &Key) -> Result<(), kube::Error> {
    let Some(claim) = shared.caches.claims.get(&key.0, &key.1) else { return Ok(()) };
    let Some(class) = our_class(shared, &claim) else { return Ok(()) };
    let Some(spec) = &claim.spec else { return Ok(()) };
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    if let (true, Some(volume)) = (bound, &spec.volume_name) {
        return grow(shared, &claim, &class, volume).await;
    }
    if spec.volume_name.is_some() || claim.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let node = chosen_node(shared, &claim);
    if node.is_none() && class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer") {
        return Ok(());
    }
    let volume = build_volume(shared, &claim, &class, node);
    match Api::<PersistentVolume>::all(shared.client.clone()).create(&PostParams::default(), &volume).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}

/// The scheduler's choice, or the node of a pod that already uses the claim.
fn chosen_node(shared: &Shared, claim: &PersistentVolumeClaim) -> Option<String> {
    if let Some(node) = claim.annotations().get(SELECTED_NODE) {
        return Some(node.clone());
    }
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let pods = shared.caches.pods.in_namespace(&namespace);
    pods.iter().filter(|pod| uses_claim(pod, &name)).find_map(|pod| pod.spec.as_ref()?.node_name.clone())
}

/// Names of the claims that a pod mounts.
pub(crate) fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref().map(|source| source.claim_name.as_str()))
}

fn uses_claim(pod: &Pod, claim: &str) -> bool {
    claims_of(pod).any(|used| used == claim)
}

fn requested(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")
}

fn build_volume(shared: &Shared, claim: &PersistentVolumeClaim, class: &StorageClass, node: Option<String>) -> PersistentVolume {
    let affinity = node.filter(|_| shared.options.local_volumes).map(|node| {
        json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}})
    });
    let name = format!("pvc-{}", claim.uid().unwrap_or_default());
    let spec = claim.spec.as_ref();
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": requested(claim).map_or("1Gi", |size| size.0.as_str())},
            "accessModes": spec.and_then(|spec| spec.access_modes.clone()),
            "volumeMode": spec.and_then(|spec| spec.volume_mode.clone()),
            "persistentVolumeReclaimPolicy": class.reclaim_policy.clone().unwrap_or_else(|| "Delete".into()),
            "storageClassName": class.name_any(),
            "hostPath": {"path": format!("/var/lib/node-sim/{name}")},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(), "name": claim.name_any(), "uid": claim.uid()},
            "nodeAffinity": affinity
        }
    });
    // The literal has the type's own field names and value types.
    serde_json::from_value(volume).unwrap_or_default()
}

/// Gives a claim the size that it asks for, as resizer and kubelet do together: at once, or, where the class
/// says that a file system in use does not grow, when a pod that was made later mounts it.
async fn grow(shared: &Shared, claim: &PersistentVolumeClaim, class: &StorageClass, volume: &str) -> Result<(), kube::Error> {
    let Some(wanted) = requested(claim) else { return Ok(()) };
    let capacity = claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage"));
    let more = capacity.is_some_and(|capacity| bytes(wanted) > bytes(capacity));
    if !more || class.allow_volume_expansion != Some(true) {
        return Ok(());
    }
    let error = lock(&shared.faults).resize_error.clone();
    if let Some(error) = error {
        return tell(shared, claim, "ControllerResizeError", &error).await;
    }
    let volumes: Api<PersistentVolume> = Api::all(shared.client.clone());
    let patch = json!({"spec": {"capacity": {"storage": wanted}}});
    volumes.patch(volume, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    let is_offline = class.parameters.as_ref().and_then(|parameters| parameters.get(RESIZE)).is_some_and(|resize| resize == OFFLINE);
    if is_offline && !is_mounted_anew(shared, claim) {
        let words = "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";
        return tell(shared, claim, "FileSystemResizePending", words).await;
    }
    let patch = json!({"status": {"capacity": {"storage": wanted}, "conditions": null}});
    claims_of_namespace(shared, claim).patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await?;
    shared.engine.volume_grown(volume, whole_bytes(wanted));
    Ok(())
}

fn claims_of_namespace(shared: &Shared, claim: &PersistentVolumeClaim) -> Api<PersistentVolumeClaim> {
    Api::namespaced(shared.client.clone(), &claim.namespace().unwrap_or_default())
}

fn condition<'a>(claim: &'a PersistentVolumeClaim, type_: &str) -> Option<&'a PersistentVolumeClaimCondition> {
    claim.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
}

/// Only pods that were made after the volume had grown use it.
fn is_mounted_anew(shared: &Shared, claim: &PersistentVolumeClaim) -> bool {
    let Some(since) = condition(claim, "FileSystemResizePending").and_then(|one| one.last_transition_time.clone()) else { return false };
    let pods = shared.caches.pods.in_namespace(&claim.namespace().unwrap_or_default());
    let name = claim.name_any();
    let mut users = pods.iter().filter(|pod| uses_claim(pod, &name)).peekable();
    users.peek().is_some() && users.all(|pod| pod.creation_timestamp().is_some_and(|made| made.0 > since.0))
}

/// Says what keeps a claim from its size, once.
async fn tell(shared: &Shared, claim: &PersistentVolumeClaim, type_: &str, message: &str) -> Result<(), kube::Error> {
    if condition(claim, type_).is_some_and(|known| known.message.as_deref() == Some(message)) {
        return Ok(());
    }
    let condition = json!({"type": type_, "status": "True", "message": message, "lastTransitionTime": shared.now()});
    let patch = json!({"status": {"conditions": [condition]}});
    claims_of_namespace(shared, claim).patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await.map(drop)
}

/// Deletes a released volume whose policy says so; tells its name when it went.
pub(crate) async fn reclaim(shared: &Shared, key: &Key) -> Result<Option<String>, kube::Error> {
    let Some(volume) = shared.caches.volumes.get("", &key.1) else { return Ok(Some(key.1.clone())) };
    let ours = volume.annotations().get(PROVISIONED_BY).is_some_and(|by| by == PROVISIONER);
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    let deletes = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some("Delete");
    if !(ours && released && deletes) || volume.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    let params = DeleteParams::default().preconditions(Preconditions { uid: volume.uid(), resource_version: None });
    match Api::<PersistentVolume>::all(shared.client.clone()).delete(&key.1, &params).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(None),
        other => other.map(|_| None),
    }
}

/// A size in whole bytes.
// Sizes are far below 2^53 and never negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn whole_bytes(quantity: &Quantity) -> u64 {
    bytes(quantity) as u64
}

/// A quantity as a number; what is no quantity counts as nothing.
pub(crate) fn bytes(quantity: &Quantity) -> f64 {
    let text = quantity.0.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "Ki" => 1024f64,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "m" => 1e-3,
        _ => 1.0,
    };
    number.parse::<f64>().unwrap_or(0.0) * factor
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::bytes;

    #[test]
    fn sizes_compare_across_units() {
        let of = |text: &str| bytes(&Quantity(text.into()));
        assert!(of("1Gi") > of("1G") && of("1024Mi") >= of("1Gi") && of("2") > of("1500m"));
    }
}
