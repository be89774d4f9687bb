//! A load from its first to its last call to the master.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Batch, Leader, LoadError, publish, quorum};
use crate::bdb::Entry;
use crate::be::process_of;
use crate::catalog::{Op, Table, Txn, TxnState};
use crate::fe::journal;
use crate::process::ProcessId;
use crate::state::State;
use crate::world::World;

/// How long an answer waits for a committed load to become visible.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(30);

/// A load that the master knows.
struct Begun {
    txn: Txn,
    targets: Vec<Target>,
    /// Tablet, rows and bytes.
    shares: Vec<(u64, u64, u64)>,
}

/// A backend that is written to.
struct Target {
    backend: u64,
    process: Option<ProcessId>,
    tablets: Vec<u64>,
}

/// Loads a batch under a label. Whether it is visible already is the answer; from a success on it is there to stay.
pub(super) async fn load(world: &World, master: ProcessId, leader: &Leader, batch: &Batch) -> Result<(u64, bool), LoadError> {
    let lost = || LoadError::Failed("[THRIFT_RPC_ERROR]failed to call frontend service, master is gone".to_owned());
    let begun = tokio::select! {
        biased;
        () = world.ended(master) => return Err(lost()),
        begun = begin(world, master, leader, batch) => begun?,
    };
    world.sleep(leader.process, batch.duration).await;
    let wrote = write(&world.state(), leader, &begun);
    let txn = begun.txn.id;
    tokio::select! {
        biased;
        () = world.ended(master) => return Err(LoadError::Unknown("[THRIFT_RPC_ERROR]commit txn: master is gone".to_owned())),
        committed = commit(world, master, begun.txn, &wrote) => committed?,
    }
    Ok((txn, is_visible(world, master, txn).await))
}

async fn begin(world: &World, master: ProcessId, leader: &Leader, batch: &Batch) -> Result<Begun, LoadError> {
    let lock = journal_of(world, master)?;
    let _turn = lock.lock().await;
    let begun = prepare(&world.state(), master, leader, batch)?;
    write_txn(world, master, &begun.txn).await;
    Ok(begun)
}

fn journal_of(world: &World, master: ProcessId) -> Result<std::sync::Arc<tokio::sync::Mutex<()>>, LoadError> {
    let state = world.state();
    let fe = state.fe(master).filter(|fe| fe.is_master());
    fe.map(|fe| fe.journal.clone()).ok_or_else(|| LoadError::Failed("[NOT_MASTER]not the master".to_owned()))
}

async fn write_txn(world: &World, master: ProcessId, txn: &Txn) {
    journal::write_in_turn(world, master, Entry::Journal { id: 0, op: Op::Transaction(Box::new(txn.clone())) }).await;
}

fn prepare(state: &State, master: ProcessId, leader: &Leader, batch: &Batch) -> Result<Begun, LoadError> {
    let refusal = |text: String| LoadError::Refusal(format!("errCode = 2, detailMessage = {text}"));
    let fe = state.fe(master).ok_or_else(|| refusal("master is gone".to_owned()))?;
    let database = fe.catalog.database(&batch.database).ok_or_else(|| refusal(format!("unknown database, database={}", batch.database)))?;
    let table = database.table(&batch.table).ok_or_else(|| refusal(format!("unknown table, table={}", batch.table)))?;
    if let Some(known) = fe.catalog.labelled(database.id, &batch.label).filter(|known| known.state != TxnState::Aborted) {
        return Err(LoadError::LabelInUse { label: batch.label.clone(), txn: known.id, state: known.state.name().to_owned() });
    }
    let running = fe.catalog.transactions.values().filter(|txn| txn.database == database.id && txn.is_running()).count();
    let most = fe.settings.number("max_running_txn_num_per_db");
    if running as u64 >= most {
        return Err(LoadError::Failed(format!(
            "errCode = 2, detailMessage = current running txns on db {} is {running}, larger than limit {most}",
            database.id
        )));
    }
    let targets = quorum::targets(fe, table)?.into_iter();
    let targets = targets.map(|(backend, tablets)| Target { backend, process: process_of(state, master, backend), tablets }).collect();
    let txn = Txn {
        id: fe.catalog.next_id,
        database: database.id,
        table: table.id,
        label: batch.label.clone(),
        coordinator: leader.name.clone(),
        state: TxnState::Prepare,
        begun_ms: state.clock.now_ms(),
        ended_ms: 0,
        rows: batch.rows,
        bytes: batch.bytes,
        reason: String::new(),
    };
    Ok(Begun { txn, targets, shares: shares(table, batch) })
}

/// Writes every tablet's share to every target that lived all the time; what was written.
fn write(state: &State, leader: &Leader, begun: &Begun) -> BTreeSet<(u64, u64)> {
    let mut wrote = BTreeSet::new();
    for target in &begun.targets {
        let Some(process) = target.process.filter(|process| *process == leader.process || state.hears(leader.process, *process)) else {
            continue;
        };
        let Some(be) = state.be(process) else { continue };
        for tablet in &target.tablets {
            let Some((_, rows, bytes)) = begun.shares.iter().find(|(id, ..)| id == tablet) else { continue };
            if be.stage(begun.txn.id, *tablet, *rows, *bytes) {
                wrote.insert((*tablet, target.backend));
            }
        }
    }
    wrote
}

