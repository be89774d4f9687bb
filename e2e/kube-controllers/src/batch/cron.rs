//! `CronJobs`: Jobs by the clock.

use std::sync::Arc;

use cronexpr::{Crontab, MakeTimestamp};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::batch::{ended, job};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{CRON_JOB, JOB};
use crate::owner::controller_reference;
use crate::pods::{condition, seconds, timestamp};
use crate::statefulset::managers_of;
use crate::value::{flag, is_deleting, items, kind_of, name, namespace, number, set, text, uid};

pub(crate) struct CronJobs;

/// After so many missed starts only a deadline tells how far back to look.
const TOO_MANY_MISSED: usize = 100;

impl Controller for CronJobs {
    fn name(&self) -> &'static str {
        "cronjob-controller"
    }

    fn concerns(&mut self, _index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(CRON_JOB) {
            return vec![change.key()];
        }
        if change.is(JOB) { managers_of(CRON_JOB, change, old) } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(cron) = context.index.at(key).filter(|cron| !is_deleting(cron)).cloned() else { return Ok(None) };
        let mut jobs = context.index.controlled(JOB, uid(&cron));
        jobs.sort_by_key(|job| text(job, "/metadata/creationTimestamp").to_owned());
        let mut status = cron.get("status").cloned().unwrap_or_else(|| json!({}));
        note_jobs(context, &cron, &jobs, &mut status);
        forget_history(context, &cron, &jobs)?;
        let outcome = start_due(context, &cron, &jobs, &mut status);
        context.write_status(&cron, status)?;
        outcome
    }
}

/// A schedule with its time zone; the shorthands are spelled out.
pub(crate) fn parse(schedule: &str, zone: &str) -> Result<Crontab, String> {
    let spelled = match schedule.trim() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        other => other,
    };
    let zone = if zone.is_empty() { "UTC" } else { zone };
    cronexpr::parse_crontab(&format!("{spelled} {zone}")).map_err(|error| error.to_string())
}

fn next(crontab: &Crontab, after: Timestamp) -> Option<Timestamp> {
    crontab.find_next(MakeTimestamp(after)).ok().map(|at| at.timestamp())
}

/// Keeps the list of running Jobs and says when one was seen to end.
fn note_jobs(context: &Context<'_>, cron: &Value, jobs: &[Arc<Value>], status: &mut Value) {
    let is_listed = |job: &Value| items(cron, "/status/active").iter().any(|entry| text(entry, "/uid") == uid(job));
    for job in jobs.iter().filter(|job| ended(job).is_some() && is_listed(job)) {
        let how = if condition(job, "Failed").is_some() { "Failed" } else { "Complete" };
        context.normal(cron, "SawCompletedJob", &format!("Saw completed job: {}, condition: {how}", name(job)));
    }
    let complete = jobs.iter().filter(|job| condition(job, "Complete").is_some());
    if let Some(last) =
        complete.map(|job| text(job, "/status/completionTime")).filter(|at| *at > text(cron, "/status/lastSuccessfulTime")).max()
    {
        set(status, &["lastSuccessfulTime"], last);
    }
    let active: Vec<Value> = jobs.iter().filter(|job| ended(job).is_none()).map(|job| reference(job)).collect();
    if active.is_empty() {
        crate::value::remove(status, &["active"]);
    } else {
        set(status, &["active"], active);
    }
}

fn reference(job: &Value) -> Value {
    json!({
        "apiVersion": text(job, "/apiVersion"), "kind": kind_of(job), "name": name(job), "namespace": namespace(job),
        "uid": uid(job), "resourceVersion": text(job, "/metadata/resourceVersion"),
    })
}

/// Deletes the oldest ended Jobs beyond the limits.
fn forget_history(context: &Context<'_>, cron: &Value, jobs: &[Arc<Value>]) -> Result<(), ApiError> {
    for (kind, limit) in [("Complete", "/spec/successfulJobsHistoryLimit"), ("Failed", "/spec/failedJobsHistoryLimit")] {
        let Some(limit) = number(cron, limit).and_then(|limit| usize::try_from(limit).ok()) else { continue };
        let done: Vec<_> = jobs.iter().filter(|job| condition(job, kind).is_some()).collect();
        for job in done.iter().take(done.len().saturating_sub(limit)) {
            context.delete(job, Some("Background"))?;
            context.normal(cron, "SuccessfulDelete", &format!("Deleted job {}", name(job)));
        }
    }
    Ok(())
}

