//! `ControllerRevision`s: the history of a set's template.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::claiming::claim;
use crate::driver::Context;
use crate::hash::{canonical, revision_hash};
use crate::kinds::REVISION;
use crate::owner::controller_reference;
use crate::selector::Selector;
use crate::value::{count, label, name, namespace, number, set, text};

const HASH_LABEL: &str = "controller.kubernetes.io/hash";
/// Longest owner name that leaves room for the hash.
const LONGEST_PREFIX: usize = 223;

/// An owner's revisions, oldest first; orphans that match are adopted.
pub(crate) fn list(context: &Context<'_>, owner: &Value, selector: &Selector) -> Result<Vec<Arc<Value>>, ApiError> {
    let mut revisions = claim(context, REVISION, owner, selector, |_| true)?;
    sort(&mut revisions);
    Ok(revisions)
}

fn sort(revisions: &mut [Arc<Value>]) {
    revisions.sort_by(|a, b| {
        let order = |revision: &Value| number(revision, "/revision").unwrap_or(0);
        let created = |revision: &Value| text(revision, "/metadata/creationTimestamp").to_owned();
        (order(a), created(a), name(a)).cmp(&(order(b), created(b), name(b)))
    });
}

/// What a revision stores of its owner: the template alone.
fn data_of(owner: &Value) -> Value {
    let mut template = owner.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    set(&mut template, &["$patch"], "replace");
    json!({"spec": {"template": template}})
}

/// The template that a revision stores.
pub(crate) fn template_of(revision: &Value) -> Value {
    let mut template = revision.pointer("/data/spec/template").cloned().unwrap_or_else(|| json!({}));
    crate::value::remove(&mut template, &["$patch"]);
    template
}

/// The revision of the owner's present template: the newest, an older equal one renumbered, or a new one.
/// A hash that another template has already is told apart by counting collisions.
pub(crate) fn of_template(
    context: &Context<'_>,
    owner: &Value,
    revisions: &mut Vec<Arc<Value>>,
    collisions: &mut i64,
) -> Result<Arc<Value>, ApiError> {
    let data = data_of(owner);
    let wanted = canonical(&data);
    let next = revisions.last().and_then(|last| number(last, "/revision")).unwrap_or(0) + 1;
    let equal = revisions.iter().rposition(|revision| revision.get("data").is_some_and(|data| canonical(data) == wanted));
    match equal {
        Some(at) if at + 1 == revisions.len() => Ok(Arc::clone(&revisions[at])),
        Some(at) => {
            let mut renumbered = (*revisions[at]).clone();
            renumbered["revision"] = next.into();
            revisions[at] = context.api.update(context.manager, renumbered)?;
            let revision = Arc::clone(&revisions[at]);
            sort(revisions);
            Ok(revision)
        }
        None => {
            let revision = create(context, owner, &data, next, collisions)?;
            revisions.push(Arc::clone(&revision));
            Ok(revision)
        }
    }
}

fn create(context: &Context<'_>, owner: &Value, data: &Value, number: i64, collisions: &mut i64) -> Result<Arc<Value>, ApiError> {
    loop {
        let hash = revision_hash(data, *collisions);
        let prefix: String = name(owner).chars().take(LONGEST_PREFIX).collect();
        let revision_name = format!("{prefix}-{hash}");
        let mut labels = owner.pointer("/spec/template/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        set(&mut labels, &[HASH_LABEL], hash);
        let mut metadata = json!({"name": revision_name, "namespace": namespace(owner), "labels": labels, "ownerReferences": [controller_reference(owner)]});
        if let Some(annotations) = owner.pointer("/metadata/annotations") {
            metadata["annotations"] = annotations.clone();
        }
        let revision =
            json!({"apiVersion": REVISION.api_version(), "kind": REVISION.kind, "metadata": metadata, "data": data, "revision": number});
        match context.api.create(context.manager, revision) {
            Err(error) if error.code == 409 => {
                let taken = context.api.get(REVISION, namespace(owner), &revision_name);
                if let Some(taken) = taken.filter(|taken| taken.get("data").is_some_and(|taken| canonical(taken) == canonical(data))) {
                    return Ok(taken);
                }
                *collisions += 1;
            }
            answer => return answer,
        }
    }
}

/// Deletes the oldest revisions that nothing uses, beyond the limit.
pub(crate) fn truncate(context: &Context<'_>, revisions: &[Arc<Value>], live: &[&str], limit: i64) -> Result<(), ApiError> {
    let unused: Vec<_> = revisions.iter().filter(|revision| !live.contains(&name(revision))).collect();
    let excess = usize::try_from(count(unused.len()) - limit).unwrap_or(0);
    for revision in unused.into_iter().take(excess) {
        context.delete(revision, None)?;
    }
    Ok(())
}

/// The revision a pod was made from.
pub(crate) fn of_pod(pod: &Value) -> &str {
    label(pod, "controller-revision-hash").unwrap_or_default()
}
