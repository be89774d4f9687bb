//! Frontends, backends and brokers as registered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Stored role of a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FeRole {
    Follower,
    Observer,
}

impl FeRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Follower => "FOLLOWER",
            Self::Observer => "OBSERVER",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "FOLLOWER" | "REPLICA" => Some(Self::Follower),
            "OBSERVER" => Some(Self::Observer),
            _ => None,
        }
    }
}

/// A registered frontend.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Frontend {
    pub name: String,
    pub host: String,
    pub edit_log_port: u16,
    pub role: FeRole,
    pub alive: bool,
    pub query_port: u16,
    pub rpc_port: u16,
    pub arrow_port: i32,
    pub replayed: u64,
}

impl Frontend {
    pub fn new(name: String, host: String, edit_log_port: u16, role: FeRole) -> Self {
        Self { name, host, edit_log_port, role, alive: false, query_port: 0, rpc_port: 0, arrow_port: 0, replayed: 0 }
    }

    /// As error texts and logs describe it.
    pub fn describe(&self) -> String {
        format!("name: {}, role: {}, {}:{}, is alive: {}", self.name, self.role.name(), self.host, self.edit_log_port, self.alive)
    }
}

/// A storage path of a backend as last reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Disk {
    pub path: String,
    pub hash: u64,
    pub ssd: bool,
    pub online: bool,
    pub data_used: u64,
    pub available: u64,
    pub total: u64,
    pub trash: u64,
}

/// A registered backend.
#[expect(clippy::struct_excessive_bools, reason = "they are switches of the server, each a fact of its own")]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Backend {
    pub id: u64,
    pub host: String,
    pub heartbeat_port: u16,
    pub be_port: i32,
    pub http_port: i32,
    pub brpc_port: i32,
    pub arrow_port: i32,
    pub alive: bool,
    pub decommissioned: bool,
    pub tags: BTreeMap<String, String>,
    pub query_disabled: bool,
    pub load_disabled: bool,
    /// Its last heartbeat said that it is about to stop.
    pub stopping: bool,
    pub version: String,
    pub role: String,
    pub start_ms: i64,
    pub beat_ms: i64,
    pub disks: Vec<Disk>,
    pub cores: u32,
}

impl Backend {
    pub fn new(id: u64, host: String, heartbeat_port: u16, location: &str) -> Self {
        Self {
            id,
            host,
            heartbeat_port,
            be_port: -1,
            http_port: -1,
            brpc_port: -1,
            arrow_port: -1,
            alive: false,
            decommissioned: false,
            tags: BTreeMap::from([("location".to_owned(), location.to_owned())]),
            query_disabled: false,
            load_disabled: false,
            stopping: false,
            version: String::new(),
            role: String::new(),
            start_ms: -1,
            beat_ms: -1,
            disks: Vec::new(),
            cores: 1,
        }
    }

    pub fn location(&self) -> &str {
        self.tags.get("location").map_or("default", String::as_str)
    }

    /// Whether it stores tablets. A backend that never lived counts as one that does.
    pub fn stores(&self) -> bool {
        self.role != "computation"
    }

    /// Why a query is not given to it, if it is not.
    pub fn unfit_for_queries(&self) -> Option<&'static str> {
        match (self.alive, self.query_disabled, self.stopping) {
            (false, _, _) => Some("not alive"),
            (_, true, _) => Some("query disabled"),
            (_, _, true) => Some("shutting down"),
            _ => None,
        }
    }

    /// Whether new replicas may be put there.
    pub fn takes_replicas(&self) -> bool {
        self.alive && self.stores() && !self.decommissioned && !self.query_disabled && !self.load_disabled
    }
}

/// A registered broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Broker {
    pub host: String,
    pub port: u16,
    pub alive: bool,
    pub start_ms: i64,
    pub update_ms: i64,
}
