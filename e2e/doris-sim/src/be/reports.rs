//! Reports of disks and tablets, and what the master makes of them.

use std::collections::BTreeMap;

use super::store::Stored;
use crate::catalog::{Backend, Catalog, Op, Place, Replica, TabletHealth, TxnState};
use crate::fe::journal;
use crate::process::ProcessId;
use crate::state::{Reach, State};
use crate::world::World;

/// What a report leads to.
struct Verdict {
    master: ProcessId,
    ops: Vec<Op>,
    /// Tablets that the backend has to delete.
    unknown: Vec<u64>,
    /// Transactions whose parts it can forget.
    ended: Vec<u64>,
}

/// A backend tells its master what it has: disks, then tablets.
pub(super) fn report(world: &World, id: ProcessId) {
    let Some(verdict) = compare(&mut world.state(), id) else { return };
    if let Some(be) = world.state().be(id) {
        verdict.unknown.iter().for_each(|tablet| be.delete_tablet(*tablet));
        verdict.ended.iter().for_each(|txn| be.discard(*txn));
    }
    let (master, ops) = (verdict.master, verdict.ops);
    if ops.is_empty() {
        return;
    }
    world.spawn(master, {
        let world = world.clone();
        async move {
            for op in ops {
                journal::write(&world, master, op).await;
            }
        }
    });
}

fn compare(state: &mut State, id: ProcessId) -> Option<Verdict> {
    let be = state.be(id)?;
    let (obeyed, be_port, disks) = (be.obeyed.clone()?, i32::from(be.be_port()), be.disks());
    let held: BTreeMap<u64, Option<Stored>> = be.tablets().into_iter().map(|tablet| (tablet, be.stored(tablet))).collect();
    let staged = be.staged();
    let Reach::Open(master) = state.reach_host(id, &obeyed.host, obeyed.rpc_port) else { return None };
    let now = state.clock.now_ms();
    let fe = state.fe_mut(master).filter(|fe| fe.is_master())?;
    // A report is matched by host and port: whoever reports under them is believed.
    let row = fe.catalog.backends.values().find(|row| row.host == obeyed.own_host && row.be_port == be_port)?.clone();
    fe.backends_seen.entry(row.id).or_default().report_ms = now;
    // While something is being written the catalog is not the last word on what is unknown.
    let settled = fe.journal.try_lock().is_ok();
    let catalog = &fe.catalog;
    let mut ops = Vec::new();
    if row.disks != disks || row.cores != 8 {
        ops.push(Op::ChangeBackend(Backend { disks, cores: 8, ..row.clone() }));
    }
    let mut left = held;
    for place in catalog.places() {
        let found = left.remove(&place.tablet.id);
        let known = place.tablet.replicas.iter().find(|replica| replica.backend == row.id);
        match (known, found) {
            (Some(replica), None) => ops.push(lost(&place, replica)),
            (Some(replica), Some(stored)) => ops.extend(differs(&place, replica, stored)),
            (None, Some(Some(stored))) if wanted_back(catalog, &place, row.id, stored) => {
                let replica = Replica { version: stored.version, bytes: stored.bytes, ..Replica::empty(catalog.next_id, row.id) };
                ops.push(Op::Replica { tablet: place.tablet.id, replica });
            }
            (None, Some(stored)) => drop(left.insert(place.tablet.id, stored)),
            (None, None) => {}
        }
    }
    for (_, tablet) in catalog.bin.iter().flat_map(|binned| binned.table.tablets()) {
        if tablet.replicas.iter().any(|replica| replica.backend == row.id) {
            left.remove(&tablet.id);
        }
    }
    let open = |txn: &u64| catalog.transactions.get(txn).is_some_and(|txn| matches!(txn.state, TxnState::Prepare | TxnState::Committed));
    let ended = staged.into_iter().filter(|txn| !open(txn)).collect();
    let unknown = if settled { left.into_keys().collect() } else { Vec::new() };
    Some(Verdict { master, ops, unknown, ended })
}

/// A replica that is not on the disk any more: written off without a look at the others, unless it is the only one.
fn lost(place: &Place<'_>, replica: &Replica) -> Op {
    if place.tablet.replicas.len() > 1 {
        Op::DropReplica { tablet: place.tablet.id, backend: replica.backend }
    } else {
        Op::Replica { tablet: place.tablet.id, replica: Replica { bad: true, ..replica.clone() } }
    }
}

/// What the disk knows better than the catalog.
fn differs(place: &Place<'_>, replica: &Replica, stored: Option<Stored>) -> Option<Op> {
    let visible = place.partition.visible;
    let update = |replica| Some(Op::Replica { tablet: place.tablet.id, replica });
    let Some(stored) = stored else {
        return if replica.bad { None } else { update(Replica { bad: true, ..replica.clone() }) };
    };
    // What is there beyond the visible version is about to be published.
    let version = stored.version.min(visible);
    let caught_up = version >= visible && (replica.failed != 0 || replica.bad);
    if version == replica.version && !caught_up {
        return None;
    }
    let failed = match (version >= visible, replica.failed) {
        (true, _) => 0,
        (false, 0) => version + 1,
        (false, failed) => failed,
    };
    update(Replica { version, failed, bytes: stored.bytes, bad: false, ..replica.clone() })
}

/// Whether the master takes a replica that it had given up: it misses one, and this one is whole.
fn wanted_back(catalog: &Catalog, place: &Place<'_>, backend: u64, stored: Stored) -> bool {
    let colocated = place.table.group.as_ref().and_then(|name| catalog.groups.get(name));
    let allowed = colocated.is_none_or(|group| group.sequence(place.bucket).contains(&backend));
    let missing = place.tablet.replicas.len() < place.partition.copies || place.health(catalog) == TabletHealth::ForceRedundant;
    allowed && missing && stored.version >= place.partition.visible
}
