//! Jobs and the `CronJobs` that start them.

mod cron;
mod job;
mod status;

pub(crate) use cron::CronJobs;
pub(crate) use job::Jobs;

use serde_json::Value;

use crate::pods::condition;
use crate::value::text;

/// The condition that ended a Job, if one did.
pub(crate) fn ended(job: &Value) -> Option<&Value> {
    ["Complete", "Failed"].iter().filter_map(|kind| condition(job, kind)).find(|entry| text(entry, "/status") == "True")
}
