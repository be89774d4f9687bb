//! Passwords in a round: what the user gives, what Doris takes, and the way back when an account is refused.
//!
//! A password is on record before Doris learns it, and the record of the one in force follows only when a login with
//! it worked. What Doris refuses or does not answer is told and tried again; it holds nothing else up.

mod own;
mod users;

use std::collections::BTreeMap;
use std::time::Duration;

use controller_kit::events::Severity;
use doris_api::cluster::AuthSpec;
use doris_api::conditions::reason;
use doris_api::{labels, names};
use doris_client::{Error as DorisError, Login};
use k8s_openapi::api::core::v1::SecretKeySelector;
use kube::ResourceExt as _;
use tokio::time::Instant;

use super::Round;
use crate::act::accounts::{self, OPERATOR_USER, UserPasswords};
use crate::act::identity::{self, Stored};
use crate::build::short_hash;
use crate::cache::Stamp;
use crate::error::Error;
use crate::identity::Accounts;
use crate::observe::doris::{Doris, Entry, log_in};
use crate::observe::passwords::{self, Given, Reading};
use crate::plan::accounts::{Patience, REGAINING};
use crate::report::Finding;

/// A Secret of the user is read again after this long: a changed one is seen within a minute.
const FRESH: Duration = Duration::from_secs(45);
/// The same for one that cannot be used: somebody is about to mend it.
const FRESH_IF_UNUSABLE: Duration = Duration::from_secs(5);
/// What Doris refused is told it again after this long.
const REFUSAL_PAUSE: Duration = Duration::from_mins(1);

/// What is remembered of passwords between two rounds.
#[derive(Debug, Default)]
pub struct AccountsMemory {
    read: Option<Read>,
    /// Logins that were refused.
    pub(super) patience: Patience,
    /// Passwords that Doris did not take, by account.
    refusals: BTreeMap<&'static str, Refusal>,
    /// Since when the operator's next password is waited for on the other frontends.
    verifying_since: Option<Instant>,
}

/// Secrets of the user as they were read.
#[derive(Debug)]
struct Read {
    at: Instant,
    auth: AuthSpec,
    /// Versions of those that carry our label: a change of these is seen at once.
    stamps: Vec<Option<Stamp>>,
    reading: Reading,
}

/// A password that Doris did not take.
#[derive(Debug)]
struct Refusal {
    login: Login,
    again_at: Instant,
    finding: Finding,
}

