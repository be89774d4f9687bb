//! Where tablets lie, in a form that keeps what rules need of hundreds of thousands of them.
//!
//! For every rule two tablets are alike if they belong to one partition and their replicas lie on
//! the same backends in the same state. So a partition keeps, for each such placement, a number
//! and one tablet as an example, and placements are kept once for the whole cluster. Nothing that
//! a rule needs is lost by this. The cost: 16 bytes for each placement in each partition (at most
//! one a tablet), about 100 for each placement in the cluster, the names of tables and partitions,
//! and nothing for partitions that are known to be healthy and need no closer look.

mod builder;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use doris_api::cluster::Medium;

pub use builder::{PlacedPartition, TabletMapBuilder};

/// How many replicas a partition has, by tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allocation {
    by_tag: BTreeMap<String, u16>,
}

impl Allocation {
    /// From pairs of a tag and a number; a tag that comes twice counts twice.
    pub fn new<S: Into<String>>(pairs: impl IntoIterator<Item = (S, u16)>) -> Self {
        let mut by_tag: BTreeMap<String, u16> = BTreeMap::new();
        for (tag, number) in pairs {
            let entry = by_tag.entry(tag.into()).or_default();
            *entry = entry.saturating_add(number);
        }
        by_tag.retain(|_, number| *number > 0);
        Self { by_tag }
    }

    /// Replicas in all.
    pub fn replicas(&self) -> usize {
        self.by_tag.values().map(|number| usize::from(*number)).sum()
    }

    /// Each tag with its number.
    pub fn tags(&self) -> impl Iterator<Item = (&str, usize)> {
        self.by_tag.iter().map(|(tag, number)| (tag.as_str(), usize::from(*number)))
    }

    /// Complete replicas that a load needs: a majority, or what the table says.
    pub fn load_quorum(&self, table_says: Option<u16>) -> usize {
        match table_says {
            Some(number) if number > 0 => usize::from(number).min(self.replicas()),
            _ => self.replicas() / 2 + 1,
        }
    }
}

/// `tag.location.default: 3`, as Doris writes it and as `ALTER TABLE` takes it.
impl fmt::Display for Allocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (tag, number)) in self.by_tag.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}tag.location.{tag}: {number}")?;
        }
        Ok(())
    }
}

/// The backends that hold replicas of a tablet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// Those whose replica is complete and good, if the backend is alive.
    pub good: Box<[u64]>,
    /// Those whose replica is behind, bad, in the making or about to be removed.
    pub other: Box<[u64]>,
}

impl Placement {
    /// Whether a backend holds any replica.
    pub fn is_on(&self, backend: u64) -> bool {
        self.good.contains(&backend) || self.other.contains(&backend)
    }

    /// Good replicas on backends of a set.
    pub fn good_among(&self, backends: &BTreeSet<u64>) -> usize {
        self.good.iter().filter(|backend| backends.contains(backend)).count()
    }
}

/// Tablets of one partition with one placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub placement: u32,
    pub count: u32,
    pub example: u64,
}

/// What is known of a partition's tablets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tablets {
    /// The statistics say that each has all its replicas, alive and complete; where was not read.
    Healthy {
        /// How many.
        count: u32,
    },
    /// Neither where they lie nor whether they are healthy was read.
    Unknown {
        /// How many.
        count: u32,
    },
    /// Where each lies was read.
    Placed(PlacedTablets),
}

/// Tablets whose placement was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacedTablets(Box<[Group]>);

/// Whether a partition is a regular one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionKind {
    /// A regular one.
    #[default]
    Regular,
    /// A temporary one.
    Temporary,
}

/// A partition, or several of one table with the same allocation that were read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub name: Box<str>,
    /// Whether it is temporary.
    pub kind: PartitionKind,
    /// Replicas by tag.
    pub allocation: Arc<Allocation>,
    /// Medium that its tablets should lie on, if known.
    pub medium: Option<Medium>,
    /// Its tablets.
    pub tablets: Tablets,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its database.
    pub database: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// `min_load_replica_num`, where it is set; from 2.1.
    pub min_load_replicas: Option<u16>,
    /// Its partitions.
    pub partitions: Vec<Partition>,
}

