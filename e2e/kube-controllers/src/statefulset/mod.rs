//! `StatefulSets`: pods with a name, an order and claims of their own.

mod claims;
mod identity;
mod rollout;
mod status;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::api::{ApiError, Change};
use crate::claiming::claim;
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{POD, STATEFUL_SET};
use crate::owner::controller_of;
use crate::pods::ordinal_in;
use crate::revisions;
use crate::selector::Selector;
use crate::value::{is_deleting, name, namespace, number, text};
use rollout::Rollout;
use status::Counts;

pub(crate) struct StatefulSets;

/// The selected revisions of a set.
pub(crate) struct Versions {
    pub(crate) current: Arc<Value>,
    pub(crate) update: Arc<Value>,
    pub(crate) collisions: i64,
}

/// The set that a pod without a controller may belong to, by its name.
fn set_of_orphan(index: &Index, pod: &Value) -> Option<Key> {
    let (set_name, _) = name(pod).rsplit_once('-')?;
    let set = index.get(STATEFUL_SET, namespace(pod), set_name)?;
    (ordinal_in(pod, set_name).is_some() && Selector::of(set.pointer("/spec/selector")).selects(pod))
        .then(|| Key::new(STATEFUL_SET, namespace(pod), set_name))
}

/// Keys of the objects of a kind that manage an object now or managed it before.
pub(crate) fn managers_of(kind: crate::api::Kind, change: &Change, old: Option<&Value>) -> Vec<Key> {
    let mut keys = Vec::new();
    for object in [Some(&*change.object), old].into_iter().flatten() {
        if let Some(owner) = controller_of(object).filter(|owner| text(owner, "/kind") == kind.kind) {
            let key = Key::new(kind, &change.namespace, text(owner, "/name"));
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

impl Controller for StatefulSets {
    fn name(&self) -> &'static str {
        "statefulset-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(STATEFUL_SET) {
            return vec![change.key()];
        }
        if !change.is(POD) {
            return Vec::new();
        }
        let mut keys = managers_of(STATEFUL_SET, change, old);
        if !change.deleted && controller_of(&change.object).is_none() {
            keys.extend(set_of_orphan(index, &change.object));
        }
        // The set whose name this pod takes has to see that the name became free.
        if change.deleted && keys.is_empty() {
            keys.extend(set_of_orphan(index, &change.object));
        }
        keys
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(set) = context.index.at(key).cloned() else { return Ok(None) };
        let selector = Selector::of(set.pointer("/spec/selector"));
        let mut history = revisions::list(context, &set, &selector)?;
        let pods = claim(context, POD, &set, &selector, |pod| ordinal_in(pod, name(&set)).is_some())?;
        let mut collisions = number(&set, "/status/collisionCount").unwrap_or(0);
        let update = if is_deleting(&set) && !history.is_empty() {
            Arc::clone(&history[history.len() - 1])
        } else {
            revisions::of_template(context, &set, &mut history, &mut collisions)?
        };
        let recorded = text(&set, "/status/currentRevision");
        let current = history.iter().find(|revision| name(revision) == recorded).unwrap_or(&update).clone();
        let versions = Versions { current, update, collisions };

        let mut rollout = Rollout::new(context, &set, &versions, &pods);
        let outcome = rollout.run();
        let status = rollout.status();
        let again = rollout.again();
        status.write(context, &set, &versions)?;
        outcome?;
        let mut live: Vec<&str> = pods.iter().map(|pod| revisions::of_pod(pod)).collect();
        live.extend([name(&versions.current), name(&versions.update)]);
        revisions::truncate(context, &history, &live, number(&set, "/spec/revisionHistoryLimit").unwrap_or(10))?;
        Ok(again.or_else(|| Counts::until_available(&set, &pods, context.now())))
    }
}

/// A delay of the work queue from a time of the API.
pub(crate) fn delay(left: jiff::SignedDuration) -> Duration {
    Duration::try_from(left).unwrap_or_default()
}
