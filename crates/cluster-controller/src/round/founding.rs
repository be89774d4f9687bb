//! Rounds before the cluster is founded.

use doris_api::Component;
use doris_api::conditions::reason;
use doris_api::member::Ticket;

use super::Round;
use crate::act::accounts::{self, UserPasswords};
use crate::act::identity::{self, Stored};
use crate::act::pods::{Notes, annotate};
use crate::error::Error;
use crate::identity::{Identity, Phase};
use crate::observe::doris::{self, Founding};
use crate::plan::founding::{Founder, Step, plan};

impl Round<'_> {
    /// One step of founding.
    pub(super) async fn found(&mut self, stored: &Stored, given: &UserPasswords) -> Result<(), Error> {
        let followers = self.facts.seen.of(Component::Fe).to_vec();
        if matches!(stored.identity.phase, Phase::Founding { .. }) && followers.iter().any(|pod| pod.ordinal == 0 && pod.running) {
            self.look_soon();
        }
        let mut seen = Founding { founder: Founder::default(), session: None, locked_out: false };
        if matches!(stored.identity.phase, Phase::Founding { .. })
            && let Some(pod) = followers.iter().find(|pod| pod.ordinal == 0 && pod.running && pod.own_ticket().is_some())
        {
            let login = |candidate| accounts::login(&stored.identity, given, candidate);
            let (ports, patience) = (self.ports(), &mut self.memory.accounts.patience);
            seen = doris::observe_founder(self.ctx.transport.as_ref(), pod, ports, (login, patience), &mut self.memory.journals).await;
        }
        if seen.locked_out {
            let name = self.founder_name();
            self.wait(reason::LOCKED_OUT, format!("{name} refuses every stored password although it was just founded"));
        }
        match plan(&stored.identity, &followers, &seen.founder, self.ctx.clock.now()) {
            Step::Begin { attempt, pod_uid, claim_uid, restarts } => {
                let since = self.ctx.clock.now();
                let phase = Phase::Founding { attempt, pod_uid, claim_uid, since, restarts };
                let next = Identity { phase, ..stored.identity.clone() };
                let written = identity::replace(self.ctx, self.key, stored, &next).await?;
                self.keep(written);
                // The intent is on record; the ticket follows at once, or in the round after a crash.
                if let Step::Ticket { pod, uid, attempt } = plan(&next, &followers, &seen.founder, since) {
                    self.issue(&pod, &uid, attempt).await?;
                }
                self.tell_founding(attempt);
            }
            Step::Ticket { pod, uid, attempt } => {
                self.issue(&pod, &uid, attempt).await?;
                self.tell_founding(attempt);
            }
            Step::Finish { pod, cluster_id } => self.finish(stored, given, seen, &pod, cluster_id).await?,
            Step::Wait(message) => self.wait(reason::FOUNDING, message),
            Step::Halt(message) => self.stall(reason::WRONG_VOLUME, message),
            Step::Done | Step::RemoveTicket { .. } => {}
        }
        self.replace_what_cannot_run().await
    }

    async fn issue(&mut self, pod: &str, uid: &str, attempt: u32) -> Result<(), Error> {
        let ticket = Ticket::Found { pod_uid: uid.to_owned(), attempt };
        annotate(self.ctx, self.key, pod, uid, &Notes { ticket: Some(ticket), incarnation: None }).await
    }

    fn tell_founding(&mut self, attempt: u32) {
        let name = self.founder_name();
        self.wait(reason::FOUNDING, format!("{name} founds the cluster (attempt {attempt}); it has to answer as master on its SQL port"));
    }

    /// Accounts first, then the record: until then the next round finds the same founder again.
    async fn finish(&mut self, stored: &Stored, given: &UserPasswords, seen: Founding, pod: &str, cluster_id: String) -> Result<(), Error> {
        let Some((mut session, by)) = seen.session else {
            self.wait(reason::FOUNDING, format!("{pod} runs; waiting for a login to set up accounts"));
            return Ok(());
        };
        let accounts = accounts::establish(&mut session, by, &stored.identity, given)
            .await
            .map_err(|source| Error::Doris { what: "setting up the accounts", source })?;
        session.close().await;
        let release = Some(self.first_release(pod));
        let next = Identity { phase: Phase::Founded { cluster_id }, accounts, release, ..stored.identity.clone() };
        let written = identity::replace(self.ctx, self.key, stored, &next).await?;
        self.keep(written.clone());
        Box::pin(self.tend(&written, given)).await
    }
}
