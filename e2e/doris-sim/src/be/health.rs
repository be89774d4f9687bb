//! Counting tablets by what the checker says of them.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Database, TabletHealth, places_of};

/// Tablets of a database, or of all, by their health.
#[derive(Clone, Debug, Default)]
pub(crate) struct TabletCount {
    ids: BTreeMap<TabletHealth, Vec<u64>>,
}

/// Counts a database's tablets.
pub(crate) fn tablet_health(catalog: &Catalog, database: &Database) -> TabletCount {
    let mut count = TabletCount::default();
    for place in database.tables.values().flat_map(places_of) {
        count.ids.entry(place.health(catalog)).or_default().push(place.tablet.id);
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
    pub fn row(&self, id: &str, name: &str, cloning: usize) -> Vec<Option<String>> {
        let total: usize = self.ids.values().map(Vec::len).sum();
        let unhealthy = COLUMNS.map(|health| health.map_or(0, |health| self.of(health)));
        let numbers = [total, self.of(TabletHealth::Healthy)].into_iter().chain(unhealthy).chain([cloning]);
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
    Some(TabletHealth::VersionIncomplete),
    Some(TabletHealth::ReplicaRelocating),
    Some(TabletHealth::Redundant),
    Some(TabletHealth::ReplicaMissingForTag),
    Some(TabletHealth::ForceRedundant),
    Some(TabletHealth::ColocateMismatch),
    Some(TabletHealth::ColocateRedundant),
    None,
    Some(TabletHealth::Unrecoverable),
    None,
    None,
    None,
];
