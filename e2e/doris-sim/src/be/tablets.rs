//! Tablets between the master and the backends: reports, repair, decommission.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Op, Partition, Replica, Table, Tablet, TabletHealth};
use crate::fe::journal;
use crate::process::ProcessId;
use crate::state::{Reach, State};
use crate::world::World;

/// Tablets that one round moves at most.
const BATCH: usize = 50;

/// Tables of `__internal_schema` and their number of tablets.
const INTERNAL_TABLES: [(&str, usize, usize); 3] = [("column_statistics", 7, 1), ("partition_statistics", 7, 1), ("audit_log", 2, 4)];

/// A backend tells its master what it has: disks, then tablets.
pub(super) fn report(world: &World, id: ProcessId) {
    let Some((master, ops, unknown)) = compare(&mut world.state(), id) else { return };
    {
        let state = world.state();
        if let Some(be) = state.be(id) {
            for tablet in unknown {
                be.delete_tablet(tablet);
            }
        }
    }
    for op in ops {
        world.spawn(master, {
            let world = world.clone();
            async move { journal::write(&world, master, op).await }
        });
    }
}

/// What a report changes: entries for the journal, and tablets that the backend has to delete.
fn compare(state: &mut State, id: ProcessId) -> Option<(ProcessId, Vec<Op>, Vec<u64>)> {
    let be = state.be(id)?;
    let (obeyed, be_port, disks) = (be.obeyed.clone()?, i32::from(be.be_port()), be.disks());
    let held: BTreeSet<u64> = be.tablets().into_iter().collect();
    let Reach::Open(master) = state.reach_host(id, &obeyed.host, obeyed.rpc_port) else { return None };
    let now = state.clock.now_ms();
    let fe = state.fe_mut(master).filter(|fe| fe.is_master())?;
    // A report is matched by host and port: whoever reports under them is believed.
    let row = fe.catalog.backends.values().find(|row| row.host == obeyed.own_host && row.be_port == be_port)?.clone();
    fe.backends_seen.entry(row.id).or_default().report_ms = now;
    let mut ops = Vec::new();
    if row.disks != disks || row.cores != 8 {
        let mut new = row.clone();
        (new.disks, new.cores) = (disks, 8);
        ops.push(Op::ChangeBackend(new));
    }
    let mut known = BTreeSet::new();
    for (_, _, tablet) in fe.catalog.tablets() {
        known.insert(tablet.id);
        let here = tablet.replicas.iter().any(|replica| replica.backend == row.id);
        if here && !held.contains(&tablet.id) && tablet.replicas.len() > 1 {
            ops.push(Op::DropReplica { tablet: tablet.id, backend: row.id });
        }
    }
    let belongs = |tablet: &u64| fe.catalog.tablets().any(|(_, _, t)| t.id == *tablet && t.replicas.iter().any(|r| r.backend == row.id));
    let unknown = held.iter().filter(|tablet| !known.contains(tablet) || !belongs(tablet)).copied().collect();
    Some((master, ops, unknown))
}

/// Backends for the copies of a new tablet, the emptiest first.
pub(crate) fn place(catalog: &Catalog, location: &str, copies: usize, turn: usize) -> Option<Vec<u64>> {
    let mut fit: Vec<_> = catalog.backends.values().filter(|b| b.takes_replicas() && b.location() == location).map(|b| b.id).collect();
    if fit.len() < copies {
        return None;
    }
    let len = fit.len();
    fit.rotate_left(turn % len.max(1));
    fit.truncate(copies);
    Some(fit)
}

/// Process of a registered backend, if the master can talk to it.
pub(crate) fn process_of(state: &State, master: ProcessId, backend: u64) -> Option<ProcessId> {
    let row = state.fe(master)?.catalog.backends.get(&backend)?.clone();
    let port = u16::try_from(row.be_port).ok()?;
    match state.reach_host(master, &row.host, port) {
        Reach::Open(peer) => Some(peer),
        _ => None,
    }
}

/// Statistics and audit tables appear once a backend lives, and get three copies once three do.
pub(crate) fn internal_schema(state: &mut State, id: ProcessId) -> Vec<Op> {
    let now = state.clock.now_ms();
    let Some(fe) = state.fe(id) else { return Vec::new() };
    let alive = fe.catalog.backends.values().filter(|b| b.takes_replicas() && b.location() == "default").count();
    let Some(database) = fe.catalog.database("__internal_schema") else {
        return vec![Op::CreateDatabase { id: fe.catalog.next_id, name: "__internal_schema".to_owned() }];
    };
    if database.tables.is_empty() {
        return if alive == 0 { Vec::new() } else { internal_tables(state, id, database.id, now) };
    }
    let thin = database.tables.values().filter(|table| table.partitions.iter().any(|p| p.copies < 3));
    if alive < 3 {
        Vec::new()
    } else {
        thin.map(|table| Op::ReplicationNum { database: database.id, table: table.id, copies: 3 }).collect()
    }
}

