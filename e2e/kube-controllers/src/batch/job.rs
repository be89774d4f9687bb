//! Jobs: pods that have to succeed so many times.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{ApiError, Change, DeleteOptions};
use crate::batch::ended;
use crate::batch::status::{Tally, write};
use crate::claiming::claim;
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{JOB, POD};
use crate::owner::controller_reference;
use crate::pods::{from_template, is_active, is_finished, phase, timestamp};
use crate::replicaset::{create_pod, delete_pod};
use crate::selector::Selector;
use crate::statefulset::{delay, managers_of};
use crate::value::{
    annotation, count, flag, has_finalizer, is_deleting, items, name, namespace, number, set, text, uid, without_finalizer,
};

const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// First and longest delay before a failed pod is replaced.
const FIRST_DELAY: i64 = 10;
const LONGEST_DELAY: i64 = 600;

pub(crate) struct Jobs;

impl Controller for Jobs {
    fn name(&self) -> &'static str {
        "job-controller"
    }

    fn concerns(&mut self, _index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(JOB) {
            return vec![change.key()];
        }
        if change.is(POD) { managers_of(JOB, change, old) } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(job) = context.index.at(key).cloned() else {
            return release_orphans(context, key).map(|()| None);
        };
        if let Some(end) = ended(&job) {
            return clean_up(context, &job, end);
        }
        let selector = Selector::of(job.pointer("/spec/selector"));
        let pods = claim(context, POD, &job, &selector, |_| true)?;
        if is_deleting(&job) {
            return untrack(context, &pods, |_| true).map(|()| None);
        }
        Work { context, job: &job, pods: &pods }.run()
    }
}

/// Pods of a Job that is gone are not held by its finalizer.
fn release_orphans(context: &Context<'_>, key: &Key) -> Result<(), ApiError> {
    let held: Vec<_> = context
        .index
        .list_in(POD, &key.namespace)
        .filter(|pod| {
            has_finalizer(pod, TRACKING) && crate::owner::controller_of(pod).is_some_and(|owner| text(owner, "/name") == key.name)
        })
        .cloned()
        .collect();
    untrack(context, &held, |_| true)
}

