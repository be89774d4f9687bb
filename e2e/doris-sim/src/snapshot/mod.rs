//! Backups and restores: what the master does about them, a step at a time.
//!
//! A job's record is in the journal; what its backends are busy with is memory of the master, as in Doris, so a new
//! master sends the tasks of a phase again.

mod store;

use tokio::time::Instant;

pub(crate) use store::{Saved, SavedTable, Stores};

use crate::bdb::Entry;
use crate::be::{NewTable, Stored, build_table, process_of};
use crate::catalog::{Catalog, Op, SnapshotJob, SnapshotState, Table};
use crate::clock::date_time;
use crate::fe::journal;
use crate::process::ProcessId;
use crate::state::State;
use crate::world::World;

/// A task of a job: one tablet that a backend saves or brings back.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub number: u64,
    pub tablet: u64,
    pub process: ProcessId,
    /// Bytes that are still to be moved.
    left: u64,
    stored: Stored,
}

/// What the backends do for a job now.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    /// The phase, of which the journal does not tell.
    pub state: SnapshotState,
    pub left: Vec<Task>,
    since: Instant,
}

/// A job's record after a step.
enum Next {
    Nothing,
    Write(SnapshotState),
    Cancel(String),
}

/// The master's round over its jobs: ends phases that are done and begins the next ones.
pub(crate) async fn round(world: &World, id: ProcessId) {
    let jobs: Vec<SnapshotJob> = {
        let state = world.state();
        let Some(fe) = state.fe(id) else { return };
        fe.catalog.snapshots.iter().filter(|job| !job.state.is_over()).cloned().collect()
    };
    for mut job in jobs {
        let next = step(&mut world.state(), id, &mut job);
        let now = world.now_ms();
        match next {
            Next::Nothing => continue,
            Next::Write(state) => job.state = state,
            Next::Cancel(why) => (job.state, job.status) = (SnapshotState::Cancelled, why),
        }
        if job.state.is_over() {
            job.finished_ms = now;
            if let Some(fe) = world.state().fe_mut(id) {
                fe.snapshots.remove(&job.id);
            }
        }
        if job.is_restore && job.state == SnapshotState::Finished {
            give_back(world, id, &job).await;
        }
        journal::write(world, id, Op::Snapshot(Box::new(job))).await;
    }
}

fn step(state: &mut State, id: ProcessId, job: &mut SnapshotJob) -> Next {
    let now = state.clock.now_ms();
    if now - job.created_ms > job.timeout_ms {
        return Next::Cancel("[TIMEOUT, msg: the job took longer than its timeout]".to_owned());
    }
    let under_way = state.fe(id).and_then(|fe| fe.snapshots.get(&job.id)).map(|tasks| tasks.state);
    if let Some(phase) = under_way {
        return if move_on(state, id, job) { phase_done(state, id, job, phase) } else { Next::Nothing };
    }
    match job.state {
        SnapshotState::Pending if job.is_restore && job.restored.is_empty() => plan_restore(state, id, job),
        SnapshotState::Pending if job.is_restore => send_restore(state, id, job, SnapshotState::Snapshoting),
        SnapshotState::Pending | SnapshotState::UploadSnapshot => send_backup(state, id, job),
        SnapshotState::SaveMeta => Next::Write(SnapshotState::UploadInfo),
        SnapshotState::UploadInfo if save(state, id, job) => Next::Write(SnapshotState::Finished),
        SnapshotState::Download => send_restore(state, id, job, SnapshotState::Downloading),
        SnapshotState::Commit => send_restore(state, id, job, SnapshotState::Committing),
        _ => Next::Nothing,
    }
}

/// All tasks of a phase are done.
fn phase_done(state: &mut State, id: ProcessId, job: &mut SnapshotJob, phase: SnapshotState) -> Next {
    let now = state.clock.now_ms();
    if let Some(fe) = state.fe_mut(id) {
        fe.snapshots.remove(&job.id);
    }
    match phase {
        SnapshotState::Snapshoting => {
            job.snapshot_ms = now;
            Next::Write(if job.is_restore { SnapshotState::Download } else { SnapshotState::UploadSnapshot })
        }
        SnapshotState::Uploading | SnapshotState::Downloading => {
            job.transfer_ms = now;
            Next::Write(if job.is_restore { SnapshotState::Commit } else { SnapshotState::SaveMeta })
        }
        _ => Next::Write(SnapshotState::Finished),
    }
}