impl Round<'_> {
    /// The passwords that accounts are to have. `None` if a Secret is missing before there are accounts: nothing is
    /// founded with another password than the user's.
    pub(super) async fn given_passwords(&mut self) -> Result<Option<UserPasswords>, Error> {
        let auth = &self.cluster.spec.auth;
        if auth.root_password.is_none() && auth.admin_password.is_none() {
            self.memory.accounts.read = None;
            return Ok(Some(UserPasswords::default()));
        }
        let reading = self.reading().await?;
        let in_force = if reading.lacks_one() { self.accounts_in_force().await? } else { None };
        let mut complaints: Vec<String> = reading.complaints().map(str::to_owned).collect();
        complaints.dedup();
        let must_wait = in_force.is_none() && !complaints.is_empty();
        for complaint in complaints {
            let rest = if must_wait { "" } else { "; until then the password in force stays" };
            self.stall(reason::SECRET_MISSING, format!("{complaint}{rest}"));
        }
        Ok((!must_wait).then(|| reading.passwords(in_force.as_ref())))
    }

    /// The Secrets, read anew when the last reading is old or something is known to have changed.
    async fn reading(&mut self) -> Result<Reading, Error> {
        let (now, auth) = (self.ctx.clock.instant(), &self.cluster.spec.auth);
        let named = [&auth.root_password, &auth.admin_password];
        let stamp = |name: &str| self.ctx.caches.secrets.get(self.key, name).map(|stamp| Stamp::clone(&stamp));
        let stamps: Vec<Option<Stamp>> = named.into_iter().flatten().map(|reference| stamp(&reference.name)).collect();
        if let Some(read) = &self.memory.accounts.read {
            let is_usable = read.reading.complaints().next().is_none();
            let is_fresh = now.duration_since(read.at) < if is_usable { FRESH } else { FRESH_IF_UNUSABLE };
            if is_fresh && read.auth == *auth && read.stamps == stamps {
                return Ok(read.reading.clone());
            }
        }
        let reading = passwords::read(&self.ctx.client, &self.key.namespace, auth).await;
        let reading = reading.map_err(|source| Error::Read { what: "the Secrets that spec.auth names", source })?;
        self.memory.accounts.read = Some(Read { at: now, auth: auth.clone(), stamps, reading: reading.clone() });
        Ok(reading)
    }

    /// The accounts of a cluster that is founded.
    async fn accounts_in_force(&self) -> Result<Option<Accounts>, Error> {
        let stored = match self.memory.identity.open() {
            Some(stored) => Some(stored),
            None => identity::get(self.ctx, self.key).await?,
        };
        Ok(stored.filter(|stored| stored.identity.cluster_id().is_some()).map(|stored| stored.identity.accounts))
    }

    /// The wish for a new password of the operator's account, by its digest: the value may be long and stay for ever.
    pub(super) fn rotation_asked(&self) -> Option<String> {
        self.cluster.annotations().get(labels::ROTATE_OPERATOR_PASSWORD).map(|value| short_hash(value))
    }

    /// The operator's account is refused: set it up again by a login of root, or tell what to do.
    pub(super) async fn regain_account(&mut self, stored: &Stored, given: &UserPasswords, doris: &Doris) -> Result<(), Error> {
        let Some(master) = doris.views.iter().find(|view| view.claims_to_be_master()) else { return Ok(()) };
        let login = |candidate| accounts::login(&stored.identity, given, candidate);
        let patience = &mut self.memory.accounts.patience;
        match log_in(self.ctx.transport.as_ref(), master.target.query, &REGAINING, login, patience).await {
            Entry::In(mut session, by) => {
                self.ctx.gate.check()?;
                let next = accounts::establish(&mut session, by, &stored.identity, given)
                    .await
                    .map_err(|source| Error::Doris { what: "setting up the accounts again", source })?;
                session.close().await;
                self.memory.accounts.patience.forget(OPERATOR_USER);
                self.store(&mut stored.clone(), |accounts| *accounts = next).await?;
                self.wait(reason::WAITING_FOR_MASTER, "the operator's Doris account was set up again");
                self.look_soon();
            }
            Entry::LockedOut => self.stall(
                reason::LOCKED_OUT,
                format!(
                    "Doris refuses every stored password. As root run: CREATE USER IF NOT EXISTS '{user}' IDENTIFIED BY '<operator.current of \
                     Secret {secret}>'; ALTER USER '{user}' IDENTIFIED BY '<the same>'; GRANT NODE_PRIV ON *.*.* TO '{user}'; \
                     GRANT ADMIN_PRIV ON *.*.* TO '{user}'; or put root's password into the Secret that spec.auth.rootPassword names",
                    user = OPERATOR_USER,
                    secret = names::identity(&self.key.name),
                ),
            ),
            Entry::Unclear => self.wait(reason::WAITING_FOR_MASTER, "the operator's Doris account is refused, and root could not be tried"),
        }
        Ok(())
    }

    /// Puts a change of the accounts on record.
    async fn store(&mut self, stored: &mut Stored, change: impl FnOnce(&mut Accounts)) -> Result<(), Error> {
        let mut next = stored.identity.clone();
        change(&mut next.accounts);
        if next != stored.identity {
            *stored = identity::replace(self.ctx, self.key, stored, &next).await?;
            self.keep(stored.clone());
        }
        Ok(())
    }

    /// Whether Doris refused this very password a moment ago; then that is told again.
    fn was_refused(&mut self, login: &Login) -> bool {
        let now = self.ctx.clock.instant();
        let refusals = &mut self.memory.accounts.refusals;
        refusals.retain(|_, refusal| refusal.login.user != login.user || (refusal.login == *login && now < refusal.again_at));
        let Some(refusal) = refusals.get(login.user.as_str()) else { return false };
        let finding = refusal.finding.clone();
        self.facts.stalls.push(finding);
        true
    }

    /// Tells that Doris did not take a password. A refusal stands for a while; what is not answered is tried again.
    fn tell_not_taken(&mut self, account: &'static str, login: &Login, error: &DorisError, finding: impl FnOnce() -> Finding) {
        let is_refusal = matches!(error, DorisError::Refused { .. }) && !error.says_not_ready() && !error.is_login_refused();
        if !is_refusal {
            self.wait(reason::CHANGING_PASSWORD, format!("the password of {account} could not be changed and is tried again: {error}"));
            return;
        }
        let finding = finding();
        self.facts.stalls.push(finding.clone());
        let again_at = self.ctx.clock.instant() + REFUSAL_PAUSE;
        self.memory.accounts.refusals.insert(account, Refusal { login: login.clone(), again_at, finding });
    }

    /// Tells people that an account has another password.
    async fn announce_password(&self, note: String) {
        self.announce(Severity::Normal, reason::PASSWORD_CHANGED, "Reconcile", note).await;
    }
}

/// The Secret and key that an account's password is in, in words.
fn place(given: &Given, reference: Option<&SecretKeySelector>, secret: &str, key: &str) -> String {
    match (given, reference) {
        (Given::Password(_), Some(reference)) => format!("key {} of Secret {}", reference.key, reference.name),
        _ => format!("key {key} of Secret {secret}"),
    }
}
