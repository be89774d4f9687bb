//! Which volume fits a claim.

use std::sync::Arc;

use serde_json::Value;

use crate::index::Index;
use crate::kinds::VOLUME;
use crate::quantity::nanos;
use crate::selector::Selector;
use crate::value::{is_deleting, items, name, namespace, text, uid};
use crate::volumes::class_of;

const NOTHING: Value = Value::Null;

/// What a claim asks for.
pub(crate) fn request(claim: &Value) -> i128 {
    nanos(claim.pointer("/spec/resources/requests/storage").unwrap_or(&NOTHING))
}

pub(crate) fn capacity(volume: &Value) -> i128 {
    nanos(volume.pointer("/spec/capacity/storage").unwrap_or(&NOTHING))
}

/// The volume is kept for this claim, by name and, once known, by uid.
pub(crate) fn is_kept_for(volume: &Value, claim: &Value) -> bool {
    let kept_uid = text(volume, "/spec/claimRef/uid");
    text(volume, "/spec/claimRef/name") == name(claim)
        && text(volume, "/spec/claimRef/namespace") == namespace(claim)
        && (kept_uid.is_empty() || kept_uid == uid(claim))
}

/// The smallest free volume that fits, one that is kept for the claim before all others.
pub(crate) fn find(index: &Index, claim: &Value) -> Option<Arc<Value>> {
    let fitting: Vec<_> = index.list(VOLUME).filter(|volume| fits(volume, claim)).collect();
    let kept = fitting.iter().find(|volume| is_kept_for(volume, claim));
    let free =
        || fitting.iter().filter(|volume| volume.pointer("/spec/claimRef").is_none()).min_by_key(|volume| (capacity(volume), name(volume)));
    kept.or_else(free).map(|volume| Arc::clone(volume))
}

fn fits(volume: &Value, claim: &Value) -> bool {
    let mode = |object| match text(object, "/spec/volumeMode") {
        "" => "Filesystem".to_owned(),
        mode => mode.to_owned(),
    };
    let selector = claim.pointer("/spec/selector").filter(|selector| !selector.is_null());
    !is_deleting(volume)
        && class_of(volume) == class_of(claim)
        && mode(volume) == mode(claim)
        && capacity(volume) >= request(claim)
        && items(claim, "/spec/accessModes").iter().all(|mode| items(volume, "/spec/accessModes").contains(mode))
        && selector.is_none_or(|selector| Selector::of(Some(selector)).selects(volume))
        && (volume.pointer("/spec/claimRef").is_none() || is_kept_for(volume, claim))
}
