//! Which frontend may be given statements that change something. Pure: decides on what was seen.
//!
//! A frontend's own word is not enough. A master that was cut off goes on calling itself master
//! for ever, and one that lost its journal but kept its image is a second master of the same cluster.

use crate::error::Error;
use crate::probe::FrontendView;
use crate::rows::{Frontend, FrontendRole};

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterVerdict {
    /// This frontend leads a majority that follows it.
    Accepted {
        /// Its host.
        host: String,
    },
    /// None may be given a statement that changes anything.
    Refused(NoMaster),
}

/// Why no master was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMaster {
    /// No frontend says that it is the master.
    #[error("no frontend that can be reached is the master ({reachable} of {asked} answer)")]
    NobodyClaims {
        /// Frontends that answered.
        reachable: usize,
        /// Frontends that were asked.
        asked: usize,
    },
    /// More than one says so.
    #[error("{} all say that they are the master", .hosts.join(" and "))]
    SeveralClaim {
        /// Their hosts.
        hosts: Vec<String>,
    },
    /// It could not be logged in to the only one that says so.
    #[error("the master cannot be asked: {error}")]
    NoSession {
        /// What happened.
        error: Error,
    },
    /// It does not tell its metadata group in time.
    #[error("{host} says that it is the master but does not tell its group: {cause}")]
    GroupUnknown {
        /// Its host.
        host: String,
        /// What happened.
        cause: String,
    },
    /// Its own row does not show it as the master that we are connected to.
    #[error("{host} does not show itself as the master that we are connected to")]
    OwnRowDiffers {
        /// Its host.
        host: String,
    },
    /// It takes another frontend for the master.
    #[error("{host} says that it is the master but shows {other} as master")]
    ShowsAnother {
        /// Its host.
        host: String,
        /// Whom it shows.
        other: String,
    },
    /// Followers that joined are missing from its group.
    #[error("{host} says that it is the master, but {} not in its group", .missing.join(", "))]
    GroupIncomplete {
        /// Its host.
        host: String,
        /// The hosts that are missing.
        missing: Vec<String>,
    },
    /// A registered follower that never joined its group is running.
    #[error("{running} runs, but not in the group of {host}")]
    StrangerRuns {
        /// Host of the self-declared master.
        host: String,
        /// The follower.
        running: String,
    },
    /// It was not watched long enough to see its journal rise.
    #[error("{host} says that it is the master; its journal was not yet seen to rise")]
    NotYetProven {
        /// Its host.
        host: String,
    },
    /// Its journal stands still: its writes are not acknowledged.
    #[error("{host} says that it is the master, but its journal has stood still for {seconds} s")]
    JournalStands {
        /// Its host.
        host: String,
        /// For how long.
        seconds: u64,
    },
    /// Too few followers are reachable and keep up.
    #[error("{host} says that it is the master, but only {following} of {voters} followers are seen to follow, {needed} are needed")]
    NoMajority {
        /// Its host.
        host: String,
        /// Followers that were seen to follow, itself included.
        following: usize,
        /// Registered followers that count.
        voters: usize,
        /// How many make a majority.
        needed: usize,
    },
}

/// Accepts a master only if exactly one reachable frontend says that it is, its own rows and group
/// agree, its journal rises, and a majority of the registered followers is seen to follow it.
///
/// `registered` are the rows read on the connection of the self-declared master.
pub fn find_master(views: &[FrontendView], registered: &[Frontend]) -> MasterVerdict {
    match prove(views, registered) {
        Ok(host) => MasterVerdict::Accepted { host },
        Err(reason) => MasterVerdict::Refused(reason),
    }
}

