//! Making tables and their tablets.

use crate::catalog::{Catalog, Group, Op, Partition, Replica, Table, Tablet};
use crate::process::ProcessId;
use crate::state::{Reach, State};

/// Tables of `__internal_schema` and their number of tablets.
const INTERNAL_TABLES: [(&str, usize, usize); 3] = [("column_statistics", 7, 1), ("partition_statistics", 7, 1), ("audit_log", 2, 4)];

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
        let new = NewTable { partitions: names, buckets: tablets, ..NewTable::named(name) };
        let Some((table, _)) = build_table(&fe.catalog, &mut next, &new, now) else { continue };
        create_on_backends(state, id, &table);
        ops.push(Op::CreateTable { database, table: Box::new(table) });
    }
    ops
}

/// A table to make.
#[derive(Clone, Debug)]
pub(crate) struct NewTable {
    pub name: String,
    pub database: u64,
    pub partitions: Vec<String>,
    pub buckets: usize,
    pub copies: usize,
    pub location: String,
    pub min_load: Option<usize>,
    pub group: Option<String>,
}

impl NewTable {
    /// One partition with one tablet and one copy.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            database: 0,
            partitions: vec![name.to_owned()],
            buckets: 1,
            copies: 1,
            location: "default".to_owned(),
            min_load: None,
            group: None,
        }
    }
}

/// A table with its tablets placed, and its colocate group where that is new; `None` when there are too few backends.
pub(crate) fn build_table(catalog: &Catalog, next: &mut u64, new: &NewTable, now: i64) -> Option<(Table, Option<Group>)> {
    let mut fresh = || {
        *next += 1;
        *next - 1
    };
    let id = fresh();
    let known = new.group.as_ref().and_then(|name| catalog.groups.get(name));
    let mut made: Vec<Vec<u64>> = Vec::new();
    let mut turn = 0;
    let mut built = Vec::new();
    for partition in &new.partitions {
        let partition_id = fresh();
        let mut tablets = Vec::new();
        for bucket in 0..new.buckets {
            let backends = match (known, new.group.is_some()) {
                (Some(group), _) => group.sequence(bucket).to_vec(),
                (None, true) if made.len() > bucket => made[bucket].clone(),
                _ => place(catalog, &new.location, new.copies, turn)?,
            };
            if new.group.is_some() && made.len() == bucket {
                made.push(backends.clone());
            }
            turn += 1;
            let tablet = fresh();
            let replicas = backends.into_iter().map(|backend| Replica::empty(fresh(), backend)).collect();
            tablets.push(Tablet { id: tablet, replicas });
        }
        let (name, location) = (partition.clone(), new.location.clone());
        built.push(Partition { id: partition_id, name, location, copies: new.copies, tablets, visible: 1, visible_ms: now, rows: 0 });
    }
    let group = (known.is_none() && new.group.is_some()).then(|| Group {
        id: fresh(),
        database: new.database,
        copies: new.copies,
        location: new.location.clone(),
        buckets: made,
        stable: true,
    });
    let table = Table { id, name: new.name.clone(), created_ms: now, partitions: built, min_load: new.min_load, group: new.group.clone() };
    Some((table, group))
}

/// Has the backends make the tablets of a new table.
pub(crate) fn create_on_backends(state: &State, master: ProcessId, table: &Table) {
    for (_, tablet) in table.tablets() {
        for replica in &tablet.replicas {
            if let Some(be) = process_of(state, master, replica.backend).and_then(|peer| state.be(peer)) {
                be.keep(tablet.id, super::Stored::EMPTY);
            }
        }
    }
}
