//! The balance of tablets, which is off while an upgrade is under way: they stay where they are.

use doris_client::Session;
use doris_safety::Switches;

use super::super::Round;
use super::UpgradeMemory;
use crate::error::Error;
use crate::observe::doris::Doris;

impl UpgradeMemory {
    /// What the master's switches were, read for another reason.
    pub(in crate::round) fn see_switches(&mut self, switches: Switches) {
        self.balance_is_left_off = switches.balance_off || switches.colocate_balance_off;
    }
}

impl Round<'_> {
    /// Switches the balance off at the master, if it is not.
    pub(super) async fn hold_balance(&mut self, session: &mut Session) -> Result<(), Error> {
        let switches = self.switches(session).await?;
        let missing: Vec<&str> = Switches::OF_BALANCE
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
                self.switch_at_master(session, key, true).await?;
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
        let hosts: Vec<String> = doris.frontends.iter().map(|row| row.host.clone()).collect();
        let target = self.lease_target();
        self.take_switches_back(self.kind(), &target, &Switches::OF_BALANCE, &hosts).await
    }
}
