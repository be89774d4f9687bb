//! The tablet checker's verdicts.

use std::collections::BTreeSet;

use super::colocate::Group;
use super::tables::{Partition, Replica, Table, Tablet};
use super::{Backend, Catalog};

/// Verdict of the tablet checker, by the column it is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TabletHealth {
    Healthy,
    ReplicaMissing,
    VersionIncomplete,
    ReplicaRelocating,
    Redundant,
    ReplicaMissingForTag,
    ForceRedundant,
    ColocateMismatch,
    ColocateRedundant,
    Unrecoverable,
}

impl TabletHealth {
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::ReplicaMissing => "REPLICA_MISSING",
            Self::VersionIncomplete => "VERSION_INCOMPLETE",
            Self::ReplicaRelocating => "REPLICA_RELOCATING",
            Self::Redundant => "REDUNDANT",
            Self::ReplicaMissingForTag => "REPLICA_MISSING_FOR_TAG",
            Self::ForceRedundant => "FORCE_REDUNDANT",
            Self::ColocateMismatch => "COLOCATE_MISMATCH",
            Self::ColocateRedundant => "COLOCATE_REDUNDANT",
            Self::Unrecoverable => "UNRECOVERABLE",
        }
    }
}

/// A tablet where it belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub table: &'a Table,
    pub partition: &'a Partition,
    pub tablet: &'a Tablet,
    /// Its number within the partition.
    pub bucket: usize,
}

impl Place<'_> {
    /// What the checker says of this tablet in this catalog.
    pub fn health(&self, catalog: &Catalog) -> TabletHealth {
        let group = self.table.group.as_ref().and_then(|name| catalog.groups.get(name));
        match group {
            Some(group) => self.colocated(catalog, group),
            None => self.free(catalog),
        }
    }

    fn on<'c>(&self, catalog: &'c Catalog, fits: impl Fn(&Backend, &Replica) -> bool) -> BTreeSet<&'c str> {
        let known = self.tablet.replicas.iter().filter_map(|replica| Some((catalog.backends.get(&replica.backend)?, replica)));
        // Two copies on one machine count as one.
        known.filter(|(backend, replica)| backend.alive && !replica.bad && fits(backend, replica)).map(|(b, _)| b.host.as_str()).collect()
    }

    fn free(&self, catalog: &Catalog) -> TabletHealth {
        let (wanted, held, visible) = (self.partition.copies, self.tablet.replicas.len(), self.partition.visible);
        let living: BTreeSet<u64> = catalog.backends.values().filter(|b| b.alive && b.stores()).map(|b| b.id).collect();
        let alive = self.on(catalog, |_, _| true).len();
        let complete = self.on(catalog, |_, replica| replica.complete(visible)).len();
        let stable = self.on(catalog, |backend, replica| replica.complete(visible) && !backend.decommissioned).len();
        let placed = self.on(catalog, |b, r| r.complete(visible) && !b.decommissioned && b.location() == self.partition.location).len();
        if complete == 0 {
            return TabletHealth::Unrecoverable;
        }
        if alive < wanted {
            // No backend is left for a new copy before an absent one is given up.
            let cornered = held >= living.len() && living.len() >= wanted && wanted > 1;
            return if cornered { TabletHealth::ForceRedundant } else { TabletHealth::ReplicaMissing };
        }
        if complete < wanted {
            return TabletHealth::VersionIncomplete;
        }
        if stable < wanted {
            let holders: BTreeSet<u64> = self.tablet.replicas.iter().map(|replica| replica.backend).collect();
            let free: BTreeSet<u64> =
                catalog.backends.values().filter(|b| b.alive && b.stores() && !b.decommissioned).map(|b| b.id).collect();
            let cornered = holders.is_superset(&free) && free.len() >= wanted && wanted > 1;
            return if cornered { TabletHealth::ForceRedundant } else { TabletHealth::ReplicaRelocating };
        }
        if placed < wanted {
            return TabletHealth::ReplicaMissingForTag;
        }
        if held > wanted { TabletHealth::Redundant } else { TabletHealth::Healthy }
    }

    fn colocated(&self, catalog: &Catalog, group: &Group) -> TabletHealth {
        let visible = self.partition.visible;
        let wanted = group.sequence(self.bucket);
        let replica = |id: &u64| self.tablet.replicas.iter().find(|replica| replica.backend == *id);
        if self.on(catalog, |_, replica| replica.complete(visible)).is_empty() {
            return TabletHealth::Unrecoverable;
        }
        if !wanted.iter().all(|id| replica(id).is_some()) {
            return TabletHealth::ColocateMismatch;
        }
        let good = |id: &u64| replica(id).is_some_and(|r| r.complete(visible)) || catalog.backends.get(id).is_none_or(|b| !b.alive);
        if !wanted.iter().all(good) {
            return TabletHealth::VersionIncomplete;
        }
        if self.tablet.replicas.len() > wanted.len() { TabletHealth::ColocateRedundant } else { TabletHealth::Healthy }
    }
}

impl Catalog {
    /// Every tablet where it belongs, without those of dropped tables.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        self.databases.values().flat_map(|database| database.tables.values()).flat_map(places_of)
    }

    pub fn place(&self, tablet: u64) -> Option<Place<'_>> {
        self.places().find(|place| place.tablet.id == tablet)
    }
}

/// The tablets of one table.
pub(crate) fn places_of(table: &Table) -> impl Iterator<Item = Place<'_>> {
    table.partitions.iter().flat_map(move |partition| {
        partition.tablets.iter().enumerate().map(move |(bucket, tablet)| Place { table, partition, tablet, bucket })
    })
}