/// Lets the tasks of a job go on for the time since the last look; whether all are done. A task ends with its process,
/// and nobody sends it again before there is another master.
fn move_on(state: &mut State, id: ProcessId, job: &SnapshotJob) -> bool {
    let Some(mut tasks) = state.fe(id).and_then(|fe| fe.snapshots.get(&job.id)).cloned() else { return false };
    let moves_data = matches!(tasks.state, SnapshotState::Uploading | SnapshotState::Downloading);
    let location = location_of(state, id, job);
    let speed = location.and_then(|location| state.stores.of(&location)).filter(|store| store.answers).map(|store| store.speed);
    let millis = u64::try_from(tasks.since.elapsed().as_millis()).unwrap_or(u64::MAX);
    tasks.since = Instant::now();
    let mut budget: std::collections::BTreeMap<ProcessId, u64> = std::collections::BTreeMap::new();
    let mut left = Vec::new();
    for mut task in std::mem::take(&mut tasks.left) {
        if !state.is_running(task.process) || moves_data && speed.is_none() {
            left.push(task);
            continue;
        }
        let room = budget.entry(task.process).or_insert_with(|| speed.unwrap_or(0).saturating_mul(millis) / 1000);
        let moved = if moves_data { task.left.min(*room) } else { task.left };
        *room -= moved.min(*room);
        task.left -= moved;
        if task.left > 0 {
            left.push(task);
        }
    }
    tasks.left = left;
    let done = tasks.left.is_empty();
    if let Some(fe) = state.fe_mut(id) {
        fe.snapshots.insert(job.id, tasks);
    }
    done
}

fn location_of(state: &State, id: ProcessId, job: &SnapshotJob) -> Option<String> {
    let catalog = &state.fe(id)?.catalog;
    catalog.repositories.iter().find(|repository| repository.name == job.repository).map(|repository| repository.location.clone())
}

fn tables_of<'a>(catalog: &'a Catalog, job: &'a SnapshotJob) -> impl Iterator<Item = &'a Table> {
    let database = catalog.databases.get(&job.database);
    database.into_iter().flat_map(|database| database.tables.values()).filter(|table| job.tables.contains(&table.name))
}

fn begin(state: &mut State, id: ProcessId, job: &SnapshotJob, phase: SnapshotState, list: Vec<Task>) -> Next {
    let tasks = Tasks { state: phase, left: list, since: Instant::now() };
    if let Some(fe) = state.fe_mut(id) {
        fe.snapshots.insert(job.id, tasks);
    }
    Next::Nothing
}

/// Has one whole replica of each tablet saved: first kept as it is on its disk, then sent to the store.
fn send_backup(state: &mut State, id: ProcessId, job: &SnapshotJob) -> Next {
    let mut list = Vec::new();
    let Some(fe) = state.fe(id) else { return Next::Nothing };
    for table in tables_of(&fe.catalog, job) {
        for (partition, tablet) in table.tablets() {
            let whole = tablet.replicas.iter().filter(|replica| replica.complete(partition.visible));
            let found = whole.into_iter().find_map(|replica| {
                let process = process_of(state, id, replica.backend)?;
                Some((process, state.be(process)?.stored(tablet.id)?))
            });
            let Some((process, stored)) = found else {
                let why =
                    format!("failed to choose replica to make snapshot for tablet {}. visible version: {}", tablet.id, partition.visible);
                return Next::Cancel(format!("[COMMON_ERROR, msg: {why}]"));
            };
            list.push(Task { number: tablet.id, tablet: tablet.id, process, left: stored.bytes, stored });
        }
    }
    let phase = if job.state == SnapshotState::Pending { SnapshotState::Snapshoting } else { SnapshotState::Uploading };
    begin(state, id, job, phase, list)
}

/// Writes the last file: from then on the snapshot is in the repository. Tried until the store answers.
fn save(state: &mut State, id: ProcessId, job: &SnapshotJob) -> bool {
    let Some(location) = location_of(state, id, job) else { return false };
    let Some(fe) = state.fe(id) else { return false };
    let mut tables = Vec::new();
    for table in tables_of(&fe.catalog, job) {
        let partitions = table.partitions.iter().map(|partition| {
            let rows = |number: usize| if number == 0 { partition.rows } else { 0 };
            let bytes = |tablet: &crate::catalog::Tablet| tablet.replicas.iter().map(|replica| replica.bytes).max().unwrap_or(0);
            let saved = partition.tablets.iter().enumerate();
            let saved = saved.map(|(n, tablet)| Stored { version: partition.visible, rows: rows(n), bytes: bytes(tablet) });
            (partition.name.clone(), saved.collect())
        });
        let (copies, location) = table.partitions.first().map_or((1, "default"), |first| (first.copies, first.location.as_str()));
        tables.push(SavedTable { name: table.name.clone(), copies, location: location.to_owned(), partitions: partitions.collect() });
    }
    let timestamp = date_time(job.created_ms).replace([' ', ':'], "-");
    let Some(store) = state.stores.of_mut(&location).filter(|store| store.answers) else { return false };
    store.snapshots.entry(location).or_default().push(Saved { label: job.label.clone(), timestamp, tables });
    true
}