fn internal_tables(state: &State, id: ProcessId, database: u64, now: i64) -> Vec<Op> {
    let Some(fe) = state.fe(id) else { return Vec::new() };
    let mut next = fe.catalog.next_id;
    let mut ops = Vec::new();
    for (name, tablets, partitions) in INTERNAL_TABLES {
        let names: Vec<String> = (0..partitions).map(|n| if partitions == 1 { name.to_owned() } else { format!("p{n}") }).collect();
        let Some(table) = build_table(&fe.catalog, &mut next, name, &names, tablets, 1, "default", now) else { continue };
        create_on_backends(state, id, &table);
        ops.push(Op::CreateTable { database, table: Box::new(table) });
    }
    ops
}

/// A table with its tablets placed; `None` when there are too few backends.
#[expect(clippy::too_many_arguments, reason = "a table has that many properties")]
pub(crate) fn build_table(
    catalog: &Catalog,
    next: &mut u64,
    name: &str,
    partitions: &[String],
    buckets: usize,
    copies: usize,
    location: &str,
    now: i64,
) -> Option<Table> {
    let mut fresh = || {
        *next += 1;
        *next - 1
    };
    let id = fresh();
    let mut turn = 0;
    let mut built = Vec::new();
    for partition in partitions {
        let partition_id = fresh();
        let mut tablets = Vec::new();
        for _ in 0..buckets {
            let backends = place(catalog, location, copies, turn)?;
            turn += 1;
            let tablet = fresh();
            let replicas = backends.into_iter().map(|backend| Replica { id: fresh(), backend }).collect();
            tablets.push(Tablet { id: tablet, replicas });
        }
        built.push(Partition { id: partition_id, name: partition.clone(), location: location.to_owned(), copies, tablets });
    }
    Some(Table { id, name: name.to_owned(), created_ms: now, partitions: built })
}

/// Has the backends make the tablets of a new table.
pub(crate) fn create_on_backends(state: &State, master: ProcessId, table: &Table) {
    for tablet in table.partitions.iter().flat_map(|partition| &partition.tablets) {
        for replica in &tablet.replicas {
            if let Some(be) = process_of(state, master, replica.backend).and_then(|peer| state.be(peer)) {
                be.create_tablet(tablet.id);
            }
        }
    }
}

/// One round of the scheduler: copies what is missing, then removes what is too much.
pub(crate) fn schedule(state: &mut State, id: ProcessId) -> Vec<Op> {
    let Some(fe) = state.fe(id).filter(|fe| !fe.settings.flag("disable_tablet_scheduler")) else { return Vec::new() };
    let mut next = fe.catalog.next_id;
    let mut ops = Vec::new();
    for (_, partition, tablet) in
        fe.catalog.tablets().filter(|(_, partition, tablet)| tablet.health(partition, &fe.catalog) != TabletHealth::Healthy)
    {
        if ops.len() >= BATCH {
            break;
        }
        ops.extend(repair(state, id, partition, tablet, &mut next));
    }
    ops
}

fn repair(state: &State, id: ProcessId, partition: &Partition, tablet: &Tablet, next: &mut u64) -> Option<Op> {
    let fe = state.fe(id)?;
    let catalog = &fe.catalog;
    match tablet.health(partition, catalog) {
        TabletHealth::Healthy | TabletHealth::Unrecoverable => None,
        TabletHealth::Redundant | TabletHealth::ForceRedundant => {
            let worth = |r: &&Replica| {
                catalog.backends.get(&r.backend).map_or(0, |b| {
                    1 + u8::from(b.alive) + 2 * u8::from(!b.decommissioned) + 4 * u8::from(b.location() == partition.location)
                })
            };
            let victim = tablet.replicas.iter().min_by_key(worth)?.backend;
            if let Some(be) = process_of(state, id, victim).and_then(|peer| state.be(peer)) {
                be.delete_tablet(tablet.id);
            }
            Some(Op::DropReplica { tablet: tablet.id, backend: victim })
        }
        TabletHealth::ReplicaMissing | TabletHealth::ReplicaRelocating | TabletHealth::ReplicaMissingForTag => {
            let holds = |backend: u64| tablet.replicas.iter().any(|replica| replica.backend == backend);
            let fit = catalog.backends.values().filter(|b| b.takes_replicas() && b.location() == partition.location && !holds(b.id));
            let target = fit.min_by_key(|b| catalog.replicas_on(b.id))?.id;
            let be = process_of(state, id, target).and_then(|peer| state.be(peer))?;
            if !be.create_tablet(tablet.id) {
                return None;
            }
            *next += 1;
            Some(Op::AddReplica { tablet: tablet.id, replica: *next - 1, backend: target })
        }
    }
}

/// Drops the decommissioned backends that are empty and can be asked about their write-ahead logs.
pub(crate) fn decommission(state: &mut State, id: ProcessId) -> Vec<Op> {
    let Some(fe) = state.fe(id).filter(|fe| fe.settings.flag("drop_backend_after_decommission")) else { return Vec::new() };
    let asks_wal = fe.version.from_line(2, 1);
    let empty = fe.catalog.backends.values().filter(|b| b.decommissioned && fe.catalog.replicas_on(b.id) == 0);
    let answers = |brpc: i32, host: &str| u16::try_from(brpc).is_ok_and(|port| matches!(state.reach_host(id, host, port), Reach::Open(_)));
    empty.filter(|b| !asks_wal || answers(b.brpc_port, &b.host)).map(|b| Op::DropBackend { id: b.id }).collect()
}
