//! Copies and removals.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::{Copying, Past, Task, slots};
use crate::be::{Stored, process_of};
use crate::catalog::{Catalog, Op, Place, Replica, TabletHealth};
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::State;

/// A copy is given this long at least, whatever its size.
const SHORTEST_TIMEOUT: Duration = Duration::from_mins(3);
/// Slower than this, a copy is given up.
const SLOWEST: u64 = 1 << 20;

/// What a queued tablet comes to now.
enum Move {
    /// It is healthy, or nothing can be done about it.
    Forget,
    Remove {
        backend: u64,
    },
    Copy(Box<Copying>),
    Wait(String),
}

/// Begins what can begin now; entries for the journal.
pub(super) fn start(state: &mut State, id: ProcessId) -> Vec<Op> {
    let now = state.clock.now_ms();
    let Some(fe) = state.fe(id) else { return Vec::new() };
    let batch = usize::try_from(fe.settings.number("schedule_batch_size")).unwrap_or(usize::MAX);
    let mut order: Vec<_> = fe.scheduler.pending.iter().map(|(tablet, task)| (task.priority, task.created_ms, *tablet)).collect();
    order.sort_unstable();
    let mut ops = Vec::new();
    for (_, _, tablet) in order.into_iter().take(batch) {
        let Some(mut task) = state.fe_mut(id).and_then(|fe| fe.scheduler.pending.remove(&tablet)) else { continue };
        task.scheduled_ms = now;
        let next = decide(state, id, tablet, &mut task);
        let Some(fe) = state.fe_mut(id) else { return ops };
        match next {
            Move::Forget => {}
            Move::Remove { backend } => {
                ops.push(Op::DropReplica { tablet, backend });
                if let Some(be) = process_of(state, id, backend).and_then(|peer| state.be(peer)) {
                    be.delete_tablet(tablet);
                }
            }
            Move::Copy(copying) => drop(fe.scheduler.running.insert(tablet, *copying)),
            Move::Wait(error) => {
                task.failed_scheduling += 1;
                task.error = error;
                fe.scheduler.pending.insert(tablet, task);
            }
        }
    }
    ops
}

fn decide(state: &State, id: ProcessId, tablet: u64, task: &mut Task) -> Move {
    let Some(fe) = state.fe(id) else { return Move::Forget };
    let Some(place) = fe.catalog.place(tablet) else { return Move::Forget };
    task.health = place.health(&fe.catalog);
    match task.health {
        TabletHealth::Healthy | TabletHealth::Unrecoverable => Move::Forget,
        TabletHealth::Redundant | TabletHealth::ForceRedundant | TabletHealth::ColocateRedundant => removal(fe, &place),
        TabletHealth::VersionIncomplete => {
            let behind = place.tablet.replicas.iter().filter(|replica| !replica.complete(place.partition.visible));
            let fit = behind.filter(|replica| fe.catalog.backends.get(&replica.backend).is_some_and(|b| b.alive && takes(b)));
            let best = fit.max_by_key(|replica| replica.version).map(|replica| replica.backend);
            copy_to_one_of(state, fe, id, &place, task, best.into_iter().collect())
        }
        TabletHealth::ColocateMismatch => {
            let group = place.table.group.as_ref().and_then(|name| fe.catalog.groups.get(name));
            let wanted = group.map(|group| group.sequence(place.bucket).to_vec()).unwrap_or_default();
            let missing = wanted.into_iter().filter(|id| !holds(&place, *id)).collect();
            copy_to_one_of(state, fe, id, &place, task, missing)
        }
        TabletHealth::ReplicaMissing | TabletHealth::ReplicaRelocating | TabletHealth::ReplicaMissingForTag => {
            let destinations = destinations(fe, &place);
            copy_to_one_of(state, fe, id, &place, task, destinations)
        }
    }
}

/// A backend with a drain flag gets no data.
fn takes(backend: &crate::catalog::Backend) -> bool {
    !backend.query_disabled && !backend.load_disabled
}

fn holds(place: &Place<'_>, backend: u64) -> bool {
    place.tablet.replicas.iter().any(|replica| replica.backend == backend)
}

