//! The operator's own password.

use std::time::Duration;

use doris_api::conditions::reason;
use doris_api::names;
use doris_client::{Endpoint, Login, Session};
use futures::future::join_all;

use super::super::Round;
use crate::act::accounts::{OPERATOR_USER, account};
use crate::act::identity::Stored;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::accounts::{OwnStep, own_step};
use crate::report::Finding;

/// Frontends that do not have a new password after this long are not waited for: whatever the master has, they get.
const VERIFY_LIMIT: Duration = Duration::from_mins(1);

impl Round<'_> {
    /// Changes the password of the operator's account if that is asked for, and finishes a change that was begun.
    pub(super) async fn keep_own_password(&mut self, stored: &mut Stored, doris: &Doris, session: &mut Session) -> Result<(), Error> {
        let (asked, accounts) = (self.rotation_asked(), &stored.identity.accounts);
        let mut step = own_step(self.entered_by, accounts.operator_next.is_some(), asked.as_deref(), accounts.operator_rotation.as_deref());
        if step == OwnStep::Store {
            let next = self.ctx.new_password();
            self.store(stored, |accounts| {
                accounts.operator_next = Some(next);
                accounts.operator_rotation = asked;
            })
            .await?;
            step = OwnStep::Set;
        }
        let Some(next) = stored.identity.accounts.operator_next.clone() else { return Ok(()) };
        let login = account(OPERATOR_USER, &next);
        if step == OwnStep::Set {
            if self.was_refused(&login) {
                return Ok(());
            }
            self.ctx.gate.check()?;
            if let Err(error) = session.set_own_password_by_hash(&next).await {
                self.tell_not_taken(OPERATOR_USER, &login, &error, || {
                    let message =
                        format!("Doris does not take a new password of the operator's own account: {error}; the present one stays");
                    Finding::new(reason::PASSWORD_REFUSED, message)
                });
                return Ok(());
            }
        }
        if !self.is_known_everywhere(&login, doris, session.endpoint()).await {
            self.wait(
                reason::CHANGING_PASSWORD,
                "the operator's own account has a new password; frontends that do not know it yet are waited for",
            );
            self.look_soon();
            return Ok(());
        }
        self.memory.accounts.verifying_since = None;
        self.store(stored, |accounts| {
            accounts.operator = next;
            accounts.operator_next = None;
        })
        .await?;
        self.memory.accounts.patience.forget(OPERATOR_USER);
        let secret = names::identity(&self.key.name);
        self.announce_password(format!("the operator's own account has a new password, in key operator.current of Secret {secret}")).await;
        Ok(())
    }

    /// Whether the login works at the master and at the other frontends that can be asked, at one at least if there are any.
    async fn is_known_everywhere(&mut self, login: &Login, doris: &Doris, master: Endpoint) -> bool {
        let others = doris.frontends.iter().filter(|row| row.joined && row.alive);
        let others: Vec<Endpoint> = others
            .filter_map(|row| Some(Endpoint { ip: self.address_of(&row.host)?, port: self.ports().query }))
            .filter(|endpoint| *endpoint != master)
            .collect();
        let transport = self.ctx.transport.as_ref();
        let try_at = |endpoint: Endpoint| async move {
            match Session::open(transport, endpoint, login).await {
                Ok(session) => {
                    session.close().await;
                    Some(true)
                }
                Err(error) if error.is_login_refused() => Some(false),
                Err(_) => None,
            }
        };
        let (at_master, at_others) = tokio::join!(try_at(master), join_all(others.iter().copied().map(try_at)));
        let now = self.ctx.clock.instant();
        let since = *self.memory.accounts.verifying_since.get_or_insert(now);
        let is_over = now.duration_since(since) >= VERIFY_LIMIT;
        let is_followed = others.is_empty() || (at_others.contains(&Some(true)) && !at_others.contains(&Some(false)));
        at_master == Some(true) && (is_followed || is_over)
    }
}
