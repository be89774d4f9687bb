//! Databases down to replicas.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A replica of a tablet on a backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub id: u64,
    pub backend: u64,
    /// Newest version that it has without a gap.
    pub version: u64,
    /// Version of the first load that it missed; 0 if none.
    pub failed: u64,
    pub bytes: u64,
    /// Its disk lost it, and it is the only one.
    pub bad: bool,
}

impl Replica {
    /// A replica of an empty tablet.
    pub fn empty(id: u64, backend: u64) -> Self {
        Self { id, backend, version: 1, failed: 0, bytes: 0, bad: false }
    }

    /// Whether it can answer for this version.
    pub fn complete(&self, visible: u64) -> bool {
        !self.bad && self.failed == 0 && self.version >= visible
    }
}

/// A tablet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tablet {
    pub id: u64,
    pub replicas: Vec<Replica>,
}

/// A partition; without partitioning a table has one of its own name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Partition {
    pub id: u64,
    pub name: String,
    pub location: String,
    pub copies: usize,
    pub tablets: Vec<Tablet>,
    /// Newest version that queries see.
    pub visible: u64,
    pub visible_ms: i64,
    pub rows: u64,
}

/// A table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub id: u64,
    pub name: String,
    pub created_ms: i64,
    pub partitions: Vec<Partition>,
    /// `min_load_replica_num`.
    pub min_load: Option<usize>,
    /// `colocate_with`.
    pub group: Option<String>,
}

impl Table {
    pub fn tablets(&self) -> impl Iterator<Item = (&Partition, &Tablet)> {
        self.partitions.iter().flat_map(|partition| partition.tablets.iter().map(move |tablet| (partition, tablet)))
    }
}

/// A dropped table that can still be recovered; its tablets stay on the backends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Binned {
    pub database: u64,
    pub database_name: String,
    pub dropped_ms: i64,
    pub table: Table,
}

/// A database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Database {
    pub id: u64,
    pub name: String,
    pub tables: BTreeMap<u64, Table>,
}

impl Database {
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.values().find(|table| table.name == name)
    }

    /// Whether Doris itself owns it and keeps no tablets in it.
    pub fn is_virtual(&self) -> bool {
        self.id <= 1
    }
}
