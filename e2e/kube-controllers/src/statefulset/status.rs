//! What a StatefulSet says about itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::api::ApiError;
use crate::driver::Context;
use crate::pods::{is_available, is_running_and_ready, phase, until_available};
use crate::revisions::of_pod;
use crate::statefulset::{Versions, delay};
use crate::value::{is_deleting, name, number, text};

/// Counts of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) replicas: i64,
    pub(crate) ready: i64,
    pub(crate) available: i64,
    pub(crate) current: i64,
    pub(crate) updated: i64,
}

impl Counts {
    /// Counts the pods that are there.
    pub(crate) fn of(pods: &[Arc<Value>], versions: &Versions, min_ready: i64, now: Timestamp) -> Self {
        let mut counts = Self::default();
        for pod in pods {
            let is_created = !phase(pod).is_empty();
            counts.replicas += i64::from(is_created);
            counts.ready += i64::from(is_running_and_ready(pod));
            counts.available += i64::from(is_running_and_ready(pod) && is_available(pod, min_ready, now));
            if is_created && !is_deleting(pod) {
                counts.change(of_pod(pod), versions, 1);
            }
        }
        counts
    }

    /// A pod of a revision came or goes.
    pub(crate) fn change(&mut self, revision: &str, versions: &Versions, by: i64) {
        self.current += if revision == name(&versions.current) { by } else { 0 };
        self.updated += if revision == name(&versions.update) { by } else { 0 };
    }

    pub(crate) fn write(mut self, context: &Context<'_>, set: &Value, versions: &Versions) -> Result<(), ApiError> {
        let mut current = name(&versions.current);
        let wanted = number(set, "/spec/replicas").unwrap_or(1);
        let is_rolling = text(set, "/spec/updateStrategy/type") == "RollingUpdate";
        if is_rolling && [self.updated, self.ready, self.replicas] == [wanted; 3] {
            self.current = self.updated;
            current = name(&versions.update);
        }
        context.write_status(set, self.render(context.minor(), set, current, versions))
    }

    fn render(self, minor: u32, set: &Value, current: &str, versions: &Versions) -> Value {
        let mut status = Map::new();
        status.insert("observedGeneration".into(), set["metadata"]["generation"].clone());
        status.insert("replicas".into(), self.replicas.into());
        for (field, number) in [("readyReplicas", self.ready), ("currentReplicas", self.current), ("updatedReplicas", self.updated)] {
            if number != 0 {
                status.insert(field.into(), number.into());
            }
        }
        status.insert("currentRevision".into(), current.into());
        status.insert("updateRevision".into(), name(&versions.update).into());
        status.insert("collisionCount".into(), versions.collisions.into());
        // The field came with minReadySeconds in Kubernetes 1.22.
        if minor >= 22 {
            status.insert("availableReplicas".into(), self.available.into());
        }
        if let Some(conditions) = set.pointer("/status/conditions") {
            status.insert("conditions".into(), conditions.clone());
        }
        json!(status)
    }

    /// When the next ready pod becomes available.
    pub(crate) fn until_available(set: &Value, pods: &[Arc<Value>], now: Timestamp) -> Option<Duration> {
        let min_ready = number(set, "/spec/minReadySeconds").unwrap_or(0);
        let lefts = pods.iter().filter_map(|pod| until_available(pod, min_ready, now));
        lefts.filter(|left| !left.is_zero()).min().map(delay)
    }
}
