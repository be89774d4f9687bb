//! The passwords of root and admin.

use doris_api::conditions::reason;
use doris_api::names;
use doris_client::{Endpoint, Error as DorisError, Password, Session};

use super::super::Round;
use super::place;
use crate::act::accounts::{self, ADMIN, ROOT, UserPasswords, account};
use crate::act::identity::Stored;
use crate::error::Error;
use crate::observe::doris::{Doris, Entry, log_in};
use crate::plan::accounts::{Passwords, RootStep, wanted};
use crate::report::Finding;

impl Round<'_> {
    /// Brings every account to the password that it is to have. At rest Doris is not asked.
    pub(in super::super) async fn keep_passwords(
        &mut self,
        stored: &Stored,
        given: &UserPasswords,
        doris: &Doris,
        session: &mut Session,
    ) -> Result<Stored, Error> {
        let mut stored = stored.clone();
        self.keep_own_password(&mut stored, doris, session).await?;
        self.keep_admin_password(&mut stored, given, session).await?;
        self.keep_root_password(&mut stored, given, session).await?;
        Ok(stored)
    }

    /// The operator may set admin's password whatever it was.
    async fn keep_admin_password(&mut self, stored: &mut Stored, given: &UserPasswords, session: &mut Session) -> Result<(), Error> {
        let known = &stored.identity.accounts;
        let applied = known.admin_applied.clone();
        let wanted = wanted(given.admin.as_ref(), &known.admin_generated, applied.as_ref());
        let passwords = Passwords { applied, next: None, wanted };
        let Some(password) = passwords.wanted.clone().filter(|_| passwords.are_due()) else { return Ok(()) };
        let login = account(ADMIN, &password);
        if self.was_refused(&login) {
            return Ok(());
        }
        self.ctx.gate.check()?;
        let set = session.set_password(&login).await;
        if let Err(error) = self.proven(set, session.endpoint(), ADMIN, &password).await {
            let finding = self.refused(ADMIN, "spec.auth.adminPassword", &error);
            self.tell_not_taken(ADMIN, &login, &error, || finding);
            return Ok(());
        }
        self.store(stored, |accounts| accounts.admin_applied = Some(password)).await?;
        self.announce_password(format!("admin has the password of {}", self.place_of_admin())).await;
        Ok(())
    }

    /// Root alone sets its own password: whoever changes it needs the one before.
    async fn keep_root_password(&mut self, stored: &mut Stored, given: &UserPasswords, session: &mut Session) -> Result<(), Error> {
        let known = &stored.identity.accounts;
        let applied = known.root_applied.clone();
        let wanted = wanted(given.root.as_ref(), &known.root_generated, applied.as_ref());
        let passwords = Passwords { applied, next: known.root_next.clone(), wanted };
        if !passwords.are_due() || passwords.wanted.clone().is_some_and(|wanted| self.was_refused(&account(ROOT, &wanted))) {
            return Ok(());
        }
        let login = |candidate| accounts::login(&stored.identity, given, candidate);
        let patience = &mut self.memory.accounts.patience;
        match log_in(self.ctx.transport.as_ref(), session.endpoint(), &crate::plan::accounts::ROOT, login, patience).await {
            Entry::In(root, by) => match passwords.root_step(by) {
                RootStep::Nothing => root.close().await,
                RootStep::Record(password) => {
                    root.close().await;
                    self.root_has(stored, password).await?;
                }
                RootStep::Set(password) => self.set_root_password(stored, given, root, password).await?,
            },
            Entry::LockedOut => self.take_root(stored, given, session).await?,
            Entry::Unclear => {
                self.wait(
                    reason::CHANGING_PASSWORD,
                    "root's password is to be changed, and root could not log in for another reason than its password",
                );
            }
        }
        Ok(())
    }

    async fn set_root_password(
        &mut self,
        stored: &mut Stored,
        given: &UserPasswords,
        mut root: Session,
        password: Password,
    ) -> Result<(), Error> {
        self.store(stored, |accounts| accounts.root_next = Some(password.clone())).await?;
        self.ctx.gate.check()?;
        let set = if given.root.as_ref() == Some(&password) {
            // In clear, so that the cluster's policy for passwords is applied.
            root.set_own_password(&password).await
        } else {
            root.set_own_password_by_hash(&password).await
        };
        let proven = self.proven(set, root.endpoint(), ROOT, &password).await;
        root.close().await;
        if let Err(error) = proven {
            let finding = self.refused(ROOT, "spec.auth.rootPassword", &error);
            self.tell_not_taken(ROOT, &account(ROOT, &password), &error, || finding);
            return Ok(());
        }
        self.root_has(stored, password).await
    }

    /// No password on record is root's: somebody changed it by hand. Before 4.0 whoever has ADMIN may set it all the same.
    async fn take_root(&mut self, stored: &mut Stored, given: &UserPasswords, session: &mut Session) -> Result<(), Error> {
        let Some(password) = given.root.clone() else {
            self.stall(
                reason::ROOT_PASSWORD_UNKNOWN,
                "root's password was changed by hand, and no Secret names the one that it is to have: name one in spec.auth.rootPassword, \
                 holding root's present password if it is to stay",
            );
            return Ok(());
        };
        let login = account(ROOT, &password);
        self.store(stored, |accounts| accounts.root_next = Some(password.clone())).await?;
        self.ctx.gate.check()?;
        let set = session.alter_account(&login).await;
        if let Err(error) = self.proven(set, session.endpoint(), ROOT, &password).await {
            let place = self.place_of_root();
            self.tell_not_taken(ROOT, &login, &error, || {
                let message = format!(
                    "root's password was changed by hand to one that is not on record, and Doris does not let the operator set it ({error}). As \
                     root run: SET PASSWORD = PASSWORD('<{place}>'); or put root's present password there for a minute: it is then known, \
                     and can be changed. Everything else goes on meanwhile"
                );
                Finding::new(reason::ROOT_PASSWORD_UNKNOWN, message)
            });
            return Ok(());
        }
        self.root_has(stored, password).await
    }

    async fn root_has(&mut self, stored: &mut Stored, password: Password) -> Result<(), Error> {
        let is_news = stored.identity.accounts.root_applied.as_ref() != Some(&password);
        self.store(stored, |accounts| {
            accounts.root_applied = Some(password);
            accounts.root_next = None;
        })
        .await?;
        if is_news {
            self.announce_password(format!("root has the password of {}", self.place_of_root())).await;
        }
        Ok(())
    }

    /// OK is no proof: only a login is.
    async fn proven(&self, set: Result<(), DorisError>, at: Endpoint, user: &str, password: &Password) -> Result<(), DorisError> {
        set?;
        Session::open(self.ctx.transport.as_ref(), at, &account(user, password)).await?.close().await;
        Ok(())
    }

    fn refused(&self, user: &str, field: &str, error: &DorisError) -> Finding {
        let place = if user == ROOT { self.place_of_root() } else { self.place_of_admin() };
        let message = format!(
            "Doris does not take the password of {user} in {place} ({field}): {error}; the password in force stays. Put another one there, or \
             change what Doris asks of passwords; it is tried again every minute"
        );
        Finding::new(reason::PASSWORD_REFUSED, message)
    }

    fn place_of_root(&self) -> String {
        let given = self.memory.accounts.read.as_ref().map(|read| read.reading.root.clone()).unwrap_or_default();
        place(&given, self.cluster.spec.auth.root_password.as_ref(), &names::identity(&self.key.name), "root.applied")
    }

    fn place_of_admin(&self) -> String {
        let given = self.memory.accounts.read.as_ref().map(|read| read.reading.admin.clone()).unwrap_or_default();
        place(&given, self.cluster.spec.auth.admin_password.as_ref(), &names::identity(&self.key.name), "admin.applied")
    }
}
