//! Events for people, in `events.k8s.io/v1` or, on servers without it, in the core group.
//!
//! Recording never fails a reconcile, and repeats are folded: the same Event is sent again only
//! after a while, as a count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource, ObjectReference};
use k8s_openapi::api::events::v1::{Event as NewEvent, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::clock::{Clock, whole_seconds};
use crate::leadership::WriteGate;
use crate::metrics::Metrics;
use crate::text::cut;

const LONGEST_NOTE: usize = 1024;
const LONGEST_REASON: usize = 128;
/// A repeat within this time is only counted.
const FOLD: Duration = Duration::from_mins(5);
/// An Event that did not repeat for longer begins anew.
const FORGET: Duration = Duration::from_mins(30);
const LIMIT: Duration = Duration::from_secs(5);

/// Whether an Event asks for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something went as it should.
    Normal,
    /// Something did not.
    Warning,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Whether it asks for attention.
    pub severity: Severity,
    /// A word in camel case.
    pub reason: String,
    /// What was being done, a word in camel case.
    pub action: String,
    /// A sentence.
    pub note: String,
}

/// Uid, reason, severity and note: what makes two happenings the same.
type Identity = (String, String, bool, String);

struct Sent {
    name: String,
    count: i32,
    posted: Instant,
    last: Instant,
    began: Timestamp,
}

/// Records Events of one controller.
pub struct Recorder {
    client: Client,
    controller: String,
    instance: String,
    has_events_v1: bool,
    clock: Arc<dyn Clock>,
    gate: Arc<dyn WriteGate>,
    metrics: Arc<Metrics>,
    sent: Mutex<BTreeMap<Identity, Sent>>,
}

impl Recorder {
    /// `controller` is a qualified name such as `doris-operator.dev/cluster-controller`, `instance` this process.
    pub fn new(
        client: Client,
        controller: impl Into<String>,
        instance: impl Into<String>,
        has_events_v1: bool,
        (clock, gate, metrics): (Arc<dyn Clock>, Arc<dyn WriteGate>, Arc<Metrics>),
    ) -> Self {
        Self {
            client,
            controller: controller.into(),
            instance: cut(instance.into(), 128),
            has_events_v1,
            clock,
            gate,
            metrics,
            sent: Mutex::default(),
        }
    }

    /// Records what happened to an object. Failures are counted and logged, no more: in a namespace
    /// that is being deleted, for example, nothing can be recorded.
    pub async fn record(&self, object: &ObjectReference, happening: &Happening) {
        let note = cut(happening.note.clone(), LONGEST_NOTE);
        let is_warning = happening.severity == Severity::Warning;
        let identity = (object.uid.clone().unwrap_or_default(), happening.reason.clone(), is_warning, note);
        let Some(task) = self.next(&identity, object) else { return };
        if self.gate.check().is_err() {
            return;
        }
        let request = async {
            match &task {
                Task::Post { name, at } => self.post(object, happening, &identity.3, name, *at).await,
                Task::Repeat { name, count, began } => self.repeat(object, name, *count, *began).await,
            }
        };
        let failure = match timeout(LIMIT, request).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.metrics.event_lost();
        tracing::debug!(reason = happening.reason, error = failure, "an Event could not be recorded");
    }

    /// What to send for a happening, if anything.
    fn next(&self, identity: &Identity, object: &ObjectReference) -> Option<Task> {
        let now = self.clock.instant();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.retain(|_, sent| now.duration_since(sent.last) < FORGET);
        if let Some(before) = sent.get_mut(identity) {
            before.count = before.count.saturating_add(1);
            before.last = now;
            if now.duration_since(before.posted) < FOLD {
                return None;
            }
            before.posted = now;
            return Some(Task::Repeat { name: before.name.clone(), count: before.count, began: before.began });
        }
        let at = self.clock.now();
        // Two happenings of one object in the same nanosecond differ by their place in the memory.
        let name = format!("{}.{:x}{:x}", object.name.as_deref().unwrap_or("unnamed"), at.as_nanosecond(), sent.len());
        sent.insert(identity.clone(), Sent { name: name.clone(), count: 1, posted: now, last: now, began: at });
        Some(Task::Post { name, at })
    }

    async fn post(
        &self,
        object: &ObjectReference,
        happening: &Happening,
        note: &str,
        name: &str,
        at: Timestamp,
    ) -> Result<(), kube::Error> {
        let namespace = object.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let metadata = ObjectMeta { name: Some(name.to_owned()), namespace: Some(namespace.clone()), ..ObjectMeta::default() };
        let type_ = Some(if happening.severity == Severity::Warning { "Warning" } else { "Normal" }.to_owned());
        let reason = Some(cut(happening.reason.clone(), LONGEST_REASON));
        let action = Some(cut(happening.action.clone(), LONGEST_REASON));
        let params = PostParams::default();
        if self.has_events_v1 {
            let event = NewEvent {
                metadata,
                type_,
                reason,
                action,
                note: Some(note.to_owned()),
                event_time: Some(MicroTime(at)),
                regarding: Some(object.clone()),
                reporting_controller: Some(self.controller.clone()),
                reporting_instance: Some(self.instance.clone()),
                ..NewEvent::default()
            };
            Api::<NewEvent>::namespaced(self.client.clone(), &namespace).create(&params, &event).await.map(drop)
        } else {
            let event = CoreEvent {
                metadata,
                type_,
                reason,
                message: Some(note.to_owned()),
                involved_object: object.clone(),
                first_timestamp: Some(Time(whole_seconds(at))),
                last_timestamp: Some(Time(whole_seconds(at))),
                count: Some(1),
                source: Some(EventSource { component: Some(self.controller.clone()), host: None }),
                ..CoreEvent::default()
            };
            Api::<CoreEvent>::namespaced(self.client.clone(), &namespace).create(&params, &event).await.map(drop)
        }
    }

    async fn repeat(&self, object: &ObjectReference, name: &str, count: i32, began: Timestamp) -> Result<(), kube::Error> {
        let namespace = object.namespace.as_deref().unwrap_or("default");
        let now = self.clock.now();
        let params = PatchParams::default();
        if self.has_events_v1 {
            let series = EventSeries { count, last_observed_time: MicroTime(now) };
            let patch = Patch::Merge(json!({"series": series}));
            Api::<NewEvent>::namespaced(self.client.clone(), namespace).patch(name, &params, &patch).await.map(drop)
        } else {
            let patch = json!({"count": count, "firstTimestamp": Time(whole_seconds(began)), "lastTimestamp": Time(whole_seconds(now))});
            Api::<CoreEvent>::namespaced(self.client.clone(), namespace).patch(name, &params, &Patch::Merge(patch)).await.map(drop)
        }
    }
}

enum Task {
    Post { name: String, at: Timestamp },
    Repeat { name: String, count: i32, began: Timestamp },
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
