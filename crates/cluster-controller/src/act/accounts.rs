//! Setting up Doris' accounts: the operator's own, root and admin.
//!
//! Statements only; who may be told them, and in which order, is decided by the round.

use doris_client::{Error, GlobalRight, Login, Password, Session};

use crate::identity::{Accounts, Identity};
use crate::plan::accounts::{Candidate, wanted};

/// Name of the operator's account in Doris.
pub const OPERATOR_USER: &str = "doris_operator";
/// The account that may do everything.
pub const ROOT: &str = "root";
/// The account that may do everything but change who belongs to the cluster.
pub const ADMIN: &str = "admin";

/// Passwords that the user gives by Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserPasswords {
    /// For root.
    pub root: Option<Password>,
    /// For admin.
    pub admin: Option<Password>,
}

/// The login of a candidate, if its password is stored.
pub fn login(identity: &Identity, given: &UserPasswords, candidate: Candidate) -> Option<Login> {
    let accounts = &identity.accounts;
    let root_wanted = identity.root_wanted(given.root.as_ref());
    let (user, password) = match candidate {
        Candidate::Operator => (OPERATOR_USER, Some(accounts.operator.clone())),
        Candidate::OperatorNext => (OPERATOR_USER, accounts.operator_next.clone()),
        Candidate::RootApplied => (ROOT, accounts.root_applied.clone()),
        Candidate::RootNext => (ROOT, accounts.root_next.clone().filter(|next| accounts.root_applied.as_ref() != Some(next))),
        Candidate::RootWanted => {
            let is_another = ![&accounts.root_applied, &accounts.root_next].into_iter().flatten().any(|known| known == root_wanted);
            (ROOT, is_another.then(|| root_wanted.clone()))
        }
        Candidate::RootEmpty => (ROOT, Some(Password::default())),
    };
    password.map(|password| Login { user: user.to_owned(), password })
}

/// The operator's login with its current password.
pub fn operator(identity: &Identity) -> Login {
    Login { user: OPERATOR_USER.to_owned(), password: identity.accounts.operator.clone() }
}

/// As root: makes the operator's account with its stored password and rights, and gives admin its password, and root
/// one that had none. Each statement may have been done before; each is harmless to repeat.
///
/// Returns the accounts as they are then on record. A root that has a password keeps it: changing it takes more care.
pub async fn establish(session: &mut Session, by: Candidate, identity: &Identity, given: &UserPasswords) -> Result<Accounts, Error> {
    let operator = operator(identity);
    session.create_account(&operator).await?;
    // An account that was there keeps its password with the statement above.
    session.alter_account(&operator).await?;
    session.grant(GlobalRight::Node, OPERATOR_USER).await?;
    session.grant(GlobalRight::Admin, OPERATOR_USER).await?;
    let mut accounts = identity.accounts.clone();
    let admin = wanted(given.admin.as_ref(), &accounts.admin_generated, accounts.admin_applied.as_ref());
    let admin = admin.or_else(|| identity.cluster_id().is_none().then(|| accounts.admin_generated.clone()));
    if let Some(admin) = admin {
        accounts.admin_applied = Some(set_admin(session, admin, &accounts.admin_generated).await?);
    }
    let root = login(identity, given, by).map(|login| login.password).filter(|password| !password.is_empty());
    let root = if let Some(root) = root {
        root
    } else {
        // Last: whatever fails before leaves a root login that works.
        let root = accounts.root_applied.clone().unwrap_or_else(|| identity.root_wanted(given.root.as_ref()).clone());
        session.set_own_password(&root).await?;
        root
    };
    accounts.root_applied = Some(root);
    Ok(accounts)
}

/// Gives admin its password, or the generated one where Doris does not take it: admin must not be left open. The
/// refusal is told once the cluster is looked after. Returns the one it has.
async fn set_admin(session: &mut Session, admin: Password, generated: &Password) -> Result<Password, Error> {
    match session.set_password(&account(ADMIN, &admin)).await {
        Err(error @ Error::Refused { .. }) if admin != *generated && !error.says_not_ready() => {
            session.set_password(&account(ADMIN, generated)).await?;
            Ok(generated.clone())
        }
        done => done.map(|()| admin),
    }
}

/// An account of that name with that password.
pub fn account(user: &str, password: &Password) -> Login {
    Login { user: user.to_owned(), password: password.clone() }
}

#[cfg(test)]
mod tests {
    use super::{UserPasswords, login};
    use crate::identity::{Accounts, Identity};
    use crate::plan::accounts::Candidate;
    use doris_client::Password;

    fn identity() -> Identity {
        let accounts = Accounts {
            operator: Password::new("op"),
            root_generated: Password::new("generated"),
            root_applied: Some(Password::new("generated")),
            admin_generated: Password::new("a"),
            ..Accounts::default()
        };
        Identity { accounts, ..Identity::default() }
    }

    fn password(candidate: Candidate, given: &UserPasswords) -> Option<String> {
        login(&identity(), given, candidate).map(|login| login.password.reveal().to_owned())
    }

    #[test]
    fn candidates_without_a_stored_password_do_not_exist() {
        let none = UserPasswords::default();
        assert_eq!(password(Candidate::Operator, &none).as_deref(), Some("op"));
        assert_eq!(password(Candidate::OperatorNext, &none), None);
        assert_eq!(password(Candidate::RootApplied, &none).as_deref(), Some("generated"));
        assert_eq!(password(Candidate::RootNext, &none), None);
        assert_eq!(password(Candidate::RootWanted, &none), None, "it is the applied one");
        assert_eq!(password(Candidate::RootEmpty, &none).as_deref(), Some(""));
    }

    #[test]
    fn a_password_of_the_user_wins_over_the_generated_one() {
        let given = UserPasswords { root: Some(Password::new("mine")), admin: None };
        assert_eq!(password(Candidate::RootWanted, &given).as_deref(), Some("mine"));
        assert_eq!(password(Candidate::RootApplied, &given).as_deref(), Some("generated"));
    }
}
