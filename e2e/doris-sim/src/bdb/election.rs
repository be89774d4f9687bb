//! The life of a member: looking for a master, following it, replacing it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::join::{Welcome, handshake, leader_view};
use super::replicate::push;
use super::{Bdb, BdbState, majority};
use crate::fe;
use crate::process::ProcessId;
use crate::state::State;
use crate::world::World;

/// A refused member tries this often before its process ends.
const TRIES: u32 = 3;

/// What the caller of a step has to do.
enum Next {
    Wait(Option<Instant>),
    Again,
    TakeOver,
}

/// Drives one member until its process ends.
pub(crate) async fn run(world: World, id: ProcessId) {
    let mut changes = world.changes();
    loop {
        world.awake(id).await;
        changes.borrow_and_update();
        let next = {
            let mut state = world.state();
            step(&mut state, id, Instant::now())
        };
        let wake = match next {
            Next::Again => continue,
            Next::TakeOver => {
                world.spawn(id, fe::take_over(world.clone(), id));
                continue;
            }
            Next::Wait(wake) => wake,
        };
        let timer = async {
            match wake {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = timer => {}
        }
    }
}

fn step(state: &mut State, id: ProcessId, now: Instant) -> Next {
    match bdb(state, id).map(|bdb| bdb.state.clone()) {
        None | Some(BdbState::Closed) => Next::Wait(None),
        Some(BdbState::Unknown { electing }) => seek(state, id, now, electing),
        Some(BdbState::Replica { master, lost }) => follow(state, id, now, master, lost),
        Some(BdbState::Master { term, met }) => reign(state, id, now, term, met),
    }
}

fn bdb(state: &State, id: ProcessId) -> Option<&Bdb> {
    state.fe(id)?.bdb.as_ref()
}

fn set(state: &mut State, id: ProcessId, new: BdbState) {
    if let Some(bdb) = state.fe_mut(id).and_then(|fe| fe.bdb.as_mut()) {
        bdb.state = new;
    }
}

/// Without a master: join one that answers, or be elected.
fn seek(state: &mut State, id: ProcessId, now: Instant, electing: Option<Instant>) -> Next {
    if let Some(master) = leader_view(state, id).filter(|master| *master != id && !is_obsolete(state, id, *master)) {
        return meet(state, id, now, master);
    }
    if !wins(state, id) {
        if electing.is_some() {
            set(state, id, BdbState::Unknown { electing: None });
        }
        return Next::Wait(None);
    }
    let due = electing.unwrap_or(now + state.timing.election);
    if now < due {
        set(state, id, BdbState::Unknown { electing: Some(due) });
        return Next::Wait(Some(due));
    }
    let term = state.next_term();
    set(state, id, BdbState::Master { term, met: None });
    state.bump();
    Next::TakeOver
}

/// Whether a member's log tells of a later master than this one, who then slept through its own replacement.
fn is_obsolete(state: &State, id: ProcessId, master: ProcessId) -> bool {
    let Some((own, other)) = bdb(state, id).zip(bdb(state, master)) else { return false };
    matches!(other.state, BdbState::Master { term, .. } if own.log.environment == other.log.environment && term < own.log.rank().0)
}

fn meet(state: &mut State, id: ProcessId, now: Instant, master: ProcessId) -> Next {
    if let Some(at) = bdb(state, id).and_then(|bdb| bdb.next_try).filter(|at| now < *at) {
        return Next::Wait(Some(at));
    }
    let retry = state.timing.join_retry;
    match handshake(state, id, master) {
        Welcome::Joined => {
            set(state, id, BdbState::Replica { master, lost: None });
            fe::joined(state, id);
            state.bump();
            Next::Again
        }
        Welcome::Later => Next::Wait(Some(now + Duration::from_secs(1))),
        Welcome::Refused(text) => {
            let Some(fe) = state.fe_mut(id) else { return Next::Wait(None) };
            let Some(bdb) = fe.bdb.as_mut() else { return Next::Wait(None) };
            let tried = bdb.refusals;
            bdb.refusals += 1;
            bdb.next_try = Some(now + retry);
            let text = format!("com.sleepycat.je.EnvironmentFailureException: (JE 18.3.12) {}:{}/bdb  {text}", fe.name, fe.meta.path);
            state.log(id, "INFO (main|13) [BDBEnvironment.setup():207] ", &format!("i:{tried} exception:"));
            state.log_raw(id, &text);
            state.bump();
            if tried + 1 < TRIES {
                return Next::Wait(Some(now + retry));
            }
            state.exit(id, 255);
            Next::Wait(None)
        }
    }
}

/// Whether this member would be chosen by the members that it can talk to.
fn wins(state: &State, id: ProcessId) -> bool {
    let Some(fe) = state.fe(id) else { return false };
    let Some(own) = fe.bdb.as_ref() else { return false };
    let members = own.log.members();
    if !members.get(&fe.name).is_some_and(|member| member.electable) {
        return false;
    }
    let votes = state.frontends().filter(|(other, peer)| {
        let Some(bdb) = peer.bdb.as_ref() else { return false };
        members.get(&peer.name).is_some_and(|member| member.electable)
            && bdb.log.environment == own.log.environment
            && (matches!(bdb.state, BdbState::Unknown { .. }) || is_obsolete(state, id, *other))
            && (*other == id || state.hears(id, *other))
    });
    let votes: Vec<_> = votes.filter_map(|(_, peer)| Some((peer.bdb.as_ref()?.log.rank(), &peer.name))).collect();
    votes.len() >= majority(own) && votes.iter().max().is_some_and(|(_, name)| **name == fe.name)
}

/// With a master: notice when it is gone, or was replaced.
fn follow(state: &mut State, id: ProcessId, now: Instant, master: ProcessId, lost: Option<Instant>) -> Next {
    let reigns = bdb(state, master).is_some_and(|bdb| bdb.state.is_master());
    if !state.is_running(master) || !reigns {
        return lose(state, id);
    }
    if state.hears(id, master) {
        if lost.is_some() {
            set(state, id, BdbState::Replica { master, lost: None });
            push(state, master, id);
            state.bump();
        }
        return Next::Wait(None);
    }
    let since = lost.unwrap_or(now);
    let due = since + state.timing.feeder_timeout;
    if now >= due {
        return lose(state, id);
    }
    if lost.is_none() {
        set(state, id, BdbState::Replica { master, lost: Some(since) });
    }
    Next::Wait(Some(due))
}

fn lose(state: &mut State, id: ProcessId) -> Next {
    set(state, id, BdbState::Unknown { electing: None });
    fe::lost_master(state, id);
    state.bump();
    Next::Again
}

/// As a master: end when a newer one is met.
fn reign(state: &mut State, id: ProcessId, now: Instant, term: u64, met: Option<Instant>) -> Next {
    let environment = |id| bdb(state, id).map(|bdb| bdb.log.environment.clone());
    let newer = leader_view(state, id).filter(|other| *other != id && environment(*other) == environment(id));
    match (newer, met) {
        (None, None) => Next::Wait(None),
        (None, Some(_)) => {
            set(state, id, BdbState::Master { term, met: None });
            Next::Wait(None)
        }
        (Some(_), met) => {
            let due = met.unwrap_or(now) + state.timing.obsolete_master;
            if now < due {
                set(state, id, BdbState::Master { term, met: Some(met.unwrap_or(now)) });
                return Next::Wait(Some(due));
            }
            state.log(id, "ERROR (stateListener|100) [Env$5.runOneCycle():2905] ", "transfer FE type from MASTER to UNKNOWN. exit");
            state.exit(id, 255);
            Next::Wait(None)
        }
    }
}
