//! Binding of claims to volumes, and what happens to a volume whose claim is gone.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{CLAIM, POD, STORAGE_CLASS, VOLUME};
use crate::quantity::nanos;
use crate::value::{annotation, flag, is_deleting, name, set, text, uid};
use crate::volumes::matching::{find, is_kept_for, request};
use crate::volumes::provisioner::{expand, provision, reference};
use crate::volumes::{SELECTED_NODE, class_of, is_provisioned_here, waits_for_pod};

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";

/// Binds, provisions and expands claims; releases and reclaims volumes.
pub(crate) struct Binder;

impl Controller for Binder {
    fn name(&self) -> &'static str {
        "persistentvolume-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(CLAIM) {
            let mut keys = vec![change.key()];
            let volume = text(&change.object, "/spec/volumeName");
            if !volume.is_empty() && (change.deleted || old.is_none()) {
                keys.push(Key::new(VOLUME, "", volume));
            }
            return keys;
        }
        if change.is(VOLUME) {
            let mut keys = vec![change.key()];
            let claim = (text(&change.object, "/spec/claimRef/namespace"), text(&change.object, "/spec/claimRef/name"));
            if claim.1.is_empty() {
                keys.extend(unbound(index));
            } else {
                keys.push(Key::new(CLAIM, claim.0, claim.1));
            }
            return keys;
        }
        if change.is(STORAGE_CLASS) {
            return unbound(index);
        }
        // An event names the pod that a claim waits for.
        if change.is(POD) && old.is_none() {
            let waits =
                |claim: &&str| index.get(CLAIM, &change.namespace, claim).is_some_and(|claim| text(claim, "/spec/volumeName").is_empty());
            return crate::index::claims_of(&change.object).filter(waits).map(|claim| Key::new(CLAIM, &change.namespace, claim)).collect();
        }
        Vec::new()
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(object) = context.index.at(key).cloned() else { return Ok(None) };
        if key.is(VOLUME) {
            sync_volume(context, &object)?;
        } else if annotation(&object, BIND_COMPLETED).is_some() {
            sync_bound(context, &object)?;
        } else if !is_deleting(&object) {
            sync_unbound(context, &object)?;
        }
        Ok(None)
    }
}

fn unbound(index: &Index) -> Vec<Key> {
    index.list(CLAIM).filter(|claim| text(claim, "/spec/volumeName").is_empty()).map(|claim| Key::of(claim)).collect()
}

fn sync_unbound(context: &Context<'_>, claim: &Value) -> Result<(), ApiError> {
    let wanted = text(claim, "/spec/volumeName");
    if !wanted.is_empty() {
        let Some(volume) = context.index.get(VOLUME, "", wanted).cloned() else { return write_phase(context, claim, "Pending") };
        if volume.pointer("/spec/claimRef").is_none() || is_kept_for(&volume, claim) {
            return bind(context, claim, &volume);
        }
        let message = format!("volume {wanted:?} already bound to a different claim.");
        context.warning(claim, "FailedBinding", &message);
        return Ok(());
    }
    let is_delayed = waits_for_pod(context.index, claim) && annotation(claim, SELECTED_NODE).is_none();
    let volume = find(context.index, claim).filter(|volume| !is_delayed || is_kept_for(volume, claim));
    if let Some(volume) = volume {
        return bind(context, claim, &volume);
    }
    write_phase(context, claim, "Pending")?;
    if is_delayed {
        say_waiting(context, claim);
        return Ok(());
    }
    make_volume(context, claim)
}

