//! The proof that a master still writes for its followers, without which nobody is registered or dropped.
//!
//! A master that is cut off from the others answers, calls itself master and lists everybody as alive
//! for half a minute. What it cannot do is have a write of ours acknowledged and seen elsewhere. The
//! write is one that changes nothing: a right that the operator's account has is granted once more.

use std::time::Duration;

use doris_api::conditions::reason;
use doris_client::{Error as DorisError, FrontendRole, FrontendTarget, GlobalRight, Session, http};
use futures::future::join_all;
use tokio::time::Instant;

use super::Round;
use crate::act::accounts::OPERATOR_USER;
use crate::error::Error;
use crate::observe::doris::Doris;

/// What is decided on the proof is done this soon, on the connection that the proof was made on.
const HOLDS: Duration = Duration::from_secs(10);
/// How long followers are asked for the entry. Should a version keep no entry of a right granted
/// twice, its own timestamp every 10 s proves as much.
const SEEN_WITHIN: Duration = Duration::from_secs(12);
/// Between two questions to a follower.
const PAUSE: Duration = Duration::from_millis(100);
/// A write that is not acknowledged hangs in the master and may end it: for so long it gets no other
/// one. By then its journal is known to stand still.
const AGAIN_AFTER: Duration = Duration::from_secs(40);

/// What is remembered of proofs. Losing it costs a write that changes nothing.
#[derive(Debug, Default)]
pub struct ProofMemory {
    /// Master that did not acknowledge a write, and when.
    failed: Option<(String, Instant)>,
    /// Since when frontends disagree on who is the master.
    torn_since: Option<Instant>,
}

impl ProofMemory {
    /// Notes whether frontends disagree on who is the master, and tells for how long they have.
    pub(super) fn is_torn_for(&mut self, is_torn: bool, now: Instant) -> Duration {
        self.torn_since = self.torn_since.filter(|_| is_torn).or_else(|| is_torn.then_some(now));
        self.torn_since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }
}

impl Round<'_> {
    /// Whether the session's frontend may be told now who belongs to the cluster. If not, the finding
    /// says what is waited for. A group of one follower proves nothing by a write and needs no proof.
    pub(super) async fn may_change_members(&mut self, doris: &Doris, session: &mut Session) -> Result<bool, Error> {
        let now = self.ctx.clock.instant();
        if self.proven.is_some_and(|at| now.duration_since(at) < HOLDS) {
            return Ok(true);
        }
        let Some(master) = doris.master() else { return Ok(false) };
        let voters = voters(doris, master);
        if voters.is_empty() {
            return Ok(true);
        }
        self.prove(doris, session, &voters, 1).await
    }

    /// Writes, and looks until so many of these followers have the entry.
    pub(super) async fn prove(&mut self, doris: &Doris, session: &mut Session, followers: &[String], needed: usize) -> Result<bool, Error> {
        let Some(master) = doris.master().map(str::to_owned) else { return Ok(false) };
        let now = self.ctx.clock.instant();
        let failed = self.memory.proof.failed.as_ref();
        if failed.is_some_and(|(host, at)| *host == master && now.duration_since(*at) < AGAIN_AFTER) {
            self.wait(reason::NO_QUORUM, unproven(&master, "did not have a write acknowledged a moment ago"));
            return Ok(false);
        }
        let Some(before) = doris.journal_of(&master) else { return Ok(false) };
        match session.grant(GlobalRight::Admin, OPERATOR_USER).await {
            Ok(()) => {}
            Err(DorisError::Timeout { .. }) => {
                self.memory.proof.failed = Some((master.clone(), self.ctx.clock.instant()));
                self.wait(reason::NO_QUORUM, unproven(&master, "does not get a write acknowledged"));
                return Ok(false);
            }
            Err(source) => return Err(Error::Doris { what: "having a write acknowledged", source }),
        }
        let targets = self.targets();
        let asked: Vec<&FrontendTarget> = targets.iter().filter(|target| followers.contains(&target.host)).collect();
        if self.have_entry_after(&asked, before, needed).await {
            self.proven = Some(self.ctx.clock.instant());
            return Ok(true);
        }
        let what = format!("says that it is the master, but what it writes is not on {needed} of {}", followers.join(", "));
        self.wait(reason::NO_QUORUM, unproven(&master, &what));
        Ok(false)
    }

    /// Whether so many frontends get an entry past this one in time.
    async fn have_entry_after(&self, asked: &[&FrontendTarget], before: u64, needed: usize) -> bool {
        let transport = self.ctx.transport.as_ref();
        let until = self.ctx.clock.instant() + SEEN_WITHIN;
        loop {
            let answers = join_all(asked.iter().map(|target| http::frontend_metrics(transport, target.http))).await;
            let ids = answers.into_iter().filter_map(|answer| answer.ok()?.max_journal_id);
            if ids.filter(|id| *id > before).count() >= needed {
                return true;
            }
            if asked.len() < needed || self.ctx.clock.instant() >= until {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The other followers that are, or once were, in the master's group.
fn voters(doris: &Doris, master: &str) -> Vec<String> {
    let group = doris.views.iter().find(|view| view.target.host == master).and_then(|view| view.group.as_ref().ok());
    let in_group = |host: &String| group.is_some_and(|group| group.electable_nodes.contains(host));
    let others = doris.frontends.iter().filter(|row| row.role == FrontendRole::Follower && row.host != master);
    others.filter(|row| row.joined || in_group(&row.host)).map(|row| row.host.clone()).collect()
}

fn unproven(master: &str, what: &str) -> String {
    format!("{master} {what}: no member is registered or dropped until an entry that it writes is seen on other followers")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::ProofMemory;

    #[tokio::test(start_paused = true)]
    async fn frontends_that_disagree_are_timed_from_the_first_look_to_the_last() {
        let mut memory = ProofMemory::default();
        let mut look = |is_torn| memory.is_torn_for(is_torn, Instant::now());
        assert_eq!(look(true), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(look(true), Duration::from_secs(40));
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!((look(false), look(true)), (Duration::ZERO, Duration::ZERO), "they agreed in between");
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(look(true), Duration::from_mins(2));
    }
}