/// Backends for another copy, those with the least on them first.
fn destinations(fe: &Fe, place: &Place<'_>) -> Vec<u64> {
    let catalog = &fe.catalog;
    let hosts: BTreeSet<&str> =
        place.tablet.replicas.iter().filter_map(|replica| Some(catalog.backends.get(&replica.backend)?.host.as_str())).collect();
    let fit = catalog.backends.values().filter(|backend| {
        backend.takes_replicas()
            && backend.location() == place.partition.location
            && !holds(place, backend.id)
            && !hosts.contains(backend.host.as_str())
    });
    let mut fit: Vec<_> = fit.map(|backend| (catalog.live_replicas_on(backend.id) + slots::incoming(fe, backend.id), backend.id)).collect();
    fit.sort_unstable();
    fit.into_iter().map(|(_, id)| id).collect()
}

fn copy_to_one_of(state: &State, fe: &Fe, id: ProcessId, place: &Place<'_>, task: &Task, destinations: Vec<u64>) -> Move {
    let Some((source, from, whole)) = source(state, fe, id, place) else {
        return Move::Wait("unable to find source replica".to_owned());
    };
    let mut error = "unable to find dest path for new replica".to_owned();
    for destination in destinations {
        let Some(backend) = fe.catalog.backends.get(&destination) else { continue };
        let present = place.tablet.replicas.iter().find(|replica| replica.backend == destination).map_or(0, |replica| replica.bytes);
        let bytes = whole.bytes.saturating_sub(present);
        if !slots::has_room(fe, backend, bytes) {
            "unable to find dest path which can be fit in".clone_into(&mut error);
            continue;
        }
        let Some(to) = process_of(state, id, destination) else { continue };
        let workers = state.be(to).map_or(0, |be| be.number("clone_worker_count"));
        if !slots::can_receive(fe, backend, workers) {
            "unable to take slot of dest path".clone_into(&mut error);
            continue;
        }
        let copying = begin(state, fe, task.clone(), (source, from), (destination, to), bytes);
        return Move::Copy(Box::new(copying));
    }
    Move::Wait(error)
}

/// A copy with its end: the destination's bandwidth decides.
pub(super) fn begin(state: &State, fe: &Fe, task: Task, source: (u64, ProcessId), destination: (u64, ProcessId), bytes: u64) -> Copying {
    let speed = state.be(destination.1).map_or(0, |be| be.number("max_download_speed_kbps")).saturating_mul(1000).max(1);
    let longest = Duration::from_secs(fe.settings.number("max_clone_task_timeout_sec"));
    let timeout = Duration::from_secs(bytes / SLOWEST).max(SHORTEST_TIMEOUT).min(longest);
    let needed = state.timing.clone_overhead + Duration::from_millis(bytes.saturating_mul(1000) / speed);
    Copying {
        task,
        source: source.0,
        destination: destination.0,
        from: source.1,
        to: destination.1,
        ends: Instant::now() + needed.min(timeout),
        timeout,
        fails: needed > timeout,
        bytes,
    }
}

/// A whole replica to copy from, with a slot to spare.
pub(super) fn source(state: &State, fe: &Fe, id: ProcessId, place: &Place<'_>) -> Option<(u64, ProcessId, Stored)> {
    let whole = place.tablet.replicas.iter().filter(|replica| replica.complete(place.partition.visible));
    let mut found: Vec<_> = whole
        .filter_map(|replica| {
            let backend = fe.catalog.backends.get(&replica.backend).filter(|backend| backend.alive)?;
            let process = process_of(state, id, backend.id)?;
            let stored = state.be(process)?.stored(place.tablet.id)?;
            let busy = slots::used(fe, backend.id);
            (busy < slots::of_disks(fe, backend)).then_some((busy, backend.id, process, stored))
        })
        .collect();
    found.sort_by_key(|(busy, id, ..)| (*busy, *id));
    found.into_iter().next().map(|(_, id, process, stored)| (id, process, stored))
}

