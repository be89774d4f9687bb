//! Writing with a majority.

use super::log::{Entry, Record};
use super::{Bdb, BdbState};
use crate::process::ProcessId;
use crate::state::State;

/// How a try to write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// A majority has it.
    Done,
    /// Too few replicas are connected; nothing was written.
    NotEnough,
    /// Written here, but too few have answered.
    NotAcknowledged,
    /// This process does not write (any more).
    NotMaster,
}

/// Members that a write needs, the master included.
pub(crate) fn majority(bdb: &Bdb) -> usize {
    bdb.size_override.filter(|size| *size > 0).unwrap_or_else(|| bdb.log.electable()) / 2 + 1
}

/// Appends an entry and counts who has it.
pub(crate) fn commit(state: &mut State, master: ProcessId, entry: Entry) -> Commit {
    let Some(needed) = needed(state, master) else { return Commit::NotMaster };
    let replicas = replicas_of(state, master);
    let believed = 1 + replicas.iter().filter(|id| is_electable(state, **id)).count();
    if believed < needed || !has_room(state, master) {
        return Commit::NotEnough;
    }
    let Some(fe) = state.fe_mut(master) else { return Commit::NotMaster };
    let meta = fe.meta.clone();
    let Some(bdb) = fe.bdb.as_mut() else { return Commit::NotMaster };
    let BdbState::Master { term, .. } = bdb.state else { return Commit::NotMaster };
    let vlsn = bdb.log.last_vlsn() + 1;
    if bdb.log.append(&meta, Record { vlsn, term, entry }).is_err() {
        return Commit::NotEnough;
    }
    bdb.pending = Some(vlsn);
    retry(state, master)
}

/// Counts again who has the pending record; once a majority has it, it is applied here.
pub(crate) fn retry(state: &mut State, master: ProcessId) -> Commit {
    let Some(needed) = needed(state, master) else { return Commit::NotMaster };
    let Some(vlsn) = state.fe(master).and_then(|fe| fe.bdb.as_ref()).and_then(|bdb| bdb.pending) else { return Commit::NotEnough };
    let mut acknowledged = 1;
    for replica in replicas_of(state, master) {
        // One that dies of what it was handed has it all the same.
        let electable = is_electable(state, replica);
        if state.hears(master, replica) && push(state, master, replica) && electable {
            acknowledged += 1;
        }
    }
    if acknowledged < needed {
        return Commit::NotAcknowledged;
    }
    if let Some(fe) = state.fe_mut(master) {
        if let Some(bdb) = fe.bdb.as_mut() {
            bdb.pending = None;
        }
        fe.replay(vlsn);
    }
    Commit::Done
}

/// Whether a master reaches as many members as a write needs.
pub(crate) fn reaches_majority(state: &State, master: ProcessId) -> bool {
    let reached = replicas_of(state, master).into_iter().filter(|replica| state.hears(master, *replica) && is_electable(state, *replica));
    needed(state, master).is_some_and(|needed| 1 + reached.count() >= needed)
}

fn needed(state: &State, master: ProcessId) -> Option<usize> {
    let bdb = state.fe(master)?.bdb.as_ref()?;
    bdb.state.is_master().then(|| majority(bdb))
}

/// Processes that follow this master as far as it knows.
pub(super) fn replicas_of(state: &State, master: ProcessId) -> Vec<ProcessId> {
    let follows = |bdb: &Bdb| matches!(bdb.state, BdbState::Replica { master: m, .. } if m == master);
    state.frontends().filter(|(_, fe)| fe.bdb.as_ref().is_some_and(follows)).map(|(id, _)| id).collect()
}

fn is_electable(state: &State, id: ProcessId) -> bool {
    let fe = state.fe(id);
    fe.and_then(|fe| Some(fe.bdb.as_ref()?.log.members().get(&fe.name)?.electable)).unwrap_or(false)
}

/// A group member refuses to write when its disk is nearly full.
fn has_room(state: &State, id: ProcessId) -> bool {
    let Some(fe) = state.fe(id) else { return false };
    fe.meta.volume.free().is_none_or(|free| free >= fe.settings.number("bdbje_free_disk_bytes"))
}

/// Brings a replica's log to the master's; whether it now has everything.
pub(super) fn push(state: &mut State, master: ProcessId, replica: ProcessId) -> bool {
    if !has_room(state, replica) {
        return false;
    }
    let Some((from, to)) = state.fe(master).zip(state.fe(replica)) else { return false };
    let Some((source, target)) = from.bdb.as_ref().zip(to.bdb.as_ref()) else { return false };
    let Some(common) = target.log.match_point(&source.log) else {
        return restore(state, master, replica);
    };
    let records = source.log.records_after(common);
    let end = source.log.last_vlsn();
    let Some(fe) = state.fe_mut(replica) else { return false };
    let meta = fe.meta.clone();
    let Some(bdb) = fe.bdb.as_mut() else { return false };
    let diverged = bdb.log.last_vlsn() > common;
    if diverged {
        bdb.log.truncate(common);
        if bdb.log.rewrite(&meta).is_err() {
            return false;
        }
    }
    for record in records {
        if bdb.log.append(&meta, record).is_err() {
            return false;
        }
    }
    if diverged {
        fe.rebuild();
    }
    fe.replay(end);
    if fe.is_dropped() {
        let text = format!("current fe {} is removed. will exit", fe.name);
        state.log(replica, "ERROR (replayer|93) [EditLog.loadJournal():302] ", &text);
        state.exit(replica, 255);
    }
    end_if_foreign(state, replica);
    true
}

/// Ends a frontend that was handed an entry of a metadata version beyond its own; whether it lives on.
pub(crate) fn end_if_foreign(state: &mut State, id: ProcessId) -> bool {
    let Some(text) = state.fe(id).and_then(crate::fe::Fe::foreign) else { return true };
    state.log(id, "ERROR (replayer|93) [EditLog.loadJournal():461] ", &text);
    state.exit(id, 255);
    false
}

/// Gives a replica that is too far behind the master's whole state.
fn restore(state: &mut State, master: ProcessId, replica: ProcessId) -> bool {
    let Some(from) = state.fe(master) else { return false };
    let Some(log) = from.bdb.as_ref().map(|bdb| bdb.log.clone()) else { return false };
    let image = from.newest_image();
    let Some(fe) = state.fe_mut(replica) else { return false };
    if let Some((id, content)) = image
        && fe.write_image(id, &content).is_err()
    {
        return false;
    }
    let meta = fe.meta.clone();
    let end = log.last_vlsn();
    if log.rewrite(&meta).is_err() {
        return false;
    }
    if let Some(bdb) = fe.bdb.as_mut() {
        bdb.log = log;
    }
    fe.rebuild();
    fe.replay(end);
    end_if_foreign(state, replica)
}
