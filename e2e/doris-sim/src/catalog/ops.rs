//! Entries of the journal.

use serde::{Deserialize, Serialize};

use super::accounts::{Identity, LockPolicy, Priv, User};
use super::colocate::Group;
use super::jobs::{AlterJob, Repository, SnapshotJob};
use super::nodes::{Backend, Frontend};
use super::tables::{Replica, Table};
use super::txns::{Publication, Txn};

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MasterInfo {
    pub host: String,
    pub http_port: u16,
    pub rpc_port: u16,
}

/// What a heartbeat tells of a frontend, as journalled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FrontendBeat {
    pub name: String,
    pub alive: bool,
    pub query_port: u16,
    pub rpc_port: u16,
    pub arrow_port: i32,
    pub replayed: u64,
}

/// What a heartbeat tells of a backend, as journalled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BackendBeat {
    pub id: u64,
    pub alive: bool,
    pub be_port: i32,
    pub http_port: i32,
    pub brpc_port: i32,
    pub arrow_port: i32,
    pub version: String,
    pub role: String,
    pub start_ms: i64,
    pub beat_ms: i64,
    /// It was asked to stop; told from 2.1 on.
    pub stopping: bool,
}

/// What a heartbeat tells of a broker, as journalled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BrokerBeat {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub alive: bool,
    pub time_ms: i64,
}

/// An entry of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Op {
    Timestamp(i64),
    MetaVersion(u32),
    Master(MasterInfo),
    Heartbeat {
        frontends: Vec<FrontendBeat>,
        backends: Vec<BackendBeat>,
        brokers: Vec<BrokerBeat>,
    },
    AddFrontend(Frontend),
    RemoveFrontend {
        name: String,
    },
    MoveFrontend {
        name: String,
        host: String,
    },
    AddBackend(Backend),
    DropBackend {
        id: u64,
    },
    ChangeBackend(Backend),
    AddBrokers {
        name: String,
        addresses: Vec<(String, u16)>,
    },
    DropBrokers {
        name: String,
        addresses: Vec<(String, u16)>,
    },
    DropAllBrokers {
        name: String,
    },
    CreateUser(User),
    DropUser(Identity),
    SetPassword {
        user: Identity,
        hash: Vec<u8>,
    },
    LockPolicy {
        user: Identity,
        lock: LockPolicy,
    },
    Grant {
        user: Identity,
        scope: String,
        privileges: Vec<Priv>,
    },
    Revoke {
        user: Identity,
        scope: String,
        privileges: Vec<Priv>,
    },
    CreateRole(String),
    DropRole(String),
    Global {
        name: String,
        value: String,
    },
    CreateDatabase {
        id: u64,
        name: String,
    },
    DropDatabase {
        id: u64,
        ms: i64,
    },
    CreateTable {
        database: u64,
        table: Box<Table>,
    },
    DropTable {
        database: u64,
        table: u64,
        ms: i64,
        force: bool,
    },
    /// Removes dropped tables for good.
    EraseTables(Vec<u64>),
    ReplicationNum {
        database: u64,
        table: u64,
        copies: usize,
    },
    /// A replica that is new, or whose state changed.
    Replica {
        tablet: u64,
        replica: Replica,
    },
    DropReplica {
        tablet: u64,
        backend: u64,
    },
    Transaction(Box<Txn>),
    Publish(Publication),
    Colocate {
        name: String,
        group: Group,
    },
    CreateCatalog {
        name: String,
        id: u64,
    },
    DropCatalog {
        name: String,
    },
    WorkloadGroup {
        name: String,
        id: u64,
        properties: Vec<(String, String)>,
    },
    DropWorkloadGroup {
        name: String,
    },
    Repository(Repository),
    DropRepository {
        name: String,
    },
    /// A backup or restore that is new, or whose state changed.
    Snapshot(Box<SnapshotJob>),
    /// A change of a table that is new, or whose state changed.
    Alter(Box<AlterJob>),
}

impl Op {
    /// The write that is retried for ever instead of ending the process.
    pub fn is_timestamp(&self) -> bool {
        matches!(self, Self::Timestamp(_))
    }
}

impl BackendBeat {
    /// A backend that no longer answers.
    pub fn dead(id: u64) -> Self {
        Self {
            id,
            alive: false,
            be_port: 0,
            http_port: 0,
            brpc_port: 0,
            arrow_port: 0,
            version: String::new(),
            role: String::new(),
            start_ms: 0,
            beat_ms: 0,
            stopping: false,
        }
    }
}
