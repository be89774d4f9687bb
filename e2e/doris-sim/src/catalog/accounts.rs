//! Users and privileges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// `'user'@'host'`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub user: String,
    pub host: String,
}

impl Identity {
    pub fn new(user: impl Into<String>, host: impl Into<String>) -> Self {
        Self { user: user.into(), host: host.into() }
    }

    pub fn is_root(&self) -> bool {
        self.user == "root"
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'@'{}'", self.user, self.host)
    }
}

/// A privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Priv {
    Node,
    Admin,
    Grant,
    Select,
    Load,
    Alter,
    Create,
    Drop,
    Usage,
    ShowView,
}

impl Priv {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "NODE_PRIV" => Self::Node,
            "ADMIN_PRIV" => Self::Admin,
            "GRANT_PRIV" => Self::Grant,
            "SELECT_PRIV" => Self::Select,
            "LOAD_PRIV" => Self::Load,
            "ALTER_PRIV" => Self::Alter,
            "CREATE_PRIV" => Self::Create,
            "DROP_PRIV" => Self::Drop,
            "USAGE_PRIV" => Self::Usage,
            "SHOW_VIEW_PRIV" => Self::ShowView,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "Node_priv",
            Self::Admin => "Admin_priv",
            Self::Grant => "Grant_priv",
            Self::Select => "Select_priv",
            Self::Load => "Load_priv",
            Self::Alter => "Alter_priv",
            Self::Create => "Create_priv",
            Self::Drop => "Drop_priv",
            Self::Usage => "Usage_priv",
            Self::ShowView => "Show_view_priv",
        }
    }
}

/// A user. `password` is the twofold SHA-1, empty for none.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub identity: Identity,
    pub comment: String,
    pub roles: Vec<String>,
    pub password: Vec<u8>,
    /// Privileges by scope: `*` or the name of a database.
    pub privileges: BTreeMap<String, BTreeSet<Priv>>,
    /// When it is locked.
    #[serde(default)]
    pub lock: LockPolicy,
}

/// When an account is locked after logins that failed, and for how long; each frontend counts for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockPolicy {
    /// Failed logins in a row; 0 for never.
    pub attempts: u32,
    /// How long it stays locked.
    pub seconds: i64,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("identity", &self.identity).field("privileges", &self.privileges).finish_non_exhaustive()
    }
}

impl User {
    pub fn new(identity: Identity, password: Vec<u8>) -> Self {
        Self { identity, comment: String::new(), roles: Vec::new(), password, privileges: BTreeMap::new(), lock: LockPolicy::default() }
    }

    fn built_in(name: &str, comment: &str, role: &str, privileges: impl IntoIterator<Item = Priv>) -> Self {
        Self {
            comment: comment.to_owned(),
            roles: vec![role.to_owned()],
            privileges: BTreeMap::from([("*".to_owned(), privileges.into_iter().collect())]),
            ..Self::new(Identity::new(name, "%"), Vec::new())
        }
    }

    pub fn root() -> Self {
        Self::built_in("root", "ROOT", "operator", [Priv::Node, Priv::Admin])
    }

    pub fn admin() -> Self {
        Self::built_in("admin", "ADMIN", "admin", [Priv::Admin])
    }

    pub fn has_global(&self, privilege: Priv) -> bool {
        self.privileges.get("*").is_some_and(|privileges| privileges.contains(&privilege))
    }

    /// Whether the user may do something that needs this privilege on a database.
    pub fn has_on(&self, database: &str, privilege: Priv) -> bool {
        self.has_global(Priv::Admin)
            || self.has_global(privilege)
            || self.privileges.get(database).is_some_and(|privileges| privileges.contains(&privilege))
    }

    /// Whether the password proves itself in an answer to a challenge (`mysql_native_password`).
    pub fn accepts(&self, challenge: &[u8], answer: &[u8]) -> bool {
        if self.password.is_empty() || answer.is_empty() {
            return self.password.is_empty() && answer.is_empty();
        }
        let mask = Sha1::new().chain_update(challenge).chain_update(&self.password).finalize();
        if answer.len() != mask.len() {
            return false;
        }
        let once: Vec<u8> = mask.iter().zip(answer).map(|(a, b)| a ^ b).collect();
        Sha1::digest(once).as_slice() == self.password.as_slice()
    }
}

/// The twofold SHA-1 of a password; empty for the empty one.
pub(crate) fn hash_password(password: &str) -> Vec<u8> {
    if password.is_empty() { Vec::new() } else { Sha1::digest(Sha1::digest(password)).to_vec() }
}
