//! Writing to the journal, with its retries and its end.

use tokio::time::{Instant, sleep_until};

use crate::bdb::{Commit, Entry, commit, retry};
use crate::catalog::Op;
use crate::process::ProcessId;
use crate::truth;
use crate::world::World;

/// An ordinary write is tried this often before the process ends.
const TRIES: u32 = 3;

/// Writes one entry after all that wait before it. Does not return when the process ends over it.
pub(crate) async fn write(world: &World, id: ProcessId, op: Op) {
    let Some(lock) = world.state().fe(id).map(|fe| fe.journal.clone()) else { return std::future::pending().await };
    let _turn = lock.lock().await;
    write_in_turn(world, id, Entry::Journal { id: 0, op }).await;
}

/// Writes one entry; the caller holds the journal. A journal entry gets the next id.
pub(crate) async fn write_in_turn(world: &World, id: ProcessId, entry: Entry) {
    let endless = matches!(&entry, Entry::Journal { op, .. } if op.is_timestamp());
    let watched = truth::before(&world.state(), id, &entry);
    let mut written = false;
    let mut tries = 0;
    loop {
        let (ack_timeout, pause) = {
            let state = world.state();
            (state.timing.ack_timeout, state.timing.write_retry)
        };
        if attempt(world, id, &entry, &mut written, Instant::now() + ack_timeout).await {
            truth::after(&mut world.state(), watched);
            return;
        }
        tries += 1;
        let text = "catch an exception when writing to database. sleep and retry.";
        world.state().log(id, "ERROR (timePrinter|216) [BDBJEJournal.write():295] ", text);
        world.sleep(id, pause).await;
        if !endless && tries >= TRIES {
            let mut state = world.state();
            state.log(id, "ERROR (journal|216) [BDBJEJournal.write():312] ", "write bdb failed. will exit. journal entry dropped");
            state.exit(id, 255);
        }
    }
}

/// Tries until the deadline, again at every change that may bring a replica back.
async fn attempt(world: &World, id: ProcessId, entry: &Entry, written: &mut bool, deadline: Instant) -> bool {
    let mut changes = world.changes();
    loop {
        world.awake(id).await;
        changes.borrow_and_update();
        let result = {
            let mut state = world.state();
            if *written { retry(&mut state, id) } else { commit_numbered(&mut state, id, entry) }
        };
        match result {
            Commit::Done => return true,
            Commit::NotAcknowledged => *written = true,
            Commit::NotEnough => {}
            // The process is about to end, and this with it.
            Commit::NotMaster => std::future::pending().await,
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep_until(deadline) => return false,
        }
    }
}

fn commit_numbered(state: &mut crate::state::State, id: ProcessId, entry: &Entry) -> Commit {
    let mut entry = entry.clone();
    if let Entry::Journal { id: number, .. } = &mut entry {
        *number = state.fe(id).and_then(|fe| fe.bdb.as_ref()).map_or(0, |bdb| bdb.log.last_journal()) + 1;
    }
    commit(state, id, entry)
}
