//! Databases down to replicas.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Catalog;

/// A replica of a tablet on a backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub id: u64,
    pub backend: u64,
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
}

/// A table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub id: u64,
    pub name: String,
    pub created_ms: i64,
    pub partitions: Vec<Partition>,
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

/// Verdict of the tablet checker, by the column it is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TabletHealth {
    Healthy,
    ReplicaMissing,
    ReplicaRelocating,
    Redundant,
    ReplicaMissingForTag,
    ForceRedundant,
    Unrecoverable,
}

impl Tablet {
    /// What the checker says of this tablet in this catalog.
    pub fn health(&self, partition: &Partition, catalog: &Catalog) -> TabletHealth {
        let known = || self.replicas.iter().filter_map(|replica| catalog.backends.get(&replica.backend));
        let alive = known().filter(|backend| backend.alive).count();
        if alive == 0 {
            return TabletHealth::Unrecoverable;
        }
        let serving = known().filter(|backend| backend.alive && !backend.decommissioned).count();
        let placed = known().filter(|b| b.alive && !b.decommissioned && b.location() == partition.location).count();
        let candidates = catalog.backends.values().filter(|b| b.takes_replicas() && b.location() == partition.location).count();
        if alive < partition.copies {
            let full = self.replicas.len() >= partition.copies && candidates >= partition.copies && candidates == placed_or(self, catalog);
            return if full { TabletHealth::ForceRedundant } else { TabletHealth::ReplicaMissing };
        }
        if serving < partition.copies {
            return TabletHealth::ReplicaRelocating;
        }
        if placed < partition.copies {
            return TabletHealth::ReplicaMissingForTag;
        }
        if self.replicas.len() > partition.copies { TabletHealth::Redundant } else { TabletHealth::Healthy }
    }
}

/// Candidates that hold a replica of the tablet already.
fn placed_or(tablet: &Tablet, catalog: &Catalog) -> usize {
    let holds = |id: u64| tablet.replicas.iter().any(|replica| replica.backend == id);
    catalog.backends.values().filter(|backend| backend.takes_replicas() && holds(backend.id)).count()
}
