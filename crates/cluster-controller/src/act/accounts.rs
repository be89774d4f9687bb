//! Setting up Doris' accounts: the operator's own, root and admin.

use doris_client::{Error, GlobalRight, Login, Password, Session};

use crate::identity::Identity;
use crate::plan::accounts::Candidate;

/// Name of the operator's account in Doris.
pub const OPERATOR_USER: &str = "doris_operator";
const ROOT: &str = "root";
const ADMIN: &str = "admin";

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
    let wanted = identity.root_wanted(given.root.as_ref());
    let (user, password) = match candidate {
        Candidate::Operator => (OPERATOR_USER, Some(accounts.operator.clone())),
        Candidate::OperatorNext => (OPERATOR_USER, accounts.operator_next.clone()),
        Candidate::RootApplied => (ROOT, accounts.root_applied.clone().filter(|applied| applied != wanted)),
        Candidate::RootWanted => (ROOT, Some(wanted.clone())),
        Candidate::RootEmpty => (ROOT, Some(Password::default())),
    };
    password.map(|password| Login { user: user.to_owned(), password })
}

/// The operator's login with its current password.
pub fn operator(identity: &Identity) -> Login {
    Login { user: OPERATOR_USER.to_owned(), password: identity.accounts.operator.clone() }
}

/// As root: makes the operator's account with its stored password and rights, and gives root and
/// admin theirs. Each statement may have been done before; each is harmless to repeat.
pub async fn establish(session: &mut Session, by: Candidate, identity: &Identity, given: &UserPasswords) -> Result<(), Error> {
    let operator = operator(identity);
    session.create_account(&operator).await?;
    // An account that was there keeps its password with the statement above.
    session.alter_account(&operator).await?;
    session.grant(GlobalRight::Node, OPERATOR_USER).await?;
    session.grant(GlobalRight::Admin, OPERATOR_USER).await?;
    session.set_password(&account(ADMIN, identity.admin_wanted(given.admin.as_ref()))).await?;
    // Last: whatever fails before leaves a root login that works.
    match by {
        Candidate::RootApplied | Candidate::RootEmpty => session.set_own_password(identity.root_wanted(given.root.as_ref())).await,
        Candidate::RootWanted | Candidate::Operator | Candidate::OperatorNext => Ok(()),
    }
}

fn account(user: &str, password: &Password) -> Login {
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
        assert_eq!(password(Candidate::RootApplied, &none), None, "it is the wanted one");
        assert_eq!(password(Candidate::RootWanted, &none).as_deref(), Some("generated"));
        assert_eq!(password(Candidate::RootEmpty, &none).as_deref(), Some(""));
    }

    #[test]
    fn a_password_of_the_user_wins_over_the_generated_one() {
        let given = UserPasswords { root: Some(Password::new("mine")), admin: None };
        assert_eq!(password(Candidate::RootWanted, &given).as_deref(), Some("mine"));
        assert_eq!(password(Candidate::RootApplied, &given).as_deref(), Some("generated"));
    }
}
