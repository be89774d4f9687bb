//! Making committed loads visible, and giving up those that nobody leads any more.

use crate::be::process_of;
use crate::catalog::{Coordinator, Op, Publication, Txn, TxnState};
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::state::State;

use super::quorum;

/// After this long one replica of each tablet is enough.
const ONE_IS_ENOUGH_MS: i64 = 300_000;

/// A load that was not committed by then never is.
const LONGEST_LOAD_MS: i64 = 600_000;

/// Has the backends publish a committed load. What the journal has to say once enough of them did.
pub(super) fn publish(state: &State, master: ProcessId, id: u64) -> Option<Publication> {
    let now = state.clock.now_ms();
    let fe = state.fe(master)?;
    let txn = fe.catalog.transactions.get(&id).filter(|txn| txn.state == TxnState::Committed)?;
    let Some(table) = fe.catalog.table(txn.database, txn.table) else {
        return Some(Publication { txn: id, ms: now, bytes: 0, missed: Vec::new() });
    };
    // Versions follow one another.
    let earlier = |other: &&Txn| {
        other.table == txn.table && other.state == TxnState::Committed && (other.ended_ms, other.id) < (txn.ended_ms, txn.id)
    };
    if fe.catalog.transactions.values().any(|other| earlier(&other)) {
        return None;
    }
    let mut missed = Vec::new();
    let mut enough = true;
    for (partition, tablet) in table.tablets() {
        let version = partition.visible + 1;
        let has = |backend: u64| {
            process_of(state, master, backend).and_then(|peer| state.be(peer)).is_some_and(|be| be.publish(id, tablet.id, version))
        };
        let absent: Vec<_> = tablet.replicas.iter().map(|replica| replica.backend).filter(|backend| !has(*backend)).collect();
        let good = tablet.replicas.len() - absent.len();
        let least = if now - txn.ended_ms > ONE_IS_ENOUGH_MS { 1 } else { quorum::required(fe, table, partition) };
        enough &= good >= least;
        missed.extend(absent.into_iter().map(|backend| (tablet.id, backend)));
    }
    let bytes = txn.bytes / (table.tablets().count().max(1) as u64);
    enough.then_some(Publication { txn: id, ms: now, bytes, missed })
}

/// Committed loads that can be published by now.
pub(crate) fn late(state: &State, master: ProcessId) -> Vec<Op> {
    let Some(fe) = state.fe(master) else { return Vec::new() };
    let mut committed: Vec<_> = fe.catalog.transactions.values().filter(|txn| txn.state == TxnState::Committed).collect();
    committed.sort_by_key(|txn| (txn.ended_ms, txn.id));
    // One a round: the next one's version depends on it.
    committed.iter().find_map(|txn| publish(state, master, txn.id)).map(Op::Publish).into_iter().collect()
}

/// Loads whose leader was started anew, is gone for too long, or takes too long.
pub(crate) fn overdue(state: &State, master: ProcessId) -> Vec<Op> {
    let now = state.clock.now_ms();
    let Some(fe) = state.fe(master) else { return Vec::new() };
    let prepared = fe.catalog.transactions.values().filter(|txn| txn.state == TxnState::Prepare);
    let abort = |txn: &Txn| {
        let reason = reason(fe, txn, now)?.to_owned();
        Some(Op::Transaction(Box::new(Txn { state: TxnState::Aborted, ended_ms: now, reason, ..txn.clone() })))
    };
    prepared.filter_map(abort).collect()
}

fn reason(fe: &Fe, txn: &Txn, now: i64) -> Option<&'static str> {
    let patience = i64::try_from(fe.settings.number("abort_txn_after_lost_heartbeat_time_second")).unwrap_or(i64::MAX).saturating_mul(1000);
    let lost = |beat: i64| now.saturating_sub(beat.max(txn.begun_ms)) > patience;
    let (restarted, gone) = match &txn.coordinator {
        Coordinator::Backend { id, start_ms } => {
            let row = fe.catalog.backends.get(id);
            let beat = fe.backends_seen.get(id).map_or(0, |seen| seen.beat_ms);
            (row.is_some_and(|row| row.start_ms != *start_ms), row.is_none_or(|row| !row.alive) && lost(beat))
        }
        Coordinator::Frontend { name } => {
            let seen = fe.frontends_seen.get(name);
            let alive = *name == fe.name || fe.catalog.frontends.iter().any(|row| row.name == *name && row.alive);
            (seen.is_some_and(|seen| seen.start_ms > txn.begun_ms), !alive && lost(seen.map_or(0, |seen| seen.beat_ms)))
        }
    };
    if restarted {
        return Some("coordinate BE restart");
    }
    if gone {
        return Some("coordinate BE is down");
    }
    (now - txn.begun_ms > LONGEST_LOAD_MS).then_some("timeout by txn manager")
}
