//! Statements that change who belongs to the cluster. Run them on the master's own connection,
//! and read the state back: an `OK` is no proof, and some refusals mean that the work was done before.

use crate::error::Error;
use crate::literal::{MemberAddress, addresses, double_quoted, identifier, properties};
use crate::rows::FrontendRole;
use crate::session::Session;

/// Switches and tags of a backend that can be changed while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendChange {
    /// Resource group, `tag.location`. Changing it moves data.
    pub location: Option<String>,
    /// Keep queries away from it.
    pub disable_query: Option<bool>,
    /// Keep loads away from it.
    pub disable_load: Option<bool>,
}

impl Session {
    /// Registers a frontend. Only ever a pod's own fully qualified name: Doris takes any address.
    pub async fn add_frontend(&mut self, role: FrontendRole, member: &MemberAddress) -> Result<(), Error> {
        self.alter_system(&format!("ADD {} {}", keyword(role), addresses([member]))).await
    }

    /// Removes a frontend from the metadata group.
    pub async fn drop_frontend(&mut self, role: FrontendRole, member: &MemberAddress) -> Result<(), Error> {
        self.alter_system(&format!("DROP {} {}", keyword(role), addresses([member]))).await
    }

    /// Registers backends or compute nodes. The tag belongs into this statement: a later change moves data.
    pub async fn add_backends(&mut self, members: &[MemberAddress], location: Option<&str>) -> Result<(), Error> {
        let tag = location.map(|location| format!(" PROPERTIES {}", properties([("tag.location", location)]))).unwrap_or_default();
        self.alter_system(&format!("ADD BACKEND {}{tag}", addresses(members))).await
    }

    /// Removes a backend **at once and without any check**, with whatever data only it has.
    pub async fn drop_backend_without_check(&mut self, member: &MemberAddress) -> Result<(), Error> {
        self.alter_system(&format!("DROPP BACKEND {}", addresses([member]))).await
    }

    /// Begins to empty backends.
    pub async fn decommission_backends(&mut self, members: &[MemberAddress]) -> Result<(), Error> {
        self.alter_system(&format!("DECOMMISSION BACKEND {}", addresses(members))).await
    }

    /// Stops emptying backends.
    pub async fn cancel_decommission(&mut self, members: &[MemberAddress]) -> Result<(), Error> {
        self.run(&format!("CANCEL DECOMMISSION BACKEND {}", addresses(members))).await.map(drop)
    }

    /// Changes switches or the tag of a backend; with nothing to change, nothing is sent.
    pub async fn modify_backend(&mut self, member: &MemberAddress, change: &BackendChange) -> Result<(), Error> {
        let pairs: Vec<(&str, &str)> = [
            change.location.as_deref().map(|location| ("tag.location", location)),
            change.disable_query.map(|off| ("disable_query", truth(off))),
            change.disable_load.map(|off| ("disable_load", truth(off))),
        ]
        .into_iter()
        .flatten()
        .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        self.alter_system(&format!("MODIFY BACKEND {} SET {}", addresses([member]), properties(pairs))).await
    }

    /// Registers a broker in a named group.
    pub async fn add_broker(&mut self, name: &str, member: &MemberAddress) -> Result<(), Error> {
        self.alter_system(&format!("ADD BROKER {} {}", broker_name(name), double_quoted(&member.to_string()))).await
    }

    /// Removes a broker from a named group.
    pub async fn drop_broker(&mut self, name: &str, member: &MemberAddress) -> Result<(), Error> {
        self.alter_system(&format!("DROP BROKER {} {}", broker_name(name), double_quoted(&member.to_string()))).await
    }

    async fn alter_system(&mut self, change: &str) -> Result<(), Error> {
        self.run(&format!("ALTER SYSTEM {change}")).await.map(drop)
    }
}

/// A plain name goes without quotes, as every version reads it.
fn broker_name(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name.to_owned() } else { identifier(name) }
}

fn keyword(role: FrontendRole) -> &'static str {
    match role {
        FrontendRole::Follower => "FOLLOWER",
        FrontendRole::Observer => "OBSERVER",
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
