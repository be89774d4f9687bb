//! The simulator's own provisioner: directories on nodes, made and grown at once.

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::driver::Context;
use crate::kinds::NODE;
use crate::quantity::format;
use crate::value::{annotation, label, name, namespace, set, text, uid};
use crate::volumes::SELECTED_NODE;
use crate::volumes::matching::{capacity, request};

/// The name of the volume that is made for a claim.
pub(crate) fn volume_name(claim: &Value) -> String {
    format!("pvc-{}", uid(claim))
}

/// Makes the volume of a claim, already kept for it. A class that waits for pods gives volumes that only their node reaches.
pub(crate) fn provision(context: &Context<'_>, claim: &Value, class: &Value) -> Result<(), ApiError> {
    let volume_name = volume_name(claim);
    let policy = match text(class, "/reclaimPolicy") {
        "" => "Delete",
        policy => policy,
    };
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": volume_name, "annotations": {"pv.kubernetes.io/provisioned-by": context.options.provisioner}},
        "spec": {
            "capacity": {"storage": claim.pointer("/spec/resources/requests/storage")},
            "accessModes": claim.pointer("/spec/accessModes"),
            "claimRef": reference(claim),
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": name(class),
            "volumeMode": claim.pointer("/spec/volumeMode"),
            "hostPath": {"path": format!("/var/lib/kube-sim/{volume_name}"), "type": "DirectoryOrCreate"},
        },
    });
    if let Some(options) = class.pointer("/mountOptions") {
        set(&mut volume, &["spec", "mountOptions"], options.clone());
    }
    if let Some(node) = annotation(claim, SELECTED_NODE) {
        let host = context.index.get(NODE, "", node).and_then(|node| label(node, "kubernetes.io/hostname")).unwrap_or(node);
        let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]});
        set(&mut volume, &["spec", "nodeAffinity", "required", "nodeSelectorTerms"], json!([term]));
    }
    let from = format!("External provisioner is provisioning volume for claim \"{}/{}\"", namespace(claim), name(claim));
    context.normal(claim, "Provisioning", &from);
    match context.api.create(context.manager, volume) {
        Ok(_) => {
            context.normal(claim, "ProvisioningSucceeded", &format!("Successfully provisioned volume {volume_name}"));
            Ok(())
        }
        Err(error) if error.reason == "AlreadyExists" => Ok(()),
        Err(error) => {
            context.warning(claim, "ProvisioningFailed", &format!("failed to provision volume: {}", error.message));
            Err(error)
        }
    }
}

/// A volume's reference to its claim.
pub(crate) fn reference(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name(claim), "namespace": namespace(claim),
        "uid": uid(claim), "resourceVersion": text(claim, "/metadata/resourceVersion"),
    })
}

/// Grows a volume to what its claim asks for.
pub(crate) fn expand(context: &Context<'_>, claim: &Value, volume: &Value) -> Result<(), ApiError> {
    let like = text(claim, "/spec/resources/requests/storage");
    if capacity(volume) < request(claim) {
        let mut grown = volume.clone();
        set(&mut grown, &["spec", "capacity", "storage"], format(request(claim), like));
        context.api.update(context.manager, grown)?;
    }
    let mut status = claim.get("status").cloned().unwrap_or_else(|| json!({}));
    set(&mut status, &["capacity", "storage"], like);
    context.write_status(claim, status)?;
    context.normal(claim, "FileSystemResizeSuccessful", "MountVolume.NodeExpandVolume succeeded for volume");
    Ok(())
}
