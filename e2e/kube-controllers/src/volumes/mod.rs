//! Claims and volumes: binding, provisioning, expansion, reclaiming and protection from deletion while in use.

mod binder;
mod matching;
mod protection;
mod provisioner;

pub(crate) use binder::Binder;
pub(crate) use protection::{ClaimProtection, VolumeProtection};

use serde_json::Value;

use crate::driver::Context;
use crate::index::Index;
use crate::kinds::STORAGE_CLASS;
use crate::value::{annotation, text};

/// Annotation by which the scheduler tells where a claim's first pod runs.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Storage class of a claim or volume: the field, or the annotation that came before it.
pub(crate) fn class_of(object: &Value) -> &str {
    annotation(object, "volume.beta.kubernetes.io/storage-class").unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

/// The claim's class binds when its first pod is scheduled.
pub(crate) fn waits_for_pod(index: &Index, claim: &Value) -> bool {
    let class = index.get(STORAGE_CLASS, "", class_of(claim));
    class.is_some_and(|class| text(class, "/volumeBindingMode") == "WaitForFirstConsumer")
}

/// Whether volumes of this class are made here.
fn is_provisioned_here(context: &Context<'_>, class: &Value) -> bool {
    text(class, "/provisioner") == context.options.provisioner
}
