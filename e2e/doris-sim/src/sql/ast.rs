//! Statements that the model knows.

use crate::catalog::{AlterKind, FeRole, Identity};

/// Key and value pairs as in `PROPERTIES (..)`.
pub(crate) type Properties = Vec<(String, String)>;

/// A clause of ALTER SYSTEM.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum System {
    AddFrontend { role: FeRole, address: String },
    DropFrontend { role: FeRole, address: String },
    MoveFrontend { address: String, host: String },
    AddBackends { addresses: Vec<String>, properties: Properties },
    DropBackends { addresses: Vec<String>, force: bool },
    Decommission { addresses: Vec<String> },
    ModifyBackends { addresses: Vec<String>, properties: Properties },
    MoveBackend { address: String, host: String },
    AddBrokers { name: String, addresses: Vec<String> },
    DropBrokers { name: String, addresses: Vec<String> },
    DropAllBrokers { name: String },
    LoadErrorsHub,
}

/// Something to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Show {
    Frontends,
    FrontendDisks,
    Backends,
    Brokers,
    Proc(String),
    Config {
        like: Option<String>,
    },
    Variables {
        like: Option<String>,
    },
    Databases {
        like: Option<String>,
    },
    Tables {
        database: Option<String>,
    },
    TableStatus {
        database: Option<String>,
    },
    Grants {
        user: Option<Identity>,
        all: bool,
    },
    Roles,
    Processes,
    Repositories,
    Backup {
        database: Option<String>,
    },
    Restore {
        database: Option<String>,
        brief: bool,
    },
    Snapshot {
        repository: String,
    },
    Alter {
        kind: AlterKind,
        database: Option<String>,
    },
    CreateRepository,
    WorkloadGroups {
        like: Option<String>,
    },
    Tablets {
        database: Option<String>,
        table: String,
    },
    Tablet(u64),
    ReplicaStatus {
        database: Option<String>,
        table: String,
        /// Of these partitions alone; of all if it is empty.
        partitions: Vec<String>,
    },
    ReplicaDistribution {
        database: Option<String>,
        table: String,
    },
    Data,
    Trash,
    BackendConfig {
        like: Option<String>,
        backend: Option<u64>,
    },
    RecycleBin,
    Catalogs,
    /// A fixed list of columns without rows, or with rows that never change.
    Fixed(&'static str),
    ComputeGroups,
}

/// An item of a select list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Literal { text: String, string: bool },
    Null,
    Bool(bool),
    Variable(String),
    Call { name: String, arguments: Vec<Expr> },
    Column(String),
    Star,
}

/// Where a select reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Table { catalog: Option<String>, database: Option<String>, table: String },
    Function(String),
}

/// One assignment of SET.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assignment {
    pub global: bool,
    pub name: String,
    pub value: Option<String>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    Select {
        items: Vec<Expr>,
        from: Option<Source>,
    },
    Insert {
        database: Option<String>,
        table: String,
        label: Option<String>,
        rows: u64,
        bytes: u64,
        seconds: u64,
    },
    CreateCatalog {
        name: String,
        quiet: bool,
    },
    DropCatalog {
        name: String,
        quiet: bool,
    },
    /// Removes dropped tables for good; all of them without an id.
    EmptyBin {
        table: Option<u64>,
    },
    Show(Show),
    Use(String),
    Set(Vec<Assignment>),
    SetPassword {
        user: Option<Identity>,
        password: Password,
    },
    System(System),
    CancelDecommission(Vec<String>),
    CreateDatabase {
        name: String,
        quiet: bool,
    },
    DropDatabase {
        name: String,
        quiet: bool,
    },
    CreateTable {
        database: Option<String>,
        name: String,
        quiet: bool,
        buckets: usize,
        properties: Properties,
    },
    DropTable {
        database: Option<String>,
        name: String,
        quiet: bool,
        force: bool,
    },
    CreateUser {
        user: Identity,
        quiet: bool,
        password: Password,
        lock: LockWish,
    },
    AlterUser {
        user: Identity,
        quiet: bool,
        password: Option<Password>,
        lock: LockWish,
    },
    DropUser {
        user: Identity,
        quiet: bool,
    },
    Grant {
        privileges: Vec<String>,
        scope: Vec<String>,
        user: Identity,
        revoke: bool,
    },
    CreateRole {
        name: String,
        quiet: bool,
    },
    DropRole {
        name: String,
        quiet: bool,
    },
    SetConfig {
        pairs: Properties,
        all: bool,
    },
    WorkloadGroup {
        name: String,
        quiet: bool,
        alter: bool,
        properties: Properties,
    },
    DropWorkloadGroup {
        name: String,
        quiet: bool,
    },
    CreateRepository {
        name: String,
        broker: Option<String>,
        kind: String,
        location: String,
        read_only: bool,
    },
    DropRepository(String),
    AlterRepository(String),
    Backup(Snapshot),
    Restore(Snapshot),
    AlterTable {
        database: Option<String>,
        table: String,
        change: Change,
    },
    CancelAlter {
        database: Option<String>,
        table: String,
        kind: AlterKind,
    },
    CancelBackup {
        database: Option<String>,
        restore: bool,
    },
    Kill(u32),
    /// Accepted and without effect here.
    Nothing,
}

/// `[database.]label`, a repository and the tables of a backup or restore.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub database: Option<String>,
    pub label: String,
    pub repository: String,
    /// All of them if it is empty.
    pub tables: Vec<String>,
    pub properties: Properties,
}

/// A change of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Done at once, since no data has to be written anew.
    Light,
    /// A job, with the index that it makes where that is a new one.
    Job { kind: AlterKind, index: Option<String> },
}

/// What a statement says of when an account is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LockWish {
    pub attempts: Option<u32>,
    pub seconds: Option<i64>,
}

/// A password in a statement: in clear or hashed. Has no `Debug` of its value.
#[derive(Clone, PartialEq)]
pub(crate) enum Password {
    Clear(String),
    Hash(String),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
