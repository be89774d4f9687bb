//! Who asked for members, and what passwords accounts have.

use std::net::IpAddr;

use crate::catalog::hash_password;
use crate::sql::Statement;
use crate::state::Body;
use crate::world::World;

/// A statement that registers members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Their addresses, as the statement writes them.
    pub members: Vec<String>,
    /// Where the statement came from.
    pub from: IpAddr,
    /// When, in the world's milliseconds since 1970.
    pub at_ms: i64,
}

/// An account with a password, as a master has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountFacts {
    /// Host of the master.
    pub master: String,
    /// Name.
    pub user: String,
    /// What is kept of its password.
    pub hash: Vec<u8>,
}

/// What Doris keeps of a password; nothing of an empty one.
pub fn password_hash(password: &str) -> Vec<u8> {
    hash_password(password)
}

impl World {
    /// Notes who wants members registered, whatever comes of it.
    pub(crate) fn note_registration(&self, statement: &Statement, from: IpAddr) {
        let members = statement.registers();
        if members.is_empty() {
            return;
        }
        let mut state = self.state();
        let at_ms = state.clock.now_ms();
        state.ledger.registrations.push(Registration { members, from, at_ms });
    }

    /// Statements that register members, in order, without the first so many.
    pub fn registrations_after(&self, seen: usize) -> Vec<Registration> {
        self.state().ledger.registrations.get(seen..).unwrap_or_default().to_vec()
    }

    /// Accounts that have a password, as the masters that serve have them.
    pub fn accounts(&self) -> Vec<AccountFacts> {
        let state = self.state();
        let masters = state.procs.values().filter(|proc| proc.is_running()).filter_map(|proc| match &proc.body {
            Body::Fe(fe) if fe.is_master() && fe.is_ready() => Some(fe),
            _ => None,
        });
        let of_master = masters.flat_map(|fe| {
            let known = fe.catalog.users.iter().filter(|user| !user.password.is_empty());
            known.map(|user| AccountFacts { master: fe.fqdn.clone(), user: user.identity.user.clone(), hash: user.password.clone() })
        });
        of_master.collect()
    }
}
