//! Switches of the tablet scheduler, as operations hold them and take them back.
//!
//! They are memory of each frontend's process, and only the master's count. So a wanted value is a function of what is
//! under way: it is set again on every master that rises, and taken back on every frontend at the end, for any of them may
//! be master next.

use doris_client::{FrontendSetting, Session, http, survey};
use doris_safety::Switches;

use super::Round;
use super::operation::Kind;
use super::rolling::short;
use crate::act::accounts;
use crate::error::Error;

const WHAT: &str = "switching the tablet scheduler or the balance";

impl Round<'_> {
    /// The master's switches, asked once a round.
    pub(super) async fn switches(&mut self, session: &mut Session) -> Result<Switches, Error> {
        if let Some(known) = self.switches {
            return Ok(known);
        }
        let failed = |source| Error::Doris { what: "reading the switches of the tablet scheduler", source };
        let switches = survey::switches(session).await.map_err(failed)?;
        self.switches = Some(switches);
        Ok(switches)
    }

    /// Sets a switch on the master. The caller holds the Lease.
    pub(super) async fn switch_at_master(&mut self, session: &mut Session, key: &str, on: bool) -> Result<(), Error> {
        self.switches = None;
        session.set_frontend_setting(key, word(on)).await.map_err(|source| Error::Doris { what: WHAT, source })
    }

    /// Gives these frontends the value of these switches that the spec says. Tells whether each of them has it already.
    pub(super) async fn take_switches_back(
        &mut self,
        kind: Kind,
        target: &str,
        keys: &[&'static str],
        hosts: &[String],
    ) -> Result<bool, Error> {
        let mut is_clear = true;
        for host in hosts {
            let Some(wrong) = self.wrong_switches(host, keys).await else {
                self.wait(kind.reason, format!("{} has to answer before it is known that it lets tablets be moved", short(host)));
                is_clear = false;
                continue;
            };
            for (key, on) in wrong {
                is_clear = false;
                self.switch_at(host, key, on, kind, target).await?;
            }
        }
        Ok(is_clear)
    }

    /// Switches of one frontend that are not as the spec says, by its own answer, with their right value; `None` if it gives
    /// none.
    async fn wrong_switches(&self, host: &str, keys: &[&'static str]) -> Option<Vec<(&'static str, bool)>> {
        let mut session = self.own_session(host).await?;
        let settings = match session.set_forward_to_master(false).await {
            Ok(()) => session.frontend_settings("disable%").await,
            Err(error) => Err(error),
        };
        session.close().await;
        let settings = settings.ok()?;
        let right = keys.iter().map(|key| (*key, self.is_specified(key)));
        Some(right.filter(|(key, on)| is_on(&settings, key) != *on).collect())
    }

    /// SQL would carry the change to the master; the HTTP interface changes the process that is asked.
    async fn switch_at(&mut self, host: &str, key: &str, on: bool, kind: Kind, target: &str) -> Result<(), Error> {
        let (Some(ip), Some(identity)) = (self.address_of(host), self.facts.identity.clone()) else { return Ok(()) };
        let Some(fence) = self.hold_lease(kind, target).await? else { return Ok(()) };
        if !self.may_speak(&fence).await {
            return Ok(());
        }
        self.switches = None;
        let endpoint = self.ports().target(host, ip).http;
        http::set_frontend_config(self.ctx.transport.as_ref(), endpoint, &accounts::operator(&identity), (key, word(on)), false)
            .await
            .map_err(|source| Error::Doris { what: WHAT, source })
    }
}

/// Whether a setting is on by what a frontend says.
fn is_on(settings: &[FrontendSetting], key: &str) -> bool {
    settings.iter().any(|setting| setting.key == key && setting.value.eq_ignore_ascii_case("true"))
}

/// A switch as Doris writes it.
fn word(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}
