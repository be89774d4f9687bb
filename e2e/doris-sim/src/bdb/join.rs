//! Opening an environment, meeting a master, and what a frontend believes about its group.

use super::log::{BdbLog, Entry};
use super::replicate::{Commit, commit, push};
use super::{Bdb, BdbState};
use crate::process::ProcessId;
use crate::state::{Reach, State};

/// Opens the log of a frontend's directory, or an empty one that waits for a group.
pub(crate) fn open_environment(state: &mut State, id: ProcessId, helpers: Vec<(String, u16)>) {
    let Some(fe) = state.fe_mut(id) else { return };
    let log = BdbLog::load(&fe.meta).unwrap_or_else(|| BdbLog::new(""));
    fe.bdb = Some(Bdb::new(log, helpers));
}

/// Makes a group of one out of an empty environment.
pub(crate) fn found_group(state: &mut State, id: ProcessId) -> bool {
    let environment = state.uuid();
    let Some(fe) = state.fe_mut(id) else { return false };
    let (meta, member) = (fe.meta.clone(), fe.member());
    let Some(bdb) = fe.bdb.as_mut() else { return false };
    bdb.log.become_alone(environment, &member);
    bdb.log.rewrite(&meta).is_ok()
}

/// Makes an existing environment a group of one: its journal stays, the others are forgotten.
pub(crate) fn reset_group(state: &mut State, id: ProcessId) -> bool {
    found_group(state, id)
}

/// What a frontend learns of a group's master by asking around: the latest elected one that answers.
pub(crate) fn leader_view(state: &State, id: ProcessId) -> Option<ProcessId> {
    let fe = state.fe(id)?;
    let bdb = fe.bdb.as_ref()?;
    let registered = fe.catalog.frontends.iter().map(|row| (row.host.clone(), row.edit_log_port));
    let members = bdb.log.members().values().map(|member| (member.host.clone(), member.port));
    let addresses = registered.chain(members).chain(bdb.helpers.iter().cloned()).chain([(fe.host.clone(), fe.edit_log_port)]);
    addresses.filter_map(|(host, port)| master_at(state, id, &host, port)).max_by_key(|(term, _)| *term).map(|(_, master)| master)
}

/// The master that an address answers for: itself, or the one that it follows.
fn master_at(state: &State, asker: ProcessId, host: &str, port: u16) -> Option<(u64, ProcessId)> {
    let Reach::Open(peer) = state.reach_host(asker, host, port) else { return None };
    let other = state.fe(peer)?;
    let bdb = other.bdb.as_ref()?;
    if !knows(state, asker, &other.name) {
        return None;
    }
    match bdb.state {
        BdbState::Master { term, .. } => Some((term, peer)),
        BdbState::Replica { master, lost: None } if peer != asker && state.hears(asker, master) => {
            let fe = state.fe(master)?;
            match fe.bdb.as_ref()?.state {
                BdbState::Master { term, .. } if knows(state, asker, &fe.name) => Some((term, master)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A member of no group yet believes everyone, others only their own group's members.
fn knows(state: &State, asker: ProcessId, name: &str) -> bool {
    let members = state.fe(asker).and_then(|fe| fe.bdb.as_ref()).map(|bdb| bdb.log.members());
    members.is_none_or(|members| members.is_empty() || members.contains_key(name))
}

/// How a master received a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    Joined,
    /// Not now; the group cannot be changed.
    Later,
    Refused(String),
}

/// A node meets a master: checks of the handshake, membership, then the log.
pub(super) fn handshake(state: &mut State, id: ProcessId, master: ProcessId) -> Welcome {
    let Some((fe, host)) = state.fe(id).zip(state.fe(master)) else { return Welcome::Later };
    let Some((own, group)) = fe.bdb.as_ref().zip(host.bdb.as_ref()) else { return Welcome::Later };
    let (name, member) = (fe.name.clone(), fe.member());
    let feeder = format!("Feeder: {}. ", host.name);
    if group.log.was_removed(&name) {
        return Welcome::Refused(format!(
            "{feeder}Node: {name} is no longer a member of the group. It was explicitly removed. HANDSHAKE_ERROR: Error during the handshake between two nodes. Some validity or compatibility check failed, preventing further communication between the nodes. Environment is invalid and must be closed."
        ));
    }
    let stranger = !own.log.environment.is_empty() && own.log.environment != group.log.environment;
    let conflict = group.log.members().values().find(|m| m.host == member.host && m.port == member.port && m.name != name);
    if let Some(conflict) = conflict.filter(|_| !stranger) {
        return Welcome::Refused(format!(
            "NodeConflictException: New or moved node:{name}, is configured with the socket address: {}:{}. It conflicts with the socket already used by the member: {}",
            member.host, member.port, conflict.name
        ));
    }
    let is_member = group.log.members().contains_key(&name);
    // The group takes a node in before it looks at the node's environment: that is how an old member gets into a recovered group.
    if !is_member && !matches!(commit(state, master, Entry::Join(member)), Commit::Done) {
        return Welcome::Later;
    }
    if stranger {
        return Welcome::Refused(format!(
            "{feeder}The environments have the same name: PALO_JOURNAL_GROUP but represent different environment instances. HANDSHAKE_ERROR"
        ));
    }
    take_environment(state, id, master);
    if !push(state, master, id) {
        return Welcome::Later;
    }
    Welcome::Joined
}

/// A node without an environment takes the group's.
fn take_environment(state: &mut State, id: ProcessId, master: ProcessId) {
    let Some(beginning) = state.fe(master).and_then(|fe| fe.bdb.as_ref()).map(|bdb| bdb.log.beginning()) else { return };
    let Some(fe) = state.fe_mut(id) else { return };
    let meta = fe.meta.clone();
    if let Some(bdb) = fe.bdb.as_mut().filter(|bdb| bdb.log.environment.is_empty()) {
        bdb.log = beginning;
        // A disk that refuses this refuses the records too, which is where it is noticed.
        drop(bdb.log.rewrite(&meta));
    }
}
