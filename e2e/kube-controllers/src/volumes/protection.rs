//! Claims and volumes stay while they are in use.

use serde_json::Value;

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key, claims_of};
use crate::kinds::{CLAIM, POD, VOLUME};
use crate::value::{has_finalizer, is_deleting, namespace, text, with_finalizer, without_finalizer};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// Keeps a claim until no scheduled pod mounts it.
pub(crate) struct ClaimProtection;

/// Keeps a volume until no claim is bound to it.
pub(crate) struct VolumeProtection;

fn guard(context: &Context<'_>, object: &Value, finalizer: &str, is_used: impl Fn() -> bool) -> Result<Next, ApiError> {
    let changed = match (is_deleting(object), has_finalizer(object, finalizer)) {
        (false, false) => with_finalizer(object, finalizer),
        (true, true) if !is_used() => without_finalizer(object, finalizer),
        _ => return Ok(None),
    };
    match context.api.update(context.manager, changed) {
        Err(error) if error.code != 404 => Err(error),
        _ => Ok(None),
    }
}

impl Controller for ClaimProtection {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn concerns(&mut self, _index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(CLAIM) {
            return if change.deleted { Vec::new() } else { vec![change.key()] };
        }
        let ended = change.is(POD)
            && (change.deleted || old.is_none_or(|old| text(old, "/spec/nodeName") != text(&change.object, "/spec/nodeName")));
        if !ended {
            return Vec::new();
        }
        claims_of(&change.object).map(|claim| Key::new(CLAIM, namespace(&change.object), claim)).collect()
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(claim) = context.index.at(key).cloned() else { return Ok(None) };
        let is_used = || context.index.pods_of_claim(&key.namespace, &key.name).iter().any(|pod| !text(pod, "/spec/nodeName").is_empty());
        guard(context, &claim, CLAIM_FINALIZER, is_used)
    }
}

impl Controller for VolumeProtection {
    fn name(&self) -> &'static str {
        "pv-protection-controller"
    }

    fn concerns(&mut self, _index: &Index, change: &Change, _old: Option<&Value>) -> Vec<Key> {
        if change.is(VOLUME) && !change.deleted { vec![change.key()] } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(volume) = context.index.at(key).cloned() else { return Ok(None) };
        guard(context, &volume, VOLUME_FINALIZER, || text(&volume, "/status/phase") == "Bound")
    }
}
