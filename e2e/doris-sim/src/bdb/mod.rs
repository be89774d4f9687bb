//! The replicated journal: a log for each member, a group in the log, one writer with a majority.

mod election;
mod join;
mod log;
mod replicate;

pub(crate) use election::run;
pub(crate) use join::{found_group, leader_view, open_environment, reset_group};
pub(crate) use log::{BdbLog, Entry, Member};
pub(crate) use replicate::{Commit, commit, end_if_foreign, majority, reaches_majority, retry};

use tokio::time::Instant;

use crate::process::ProcessId;

/// What a member of the group does at the moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BdbState {
    /// The environment is not open.
    Closed,
    /// Open; no master is known. The time is when an election could first be held as things stand.
    Unknown { electing: Option<Instant> },
    /// Follows a master; `lost` is since when nothing was heard of it.
    Replica { master: ProcessId, lost: Option<Instant> },
    /// Writes; `met` is since when it sees a newer master.
    Master { term: u64, met: Option<Instant> },
}

impl BdbState {
    pub fn is_master(&self) -> bool {
        matches!(self, Self::Master { .. })
    }
}

/// A member's part of the group.
#[derive(Debug)]
pub(crate) struct Bdb {
    pub state: BdbState,
    pub log: BdbLog,
    /// Addresses that may know a master, beside the members in the log.
    pub helpers: Vec<(String, u16)>,
    /// Size of the group that the master counts with instead of the real one; in memory only.
    pub size_override: Option<usize>,
    /// Record that still waits for its majority.
    pub pending: Option<u64>,
    /// Refused joins so far.
    pub refusals: u32,
    pub next_try: Option<Instant>,
}

impl Bdb {
    pub fn new(log: BdbLog, helpers: Vec<(String, u16)>) -> Self {
        Self { state: BdbState::Closed, log, helpers, size_override: None, pending: None, refusals: 0, next_try: None }
    }
}
