//! Builds the map from rows, one at a time, so that no more than one partition's rows are held.

use std::collections::HashMap;
use std::sync::Arc;

use doris_api::cluster::Medium;

use super::{Allocation, Group, Partition, PartitionKind, PlacedTablets, Placement, Table, TabletMap, Tablets};

/// Takes tables, then their partitions, then the rows of their replicas.
#[derive(Debug, Default)]
pub struct TabletMapBuilder {
    map: TabletMap,
    known: HashMap<Placement, u32>,
    allocations: HashMap<Allocation, Arc<Allocation>>,
}

/// A partition that is about to be added.
#[derive(Clone, Debug)]
pub struct PlacedPartition {
    /// Its name.
    pub name: String,
    /// Whether it is temporary.
    pub kind: PartitionKind,
    /// Replicas by tag.
    pub allocation: Allocation,
    /// Medium that its tablets should lie on.
    pub medium: Option<Medium>,
}

/// Replicas of the tablets of one partition, as they are read.
#[derive(Debug, Default)]
struct Rows {
    groups: HashMap<u32, Group>,
    tablet: Option<u64>,
    good: Vec<u64>,
    other: Vec<u64>,
}

impl TabletMapBuilder {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a table; the partitions that follow are its own.
    pub fn table(&mut self, database: &str, name: &str, min_load_replicas: Option<u16>) {
        let shared = self.map.tables.last().map(|table| table.database.clone()).filter(|last| **last == *database);
        self.map.tables.push(Table {
            database: shared.unwrap_or_else(|| Arc::from(database)),
            name: name.into(),
            min_load_replicas,
            partitions: Vec::new(),
        });
    }

    /// Adds a partition whose tablets are healthy by the statistics.
    pub fn healthy(&mut self, partition: PlacedPartition, tablets: u32) {
        self.push(partition, Tablets::Healthy { count: tablets });
    }

    /// Adds a partition of whose tablets nothing is known.
    pub fn unknown(&mut self, partition: PlacedPartition, tablets: u32) {
        self.push(partition, Tablets::Unknown { count: tablets });
    }

    /// Adds a partition with its replicas: rows of tablet, backend and whether the replica is good.
    /// The rows of one tablet come one after another, as Doris gives them; a row without backend
    /// stands for a missing replica. A tablet whose rows are torn apart counts as several with fewer
    /// replicas each, which makes rules stricter, never laxer.
    pub fn placed(&mut self, partition: PlacedPartition, rows: impl IntoIterator<Item = (u64, Option<u64>, bool)>) {
        let mut reading = Rows::default();
        for (tablet, backend, good) in rows {
            if reading.tablet != Some(tablet) {
                self.flush(&mut reading);
                reading.tablet = Some(tablet);
            }
            let Some(backend) = backend else { continue };
            if good { reading.good.push(backend) } else { reading.other.push(backend) }
        }
        self.flush(&mut reading);
        let mut groups: Vec<Group> = reading.groups.into_values().collect();
        groups.sort_unstable_by_key(|group| group.example);
        self.push(partition, Tablets::Placed(PlacedTablets(groups.into_boxed_slice())));
    }

    /// The map, complete.
    pub fn finish(mut self) -> TabletMap {
        self.map.tables.shrink_to_fit();
        self.map.placements.shrink_to_fit();
        self.map
    }

    fn flush(&mut self, reading: &mut Rows) {
        let Some(tablet) = reading.tablet.take() else { return };
        reading.good.sort_unstable();
        reading.other.sort_unstable();
        let placement = Placement { good: reading.good.as_slice().into(), other: reading.other.as_slice().into() };
        reading.good.clear();
        reading.other.clear();
        let placement = self.intern(placement);
        let group = reading.groups.entry(placement).or_insert(Group { placement, count: 0, example: tablet });
        group.count = group.count.saturating_add(1);
        group.example = group.example.min(tablet);
    }

    fn intern(&mut self, placement: Placement) -> u32 {
        if let Some(known) = self.known.get(&placement) {
            return *known;
        }
        let number = u32::try_from(self.map.placements.len()).expect("memory ends before four billion placements");
        self.map.placements.push(placement.clone());
        self.known.insert(placement, number);
        number
    }

    fn push(&mut self, partition: PlacedPartition, tablets: Tablets) {
        let wanted = partition.allocation;
        let allocation = self.allocations.entry(wanted.clone()).or_insert_with(|| Arc::new(wanted)).clone();
        let partition = Partition { name: partition.name.into(), kind: partition.kind, allocation, medium: partition.medium, tablets };
        if self.map.tables.is_empty() {
            self.table("", "", None);
        }
        if let Some(table) = self.map.tables.last_mut() {
            table.partitions.push(partition);
        }
    }
}
