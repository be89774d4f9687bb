//! The `ReplicaSets` of a Deployment: finding, making, scaling and forgetting them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::deployment::{Family, conditions, is_same_template, replicas, rolling, size_annotations};
use crate::hash::template_hash;
use crate::kinds::REPLICA_SET;
use crate::owner::controller_reference;
use crate::value::{annotation, count, entries, is_deleting, name, namespace, number, set};

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";
/// Annotations of a Deployment that its `ReplicaSets` do not take over.
const OWN_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

fn revision_of(object: &Value) -> i64 {
    annotation(object, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl Family<'_> {
    /// Tells the `ReplicaSet` of the present template from the others: the oldest that matches.
    pub(crate) fn sort_out(&mut self, all: Vec<Arc<Value>>) {
        let template = self.deployment.pointer("/spec/template");
        let new = all.iter().position(|set| is_same_template(set.pointer("/spec/template"), template));
        self.old = all;
        self.new = new.map(|at| self.old.remove(at));
    }

    /// Sets the revision of the present template; makes its `ReplicaSet` if wanted.
    pub(crate) fn adopt_revision(&mut self, create: bool) -> Result<(), ApiError> {
        let revision = self.old.iter().map(|set| revision_of(set)).max().unwrap_or(0) + 1;
        if let Some(new) = self.new.clone() {
            let mut changed = (*new).clone();
            annotate(&mut changed, self, revision.max(revision_of(&new)));
            set_min_ready(&mut changed, &self.deployment);
            if changed != *new {
                self.new = Some(self.context.api.update(self.context.manager, changed)?);
            }
        } else if create {
            self.new = Some(self.create(revision)?);
        }
        let Some(new) = &self.new else { return Ok(()) };
        let revision = revision_of(new).to_string();
        if annotation(&self.deployment, REVISION) != Some(revision.as_str()) {
            let mut changed = (*self.deployment).clone();
            set(&mut changed, &["metadata", "annotations", REVISION], revision);
            self.deployment = self.context.api.update(self.context.manager, changed)?;
        }
        Ok(())
    }

    fn create(&mut self, revision: i64) -> Result<Arc<Value>, ApiError> {
        let deployment = Arc::clone(&self.deployment);
        let mut template = deployment.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
        let collisions = number(&deployment, "/status/collisionCount").unwrap_or(0);
        let hash = template_hash(&template, collisions);
        set(&mut template, &["metadata", "labels", HASH], hash.clone());
        let mut selector = deployment.pointer("/spec/selector").cloned().unwrap_or_else(|| json!({}));
        set(&mut selector, &["matchLabels", HASH], hash.clone());
        let labels = template.pointer("/metadata/labels").cloned().unwrap_or_default();
        let set_name = format!("{}-{hash}", name(&deployment));
        let mut wanted = json!({
            "apiVersion": REPLICA_SET.api_version(), "kind": REPLICA_SET.kind,
            "metadata": {
                "name": set_name, "namespace": namespace(&deployment), "labels": labels,
                "ownerReferences": [controller_reference(&deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        });
        annotate(&mut wanted, self, revision);
        set_min_ready(&mut wanted, &deployment);
        let size = rolling::new_size(self, 0);
        set(&mut wanted, &["spec", "replicas"], size);
        match self.context.api.create(self.context.manager, wanted) {
            Ok(created) => {
                if size > 0 {
                    self.say_scaled(&created, 0, size);
                }
                conditions::note(self, "NewReplicaSetCreated", &format!("Created new replica set {set_name:?}"))?;
                Ok(created)
            }
            Err(error) if error.reason == "AlreadyExists" => {
                // The name belongs to another template: the next attempt hashes with one collision more.
                let mut status = self.deployment.get("status").cloned().unwrap_or_else(|| json!({}));
                status["collisionCount"] = (collisions + 1).into();
                self.context.write_status(&self.deployment, status)?;
                Err(error)
            }
            Err(error) => {
                let message = format!("Failed to create new replica set {set_name:?}: {}", error.message);
                self.context.warning(&self.deployment, "ReplicaSetCreateError", &message);
                Err(error)
            }
        }
    }

    pub(crate) fn say_scaled(&self, set: &Value, from: i64, to: i64) {
        let direction = if to > from { "up" } else { "down" };
        let message = match self.context.minor() {
            ..=25 => format!("Scaled {direction} replica set {} to {to}", name(set)),
            26..=31 => format!("Scaled {direction} replica set {} to {to} from {from}", name(set)),
            _ => format!("Scaled {direction} replica set {} from {from} to {to}", name(set)),
        };
        self.context.normal(&self.deployment, "ScalingReplicaSet", &message);
    }
}

fn set_min_ready(changed: &mut Value, deployment: &Value) {
    if let Some(seconds) = number(deployment, "/spec/minReadySeconds").filter(|seconds| *seconds > 0) {
        set(changed, &["spec", "minReadySeconds"], seconds);
    } else {
        crate::value::remove(changed, &["spec", "minReadySeconds"]);
    }
}

fn annotate(changed: &mut Value, family: &Family<'_>, revision: i64) {
    for (key, value) in entries(&family.deployment, "/metadata/annotations").filter(|(key, _)| !OWN_ANNOTATIONS.contains(key)) {
        set(changed, &["metadata", "annotations", key], value);
    }
    for (key, value) in entries(&size_annotations(family), "") {
        set(changed, &["metadata", "annotations", key], value);
    }
    set(changed, &["metadata", "annotations", REVISION], revision.to_string());
}

/// Gives a `ReplicaSet` another size, and tells it the size of its Deployment.
pub(crate) fn scale(family: &Family<'_>, target: &Arc<Value>, size: i64) -> Result<Arc<Value>, ApiError> {
    let mut changed = (**target).clone();
    for (key, value) in entries(&size_annotations(family), "") {
        set(&mut changed, &["metadata", "annotations", key], value);
    }
    set(&mut changed, &["spec", "replicas"], size);
    if changed == **target {
        return Ok(Arc::clone(target));
    }
    let from = replicas(target);
    let scaled = family.context.api.update(family.context.manager, changed)?;
    if from != size {
        family.say_scaled(&scaled, from, size);
    }
    Ok(scaled)
}

/// Deletes the oldest empty `ReplicaSets` beyond the history limit.
pub(crate) fn clean_up(family: &Family<'_>) -> Result<(), ApiError> {
    let Some(limit) = number(&family.deployment, "/spec/revisionHistoryLimit") else { return Ok(()) };
    let mut kept: Vec<_> = family.old.iter().filter(|set| !is_deleting(set)).collect();
    kept.sort_by_key(|set| revision_of(set));
    let excess = usize::try_from(count(kept.len()) - limit).unwrap_or(0);
    for set in kept.into_iter().take(excess) {
        let is_empty = replicas(set) == 0 && number(set, "/status/replicas").unwrap_or(0) == 0;
        let is_seen = number(set, "/status/observedGeneration") >= number(set, "/metadata/generation");
        if is_empty && is_seen {
            family.context.delete(set, None)?;
        }
    }
    Ok(())
}