fn untrack(context: &Context<'_>, pods: &[Arc<Value>], which: impl Fn(&Value) -> bool) -> Result<(), ApiError> {
    for pod in pods.iter().filter(|pod| has_finalizer(pod, TRACKING) && which(pod)) {
        match context.api.update(context.manager, without_finalizer(pod, TRACKING)) {
            Err(error) if error.code != 404 => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A Job that ended goes with its pods after its time to live.
fn clean_up(context: &Context<'_>, job: &Value, end: &Value) -> Result<Next, ApiError> {
    let pods = context.index.controlled(POD, uid(job));
    untrack(context, &pods, |_| true)?;
    for pod in pods.iter().filter(|pod| is_active(pod)) {
        delete_pod(context, job, pod)?;
    }
    if job.pointer("/status/uncountedTerminatedPods").and_then(Value::as_object).is_some_and(|lists| !lists.is_empty()) {
        let mut status = job["status"].clone();
        status["uncountedTerminatedPods"] = json!({});
        context.write_status(job, status)?;
    }
    let Some(ttl) = number(job, "/spec/ttlSecondsAfterFinished") else { return Ok(None) };
    let since = timestamp(text(end, "/lastTransitionTime")).unwrap_or_else(|| context.now());
    if let Some(left) = crate::deployment::until(since, ttl, context.now()) {
        return Ok(Some(left));
    }
    let options = DeleteOptions { uid: Some(uid(job).to_owned()), propagation: Some("Foreground".into()), ..DeleteOptions::default() };
    context.delete_with(job, &options).map(|()| None)
}

struct Work<'a> {
    context: &'a Context<'a>,
    job: &'a Value,
    pods: &'a [Arc<Value>],
}

impl Work<'_> {
    fn run(&self) -> Result<Next, ApiError> {
        let mut tally = self.count();
        let is_suspended = flag(self.job, "/spec/suspend");
        let failure = self.failure(&tally);
        let again = if let Some((reason, message)) = failure {
            tally.failed += self.stop_active()?;
            tally.end("Failed", reason, message);
            None
        } else if self.is_complete(&tally) {
            self.stop_active()?;
            tally.end("Complete", "CompletionsReached", "Reached expected number of succeeded pods".into());
            None
        } else if is_suspended {
            self.stop_active()?;
            tally.active = 0;
            None
        } else {
            self.scale(&mut tally)?
        };
        write(self.context, self.job, &tally)?;
        untrack(self.context, self.pods, |pod| is_finished(pod) || is_deleting(pod))?;
        Ok([again, self.until_deadline()].into_iter().flatten().min())
    }

    /// Counts finished pods once: what is recorded and what still carries the finalizer.
    fn count(&self) -> Tally {
        let is_tracked = self.context.minor() >= 23;
        let is_new = |pod: &&Arc<Value>| !is_tracked || (has_finalizer(pod, TRACKING) && !is_recorded(self.job, pod));
        let is_lost = |pod: &Value| is_tracked && is_deleting(pod) && !is_finished(pod) && self.replaces_terminating();
        let has_failed = |pod: &&Arc<Value>| phase(pod) == "Failed" || is_lost(pod);
        let uids = |pods: Vec<&Arc<Value>>| pods.into_iter().map(|pod| uid(pod).to_owned()).collect::<Vec<_>>();
        let succeeded = uids(self.pods.iter().filter(is_new).filter(|pod| phase(pod) == "Succeeded").collect());
        let failed = uids(self.pods.iter().filter(is_new).filter(has_failed).collect());
        // Without the finalizer only what is there can be counted.
        let recorded = |field| if is_tracked { number(self.job, field).unwrap_or(0) } else { 0 };
        let held = |list: &str| {
            let known = items(self.job, &format!("/status/uncountedTerminatedPods/{list}")).iter().filter_map(Value::as_str);
            known
                .filter(|known| self.pods.iter().any(|pod| uid(pod) == *known && has_finalizer(pod, TRACKING)))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let active = self.pods.iter().filter(|pod| is_active(pod));
        Tally {
            active: count(active.clone().count()),
            ready: count(active.filter(|pod| crate::pods::is_ready(pod)).count()),
            terminating: count(self.pods.iter().filter(|pod| is_deleting(pod) && !is_finished(pod)).count()),
            succeeded: recorded("/status/succeeded") + count(succeeded.len()),
            failed: recorded("/status/failed") + count(failed.len()),
            indexes: self.done_indexes(),
            uncounted: is_tracked.then(|| [[succeeded, held("succeeded")].concat(), [failed, held("failed")].concat()]),
            end: None,
        }
    }

    fn is_indexed(&self) -> bool {
        text(self.job, "/spec/completionMode") == "Indexed"
    }

    fn done_indexes(&self) -> Option<std::collections::BTreeSet<i64>> {
        self.is_indexed().then(|| {
            let mut done = crate::batch::status::parse_indexes(text(self.job, "/status/completedIndexes"));
            done.extend(self.pods.iter().filter(|pod| phase(pod) == "Succeeded").filter_map(|pod| index_of(pod)));
            done
        })
    }

    fn replaces_terminating(&self) -> bool {
        text(self.job, "/spec/podReplacementPolicy") != "Failed"
    }

    fn failure(&self, tally: &Tally) -> Option<(&'static str, String)> {
        let restarts: i64 = self
            .pods
            .iter()
            .filter(|pod| is_active(pod) && text(pod, "/spec/restartPolicy") == "OnFailure")
            .flat_map(|pod| items(pod, "/status/containerStatuses"))
            .filter_map(|status| number(status, "/restartCount"))
            .sum();
        let limit = number(self.job, "/spec/backoffLimit").unwrap_or(6);
        if tally.failed > limit || (restarts > 0 && restarts >= limit) {
            return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".into()));
        }
        let is_late = number(self.job, "/spec/activeDeadlineSeconds").is_some() && self.until_deadline().is_none() && self.has_started();
        is_late.then(|| ("DeadlineExceeded", "Job was active longer than specified deadline".into()))
    }

    fn has_started(&self) -> bool {
        !text(self.job, "/status/startTime").is_empty()
    }

    fn until_deadline(&self) -> Option<Duration> {
        let seconds = number(self.job, "/spec/activeDeadlineSeconds")?;
        let start = timestamp(text(self.job, "/status/startTime")).unwrap_or_else(|| self.context.now());
        crate::deployment::until(start, seconds, self.context.now())
    }

    fn is_complete(&self, tally: &Tally) -> bool {
        match number(self.job, "/spec/completions") {
            Some(wanted) => tally.indexes.as_ref().map_or(tally.succeeded, |done| count(done.len())) >= wanted,
            // A work queue is done when one pod succeeded and none runs.
            None => tally.succeeded > 0 && tally.active == 0,
        }
    }

    fn stop_active(&self) -> Result<i64, ApiError> {
        let mut stopped = 0;
        for pod in self.pods.iter().filter(|pod| is_active(pod)) {
            delete_pod(self.context, self.job, pod)?;
            stopped += 1;
        }
        Ok(stopped)
    }

    /// Starts or stops pods so that as many run as may.
    fn scale(&self, tally: &mut Tally) -> Result<Next, ApiError> {
        let parallelism = number(self.job, "/spec/parallelism").unwrap_or(1);
        let done = tally.indexes.as_ref().map_or(tally.succeeded, |done| count(done.len()));
        let wanted = match number(self.job, "/spec/completions") {
            Some(completions) => parallelism.min(completions - done),
            None if tally.succeeded > 0 => tally.active,
            None => parallelism,
        };
        let running = tally.active + if self.replaces_terminating() { 0 } else { tally.terminating };
        if running > wanted {
            let surplus = usize::try_from(running - wanted).unwrap_or(0);
            for pod in self.pods.iter().filter(|pod| is_active(pod)).take(surplus) {
                delete_pod(self.context, self.job, pod)?;
                tally.active -= 1;
            }
            return Ok(None);
        }
        if wanted > running
            && let Some(left) = self.back_off(tally.failed)
        {
            return Ok(Some(left));
        }
        for _ in running..wanted {
            let index = tally.indexes.as_ref().map(|done| self.next_index(done, tally.active));
            create_pod(self.context, self.job, self.pod(index))?;
            tally.active += 1;
        }
        Ok(None)
    }

    /// The lowest index that neither is done nor has a pod; `ahead` tells those created in this step by their number.
    fn next_index(&self, done: &std::collections::BTreeSet<i64>, ahead: i64) -> i64 {
        let taken: Vec<i64> = self.pods.iter().filter(|pod| is_active(pod)).filter_map(|pod| index_of(pod)).collect();
        let created = ahead - count(taken.len());
        let free = (0..).filter(|index| !done.contains(index) && !taken.contains(index));
        free.take(usize::try_from(created.max(0)).unwrap_or(0) + 1).last().unwrap_or(0)
    }

    /// Time left before a failed pod is replaced: 10 s, doubled with each failure.
    fn back_off(&self, failed: i64) -> Option<Duration> {
        let last = self.pods.iter().filter(|pod| phase(pod) == "Failed").filter_map(|pod| finished_at(pod)).max()?;
        let doubled = FIRST_DELAY.checked_shl(u32::try_from((failed - 1).clamp(0, 16)).unwrap_or(0)).unwrap_or(LONGEST_DELAY);
        crate::deployment::until(last, doubled.min(LONGEST_DELAY), self.context.now())
    }

    fn pod(&self, index: Option<i64>) -> Value {
        let template = self.job.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
        let prefix = index.map_or_else(|| format!("{}-", name(self.job)), |index| format!("{}-{index}-", name(self.job)));
        let mut pod = from_template(&template, namespace(self.job), &controller_reference(self.job), &prefix);
        if self.context.minor() >= 23 {
            pod = crate::value::with_finalizer(&pod, TRACKING);
        }
        if let Some(index) = index {
            set(&mut pod, &["metadata", "annotations", INDEX], index.to_string());
            if self.context.minor() >= 28 {
                set(&mut pod, &["metadata", "labels", INDEX], index.to_string());
            }
            set(&mut pod, &["spec", "hostname"], format!("{}-{index}", name(self.job)));
            for container in pod.pointer_mut("/spec/containers").and_then(Value::as_array_mut).into_iter().flatten() {
                let mut env = items(container, "/env").to_vec();
                env.push(json!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.annotations['{INDEX}']")}}}));
                container["env"] = env.into();
            }
        }
        pod
    }
}

fn index_of(pod: &Value) -> Option<i64> {
    annotation(pod, INDEX)?.parse().ok()
}

/// The pod's end is part of the counts already, though its finalizer is still there.
fn is_recorded(job: &Value, pod: &Value) -> bool {
    ["succeeded", "failed"]
        .iter()
        .any(|list| items(job, &format!("/status/uncountedTerminatedPods/{list}")).iter().any(|known| known == uid(pod)))
}

fn finished_at(pod: &Value) -> Option<jiff::Timestamp> {
    let ends = items(pod, "/status/containerStatuses").iter().filter_map(|status| timestamp(text(status, "/state/terminated/finishedAt")));
    ends.max().or_else(|| timestamp(text(crate::pods::condition(pod, "Ready")?, "/lastTransitionTime")))
}

/// Time until a zoned moment, for timers.
pub(crate) fn until_moment(now: jiff::Timestamp, at: jiff::Timestamp) -> Duration {
    delay(at.duration_since(now))
}
