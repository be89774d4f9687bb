//! `OneAtATime`, `Fresh` and `BackupIdle`.

use doris_api::rules::SafetyRule;

use super::backends::takes_nothing;
use crate::blocked::Blocked;
use crate::observed::{BackupJob, Observed};
use crate::step::{NodeRole, Step};
use crate::text::{be, list};

const TWO_HANDS: &str = "two operations at once are what the Lease is there to prevent";
const OLD_VIEW: &str = "it ends by itself within seconds";

/// We hold the operation Lease, freshly renewed, under the token that we took it with.
pub(super) fn one_at_a_time(observed: &Observed, _: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::OneAtATime;
    let Some(lease) = &observed.lease else {
        return vec![Blocked { hard: Some(TWO_HANDS), ..Blocked::unread(rule, "the operation Lease") }];
    };
    let refusal = |object: &str, sentence: String| vec![Blocked::hard(rule, object, sentence, TWO_HANDS)];
    match &lease.holder {
        Some(holder) if *holder != lease.identity => {
            let operation = lease.operation.as_ref().map(|operation| format!(" for {operation}")).unwrap_or_default();
            refusal(
                holder,
                format!(
                    "{holder} holds the operation Lease{operation}; this ends when it is done or yields, or when it has not renewed the Lease for {} s",
                    lease.duration.as_secs()
                ),
            )
        }
        Some(_) if lease.taken.is_some() && lease.taken == lease.token => {
            if lease.renewed_ago < lease.duration / 3 {
                return Vec::new();
            }
            let sentence = format!(
                "the operation Lease was last renewed {} s ago, and nothing that cannot be taken back is sent after {} s; this ends with the next renewal",
                lease.renewed_ago.as_secs(),
                (lease.duration / 3).as_secs()
            );
            refusal("operation Lease", sentence)
        }
        Some(_) => refusal(
            "operation Lease",
            "the operation Lease changed hands since it was taken; the operation is planned anew under the new token".to_owned(),
        ),
        None => refusal("operation Lease", "the operation Lease is not held; this ends when it has been taken".to_owned()),
    }
}

/// The caches show our own last writes.
pub(super) fn fresh(observed: &Observed, _: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::Fresh;
    let Some(cache) = &observed.cache else {
        return vec![Blocked { hard: Some(OLD_VIEW), ..Blocked::unread(rule, "the age of the cached objects") }];
    };
    let Some((first, _)) = cache.behind.iter().next() else { return Vec::new() };
    let names: Vec<String> = cache.behind.iter().map(|(name, age)| format!("{name} ({} s ago)", age.as_secs())).collect();
    let sentence = format!(
        "our own last {} to {} {} not arrived in the cache yet; this ends when the watch delivers {}",
        if names.len() == 1 { "write" } else { "writes" },
        list(&names),
        if names.len() == 1 { "has" } else { "have" },
        if names.len() == 1 { "it" } else { "them" }
    );
    vec![Blocked::hard(rule, first, sentence, OLD_VIEW)]
}

/// No backup or restore runs that the step would break.
pub(super) fn backup_idle(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::BackupIdle;
    if !concerns_data(observed, step) {
        return Vec::new();
    }
    let Some(jobs) = &observed.jobs else { return vec![Blocked::unread(rule, "the list of backups and restores")] };
    let Some(first) = jobs.backups.first() else { return Vec::new() };
    let names: Vec<String> = jobs.backups.iter().map(|job| format!("{} (state {})", name(job), job.state)).collect();
    let cancel = format!("CANCEL {} FROM {}", if first.is_restore { "RESTORE" } else { "BACKUP" }, first.database);
    let sentence = format!(
        "{} {} running, and would fail without the data of the backends concerned; this ends when {} done, or after {cancel}",
        list(&names),
        be(names.len()),
        if names.len() == 1 { "it is" } else { "they are" }
    );
    vec![Blocked::soft(rule, name(first), sentence)]
}

fn name(job: &BackupJob) -> String {
    format!("{} {} of database {}", if job.is_restore { "restore" } else { "backup" }, job.label, job.database)
}

/// Whether a step takes a backend with tablets; compute nodes and frontends take no part in a backup.
fn concerns_data(observed: &Observed, step: &Step) -> bool {
    match step {
        Step::RestartBackends { .. } if takes_nothing(observed, step) => false,
        Step::RestartBackends { backends: ids } => {
            let is_compute = |id: &u64| {
                observed.backends.iter().flatten().any(|backend| backend.id == *id && backend.role == Some(NodeRole::Computation))
            };
            !ids.iter().all(is_compute)
        }
        _ => true,
    }
}
