//! Evening out the load of backends.

use super::{Copying, Priority, Task, repair, slots};
use crate::be::process_of;
use crate::catalog::{Backend, Place, TabletHealth};
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::State;

/// Begins to copy from the fullest to the emptiest backend of a tag; whether anything began.
/// Their origin is removed later, as the one too many.
pub(super) fn start(state: &mut State, id: ProcessId) -> bool {
    let Some(fe) = state.fe(id) else { return false };
    let mut tags: Vec<_> = fe.catalog.backends.values().map(|backend| backend.location().to_owned()).collect();
    tags.sort_unstable();
    tags.dedup();
    let mut began = false;
    for tag in tags {
        while let Some((tablet, copying)) = state.fe(id).and_then(|fe| choose(state, fe, id, &tag)) {
            let Some(fe) = state.fe_mut(id) else { return began };
            fe.scheduler.running.insert(tablet, copying);
            began = true;
        }
    }
    began
}

/// The ends of the scale, and what a replica weighs on it.
struct Scale<'a> {
    high: &'a Backend,
    low: &'a Backend,
    gap: f64,
    per_replica: f64,
    per_byte: f64,
}

impl Scale<'_> {
    /// What moving a replica takes from one side and gives to the other.
    fn weight(&self, bytes: u64) -> f64 {
        self.per_replica + slots::float(bytes) * self.per_byte
    }
}

/// The fullest and the emptiest backend of a tag, where they are far enough from the mean.
fn scale<'a>(fe: &'a Fe, tag: &str) -> Option<Scale<'a>> {
    let fit: Vec<&Backend> = fe.catalog.backends.values().filter(|b| b.takes_replicas() && b.location() == tag).collect();
    let replicas: u64 = fit.iter().map(|backend| fe.catalog.live_replicas_on(backend.id) as u64).sum();
    let here = |backend: u64| fit.iter().any(|row| row.id == backend);
    let bytes: u64 = fe.catalog.places().flat_map(|place| &place.tablet.replicas).filter(|r| here(r.backend)).map(|r| r.bytes).sum();
    let count = slots::float(fit.len() as u64);
    let half = if bytes > 0 { 0.5 } else { 1.0 };
    let per_replica = half * count / slots::float(replicas.max(1));
    let per_byte = if bytes > 0 { half * count / slots::float(bytes) } else { 0.0 };
    // What is under way counts as if it had arrived.
    let moving = |pick: fn(&Copying) -> u64, backend: u64| -> f64 {
        let mine = fe.scheduler.running.values().filter(|copying| pick(copying) == backend);
        mine.map(|copying| per_replica + slots::float(copying.bytes) * per_byte).sum()
    };
    let scores = fit.iter().zip(slots::scores(&fe.catalog, &fit));
    let scores: Vec<(&Backend, f64)> =
        scores.map(|(b, score)| (*b, score + moving(|c| c.destination, b.id) - moving(|c| c.source, b.id))).collect();
    let (high, most) = scores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).copied()?;
    let (low, least) = scores.iter().min_by(|a, b| a.1.total_cmp(&b.1)).copied()?;
    let threshold: f64 = fe.settings.get("balance_load_score_threshold").parse().unwrap_or(0.1);
    let apart = most > 1.0 + threshold && least < 1.0 - threshold;
    apart.then_some(Scale { high, low, gap: most - least, per_replica, per_byte })
}

fn choose(state: &State, fe: &Fe, id: ProcessId, tag: &str) -> Option<(u64, Copying)> {
    let scale = scale(fe, tag)?;
    let (from, to) = (process_of(state, id, scale.high.id)?, process_of(state, id, scale.low.id)?);
    let workers = state.be(to)?.number("clone_worker_count");
    if !slots::can_receive(fe, scale.low, workers) || slots::used(fe, scale.high.id) >= slots::of_disks(fe, scale.high) {
        return None;
    }
    let place = fe.catalog.places().find(|place| movable(fe, place, &scale))?;
    let bytes = state.be(from)?.stored(place.tablet.id)?.bytes;
    let task = Task {
        health: TabletHealth::Healthy,
        balance: true,
        priority: Priority::Low,
        created_ms: state.clock.now_ms(),
        scheduled_ms: state.clock.now_ms(),
        failed_scheduling: 0,
        failed_running: 0,
        error: String::new(),
    };
    Some((place.tablet.id, repair::begin(state, fe, task, (scale.high.id, from), (scale.low.id, to), bytes)))
}

fn movable(fe: &Fe, place: &Place<'_>, scale: &Scale<'_>) -> bool {
    let replica = |backend: u64| place.tablet.replicas.iter().find(|replica| replica.backend == backend);
    let Some(origin) = replica(scale.high.id) else { return false };
    let hosts = || place.tablet.replicas.iter().filter_map(|r| fe.catalog.backends.get(&r.backend));
    replica(scale.low.id).is_none()
        && place.table.group.is_none()
        && !fe.scheduler.running.contains_key(&place.tablet.id)
        && !hosts().any(|backend| backend.host == scale.low.host)
        && place.health(&fe.catalog) == TabletHealth::Healthy
        // A move that would only turn the difference round is none.
        && scale.weight(origin.bytes) < scale.gap * 0.9
        && slots::has_room(fe, scale.low, origin.bytes)
}
