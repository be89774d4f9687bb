//! Switches that keep tablets where they are while an upgrade is under way.
//!
//! They are memory of one process, and only the master's count. So the wanted value follows from the spec and the
//! upgrade alone: it is set again on every master that rises, and taken back on every frontend at the end.

use doris_api::conditions::reason;
use doris_client::{Session, http, survey};
use doris_safety::Switches;

use super::super::Round;
use super::super::member::{is_on, word};
use super::super::rolling::short;
use super::UpgradeMemory;
use crate::act::accounts;
use crate::error::Error;
use crate::observe::doris::Doris;

/// Balance of tablets, and of colocated ones.
const BALANCE: [&str; 2] = ["disable_balance", "disable_colocate_balance"];

impl UpgradeMemory {
    /// What the master's switches were, read for another reason.
    pub(in crate::round) fn see_switches(&mut self, switches: Switches) {
        self.balance_is_left_off = switches.balance_off || switches.colocate_balance_off;
    }
}

impl Round<'_> {
    /// Switches the balance off at the master, if it is not.
    pub(super) async fn hold_balance(&mut self, session: &mut Session) -> Result<(), Error> {
        let failed = |source| Error::Doris { what: "switching the balance of tablets off", source };
        let switches = survey::switches(session).await.map_err(failed)?;
        let missing: Vec<&str> = BALANCE
            .into_iter()
            .zip([switches.balance_off, switches.colocate_balance_off])
            .filter(|(_, on)| !on)
            .map(|(key, _)| key)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let target = self.lease_target();
        let Some(fence) = self.hold_lease(self.kind(), &target).await? else { return Ok(()) };
        for key in missing {
            if self.may_speak(&fence).await {
                session.set_frontend_setting(key, "true").await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The Lease goes on naming the member under work.
    fn lease_target(&self) -> String {
        self.under_way().and_then(|operation| operation.member).map_or_else(|| self.key.name.clone(), |member| member.pod)
    }

    /// At rest: switches that a former upgrade, or somebody else, left on.
    pub(super) async fn clear_balance_left_off(&mut self, doris: &Doris) -> Result<(), Error> {
        if self.memory.upgrade.balance_is_left_off && self.clear_balance(doris).await? {
            self.memory.upgrade.balance_is_left_off = false;
        }
        Ok(())
    }

    /// Gives every frontend the value that the spec says. Tells whether each of them has it already.
    pub(super) async fn clear_balance(&mut self, doris: &Doris) -> Result<bool, Error> {
        let mut is_clear = true;
        for row in &doris.frontends {
            let Some(wrong) = self.wrong_switches(&row.host).await else {
                self.wait(
                    reason::UPGRADING,
                    format!("{} has to answer before it is known that its tablets may be balanced", short(&row.host)),
                );
                is_clear = false;
                continue;
            };
            for (key, value) in wrong {
                is_clear = false;
                self.set_switch(&row.host, key, value).await?;
            }
        }
        Ok(is_clear)
    }

    /// Switches of one frontend that are not as the spec says, by its own answer; `None` if it gives none.
    async fn wrong_switches(&self, host: &str) -> Option<Vec<(&'static str, &'static str)>> {
        let mut session = self.own_session(host).await?;
        let settings = match session.set_forward_to_master(false).await {
            Ok(()) => session.frontend_settings("disable%").await,
            Err(error) => Err(error),
        };
        session.close().await;
        let settings = settings.ok()?;
        let wrong = BALANCE.into_iter().filter(|key| is_on(&settings, key) != self.is_specified(key));
        Some(wrong.map(|key| (key, word(self.is_specified(key)))).collect())
    }

    /// SQL would carry the change to the master; the HTTP interface changes the process that is asked.
    async fn set_switch(&mut self, host: &str, key: &str, value: &str) -> Result<(), Error> {
        let (Some(ip), Some(identity)) = (self.address_of(host), self.facts.identity.clone()) else { return Ok(()) };
        let target = self.lease_target();
        let Some(fence) = self.hold_lease(self.kind(), &target).await? else { return Ok(()) };
        if !self.may_speak(&fence).await {
            return Ok(());
        }
        let endpoint = self.ports().target(host, ip).http;
        http::set_frontend_config(self.ctx.transport.as_ref(), endpoint, &accounts::operator(&identity), (key, value), false)
            .await
            .map_err(|source| Error::Doris { what: "switching the balance of tablets on", source })
    }
}
