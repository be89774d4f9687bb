//! Deployments: `ReplicaSets` that replace one another.

mod conditions;
mod rolling;
mod sets;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::claiming::claim;
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{DEPLOYMENT, POD, REPLICA_SET};
use crate::owner::controller_of;
use crate::pods::is_active;
use crate::quantity::int_or_percent;
use crate::selector::Selector;
use crate::statefulset::managers_of;
use crate::value::{flag, is_deleting, name, number, text, uid};

pub(crate) struct Deployments;

/// A Deployment with its `ReplicaSets`, the one of the present template apart.
pub(crate) struct Family<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) deployment: Arc<Value>,
    pub(crate) new: Option<Arc<Value>>,
    pub(crate) old: Vec<Arc<Value>>,
}

pub(crate) fn replicas(object: &Value) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1)
}

pub(crate) fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas").unwrap_or(0)
}

impl Family<'_> {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    pub(crate) fn wanted(&self) -> i64 {
        replicas(&self.deployment)
    }

    fn is_rolling(&self) -> bool {
        text(&self.deployment, "/spec/strategy/type") != "Recreate"
    }

    pub(crate) fn max_surge(&self) -> i64 {
        let surge = self.deployment.pointer("/spec/strategy/rollingUpdate/maxSurge").filter(|_| self.is_rolling());
        surge.map_or(0, |value| int_or_percent(value, self.wanted(), true))
    }

    /// At least 1 when no surge is allowed, or nothing could ever move.
    pub(crate) fn max_unavailable(&self) -> i64 {
        let most = self.deployment.pointer("/spec/strategy/rollingUpdate/maxUnavailable").filter(|_| self.is_rolling());
        let most = most.map_or(0, |value| int_or_percent(value, self.wanted(), false));
        if self.is_rolling() && self.max_surge() == 0 && most == 0 { 1 } else { most.min(self.wanted()) }
    }
}

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(DEPLOYMENT) {
            return vec![change.key()];
        }
        if change.is(REPLICA_SET) {
            let mut keys = managers_of(DEPLOYMENT, change, old);
            if !change.deleted && controller_of(&change.object).is_none() {
                let selecting = index.list_in(DEPLOYMENT, &change.namespace);
                keys.extend(
                    selecting.filter(|one| Selector::of(one.pointer("/spec/selector")).selects(&change.object)).map(|one| Key::of(one)),
                );
            }
            return keys;
        }
        // Recreate waits for the last old pod.
        if change.is(POD) && change.deleted {
            let set = controller_of(&change.object).and_then(|owner| index.get(REPLICA_SET, &change.namespace, text(owner, "/name")));
            let above = set.and_then(|set| controller_of(set)).filter(|above| text(above, "/kind") == DEPLOYMENT.kind);
            return above.map(|above| Key::new(DEPLOYMENT, &change.namespace, text(above, "/name"))).into_iter().collect();
        }
        Vec::new()
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(deployment) = context.index.at(key).cloned() else { return Ok(None) };
        let selector = Selector::of(deployment.pointer("/spec/selector"));
        let mut all = claim(context, REPLICA_SET, &deployment, &selector, |_| true)?;
        all.sort_by_key(|set| (text(set, "/metadata/creationTimestamp").to_owned(), name(set).to_owned()));
        let mut family = Family { context, deployment, new: None, old: Vec::new() };
        family.sort_out(all);
        if is_deleting(&family.deployment) {
            return conditions::write(&family).map(|()| None);
        }
        conditions::note_pause(&mut family)?;
        if flag(&family.deployment, "/spec/paused") {
            family.adopt_revision(false)?;
            rolling::scale_all(&mut family)?;
            sets::clean_up(&family)?;
        } else if rolling::is_scaling(&family) {
            family.adopt_revision(false)?;
            rolling::scale_all(&mut family)?;
        } else if family.is_rolling() {
            family.adopt_revision(true)?;
            if !rolling::roll(&mut family)? && conditions::is_complete(&family) {
                sets::clean_up(&family)?;
            }
        } else {
            recreate(&mut family)?;
        }
        conditions::write(&family)?;
        Ok(conditions::until_deadline(&family))
    }
}

/// All old pods go before the first new one comes.
fn recreate(family: &mut Family<'_>) -> Result<(), ApiError> {
    family.adopt_revision(false)?;
    let mut scaled = false;
    for at in 0..family.old.len() {
        if replicas(&family.old[at]) > 0 {
            family.old[at] = sets::scale(family, &family.old[at], 0)?;
            scaled = true;
        }
    }
    let runs = |set: &Arc<Value>| family.context.index.controlled(POD, uid(set)).iter().any(|pod| is_active(pod) || is_deleting(pod));
    if scaled || family.old.iter().any(runs) {
        return Ok(());
    }
    family.adopt_revision(true)?;
    if let Some(new) = family.new.clone() {
        family.new = Some(sets::scale(family, &new, family.wanted())?);
    }
    if conditions::is_complete(family) {
        sets::clean_up(family)?;
    }
    Ok(())
}

/// How long until a time that lies so many seconds after another.
pub(crate) fn until(since: jiff::Timestamp, seconds: i64, now: jiff::Timestamp) -> Option<Duration> {
    let left = jiff::SignedDuration::from_secs(seconds) - now.duration_since(since);
    left.is_positive().then(|| crate::statefulset::delay(left))
}

/// The annotations by which `ReplicaSets` know the size of their Deployment.
pub(crate) fn size_annotations(family: &Family<'_>) -> Value {
    json!({
        "deployment.kubernetes.io/desired-replicas": family.wanted().to_string(),
        "deployment.kubernetes.io/max-replicas": (family.wanted() + family.max_surge()).to_string(),
    })
}

/// Whether two templates are the same but for the hash label.
pub(crate) fn is_same_template(one: Option<&Value>, other: Option<&Value>) -> bool {
    let bare = |template: Option<&Value>| {
        let mut template = template.cloned().unwrap_or_default();
        crate::value::remove(&mut template, &["metadata", "labels", "pod-template-hash"]);
        crate::hash::canonical(&template)
    };
    bare(one) == bare(other)
}
