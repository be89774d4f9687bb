//! What makes a pod the one of its ordinal: name, host name, labels, volumes.

use serde_json::{Value, json};

use crate::owner::controller_reference;
use crate::pods::{from_template, ordinal_in};
use crate::statefulset::claims::{claim_name, templates};
use crate::value::{items, label, name, namespace, set, text};

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The label that carries the ordinal came with Kubernetes 1.28.
fn has_index_label(minor: u32) -> bool {
    minor >= 28
}

/// A pod of this ordinal, made from a revision's template.
pub(crate) fn new_pod(owner: &Value, template: &Value, revision: &str, ordinal: i64, minor: u32) -> Value {
    let pod_name = format!("{}-{ordinal}", name(owner));
    let mut pod = from_template(template, namespace(owner), &controller_reference(owner), &format!("{}-", name(owner)));
    set(&mut pod, &["metadata", "name"], pod_name.clone());
    identify(&mut pod, ordinal, minor);
    set(&mut pod, &["metadata", "labels", "controller-revision-hash"], revision);
    set(&mut pod, &["spec", "hostname"], pod_name);
    set(&mut pod, &["spec", "subdomain"], text(owner, "/spec/serviceName"));
    mount(&mut pod, owner, ordinal);
    pod
}

/// Sets the labels that tell which pod this is.
pub(crate) fn identify(pod: &mut Value, ordinal: i64, minor: u32) {
    let pod_name = name(pod).to_owned();
    set(pod, &["metadata", "labels", NAME_LABEL], pod_name);
    if has_index_label(minor) {
        set(pod, &["metadata", "labels", INDEX_LABEL], ordinal.to_string());
    }
}

pub(crate) fn identity_matches(pod: &Value, ordinal: i64, minor: u32) -> bool {
    label(pod, NAME_LABEL) == Some(name(pod)) && (!has_index_label(minor) || label(pod, INDEX_LABEL) == Some(ordinal.to_string().as_str()))
}

/// Puts the volumes of the claim templates first; others of the same name give way.
pub(crate) fn mount(pod: &mut Value, owner: &Value, ordinal: i64) {
    let mut volumes: Vec<Value> = templates(owner)
        .iter()
        .map(|template| json!({"name": name(template), "persistentVolumeClaim": {"claimName": claim_name(owner, template, ordinal)}}))
        .collect();
    let taken: Vec<_> = volumes.iter().map(|volume| volume["name"].clone()).collect();
    volumes.extend(items(pod, "/spec/volumes").iter().filter(|volume| !taken.contains(&volume["name"])).cloned());
    if !volumes.is_empty() {
        set(pod, &["spec", "volumes"], volumes);
    }
}

/// The pod mounts a claim of its own for each claim template; more volumes do no harm.
pub(crate) fn storage_matches(owner: &Value, pod: &Value) -> bool {
    let Some(ordinal) = ordinal_in(pod, name(owner)) else { return false };
    templates(owner).iter().all(|template| {
        let wanted = claim_name(owner, template, ordinal);
        let volume = items(pod, "/spec/volumes").iter().find(|volume| text(volume, "/name") == name(template));
        volume.is_some_and(|volume| text(volume, "/persistentVolumeClaim/claimName") == wanted)
    })
}
