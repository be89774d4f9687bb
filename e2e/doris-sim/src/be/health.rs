//! Counting tablets by what the checker says of them.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Database, TabletHealth};

/// Tablets of a database, or of all, by their health.
#[derive(Clone, Debug, Default)]
pub(crate) struct TabletCount {
    ids: BTreeMap<TabletHealth, Vec<u64>>,
}

/// Counts a database's tablets.
pub(crate) fn tablet_health(catalog: &Catalog, database: &Database) -> TabletCount {
    let mut count = TabletCount::default();
    for partition in database.tables.values().flat_map(|table| &table.partitions) {
        for tablet in &partition.tablets {
            count.ids.entry(tablet.health(partition, catalog)).or_default().push(tablet.id);
        }
    }
    count
}

impl TabletCount {
    pub fn add(&mut self, other: &Self) {
        for (health, ids) in &other.ids {
            self.ids.entry(*health).or_default().extend(ids);
        }
    }

    pub fn of(&self, health: TabletHealth) -> usize {
        self.ids.get(&health).map_or(0, Vec::len)
    }

    /// A row of `/cluster_health/tablet_health`.
    pub fn row(&self, id: &str, name: &str) -> Vec<Option<String>> {
        let total: usize = self.ids.values().map(Vec::len).sum();
        let unhealthy = COLUMNS.map(|health| health.map_or(0, |health| self.of(health)));
        let numbers = [total, self.of(TabletHealth::Healthy)].into_iter().chain(unhealthy).chain([0]);
        [id.to_owned(), name.to_owned()].into_iter().chain(numbers.map(|number| number.to_string())).map(Some).collect()
    }

    /// The row of `/cluster_health/tablet_health/<database>`: ids by status.
    pub fn tablets(&self) -> Vec<Option<String>> {
        let ids = |health: Option<TabletHealth>| {
            let found = health.and_then(|health| self.ids.get(&health)).map(|ids| ids.iter().map(u64::to_string).collect::<Vec<_>>());
            Some(found.unwrap_or_default().join(","))
        };
        COLUMNS.into_iter().map(ids).collect()
    }
}

/// What each column after `HealthyNum` counts; what the model cannot have is `None`.
const COLUMNS: [Option<TabletHealth>; 13] = [
    Some(TabletHealth::ReplicaMissing),
    None,
    Some(TabletHealth::ReplicaRelocating),
    Some(TabletHealth::Redundant),
    Some(TabletHealth::ReplicaMissingForTag),
    Some(TabletHealth::ForceRedundant),
    None,
    None,
    None,
    Some(TabletHealth::Unrecoverable),
    None,
    None,
    None,
];
