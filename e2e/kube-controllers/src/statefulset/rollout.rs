//! One step of a StatefulSet: create, replace, update and delete pods in the order that its policy asks for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::api::ApiError;
use crate::driver::Context;
use crate::pods::{is_available, is_finished, is_running_and_ready, ordinal_in, phase};
use crate::revisions::{of_pod, template_of};
use crate::statefulset::identity::{identify, identity_matches, mount, new_pod, storage_matches};
use crate::statefulset::status::Counts;
use crate::statefulset::{Versions, claims};
use crate::value::{is_deleting, name, namespace, number, text};

/// How soon a claim that is about to go is looked at again.
const STALE_CLAIM_DELAY: Duration = Duration::from_secs(1);

/// Whether the step goes on with the next pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

enum Slot {
    Live(Arc<Value>),
    /// The pod that is missing, ready to be created.
    Vacant(Value),
}

pub(crate) struct Rollout<'a> {
    context: &'a Context<'a>,
    set: &'a Value,
    versions: &'a Versions,
    replicas: Vec<Slot>,
    /// Pods beyond the wanted ordinals, the highest first.
    condemned: Vec<Arc<Value>>,
    counts: Counts,
    min_ready: i64,
    start: i64,
    is_ordered: bool,
    again: Option<Duration>,
}

impl<'a> Rollout<'a> {
    pub(crate) fn new(context: &'a Context<'a>, set: &'a Value, versions: &'a Versions, pods: &[Arc<Value>]) -> Self {
        let min_ready = number(set, "/spec/minReadySeconds").unwrap_or(0);
        let start = number(set, "/spec/ordinals/start").unwrap_or(0);
        let end = start + number(set, "/spec/replicas").unwrap_or(1);
        let ordinal = |pod: &Value| ordinal_in(pod, name(set)).unwrap_or(-1);
        let mut rollout = Self {
            context,
            set,
            versions,
            replicas: Vec::new(),
            condemned: pods.iter().filter(|pod| !(start..end).contains(&ordinal(pod))).cloned().collect(),
            counts: Counts::of(pods, versions, min_ready, context.now()),
            min_ready,
            start,
            is_ordered: text(set, "/spec/podManagementPolicy") != "Parallel",
            again: None,
        };
        rollout.condemned.sort_by_key(|pod| std::cmp::Reverse(ordinal(pod)));
        rollout.replicas = (start..end)
            .map(|wanted| match pods.iter().find(|pod| ordinal(pod) == wanted) {
                Some(pod) => Slot::Live(Arc::clone(pod)),
                None => Slot::Vacant(rollout.make(wanted)),
            })
            .collect();
        rollout
    }

