//! Claims of a pod that wants a node.

use std::sync::Arc;

use serde_json::Value;

use crate::api::ApiError;
use crate::driver::Context;
use crate::index::{Index, claims_of};
use crate::kinds::{CLAIM, VOLUME};
use crate::scheduler::filters::matches_terms;
use crate::value::{annotation, is_deleting, items, name, namespace, set, text};
use crate::volumes::{SELECTED_NODE, waits_for_pod};

/// Claims that are bound once a node is chosen; or why the pod cannot be scheduled anywhere.
pub(crate) fn delayed_claims(index: &Index, pod: &Value) -> Result<Vec<Arc<Value>>, String> {
    let mut delayed = Vec::new();
    for claim_name in claims_of(pod) {
        let Some(claim) = index.get(CLAIM, namespace(pod), claim_name) else {
            return Err(format!("persistentvolumeclaim {claim_name:?} not found"));
        };
        if is_deleting(claim) {
            return Err(format!("persistentvolumeclaim {claim_name:?} is being deleted"));
        }
        match text(claim, "/status/phase") {
            "Bound" => {}
            "Lost" => {
                return Err(format!(
                    "persistentvolumeclaim {claim_name:?} bound to non-existent persistentvolume {:?}",
                    text(claim, "/spec/volumeName")
                ));
            }
            _ if waits_for_pod(index, claim) => delayed.push(Arc::clone(claim)),
            _ => return Err("pod has unbound immediate PersistentVolumeClaims".to_owned()),
        }
    }
    Ok(delayed)
}

/// A bound volume cannot be reached from this node, or a claim has chosen another.
pub(crate) fn refusal(index: &Index, pod: &Value, node: &Value) -> Option<Vec<String>> {
    for claim in claims_of(pod).filter_map(|claim| index.get(CLAIM, namespace(pod), claim)) {
        let Some(volume) = index.get(VOLUME, "", text(claim, "/spec/volumeName")) else {
            if annotation(claim, SELECTED_NODE).is_some_and(|chosen| chosen != name(node)) {
                return Some(vec!["node(s) did not have enough free storage".to_owned()]);
            }
            continue;
        };
        let required = volume.pointer("/spec/nodeAffinity/required");
        if required.is_some_and(|required| !matches_terms(items(required, "/nodeSelectorTerms"), node)) {
            return Some(vec!["node(s) didn't match PersistentVolume's node affinity".to_owned()]);
        }
    }
    None
}

/// Tells the provisioner where the volumes of these claims are needed.
pub(crate) fn select_node(context: &Context<'_>, claims: &[Arc<Value>], node: &str) -> Result<(), ApiError> {
    for claim in claims.iter().filter(|claim| annotation(claim, SELECTED_NODE) != Some(node)) {
        let mut chosen = (**claim).clone();
        set(&mut chosen, &["metadata", "annotations", SELECTED_NODE], node);
        context.api.update(context.manager, chosen)?;
    }
    Ok(())
}