/// Finds places for what a snapshot holds. Tables that are there already are left alone by this model.
fn plan_restore(state: &mut State, id: ProcessId, job: &mut SnapshotJob) -> Next {
    let cancel = |why: String| Next::Cancel(format!("[COMMON_ERROR, msg: {why}]"));
    let location = location_of(state, id, job);
    let Some(store) = location.as_ref().and_then(|location| state.stores.of(location)).filter(|store| store.answers) else {
        return Next::Nothing;
    };
    let saved = store.snapshot(&location.unwrap_or_default(), &job.label, &job.timestamp).cloned();
    let (Some(saved), Some(fe)) = (saved, state.fe(id)) else { return cancel(format!("failed to get info of snapshot '{}'", job.label)) };
    let mut next = fe.catalog.next_id;
    for table in saved.tables.iter().filter(|table| job.tables.is_empty() || job.tables.contains(&table.name)) {
        if fe.catalog.databases.get(&job.database).is_some_and(|database| database.table(&table.name).is_some()) {
            return cancel(format!("Table {} already exists; this model restores over none", table.name));
        }
        let new = NewTable {
            database: job.database,
            partitions: table.partitions.iter().map(|(name, _)| name.clone()).collect(),
            buckets: table.partitions.first().map_or(1, |(_, tablets)| tablets.len()),
            copies: table.copies,
            location: table.location.clone(),
            ..NewTable::named(&table.name)
        };
        let Some((mut built, _)) = build_table(&fe.catalog, &mut next, &new, state.clock.now_ms()) else {
            return cancel(format!("failed to create table {}: too few backends", table.name));
        };
        for (partition, (_, tablets)) in built.partitions.iter_mut().zip(&table.partitions) {
            partition.visible = tablets.first().map_or(1, |stored| stored.version);
            partition.rows = tablets.iter().map(|stored| stored.rows).sum();
            for (tablet, stored) in partition.tablets.iter_mut().zip(tablets) {
                tablet.replicas.iter_mut().for_each(|replica| (replica.version, replica.bytes) = (stored.version, stored.bytes));
            }
        }
        job.restored.push(built);
    }
    job.tables = job.restored.iter().map(|table| table.name.clone()).collect();
    // They have to be on record before anything is sent for them.
    Next::Write(SnapshotState::Pending)
}

/// Has every backend that is to hold a replica do its part.
fn send_restore(state: &mut State, id: ProcessId, job: &SnapshotJob, phase: SnapshotState) -> Next {
    let mut list = Vec::new();
    for table in &job.restored {
        for (partition, tablet) in table.tablets() {
            for replica in &tablet.replicas {
                let Some(process) = process_of(state, id, replica.backend) else { return Next::Nothing };
                let rows = if partition.tablets.first().is_some_and(|first| first.id == tablet.id) { partition.rows } else { 0 };
                let stored = Stored { version: replica.version, rows, bytes: replica.bytes };
                list.push(Task { number: replica.id, tablet: tablet.id, process, left: stored.bytes, stored });
            }
        }
    }
    begin(state, id, job, phase, list)
}

/// The tables of a restore appear, with all their data. The journal is held meanwhile, or a report would find tablets that
/// nobody knows.
async fn give_back(world: &World, id: ProcessId, job: &SnapshotJob) {
    let Some(lock) = world.state().fe(id).map(|fe| fe.journal.clone()) else { return };
    let turn = lock.lock().await;
    for table in &job.restored {
        {
            let mut state = world.state();
            send_restore(&mut state, id, &SnapshotJob { restored: vec![table.clone()], ..job.clone() }, SnapshotState::Committing);
            let tasks = state.fe_mut(id).and_then(|fe| fe.snapshots.remove(&job.id)).map(|tasks| tasks.left).unwrap_or_default();
            for task in tasks {
                if let Some(be) = state.be(task.process) {
                    be.keep(task.tablet, task.stored);
                }
            }
        }
        let op = Op::CreateTable { database: job.database, table: Box::new(table.clone()) };
        journal::write_in_turn(world, id, Entry::Journal { id: 0, op }).await;
    }
    drop(turn);
}
