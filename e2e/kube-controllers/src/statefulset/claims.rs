//! Claims of a StatefulSet's pods, and who owns them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::driver::Context;
use crate::kinds::CLAIM;
use crate::owner::with_owners;
use crate::pods::ordinal_in;
use crate::value::{entries, is_deleting, items, kind_of, name, namespace, remove, set, text, uid};

pub(crate) fn templates(owner: &Value) -> &[Value] {
    items(owner, "/spec/volumeClaimTemplates")
}

pub(crate) fn claim_name(owner: &Value, template: &Value, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", name(template), name(owner))
}

/// Makes the claims that a pod of this ordinal needs. All are tried before the first error counts.
pub(crate) fn create_missing(context: &Context<'_>, owner: &Value, pod: &Value, ordinal: i64) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    for template in templates(owner) {
        let claim = claim_name(owner, template, ordinal);
        match context.api.get(CLAIM, namespace(owner), &claim) {
            Some(existing) if is_deleting(&existing) => errors.push(format!("pvc {claim} is being deleted")),
            Some(_) => {}
            None => {
                if let Err(error) = create(context, owner, pod, template, &claim) {
                    errors.push(format!("failed to create PVC {claim}: {}", error.message));
                }
            }
        }
    }
    joined(&errors)
}

/// Several failures as one error.
pub(crate) fn joined(errors: &[String]) -> Result<(), ApiError> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(internal(errors.concat())),
        _ => Err(internal(format!("[{}]", errors.join(", ")))),
    }
}

fn internal(message: String) -> ApiError {
    ApiError { code: 500, reason: "InternalError".into(), message }
}

fn create(context: &Context<'_>, owner: &Value, pod: &Value, template: &Value, claim_name: &str) -> Result<(), ApiError> {
    let mut claim = template.clone();
    remove(&mut claim, &["status"]);
    set(&mut claim, &["apiVersion"], "v1");
    set(&mut claim, &["kind"], "PersistentVolumeClaim");
    set(&mut claim, &["metadata", "name"], claim_name);
    set(&mut claim, &["metadata", "namespace"], namespace(owner));
    for (key, value) in entries(owner, "/spec/selector/matchLabels") {
        set(&mut claim, &["metadata", "labels", key], value);
    }
    let answer = context.api.create(context.manager, claim);
    let (pod, owner_name) = (name(pod), name(owner));
    match answer {
        Ok(_) => {
            context.normal(owner, "SuccessfulCreate", &format!("create Claim {claim_name} Pod {pod} in StatefulSet {owner_name} success"));
            Ok(())
        }
        Err(error) if error.reason == "AlreadyExists" => Ok(()),
        Err(error) => {
            let said = format!("create Claim {claim_name} for Pod {pod} in StatefulSet {owner_name} failed error: {}", error.message);
            context.warning(owner, "FailedCreate", &said);
            Err(error)
        }
    }
}

/// Who has to own a claim, so that it goes with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Nobody,
    Set,
    Pod,
}

/// Claim retention came on by default with Kubernetes 1.27.
fn retention_is_known(minor: u32) -> bool {
    minor >= 27
}

fn keeper(owner: &Value, is_condemned: bool) -> Keeper {
    let deletes = |when: &str| text(owner, &format!("/spec/persistentVolumeClaimRetentionPolicy/{when}")) == "Delete";
    match (deletes("whenScaled"), deletes("whenDeleted")) {
        (true, _) if is_condemned => Keeper::Pod,
        (_, true) => Keeper::Set,
        _ => Keeper::Nobody,
    }
}

fn claims(context: &Context<'_>, owner: &Value, pod: &Value) -> Vec<Arc<Value>> {
    let Some(ordinal) = ordinal_in(pod, name(owner)) else { return Vec::new() };
    let claim = |template| context.api.get(CLAIM, namespace(owner), &claim_name(owner, template, ordinal));
    templates(owner).iter().filter_map(claim).collect()
}

fn is_owned_by(claim: &Value, owner: &Value) -> bool {
    items(claim, "/metadata/ownerReferences").iter().any(|reference| text(reference, "/uid") == uid(owner))
}

/// The owners of a pod's claims are as the retention policy wants them.
pub(crate) fn retention_matches(context: &Context<'_>, owner: &Value, pod: &Value, is_condemned: bool) -> bool {
    if !retention_is_known(context.minor()) {
        return true;
    }
    let keeper = keeper(owner, is_condemned);
    claims(context, owner, pod)
        .iter()
        .all(|claim| is_owned_by(claim, owner) == (keeper == Keeper::Set) && is_owned_by(claim, pod) == (keeper == Keeper::Pod))
}

/// Gives a pod's claims the owners that the retention policy wants.
pub(crate) fn fix_retention(context: &Context<'_>, owner: &Value, pod: &Value, is_condemned: bool) -> Result<(), ApiError> {
    if retention_matches(context, owner, pod, is_condemned) {
        return Ok(());
    }
    let keeper = keeper(owner, is_condemned);
    for claim in claims(context, owner, pod) {
        let foreign = |reference: &&Value| ![uid(owner), uid(pod)].contains(&text(reference, "/uid"));
        let mut owners: Vec<Value> = items(&claim, "/metadata/ownerReferences").iter().filter(foreign).cloned().collect();
        match keeper {
            Keeper::Nobody => {}
            Keeper::Set => owners.push(reference(context, owner)),
            Keeper::Pod => owners.push(reference(context, pod)),
        }
        context.api.update(context.manager, with_owners(&claim, owners))?;
    }
    Ok(())
}

fn reference(context: &Context<'_>, owner: &Value) -> Value {
    let mut reference = json!({"apiVersion": text(owner, "/apiVersion"), "kind": kind_of(owner), "name": name(owner), "uid": uid(owner)});
    if context.minor() >= 31 {
        reference["controller"] = true.into();
        reference["blockOwnerDeletion"] = true.into();
    }
    reference
}

/// A claim still belongs to a former pod of the same name: it is about to go, and the new pod must not mount it.
pub(crate) fn is_stale(context: &Context<'_>, owner: &Value, pod: &Value) -> bool {
    retention_is_known(context.minor())
        && claims(context, owner, pod).iter().any(|claim| {
            let mut references = items(claim, "/metadata/ownerReferences").iter();
            references.any(|reference| {
                text(reference, "/kind") == "Pod" && text(reference, "/name") == name(pod) && text(reference, "/uid") != uid(pod)
            })
        })
}
