//! What claims and their templates are like: what of them may differ from the spec once they exist.

use doris_api::cluster::{Disk, Medium, MetadataStorage};
use doris_api::{Component, DorisClusterSpec, Process, labels, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use kube_quantity::ParsedQuantity;

/// A claim template, or a claim that was made from one.
#[derive(Clone, Debug)]
pub struct ClaimShape {
    /// Name of the template: of a disk, or of the metadata's volume.
    pub name: String,
    /// Size that is asked for.
    pub size: Quantity,
    /// Storage class, if it names one.
    pub class: Option<String>,
    /// What Doris takes a disk for; unknown of frontends' volumes.
    pub medium: Option<Medium>,
}

/// Sizes are compared as numbers: `1Gi` is `1024Mi`.
impl PartialEq for ClaimShape {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && bytes(&self.size) == bytes(&other.size) && self.class == other.class && self.medium == other.medium
    }
}

impl Eq for ClaimShape {}

impl ClaimShape {
    /// The shape of a claim or template of this name.
    pub fn of(claim: &PersistentVolumeClaim, name: String) -> Self {
        let medium = claim.annotations().get(labels::MEDIUM);
        let medium = [Medium::SSD, Medium::HDD].into_iter().find(|known| medium.is_some_and(|medium| medium == known.name()));
        Self { name, size: asked_size(claim), class: claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()), medium }
    }
}

/// The size that a claim asks for.
pub fn asked_size(claim: &PersistentVolumeClaim) -> Quantity {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    requests.and_then(|requests| requests.get("storage")).cloned().unwrap_or_default()
}

/// A size in bytes; what is no size counts as nothing.
pub fn bytes(size: &Quantity) -> i128 {
    ParsedQuantity::try_from(size).ok().and_then(|size| size.to_bytes_i128()).unwrap_or_default()
}

/// Claim templates that the spec asks for.
pub fn wanted_claims(spec: &DorisClusterSpec, component: Component) -> Vec<ClaimShape> {
    match component.process() {
        Process::Fe => {
            let MetadataStorage { size, storage_class_name } = &spec.fe.storage;
            let name = names::FE_META_VOLUME.to_owned();
            vec![ClaimShape { name, size: size.clone(), class: storage_class_name.clone(), medium: None }]
        }
        Process::Be => spec.disks(component).iter().map(of_disk).collect(),
        Process::Broker => Vec::new(),
    }
}

fn of_disk(disk: &Disk) -> ClaimShape {
    let Disk { name, medium, size, storage_class_name } = disk;
    ClaimShape { name: name.clone(), size: size.clone(), class: storage_class_name.clone(), medium: Some(*medium) }
}

/// Claim templates of a set.
pub fn claims_of(set: &StatefulSet) -> Vec<ClaimShape> {
    let templates = set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten());
    templates.map(|template| ClaimShape::of(template, template.name_any())).collect()
}