    /// A pod for an ordinal; below the partition it is one of the current revision.
    fn make(&self, ordinal: i64) -> Value {
        let partition = number(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
        let keeps_current = text(self.set, "/spec/updateStrategy/type") == "RollingUpdate" && ordinal < self.start + partition;
        let revision = if keeps_current { &self.versions.current } else { &self.versions.update };
        new_pod(self.set, &template_of(revision), name(revision), ordinal, self.context.minor())
    }

    pub(crate) fn status(&self) -> Counts {
        self.counts
    }

    pub(crate) fn again(&self) -> Option<Duration> {
        self.again
    }

    pub(crate) fn run(&mut self) -> Result<(), ApiError> {
        if is_deleting(self.set) {
            return Ok(());
        }
        if self.for_all(self.replicas.len(), Self::process_replica)? == Flow::Stop
            || self.for_all(self.condemned.len(), Self::fix_condemned_claims)? == Flow::Stop
            || self.for_all(self.condemned.len(), Self::process_condemned)? == Flow::Stop
            || text(self.set, "/spec/updateStrategy/type") == "OnDelete"
        {
            return Ok(());
        }
        self.update()
    }

    /// One after another when ordered; otherwise in batches that double, ended by the first batch with a failure.
    fn for_all(&mut self, length: usize, step: impl Fn(&mut Self, usize) -> Result<Flow, ApiError>) -> Result<Flow, ApiError> {
        if self.is_ordered {
            for at in 0..length {
                if step(self, at)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            return Ok(Flow::Continue);
        }
        let (mut at, mut size) = (0, 1);
        let mut flow = Flow::Continue;
        while at < length {
            let end = (at + size).min(length);
            let answers: Vec<_> = (at..end).map(|at| step(self, at)).collect();
            for answer in answers {
                if answer? == Flow::Stop {
                    flow = Flow::Stop;
                }
            }
            (at, size) = (end, size * 2);
        }
        Ok(flow)
    }

    fn stop_if_ordered(&self) -> Flow {
        if self.is_ordered { Flow::Stop } else { Flow::Continue }
    }

    fn process_replica(&mut self, at: usize) -> Result<Flow, ApiError> {
        let pod = match &self.replicas[at] {
            Slot::Vacant(pod) => {
                let pod = pod.clone();
                return self.create(&pod);
            }
            Slot::Live(pod) => Arc::clone(pod),
        };
        if is_finished(&pod) {
            return self.replace_finished(&pod);
        }
        if phase(&pod).is_empty() {
            // Accepted by the server but not yet seen with a phase: nothing to judge.
            return Ok(self.stop_if_ordered());
        }
        if phase(&pod) == "Pending"
            && let Some(ordinal) = ordinal_in(&pod, name(self.set))
            && storage_matches(self.set, &pod)
        {
            claims::create_missing(self.context, self.set, &pod, ordinal)?;
        }
        let is_well = is_running_and_ready(&pod) && is_available(&pod, self.min_ready, self.context.now());
        if (is_deleting(&pod) || !is_well) && self.is_ordered {
            return Ok(Flow::Stop);
        }
        self.fix(&pod)?;
        Ok(Flow::Continue)
    }

    fn create(&mut self, pod: &Value) -> Result<Flow, ApiError> {
        if claims::is_stale(self.context, self.set, pod) {
            self.again = Some(STALE_CLAIM_DELAY);
            return Ok(Flow::Stop);
        }
        let ordinal = ordinal_in(pod, name(self.set)).unwrap_or(0);
        let said = |error: &ApiError| format!("create Pod {} in StatefulSet {} failed error: {}", name(pod), name(self.set), error.message);
        if let Err(error) = claims::create_missing(self.context, self.set, pod, ordinal) {
            self.context.warning(self.set, "FailedCreate", &said(&error));
            return Err(error);
        }
        match self.context.api.create(self.context.manager, pod.clone()) {
            Ok(created) => {
                let message = format!("create Pod {} in StatefulSet {} successful", name(pod), name(self.set));
                self.context.normal(self.set, "SuccessfulCreate", &message);
                claims::fix_retention(self.context, self.set, &created, false)?;
                self.counts.replicas += 1;
                self.counts.change(of_pod(pod), self.versions, 1);
                Ok(self.stop_if_ordered())
            }
            // A foreign pod has the name: nothing is said, and the attempt is repeated.
            Err(error) if error.reason == "AlreadyExists" => Err(error),
            Err(error) => {
                self.context.warning(self.set, "FailedCreate", &said(&error));
                Err(error)
            }
        }
    }

    fn replace_finished(&mut self, pod: &Value) -> Result<Flow, ApiError> {
        if !is_deleting(pod) {
            let (reason, what) =
                if phase(pod) == "Failed" { ("RecreatingFailedPod", "failed") } else { ("RecreatingTerminatedPod", "terminated") };
            let message = format!("StatefulSet {}/{} is recreating {what} Pod {}", namespace(self.set), name(self.set), name(pod));
            self.context.warning(self.set, reason, &message);
            self.delete(pod)?;
        }
        Ok(Flow::Stop)
    }

    /// Repairs labels, volumes and owners of claims. The server refuses another volume for a pod that exists, which ends the step.
    fn fix(&self, pod: &Value) -> Result<(), ApiError> {
        let Some(ordinal) = ordinal_in(pod, name(self.set)) else { return Ok(()) };
        let mut changed = pod.clone();
        let has_identity = identity_matches(pod, ordinal, self.context.minor());
        let has_storage = storage_matches(self.set, pod);
        if !has_identity {
            identify(&mut changed, ordinal, self.context.minor());
        }
        let said = |error: &ApiError| format!("update Pod {} in StatefulSet {} failed error: {}", name(pod), name(self.set), error.message);
        if !has_storage {
            mount(&mut changed, self.set, ordinal);
            if let Err(error) = claims::create_missing(self.context, self.set, pod, ordinal) {
                self.context.warning(self.set, "FailedUpdate", &said(&error));
                return Err(error);
            }
        }
        claims::fix_retention(self.context, self.set, pod, false)?;
        if has_identity && has_storage {
            return Ok(());
        }
        match self.context.api.update(self.context.manager, changed) {
            Ok(_) => {
                let message = format!("update Pod {} in StatefulSet {} successful", name(pod), name(self.set));
                self.context.normal(self.set, "SuccessfulUpdate", &message);
                Ok(())
            }
            Err(error) => {
                if error.code != 409 {
                    self.context.warning(self.set, "FailedUpdate", &said(&error));
                }
                Err(error)
            }
        }
    }

    fn fix_condemned_claims(&mut self, at: usize) -> Result<Flow, ApiError> {
        claims::fix_retention(self.context, self.set, &self.condemned[at], true)?;
        Ok(Flow::Continue)
    }

    fn process_condemned(&mut self, at: usize) -> Result<Flow, ApiError> {
        let pod = Arc::clone(&self.condemned[at]);
        if is_deleting(&pod) {
            return Ok(self.stop_if_ordered());
        }
        let is_well = is_running_and_ready(&pod) && is_available(&pod, self.min_ready, self.context.now());
        if !is_well && self.is_ordered && self.first_unhealthy().is_some_and(|first| name(&first) != name(&pod)) {
            return Ok(Flow::Stop);
        }
        self.counts.change(of_pod(&pod), self.versions, -1);
        self.delete(&pod)?;
        Ok(self.stop_if_ordered())
    }

    /// The unhealthy pod with the lowest ordinal.
    fn first_unhealthy(&self) -> Option<Arc<Value>> {
        let live = self.replicas.iter().filter_map(|slot| match slot {
            Slot::Live(pod) => Some(pod),
            Slot::Vacant(_) => None,
        });
        live.chain(self.condemned.iter().rev()).find(|pod| !self.is_healthy(pod)).cloned()
    }

    fn is_healthy(&self, pod: &Value) -> bool {
        is_running_and_ready(pod) && is_available(pod, self.min_ready, self.context.now()) && !is_deleting(pod)
    }

    /// Deletes the highest pod of an old revision once all above it are healthy.
    fn update(&mut self) -> Result<(), ApiError> {
        let partition = usize::try_from(number(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0)).unwrap_or(0);
        for at in (partition..self.replicas.len()).rev() {
            let Slot::Live(pod) = &self.replicas[at] else { return Ok(()) };
            let pod = Arc::clone(pod);
            if of_pod(&pod) != name(&self.versions.update) && !is_deleting(&pod) {
                self.counts.change(of_pod(&pod), self.versions, -1);
                return self.delete(&pod);
            }
            if !self.is_healthy(&pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn delete(&self, pod: &Value) -> Result<(), ApiError> {
        let (pod_name, set) = (name(pod), name(self.set));
        match self.context.delete(pod, None) {
            Ok(()) => {
                self.context.normal(self.set, "SuccessfulDelete", &format!("delete Pod {pod_name} in StatefulSet {set} successful"));
                Ok(())
            }
            Err(error) => {
                let message = format!("delete Pod {pod_name} in StatefulSet {set} failed error: {}", error.message);
                self.context.warning(self.set, "FailedDelete", &message);
                Err(error)
            }
        }
    }
}