impl Table {
    /// The table as a person writes it, `database.table`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// A partition of it as a person writes it; a table without partitions has one of its own name.
    pub fn partition_name(&self, partition: &Partition) -> String {
        let kind = if partition.kind == PartitionKind::Temporary { "temporary partition" } else { "partition" };
        if partition.name == self.name { self.full_name() } else { format!("{} {kind} {}", self.full_name(), partition.name) }
    }
}

impl Table {
    /// The statement that gives a partition other replicas.
    pub(crate) fn alter_replicas(&self, partition: &Partition, allocation: &Allocation) -> String {
        let set = format!("SET (\"replication_allocation\" = \"{allocation}\")");
        if partition.name == self.name {
            return format!("ALTER TABLE {} {set}", self.full_name());
        }
        // Several that were read together have a name of several words.
        let which = if partition.name.contains(' ') { "*" } else { &partition.name };
        format!("ALTER TABLE {} MODIFY PARTITION ({which}) {set}", self.full_name())
    }
}

/// All tables of a cluster.
#[derive(Clone, Debug, Default)]
pub struct TabletMap {
    tables: Vec<Table>,
    placements: Vec<Placement>,
}

impl TabletMap {
    /// The tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Every table with each of its partitions.
    pub fn partitions(&self) -> impl Iterator<Item = (&Table, &Partition)> {
        self.tables.iter().flat_map(|table| table.partitions.iter().map(move |partition| (table, partition)))
    }

    /// Placements of a partition's tablets, with how many tablets have each and one of them;
    /// nothing where the placement was not read.
    pub fn placed<'a>(&'a self, partition: &'a Partition) -> impl Iterator<Item = (&'a Placement, u32, u64)> {
        let groups = match &partition.tablets {
            Tablets::Placed(PlacedTablets(groups)) => &groups[..],
            Tablets::Healthy { .. } | Tablets::Unknown { .. } => &[],
        };
        groups.iter().filter_map(|group| {
            let placement = self.placements.get(usize::try_from(group.placement).ok()?)?;
            Some((placement, group.count, group.example))
        })
    }

    pub(crate) fn groups(partition: &Partition) -> &[Group] {
        match &partition.tablets {
            Tablets::Placed(PlacedTablets(groups)) => groups,
            Tablets::Healthy { .. } | Tablets::Unknown { .. } => &[],
        }
    }

    /// Tablets in all.
    pub fn tablets(&self) -> u64 {
        let of = |partition: &Partition| match &partition.tablets {
            Tablets::Healthy { count } | Tablets::Unknown { count } => u64::from(*count),
            Tablets::Placed(PlacedTablets(groups)) => groups.iter().map(|group| u64::from(group.count)).sum(),
        };
        self.partitions().map(|(_, partition)| of(partition)).sum()
    }

    /// Replicas seen on a backend; those of healthy partitions that were not looked into are not among them.
    pub fn replicas_on(&self, backend: u64) -> u64 {
        let of =
            |partition| self.placed(partition).filter(|(placement, _, _)| placement.is_on(backend)).map(|(_, count, _)| u64::from(count));
        self.partitions().flat_map(|(_, partition)| of(partition)).sum()
    }

    /// Whether the tablets of every partition were placed.
    pub fn is_placed_throughout(&self) -> bool {
        self.partitions().all(|(_, partition)| matches!(partition.tablets, Tablets::Placed(_)))
    }

    /// Bytes that this takes, about.
    pub fn memory(&self) -> usize {
        let partition = |partition: &Partition| size_of::<Partition>() + partition.name.len() + size_of_val(Self::groups(partition));
        let table = |table: &Table| size_of::<Table>() + table.name.len() + table.partitions.iter().map(partition).sum::<usize>();
        let placement = |placement: &Placement| size_of::<Placement>() + size_of_val(&*placement.good) + size_of_val(&*placement.other);
        self.tables.iter().map(table).sum::<usize>() + self.placements.iter().map(placement).sum::<usize>()
    }

    /// Whether the tablets of a healthy partition have to be placed before backends may go away:
    /// `away` counts the ones that go and the ones that are not well anyway. Where enough replicas
    /// are left even if every one of those held one, a closer look is spared.
    pub fn needs_placing(allocation: &Allocation, min_load_replicas: Option<u16>, away: usize) -> bool {
        allocation.replicas().saturating_sub(away) < allocation.load_quorum(min_load_replicas).max(1)
    }
}

#[cfg(test)]
mod tests;