fn prove(views: &[FrontendView], registered: &[Frontend]) -> Result<String, NoMaster> {
    let candidate = only_claimant(views)?;
    let host = candidate.target.host.clone();
    check_own_row(&host, registered)?;
    let group = candidate.group.as_ref().map_err(|error| NoMaster::GroupUnknown { host: host.clone(), cause: error.to_string() })?;
    if group.role != "MASTER" {
        return Err(NoMaster::GroupUnknown { host, cause: format!("its role there is {}", group.role) });
    }

    let followers: Vec<&Frontend> = registered.iter().filter(|row| row.role == FrontendRole::Follower).collect();
    let others = || followers.iter().filter(|row| row.host != host);
    let in_group = |row: &Frontend| group.electable_nodes.contains(&row.host);
    let missing: Vec<String> = others().filter(|row| row.joined && !in_group(row)).map(|row| row.host.clone()).collect();
    if !missing.is_empty() {
        return Err(NoMaster::GroupIncomplete { host, missing });
    }

    // One follower may be on its way in: Doris does not count it before it first came. More than
    // one at a time is never made, so a second one counts: its absence may be our blindness.
    let pending = others().filter(|row| !row.joined && !in_group(row)).count();
    if let Some(stranger) = others().find(|row| !row.joined && !in_group(row) && runs(views, &row.host)) {
        return Err(NoMaster::StrangerRuns { host, running: stranger.host.clone() });
    }
    let voters = followers.len() - pending.min(1);
    let needed = voters / 2 + 1;
    if voters <= 1 {
        return Ok(host);
    }

    let risen_from = journal_before(candidate)?;
    let following = 1 + others().filter(|row| in_group(row) && follows(views, &row.host, &host, risen_from)).count();
    if following < needed {
        return Err(NoMaster::NoMajority { host, following, voters, needed });
    }
    Ok(host)
}

fn only_claimant(views: &[FrontendView]) -> Result<&FrontendView, NoMaster> {
    let claimants: Vec<&FrontendView> = views.iter().filter(|view| view.claims_to_be_master()).collect();
    match claimants.as_slice() {
        [one] => Ok(one),
        [] => {
            let reachable = views.iter().filter(|view| view.group.is_ok() || view.metrics.is_ok()).count();
            Err(NoMaster::NobodyClaims { reachable, asked: views.len() })
        }
        several => Err(NoMaster::SeveralClaim { hosts: several.iter().map(|view| view.target.host.clone()).collect() }),
    }
}

/// One row is both the master's and the one of our connection, and it is the candidate's.
fn check_own_row(host: &str, registered: &[Frontend]) -> Result<(), NoMaster> {
    if let Some(other) = registered.iter().find(|row| row.is_master && row.host != host) {
        return Err(NoMaster::ShowsAnother { host: host.to_owned(), other: other.host.clone() });
    }
    let connected: Vec<&Frontend> = registered.iter().filter(|row| row.current_connected).collect();
    match connected.as_slice() {
        [own] if own.host == host && own.is_master && own.role == FrontendRole::Follower => Ok(()),
        _ => Err(NoMaster::OwnRowDiffers { host: host.to_owned() }),
    }
}

/// The journal id from which the candidate's journal was seen to rise.
fn journal_before(candidate: &FrontendView) -> Result<u64, NoMaster> {
    let host = candidate.target.host.clone();
    if candidate.journal_id().is_none() {
        return Err(NoMaster::NotYetProven { host });
    }
    if candidate.journal_unchanged_for > crate::probe::JOURNAL_WINDOW {
        return Err(NoMaster::JournalStands { host, seconds: candidate.journal_unchanged_for.as_secs() });
    }
    candidate.earlier_journal_id.ok_or(NoMaster::NotYetProven { host })
}

/// Whether a follower is reachable, has a part of what the master wrote lately, and names nobody else that we know.
fn follows(views: &[FrontendView], follower: &str, master: &str, risen_from: u64) -> bool {
    let Some(view) = views.iter().find(|view| view.target.host == follower) else { return false };
    let Some(journal) = view.journal_id() else { return false };
    let named = view.group.as_ref().ok().and_then(|group| group.master.as_deref());
    let names_another = named.is_some_and(|name| name != master && views.iter().any(|other| other.target.host == name));
    journal > risen_from && !names_another
}

/// Whether a frontend takes part in some metadata group: it has a journal.
fn runs(views: &[FrontendView], host: &str) -> bool {
    views.iter().any(|view| view.target.host == host && view.journal_id().is_some())
}

#[cfg(test)]
#[path = "elect_tests.rs"]
mod tests;