/// Rows and bytes for each tablet: the rows go to the first partition.
fn shares(table: &Table, batch: &Batch) -> Vec<(u64, u64, u64)> {
    let all = table.tablets().count().max(1) as u64;
    let first = table.partitions.first().map(|partition| (partition.id, partition.tablets.len().max(1) as u64));
    let share = |(index, tablet): (usize, u64), holds: bool, buckets: u64| {
        let index = index as u64;
        let rows = if holds { batch.rows / buckets + u64::from(index < batch.rows % buckets) } else { 0 };
        (tablet, rows, batch.bytes / all)
    };
    let mut shares = Vec::new();
    for partition in &table.partitions {
        let holds = first.is_some_and(|(id, _)| id == partition.id);
        let buckets = first.map_or(1, |(_, buckets)| buckets);
        shares.extend(partition.tablets.iter().map(|tablet| tablet.id).enumerate().map(|each| share(each, holds, buckets)));
    }
    shares
}

async fn commit(world: &World, master: ProcessId, mut txn: Txn, wrote: &BTreeSet<(u64, u64)>) -> Result<(), LoadError> {
    let unknown = |_| LoadError::Unknown("[NOT_MASTER]commit txn: not the master".to_owned());
    let lock = journal_of(world, master).map_err(unknown)?;
    let _turn = lock.lock().await;
    let checked = check(&world.state(), master, &txn, wrote);
    txn.ended_ms = world.now_ms();
    if let Err(LoadError::Failed(reason)) = &checked {
        (txn.state, txn.reason) = (TxnState::Aborted, reason.clone());
        write_txn(world, master, &txn).await;
    }
    checked?;
    txn.state = TxnState::Committed;
    write_txn(world, master, &txn).await;
    let publication = publish::publish(&world.state(), master, txn.id);
    if let Some(publication) = publication {
        journal::write_in_turn(world, master, Entry::Journal { id: 0, op: Op::Publish(publication) }).await;
    }
    world.state().bump();
    Ok(())
}

/// Gives up a load that was not committed yet.
pub(super) async fn abort(world: &World, master: ProcessId, database: &str, label: &str, reason: &str) {
    let Ok(lock) = journal_of(world, master) else { return };
    let _turn = lock.lock().await;
    let found = {
        let state = world.state();
        let catalog = state.fe(master).map(|fe| &fe.catalog);
        let known = catalog.and_then(|catalog| catalog.labelled(catalog.database(database)?.id, label));
        known.filter(|txn| txn.state == TxnState::Prepare).cloned()
    };
    if let Some(txn) = found {
        let ended_ms = world.now_ms();
        write_txn(world, master, &Txn { state: TxnState::Aborted, ended_ms, reason: reason.to_owned(), ..txn }).await;
    }
}

/// Whether enough whole replicas of every tablet were written.
fn check(state: &State, master: ProcessId, txn: &Txn, wrote: &BTreeSet<(u64, u64)>) -> Result<(), LoadError> {
    let gone = || LoadError::Failed("master is gone".to_owned());
    let fe = state.fe(master).ok_or_else(gone)?;
    if fe.catalog.transactions.get(&txn.id).is_none_or(|known| known.state != TxnState::Prepare) {
        return Err(LoadError::Failed(format!("errCode = 2, detailMessage = transaction [{}] is already aborted", txn.id)));
    }
    let table = fe.catalog.table(txn.database, txn.table).ok_or_else(|| LoadError::Failed("table was dropped".to_owned()))?;
    for (partition, tablet) in table.tablets() {
        // A replica that missed an earlier version does not count, whatever was written to it.
        let good = tablet.replicas.iter().filter(|replica| replica.failed == 0 && wrote.contains(&(tablet.id, replica.backend)));
        let (good, required) = (good.count(), quorum::required(fe, table, partition));
        if good < required {
            let word = if fe.version.from_line(2, 1) { "load required" } else { "quorum" };
            return Err(LoadError::Failed(format!(
                "errCode = 2, detailMessage = Failed to commit txn {}, cause tablet {} succ replica num {good} < {word} replica num {required}. table {}, partition: [ id={}, commit version {}, visible version {} ]",
                txn.id,
                tablet.id,
                table.id,
                partition.id,
                partition.visible + 1,
                partition.visible
            )));
        }
    }
    Ok(())
}

/// Waits a while for the load to become visible.
async fn is_visible(world: &World, master: ProcessId, txn: u64) -> bool {
    let mut changes = world.changes();
    let deadline = Instant::now() + PUBLISH_PATIENCE;
    loop {
        changes.borrow_and_update();
        let visible = {
            let state = world.state();
            let Some(fe) = state.fe(master) else { return false };
            fe.catalog.transactions.get(&txn).is_none_or(|txn| txn.state == TxnState::Visible)
        };
        if visible || timeout_at(deadline, changes.changed()).await.is_err() {
            return visible;
        }
    }
}