/// Starts the latest Job that is due, and tells when the next one will be.
fn start_due(context: &Context<'_>, cron: &Value, jobs: &[Arc<Value>], status: &mut Value) -> Result<Next, ApiError> {
    if flag(cron, "/spec/suspend") {
        return Ok(None);
    }
    let crontab = match parse(text(cron, "/spec/schedule"), text(cron, "/spec/timeZone")) {
        Ok(crontab) => crontab,
        Err(error) => {
            context.warning(cron, "UnParseableCronJobSchedule", &format!("unparseable schedule for cronjob: {error}"));
            return Ok(None);
        }
    };
    let now = context.now();
    let wait = next(&crontab, now).map(|at| job::until_moment(now, at));
    let Some(due) = latest_due(context, cron, &crontab, now) else { return Ok(wait) };
    let deadline = number(cron, "/spec/startingDeadlineSeconds");
    if deadline.is_some_and(|deadline| due + SignedDuration::from_secs(deadline) < now) {
        context.warning(cron, "MissSchedule", &format!("Missed scheduled time to start a job: {}", seconds(due)));
        return Ok(wait);
    }
    let active: Vec<_> = jobs.iter().filter(|job| ended(job).is_none()).collect();
    match text(cron, "/spec/concurrencyPolicy") {
        "Forbid" if !active.is_empty() => {
            context.normal(
                cron,
                "JobAlreadyActive",
                "Not starting job because prior execution is running and concurrency policy is Forbid",
            );
            return Ok(wait);
        }
        "Replace" => {
            for job in active {
                context.delete(job, Some("Background"))?;
                context.normal(cron, "SuccessfulDelete", &format!("Deleted job {}", name(job)));
            }
        }
        _ => {}
    }
    let started = start(context, cron, due)?;
    let mut active = items(status, "/active").to_vec();
    active.extend(started.map(|job| reference(&job)));
    set(status, &["active"], active);
    set(status, &["lastScheduleTime"], seconds(due));
    Ok(wait)
}

fn latest_due(context: &Context<'_>, cron: &Value, crontab: &Crontab, now: Timestamp) -> Option<Timestamp> {
    let mut from = timestamp(text(cron, "/status/lastScheduleTime")).or_else(|| timestamp(text(cron, "/metadata/creationTimestamp")))?;
    if let Some(deadline) = number(cron, "/spec/startingDeadlineSeconds") {
        from = from.max(now - SignedDuration::from_secs(deadline));
    }
    let mut latest = None;
    let mut missed = 0;
    while let Some(at) = next(crontab, latest.unwrap_or(from)).filter(|at| *at <= now) {
        latest = Some(at);
        missed += 1;
        if missed > TOO_MANY_MISSED {
            let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            context.warning(cron, "TooManyMissedTimes", message);
            // The last one before now, found from just before it.
            let recent = now - SignedDuration::from_hours(24);
            let mut at = next(crontab, recent.max(from)).filter(|at| *at <= now)?;
            while let Some(later) = next(crontab, at).filter(|later| *later <= now) {
                at = later;
            }
            return Some(at);
        }
    }
    latest
}

fn start(context: &Context<'_>, cron: &Value, due: Timestamp) -> Result<Option<Arc<Value>>, ApiError> {
    let template = cron.pointer("/spec/jobTemplate").cloned().unwrap_or_else(|| json!({}));
    // Named after the minute, so that one start happens once.
    let job_name = format!("{}-{}", name(cron), due.as_second() / 60);
    let mut metadata = json!({"name": job_name, "namespace": namespace(cron), "ownerReferences": [controller_reference(cron)]});
    for field in ["labels", "annotations"] {
        if let Some(map) = template.pointer("/metadata").and_then(|metadata| metadata.get(field)) {
            metadata[field] = map.clone();
        }
    }
    if context.minor() >= 32 {
        set(&mut metadata, &["annotations", "batch.kubernetes.io/cronjob-scheduled-timestamp"], seconds(due));
    }
    let job = json!({"apiVersion": JOB.api_version(), "kind": JOB.kind, "metadata": metadata, "spec": template.get("spec")});
    match context.api.create(context.manager, job) {
        Ok(job) => {
            context.normal(cron, "SuccessfulCreate", &format!("Created job {job_name}"));
            Ok(Some(job))
        }
        Err(error) if error.reason == "AlreadyExists" => Ok(None),
        Err(error) => {
            context.warning(cron, "FailedCreate", &format!("Error creating job: {}", error.message));
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{next, parse};

    #[test]
    fn schedules_are_read_in_their_time_zone() {
        let at = |schedule: &str, zone: &str| {
            let crontab = parse(schedule, zone).expect("the schedule is valid");
            next(&crontab, "2026-11-22T10:30:00Z".parse().expect("a time")).expect("a next start").to_string()
        };
        assert_eq!(at("@hourly", ""), "2026-11-22T11:00:00Z");
        assert_eq!(at("0 2 * * *", "Europe/Berlin"), "2026-11-23T01:00:00Z");
        assert_eq!(at("*/15 * * * *", ""), "2026-11-22T10:45:00Z");
        assert!(parse("every day", "").is_err());
    }
}
