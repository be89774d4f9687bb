//! Looking for tablets that are not as they should be.

use std::time::Duration;

use tokio::time::Instant;

use super::{Priority, Task};
use crate::catalog::{Catalog, Place, TabletHealth};
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::State;

/// Looks at every tablet and queues those that may be repaired by now.
pub(super) fn check(state: &mut State, id: ProcessId) {
    let now = state.clock.now_ms();
    let Some(fe) = state.fe_mut(id) else { return };
    let mut unhealthy = std::mem::take(&mut fe.scheduler.unhealthy);
    let mut seen = Vec::new();
    let mut queued = Vec::new();
    for place in fe.catalog.places() {
        let health = place.health(&fe.catalog);
        if health == TabletHealth::Healthy {
            continue;
        }
        let tablet = place.tablet.id;
        let since = *unhealthy.entry(tablet).or_insert_with(Instant::now);
        seen.push(tablet);
        let known = fe.scheduler.pending.contains_key(&tablet) || fe.scheduler.running.contains_key(&tablet);
        let priority = priority(&place, health, fe);
        if known || health == TabletHealth::Unrecoverable || !is_ready(&place, &fe.catalog, since, wait(fe, priority)) {
            continue;
        }
        let task = Task {
            health,
            balance: false,
            priority,
            created_ms: now,
            scheduled_ms: 0,
            failed_scheduling: 0,
            failed_running: 0,
            error: String::new(),
        };
        queued.push((tablet, task));
    }
    unhealthy.retain(|tablet, _| seen.contains(tablet));
    fe.scheduler.unhealthy = unhealthy;
    fe.scheduler.pending.extend(queued);
}

fn priority(place: &Place<'_>, health: TabletHealth, fe: &Fe) -> Priority {
    let catalog = &fe.catalog;
    let majority = place.partition.copies / 2 + 1;
    let known = || place.tablet.replicas.iter().filter_map(|r| Some((catalog.backends.get(&r.backend)?, r))).filter(|(b, _)| b.alive);
    let complete = || known().filter(|(_, replica)| replica.complete(place.partition.visible));
    match health {
        TabletHealth::ForceRedundant | TabletHealth::Redundant | TabletHealth::ColocateRedundant => Priority::VeryHigh,
        TabletHealth::ReplicaMissing if known().count() < majority => {
            if fe.version.from_line(2, 1) {
                Priority::VeryHigh
            } else {
                Priority::High
            }
        }
        TabletHealth::VersionIncomplete if complete().count() < majority => Priority::High,
        TabletHealth::ReplicaRelocating if complete().filter(|(backend, _)| !backend.decommissioned).count() >= majority => Priority::Low,
        _ => Priority::Normal,
    }
}

/// How long an absent replica is waited for; `None` not at all.
fn wait(fe: &Fe, priority: Priority) -> Option<Duration> {
    let factor = Duration::from_secs(fe.settings.number("tablet_repair_delay_factor_second"));
    match priority {
        Priority::VeryHigh => None,
        Priority::High => Some(factor),
        Priority::Normal => Some(factor * 2),
        Priority::Low => Some(factor * 3),
    }
}

/// Whoever may come back is waited for; with everyone there, nobody is.
fn is_ready(place: &Place<'_>, catalog: &Catalog, since: Instant, wait: Option<Duration>) -> bool {
    let there = |id: &u64| catalog.backends.get(id).is_some_and(|backend| backend.alive || backend.decommissioned);
    let all_there = place.tablet.replicas.iter().all(|replica| there(&replica.backend));
    wait.is_none_or(|wait| all_there || since.elapsed() > wait)
}