/// Which replica is given up: the most useless one.
fn removal(fe: &Fe, place: &Place<'_>) -> Move {
    let catalog = &fe.catalog;
    let loads = slots::loads(catalog, &place.partition.location);
    let least = place.tablet.replicas.iter().min_by_key(|replica| worth(catalog, place, replica, &loads));
    let Some(victim) = least else { return Move::Forget };
    let used = catalog.backends.get(&victim.backend).is_some_and(|backend| backend.alive) && !victim.bad;
    if used && catalog.is_loading(place.table.id) {
        return Move::Wait("wait for the running transactions of the table".to_owned());
    }
    Move::Remove { backend: victim.backend }
}

fn worth(catalog: &Catalog, place: &Place<'_>, replica: &Replica, loads: &BTreeMap<u64, i64>) -> (u8, i64) {
    let backend = catalog.backends.get(&replica.backend);
    let group = place.table.group.as_ref().and_then(|name| catalog.groups.get(name));
    let rank = match backend {
        None => 0,
        Some(_) if replica.bad => 1,
        Some(b) if !b.alive => 2,
        Some(b) if b.decommissioned => 3,
        Some(_) if !replica.complete(place.partition.visible) => 4,
        Some(b) if b.location() != place.partition.location => 5,
        Some(b) if group.is_some_and(|group| !group.sequence(place.bucket).contains(&b.id)) => 6,
        Some(_) => 7,
    };
    (rank, -loads.get(&replica.backend).copied().unwrap_or(0))
}

/// Ends copies whose time has come or whose backends are gone; entries for the journal.
pub(super) fn finish(state: &mut State, id: ProcessId) -> Vec<Op> {
    let Some(fe) = state.fe(id) else { return Vec::new() };
    let over = |copying: &Copying| copying.ends <= Instant::now() || !state.is_running(copying.from) || !state.is_running(copying.to);
    let due: Vec<_> = fe.scheduler.running.iter().filter(|(_, copying)| over(copying)).map(|(tablet, _)| *tablet).collect();
    let mut next = fe.catalog.next_id;
    let mut ops = Vec::new();
    for tablet in due {
        let Some(copying) = state.fe_mut(id).and_then(|fe| fe.scheduler.running.remove(&tablet)) else { continue };
        let result = take(state, id, tablet, &copying, &mut next);
        let finished_ms = state.clock.now_ms();
        let Some(fe) = state.fe_mut(id) else { return ops };
        let error = result.as_ref().err().cloned().unwrap_or_default();
        match result {
            Ok(op) => ops.push(op),
            Err(_) if copying.task.balance => {}
            Err(error) => {
                let failed_running = copying.task.failed_running + 1;
                fe.scheduler.pending.insert(tablet, Task { failed_running, error, ..copying.task.clone() });
            }
        }
        fe.scheduler.remember(Past { tablet, copying, finished_ms, error });
    }
    ops
}

/// The destination has the source's state now, as far as both are there.
fn take(state: &State, id: ProcessId, tablet: u64, copying: &Copying, next: &mut u64) -> Result<Op, String> {
    if copying.fails {
        return Err("clone timeout".to_owned());
    }
    if !state.hears(copying.from, copying.to) {
        return Err("failed to clone tablet: source or destination is gone".to_owned());
    }
    let source = state.be(copying.from).and_then(|be| be.stored(tablet)).ok_or("source replica does not exist")?;
    let place = state.fe(id).and_then(|fe| fe.catalog.place(tablet)).ok_or("tablet does not exist")?;
    let known = place.tablet.replicas.iter().find(|replica| replica.backend == copying.destination);
    let destination = state.be(copying.to).ok_or("destination is gone")?;
    let present = destination.stored(tablet).filter(|_| known.is_some());
    // What the destination was published meanwhile is not taken back.
    if present.is_none_or(|present| present.version < source.version) && !destination.keep(tablet, source) {
        return Err("failed to clone tablet: no space left on device".to_owned());
    }
    let number = known.map_or_else(
        || {
            *next += 1;
            *next - 1
        },
        |replica| replica.id,
    );
    let visible = place.partition.visible;
    let version = source.version.min(visible);
    let failed = if version >= visible { 0 } else { version + 1 };
    let replica = Replica { id: number, backend: copying.destination, version, failed, bytes: source.bytes, bad: false };
    Ok(Op::Replica { tablet, replica })
}