fn say_waiting(context: &Context<'_>, claim: &Value) {
    let pods = context.index.pods_of_claim(crate::value::namespace(claim), name(claim));
    let waiting = pods.iter().find(|pod| text(pod, "/spec/nodeName").is_empty() && !is_deleting(pod));
    match waiting {
        Some(pod) => context.normal(claim, "WaitForPodScheduled", &format!("waiting for pod {} to be scheduled", name(pod))),
        None => context.normal(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
    }
}

fn make_volume(context: &Context<'_>, claim: &Value) -> Result<(), ApiError> {
    let class_name = class_of(claim);
    if class_name.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        context.normal(claim, "FailedBinding", message);
        return Ok(());
    }
    let Some(class) = context.index.get(STORAGE_CLASS, "", class_name).cloned() else {
        let message = format!("storageclass.storage.k8s.io {class_name:?} not found");
        context.warning(claim, "ProvisioningFailed", &message);
        return Ok(());
    };
    let provisioner = text(&class, "/provisioner");
    if provisioner == "kubernetes.io/no-provisioner" {
        context.warning(claim, "ProvisioningFailed", "no volume plugin matched name: kubernetes.io/no-provisioner");
        return Ok(());
    }
    let claim = &announce_provisioner(context, claim, provisioner)?;
    if is_provisioned_here(context, &class) {
        return provision(context, claim, &class);
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. \
         If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    context.normal(claim, "ExternalProvisioning", &message);
    Ok(())
}

/// Tells external provisioners that this claim is theirs.
fn announce_provisioner(context: &Context<'_>, claim: &Value, provisioner: &str) -> Result<Arc<Value>, ApiError> {
    const STABLE: &str = "volume.kubernetes.io/storage-provisioner";
    const BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
    if annotation(claim, BETA) == Some(provisioner) {
        return Ok(Arc::new(claim.clone()));
    }
    let mut changed = claim.clone();
    set(&mut changed, &["metadata", "annotations", BETA], provisioner);
    if context.minor() >= 23 {
        set(&mut changed, &["metadata", "annotations", STABLE], provisioner);
    }
    context.api.update(context.manager, changed)
}

fn write_phase(context: &Context<'_>, claim: &Value, phase: &str) -> Result<(), ApiError> {
    let mut status = claim.get("status").cloned().unwrap_or_else(|| json!({}));
    set(&mut status, &["phase"], phase);
    context.write_status(claim, status)
}

/// Binds in the order of the real controller, so that a crash in between can be continued: volume, its phase, claim, its phase.
fn bind(context: &Context<'_>, claim: &Value, volume: &Value) -> Result<(), ApiError> {
    let mut volume = Arc::new(volume.clone());
    if text(&volume, "/spec/claimRef/uid") != uid(claim) {
        let mut kept = (*volume).clone();
        set(&mut kept, &["spec", "claimRef"], reference(claim));
        set(&mut kept, &["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
        volume = context.api.update(context.manager, kept)?;
    }
    write_volume_phase(context, &volume, "Bound")?;
    let mut bound = claim.clone();
    if text(claim, "/spec/volumeName").is_empty() {
        set(&mut bound, &["spec", "volumeName"], name(&volume));
        set(&mut bound, &["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
    }
    set(&mut bound, &["metadata", "annotations", BIND_COMPLETED], "yes");
    let bound = context.api.update(context.manager, bound)?;
    write_bound(context, &bound, &volume)
}

fn write_bound(context: &Context<'_>, claim: &Value, volume: &Value) -> Result<(), ApiError> {
    let mut status = claim.get("status").cloned().unwrap_or_else(|| json!({}));
    if text(&status, "/phase") == "Bound" {
        return Ok(());
    }
    set(&mut status, &["phase"], "Bound");
    set(&mut status, &["accessModes"], volume["spec"]["accessModes"].clone());
    set(&mut status, &["capacity"], volume["spec"]["capacity"].clone());
    context.write_status(claim, status)
}

fn write_volume_phase(context: &Context<'_>, volume: &Value, phase: &str) -> Result<(), ApiError> {
    if text(volume, "/status/phase") == phase {
        return Ok(());
    }
    let mut status = volume.get("status").cloned().unwrap_or_else(|| json!({}));
    set(&mut status, &["phase"], phase);
    context.write_status(volume, status)
}

fn sync_bound(context: &Context<'_>, claim: &Value) -> Result<(), ApiError> {
    let Some(volume) = context.index.get(VOLUME, "", text(claim, "/spec/volumeName")).cloned() else {
        if text(claim, "/status/phase") != "Lost" {
            context.warning(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
        }
        return write_phase(context, claim, "Lost");
    };
    if !is_kept_for(&volume, claim) {
        if text(claim, "/status/phase") != "Lost" {
            context.warning(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
        }
        return write_phase(context, claim, "Lost");
    }
    write_volume_phase(context, &volume, "Bound")?;
    write_bound(context, claim, &volume)?;
    let has = claim.pointer("/status/capacity/storage").map_or(i128::MAX, nanos);
    let class = context.index.get(STORAGE_CLASS, "", class_of(claim)).cloned();
    let Some(class) = class.filter(|class| flag(class, "/allowVolumeExpansion") && has < request(claim)) else { return Ok(()) };
    if is_provisioned_here(context, &class) {
        return expand(context, claim, &volume);
    }
    let message = "waiting for an external controller to expand this PVC";
    context.normal(claim, "ExternalExpanding", message);
    Ok(())
}

fn sync_volume(context: &Context<'_>, volume: &Value) -> Result<(), ApiError> {
    let claim = (text(volume, "/spec/claimRef/namespace"), text(volume, "/spec/claimRef/name"));
    if claim.1.is_empty() {
        return write_volume_phase(context, volume, "Available");
    }
    let kept_uid = text(volume, "/spec/claimRef/uid");
    if kept_uid.is_empty() {
        return write_volume_phase(context, volume, "Available");
    }
    let is_held = context.index.get(CLAIM, claim.0, claim.1).is_some_and(|claim| uid(claim) == kept_uid);
    if is_held {
        return Ok(());
    }
    if text(volume, "/status/phase") != "Released" {
        write_volume_phase(context, volume, "Released")?;
        // The phase comes back as a change; what is done with the volume is decided then.
        return Ok(());
    }
    let is_ours = annotation(volume, "pv.kubernetes.io/provisioned-by") == Some(context.options.provisioner.as_str());
    if is_ours && text(volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" && !is_deleting(volume) {
        context.delete(volume, None)?;
    }
    Ok(())
}
