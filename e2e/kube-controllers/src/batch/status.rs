//! What a Job says about itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::driver::Context;
use crate::pods::{condition, seconds, set_condition};
use crate::value::{flag, items, text};

/// Counts of a Job's pods, and how it ended if it did.
pub(crate) struct Tally {
    pub(crate) active: i64,
    pub(crate) ready: i64,
    pub(crate) terminating: i64,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) indexes: Option<BTreeSet<i64>>,
    /// Uids of succeeded and failed pods that are counted but still carry the finalizer.
    pub(crate) uncounted: Option<[Vec<String>; 2]>,
    pub(crate) end: Option<(&'static str, &'static str, String)>,
}

impl Tally {
    pub(crate) fn end(&mut self, kind: &'static str, reason: &'static str, message: String) {
        self.active = 0;
        self.ready = 0;
        self.end = Some((kind, reason, message));
    }
}

/// Reads a list of indexes such as `0,2-4`.
pub(crate) fn parse_indexes(text: &str) -> BTreeSet<i64> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<i64>().ok()?..=last.parse::<i64>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// Writes indexes with runs of three and more as ranges, runs of two as ranges too.
pub(crate) fn format_indexes(indexes: &BTreeSet<i64>) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for index in indexes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => runs.push((*index, *index)),
        }
    }
    let run = |(first, last): &(i64, i64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

pub(crate) fn write(context: &Context<'_>, job: &Value, tally: &Tally) -> Result<(), ApiError> {
    let minor = context.minor();
    let now = seconds(context.now());
    let mut status = json!({});
    let is_suspended = flag(job, "/spec/suspend");
    let start = text(job, "/status/startTime");
    if !start.is_empty() && !is_suspended {
        status["startTime"] = start.into();
    } else if !is_suspended {
        status["startTime"] = now.clone().into();
    }
    for (field, number) in [("active", tally.active), ("succeeded", tally.succeeded), ("failed", tally.failed)] {
        if number > 0 {
            status[field] = number.into();
        }
    }
    if minor >= 24 {
        status["ready"] = tally.ready.into();
    }
    if minor >= 28 {
        status["terminating"] = tally.terminating.into();
    }
    if let Some(uncounted) = &tally.uncounted {
        status["uncountedTerminatedPods"] = json!({});
        for (list, uids) in ["succeeded", "failed"].into_iter().zip(uncounted).filter(|(_, uids)| !uids.is_empty()) {
            status["uncountedTerminatedPods"][list] = json!(uids);
        }
    }
    if let Some(done) = tally.indexes.as_ref().filter(|done| !done.is_empty()) {
        status["completedIndexes"] = format_indexes(done).into();
    }
    let mut conditions = items(job, "/status/conditions").to_vec();
    note_suspension(context, job, is_suspended, &mut conditions, &now);
    if let Some((kind, reason, message)) = &tally.end {
        let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now, "reason": reason, "message": message});
        // Since Kubernetes 1.31 a criterion comes first; the old texts of completion had no reason before that.
        if minor >= 31 {
            set_condition(&mut conditions, condition(if *kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" }));
            set_condition(&mut conditions, condition(kind));
        } else if *kind == "Complete" {
            set_condition(&mut conditions, json!({"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}));
        } else {
            set_condition(&mut conditions, condition(kind));
        }
        if *kind == "Complete" {
            status["completionTime"] = now.clone().into();
            context.normal(job, "Completed", "Job completed");
        } else {
            context.warning(job, reason, message);
        }
    }
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    context.write_status(job, status)
}

fn note_suspension(context: &Context<'_>, job: &Value, is_suspended: bool, conditions: &mut Vec<Value>, now: &str) {
    let was = condition(job, "Suspended").is_some_and(|known| text(known, "/status") == "True");
    if is_suspended == was {
        return;
    }
    let (status, reason, message) =
        if is_suspended { ("True", "JobSuspended", "Job suspended") } else { ("False", "JobResumed", "Job resumed") };
    let reason_of_event = if is_suspended { "Suspended" } else { "Resumed" };
    context.normal(job, reason_of_event, message);
    set_condition(
        conditions,
        json!({
            "type": "Suspended", "status": status, "lastProbeTime": now, "lastTransitionTime": now, "reason": reason, "message": message,
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::{format_indexes, parse_indexes};

    #[test]
    fn completed_indexes_are_written_as_ranges() {
        for (text, numbers) in [("0", vec![0]), ("0,1", vec![0, 1]), ("0,2-4,9", vec![0, 2, 3, 4, 9])] {
            let set = numbers.into_iter().collect();
            assert_eq!(format_indexes(&set), text);
            assert_eq!(parse_indexes(text), set);
        }
        assert!(parse_indexes("").is_empty());
    }
}
