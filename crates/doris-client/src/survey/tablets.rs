//! Which tables there are, which tablets are unwell, and where the others lie.

use std::collections::{BTreeMap, BTreeSet};

use doris_safety::{Allocation, Health, PartitionKind, PlacedPartition, TabletMap, TabletMapBuilder, Unhealthy};

use super::cluster::medium;
use crate::error::Error;
use crate::session::Session;
use crate::tablets::{Database, PartitionRow, StoredTable};

/// Rows of replicas that one statement brings at most, about: some megabytes while it is read.
const ROWS: u64 = 10_000;

/// Unhealthy tablets of a database that are looked up one by one; with more, all its tables are read.
const LOOKUPS: usize = 100;

/// Which tables and partitions there are. One statement or two for each table, so it may be kept
/// for some minutes where a rule only asks whether data stays readable; before anything is
/// destroyed it is read afresh.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    databases: Vec<Database>,
    tables: Vec<CatalogTable>,
}

#[derive(Clone, Debug)]
struct CatalogTable {
    database: String,
    table: StoredTable,
    partitions: Vec<PartitionRow>,
    temporary: Vec<PartitionRow>,
}

impl Catalog {
    /// Reads all tables.
    pub async fn read(session: &mut Session) -> Result<Self, Error> {
        let databases = session.databases().await?;
        let mut tables = Vec::new();
        for database in &databases {
            for table in session.stored_tables(database.id).await? {
                let partitions = session.partitions(database.id, table.id, false).await?;
                let temporary = if table.is_view { Vec::new() } else { session.partitions(database.id, table.id, true).await? };
                tables.push(CatalogTable { database: database.name.clone(), table, partitions, temporary });
            }
        }
        Ok(Self { databases, tables })
    }

    /// The databases that store tablets.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }
}

/// Unhealthy tablets: the sums of all databases, then the ids of those that have any.
pub async fn health(session: &mut Session) -> Result<Health, Error> {
    let sums = session.tablet_health().await?;
    let mut health = Health { unhealthy: Vec::new(), tablets: sums.iter().map(|sum| sum.tablets).sum() };
    for sum in sums.iter().filter(|sum| sum.healthy < sum.tablets) {
        let tablets = session.unhealthy_tablets(sum.database_id).await?;
        let database = &sum.database;
        health.unhealthy.extend(tablets.into_iter().map(|(status, tablets)| Unhealthy { database: database.clone(), status, tablets }));
    }
    Ok(health)
}

/// Which partitions of a database may have unhealthy tablets.
enum Suspects {
    All,
    Some(BTreeSet<(String, String)>),
}

impl Suspects {
    fn has(&self, table: &str, partition: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(&(table.to_owned(), partition.to_owned())),
        }
    }
}

/// Where tablets lie, as far as it matters when so many backends go or are not well
/// ([`doris_safety::away`]): healthy partitions with enough replicas for that are spared a look.
pub async fn tablets(session: &mut Session, catalog: &Catalog, health: &Health, away: usize) -> Result<TabletMap, Error> {
    let suspects = suspects(session, health).await?;
    let mut builder = TabletMapBuilder::new();
    for entry in &catalog.tables {
        builder.table(&entry.database, &entry.table.name, None);
        let is_suspect = |row: &PartitionRow| suspects.get(&entry.database).is_some_and(|names| names.has(&entry.table.name, &row.name));
        let (mut place, mut spare) = (Vec::new(), Vec::new());
        for row in &entry.partitions {
            let needed = is_suspect(row) || TabletMap::needs_placing(&allocation(row), None, away);
            if needed { place.push(row) } else { spare.push(row) }
        }
        for row in spare {
            builder.healthy(facts(row, PartitionKind::Regular, row.name.clone()), tablets_of(row, &entry.table));
        }
        let is_whole = place.len() == entry.partitions.len();
        let batches = batches(&place, entry.table.indexes);
        for batch in &batches {
            let names: Vec<&str> =
                if is_whole && batches.len() == 1 { Vec::new() } else { batch.iter().map(|row| row.name.as_str()).collect() };
            let replicas = session.replicas(&entry.database, &entry.table.name, &names).await?;
            let rows = replicas.iter().map(|replica| (replica.tablet, replica.backend, replica.is_good()));
            if let Some(first) = batch.first() {
                builder.placed(facts(first, PartitionKind::Regular, label(batch)), rows);
            }
        }
        for row in &entry.temporary {
            // No statement tells where the tablets of a temporary partition lie and which are bad.
            let facts = facts(row, PartitionKind::Temporary, row.name.clone());
            let count = tablets_of(row, &entry.table);
            if is_suspect(row) { builder.unknown(facts, count) } else { builder.healthy(facts, count) }
        }
    }
    Ok(builder.finish())
}

async fn suspects(session: &mut Session, health: &Health) -> Result<BTreeMap<String, Suspects>, Error> {
    let mut ids: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for one in &health.unhealthy {
        ids.entry(&one.database).or_default().extend(&one.tablets);
    }
    let mut suspects = BTreeMap::new();
    for (database, tablets) in ids {
        let names = if tablets.len() > LOOKUPS {
            Suspects::All
        } else {
            let mut names = BTreeSet::new();
            for tablet in tablets {
                // One that is gone meanwhile needs no look.
                names.extend(session.tablet_home(tablet).await?.map(|home| (home.table, home.partition)));
            }
            Suspects::Some(names)
        };
        suspects.insert(database.to_owned(), names);
    }
    Ok(suspects)
}

/// Partitions that are read with one statement: of one allocation, since the rows do not tell theirs.
fn batches<'a>(rows: &[&'a PartitionRow], indexes: u32) -> Vec<Vec<&'a PartitionRow>> {
    let mut batches: Vec<(u64, Vec<&PartitionRow>)> = Vec::new();
    for row in rows {
        let replicas: u64 = row.allocation.values().map(|number| u64::from(*number)).sum();
        let size = u64::from(row.buckets) * u64::from(indexes.max(1)) * replicas.max(1);
        let open = batches.iter_mut().find(|(sum, batch)| {
            batch.first().is_some_and(|first| first.allocation == row.allocation && first.medium == row.medium)
                && sum.saturating_add(size) <= ROWS
        });
        match open {
            Some((sum, batch)) => {
                *sum += size;
                batch.push(row);
            }
            None => batches.push((size, vec![row])),
        }
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// `p1` for one, `p1 to p40 (40)` for several.
fn label(batch: &[&PartitionRow]) -> String {
    match batch {
        [] => String::new(),
        [one] => one.name.clone(),
        [first, .., last] => format!("{} to {} ({})", first.name, last.name, batch.len()),
    }
}

fn facts(row: &PartitionRow, kind: PartitionKind, name: String) -> PlacedPartition {
    PlacedPartition { name, kind, allocation: allocation(row), medium: row.medium.as_deref().and_then(medium) }
}

fn allocation(row: &PartitionRow) -> Allocation {
    Allocation::new(row.allocation.clone())
}

fn tablets_of(row: &PartitionRow, table: &StoredTable) -> u32 {
    row.buckets.saturating_mul(table.indexes.max(1))
}
