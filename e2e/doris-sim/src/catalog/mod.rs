//! What the journal adds up to: the state that every frontend keeps for itself.

mod accounts;
mod apply;
mod colocate;
mod health;
mod jobs;
mod nodes;
mod ops;
mod tables;
mod txns;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use accounts::{Identity, LockPolicy, Priv, User, hash_password};
pub(crate) use colocate::Group;
pub(crate) use health::{Place, TabletHealth, places_of};
pub(crate) use jobs::{AlterJob, AlterKind, AlterState, Repository, SnapshotJob, SnapshotState};
pub(crate) use nodes::{Backend, Broker, Disk, FeRole, Frontend};
pub(crate) use ops::{BackendBeat, BrokerBeat, FrontendBeat, MasterInfo, Op};
pub(crate) use tables::{Binned, Database, Partition, Replica, Table, Tablet};
pub(crate) use txns::{Coordinator, Publication, Txn, TxnState};

/// First id that is free for backends, databases and the like.
const FIRST_ID: u64 = 10_000;

/// A workload group with its properties in order of appearance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkloadGroup {
    pub id: u64,
    pub properties: BTreeMap<String, String>,
}

/// State of one frontend's catalog.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Catalog {
    pub next_id: u64,
    pub meta_version: u32,
    pub master: Option<MasterInfo>,
    pub frontends: Vec<Frontend>,
    pub backends: BTreeMap<u64, Backend>,
    pub brokers: BTreeMap<String, Vec<Broker>>,
    pub users: Vec<User>,
    pub roles: Vec<String>,
    pub globals: BTreeMap<String, String>,
    pub databases: BTreeMap<u64, Database>,
    pub workload_groups: BTreeMap<String, WorkloadGroup>,
    pub timestamp_ms: i64,
    pub transactions: BTreeMap<u64, Txn>,
    pub groups: BTreeMap<String, Group>,
    /// Dropped tables that can still be recovered.
    pub bin: Vec<Binned>,
    /// External catalogs.
    pub catalogs: BTreeMap<String, u64>,
    pub repositories: Vec<Repository>,
    /// Backups and restores, the oldest first.
    pub snapshots: Vec<SnapshotJob>,
    /// Changes of tables, the oldest first.
    pub alters: Vec<AlterJob>,
    /// Rises with every change that a look at the tablets could find.
    #[serde(skip)]
    pub shape: u64,
}

impl Default for Catalog {
    fn default() -> Self {
        let system = |id: u64, name: &str| (id, Database { id, name: name.to_owned(), tables: BTreeMap::new() });
        Self {
            next_id: FIRST_ID,
            meta_version: 0,
            master: None,
            frontends: Vec::new(),
            backends: BTreeMap::new(),
            brokers: BTreeMap::new(),
            users: vec![User::root(), User::admin()],
            roles: Vec::new(),
            globals: BTreeMap::new(),
            databases: BTreeMap::from([system(0, "information_schema"), system(1, "mysql")]),
            workload_groups: BTreeMap::from([("normal".to_owned(), WorkloadGroup { id: 1, properties: BTreeMap::new() })]),
            timestamp_ms: 0,
            transactions: BTreeMap::new(),
            groups: BTreeMap::new(),
            bin: Vec::new(),
            catalogs: BTreeMap::new(),
            repositories: Vec::new(),
            snapshots: Vec::new(),
            alters: Vec::new(),
            shape: 0,
        }
    }
}

impl Catalog {
    pub fn frontend_at(&self, host: &str, port: u16) -> Option<&Frontend> {
        self.frontends.iter().find(|frontend| frontend.host == host && frontend.edit_log_port == port)
    }

    pub fn followers(&self) -> usize {
        self.frontends.iter().filter(|frontend| frontend.role == FeRole::Follower).count()
    }

    pub fn backend_at(&self, host: &str, port: u16) -> Option<&Backend> {
        self.backends.values().find(|backend| backend.host == host && backend.heartbeat_port == port)
    }

    pub fn user(&self, identity: &Identity) -> Option<&User> {
        self.users.iter().find(|user| user.identity == *identity)
    }

    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.values().find(|database| database.name == name)
    }

    /// Replicas that the catalog knows on a backend, those of dropped tables included.
    pub fn replicas_on(&self, backend: u64) -> usize {
        self.live_replicas_on(backend) + self.binned_replicas_on(backend)
    }

    pub fn live_replicas_on(&self, backend: u64) -> usize {
        self.places().flat_map(|place| &place.tablet.replicas).filter(|replica| replica.backend == backend).count()
    }

    /// Replicas of dropped tables.
    pub fn binned_replicas_on(&self, backend: u64) -> usize {
        let tablets = self.bin.iter().flat_map(|binned| binned.table.tablets());
        tablets.flat_map(|(_, tablet)| &tablet.replicas).filter(|replica| replica.backend == backend).count()
    }

    pub fn table(&self, database: u64, table: u64) -> Option<&Table> {
        self.databases.get(&database)?.tables.get(&table)
    }

    /// Database and table of an id.
    pub fn owner(&self, table: u64) -> Option<&Database> {
        self.databases.values().find(|database| database.tables.contains_key(&table))
    }
}
