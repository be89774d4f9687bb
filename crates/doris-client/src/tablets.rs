//! Databases, tables, partitions and where their replicas lie.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::literal::{double_quoted, identifier};
use crate::session::{SLOW_STATEMENT_LIMIT, Session};
use crate::table::{Row, Table};

/// Databases that Doris keeps no tablets in.
const VIRTUAL: [&str; 2] = ["information_schema", "mysql"];

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Doris' id.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// A table that stores tablets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTable {
    /// Doris' id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Indexes: the base table and its rollups.
    pub indexes: u32,
    /// Whether it is a materialized view, which has no temporary partitions.
    pub is_view: bool,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    /// Doris' id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Tablets of each index.
    pub buckets: u32,
    /// Replicas by `tag.location`.
    pub allocation: BTreeMap<String, u16>,
    /// `SSD` or `HDD`, what its tablets should lie on.
    pub medium: Option<String>,
}

/// A replica of a tablet, or the lack of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaRow {
    /// The tablet.
    pub tablet: u64,
    /// The backend; none where a replica is missing.
    pub backend: Option<u64>,
    /// `OK`, `DEAD`, `VERSION_ERROR`, `MISSING`, `SCHEMA_ERROR`, `BAD` or `DROP`.
    pub status: String,
    /// `NORMAL`, `CLONE`, `DECOMMISSION`, ...
    pub state: String,
}

impl ReplicaRow {
    /// Whether it is complete and stays: one in the making is not there yet, and one that the
    /// scheduler is about to remove counts for nothing.
    pub fn is_good(&self) -> bool {
        self.status == "OK" && !["CLONE", "DECOMMISSION"].contains(&self.state.as_str())
    }
}

/// Share of a backend in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaShare {
    /// The backend.
    pub backend: u64,
    /// Its replicas of the table.
    pub replicas: u64,
    /// Their bytes, where the server tells.
    pub bytes: Option<u64>,
}

/// Where a tablet belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabletHome {
    /// Its database.
    pub database: String,
    /// Its table.
    pub table: String,
    /// Its partition.
    pub partition: String,
}

/// A tablet in the hands of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledTablet {
    /// The tablet.
    pub tablet: u64,
    /// `REPAIR` or `BALANCE`.
    pub kind: String,
    /// What is wrong with it, for example `REPLICA_RELOCATING`.
    pub status: String,
    /// Where its new replica goes, if that is settled.
    pub destination: Option<u64>,
    /// How often it could not be scheduled, and how often its task failed.
    pub failures: (u32, u32),
    /// Why, else empty.
    pub error: String,
}

/// A list of the tablet scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Tablets that wait.
    Pending,
    /// Tablets that are copied.
    Running,
}

impl Session {
    /// The databases that store tablets.
    pub async fn databases(&mut self) -> Result<Vec<Database>, Error> {
        let all = self
            .table("SHOW PROC /dbs", r#"SHOW PROC "/dbs""#)
            .await?
            .read(|row| Ok(Database { id: row.required_number("DbId")?, name: plain(row.required("DbName")?).to_owned() }))?;
        Ok(all.into_iter().filter(|database| !VIRTUAL.contains(&database.name.as_str())).collect())
    }

    /// The tables of a database that store tablets; views and foreign tables are left out.
    pub async fn stored_tables(&mut self, database: i64) -> Result<Vec<StoredTable>, Error> {
        let statement = format!("SHOW PROC {}", double_quoted(&format!("/dbs/{database}")));
        let all = self.table("SHOW PROC /dbs/<id>", &statement).await?.read(|row| {
            let kind = row.required("Type")?;
            let is_view = kind == "MATERIALIZED_VIEW";
            let table = StoredTable {
                id: row.required_number("TableId")?,
                name: row.required("TableName")?.to_owned(),
                indexes: row.number("IndexNum")?.unwrap_or(1),
                is_view,
            };
            Ok((kind == "OLAP" || is_view).then_some(table))
        })?;
        Ok(all.into_iter().flatten().collect())
    }

    /// The partitions of a table; a table without partitioning has one of its own name.
    pub async fn partitions(&mut self, database: i64, table: i64, temporary: bool) -> Result<Vec<PartitionRow>, Error> {
        let kind = if temporary { "temp_partitions" } else { "partitions" };
        let statement = format!("SHOW PROC {}", double_quoted(&format!("/dbs/{database}/{table}/{kind}")));
        self.table("SHOW PROC /dbs/<id>/<id>/partitions", &statement).await?.read(|row| {
            Ok(PartitionRow {
                id: row.required_number("PartitionId")?,
                name: row.required("PartitionName")?.to_owned(),
                buckets: row.required_number("Buckets")?,
                allocation: allocation(row)?,
                medium: row.text("StorageMedium").filter(|text| !text.is_empty()).map(str::to_owned),
            })
        })
    }

    /// Every replica of a table, or of some of its partitions. One row a replica: ask for a few
    /// thousand at a time. Temporary partitions cannot be asked for.
    pub async fn replicas(&mut self, database: &str, table: &str, partitions: &[&str]) -> Result<Vec<ReplicaRow>, Error> {
        const WHAT: &str = "ADMIN SHOW REPLICA STATUS";
        let names: Vec<String> = partitions.iter().map(|name| identifier(name)).collect();
        let clause = if names.is_empty() { String::new() } else { format!(" PARTITION ({})", names.join(", ")) };
        let statement = format!("{WHAT} FROM {}.{}{clause}", identifier(database), identifier(table));
        let answer = self.run_within(&statement, SLOW_STATEMENT_LIMIT).await?;
        Table::new(WHAT, answer)?.read(|row| {
            Ok(ReplicaRow {
                tablet: row.required_number("TabletId")?,
                backend: identity(row, "BackendId")?,
                status: row.required("Status")?.to_owned(),
                state: row.text("State").unwrap_or_default().to_owned(),
            })
        })
    }

    /// How many replicas of a table each backend has: one row a backend, whatever the table's size.
    pub async fn replica_shares(&mut self, database: &str, table: &str) -> Result<Vec<ReplicaShare>, Error> {
        const WHAT: &str = "ADMIN SHOW REPLICA DISTRIBUTION";
        let statement = format!("{WHAT} FROM {}.{}", identifier(database), identifier(table));
        self.table(WHAT, &statement).await?.read(|row| {
            Ok(ReplicaShare {
                backend: row.required_number("BackendId")?,
                replicas: row.required_number("ReplicaNum")?,
                // Bytes or a size with a unit, by version.
                bytes: row.size("ReplicaSize").unwrap_or_default(),
            })
        })
    }

    /// The tablets of a database that are not healthy, by what Doris calls their state, for example
    /// `ReplicaMissing`. Walks over every tablet of the database.
    pub async fn unhealthy_tablets(&mut self, database: i64) -> Result<BTreeMap<String, Vec<u64>>, Error> {
        const WHAT: &str = "SHOW PROC /cluster_health/tablet_health/<id>";
        let statement = format!("SHOW PROC {}", double_quoted(&format!("/cluster_health/tablet_health/{database}")));
        let answer = self.run_within(&statement, SLOW_STATEMENT_LIMIT).await?;
        let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for cells in Table::new(WHAT, answer)?
            .read(|row| Ok(row.cells().map(|(name, text)| (name.to_owned(), text.to_owned())).collect::<Vec<_>>()))?
        {
            for (column, text) in cells {
                // Oversize and inconsistent ones are healthy as far as their replicas go.
                let Some(status) = column.strip_suffix("Tablets").filter(|name| !["Inconsistent", "Oversize"].contains(name)) else {
                    continue;
                };
                let ids: Result<Vec<u64>, _> =
                    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|id| !id.is_empty()).map(str::parse).collect();
                let ids = ids.map_err(|_| crate::table::malformed(WHAT, format!("{text:?} under {column} is no list of ids")))?;
                if !ids.is_empty() {
                    all.entry(status.to_owned()).or_default().extend(ids);
                }
            }
        }
        Ok(all)
    }

    /// Where a tablet belongs; nothing if there is no such tablet.
    pub async fn tablet_home(&mut self, tablet: u64) -> Result<Option<TabletHome>, Error> {
        let rows = self.table("SHOW TABLET", &format!("SHOW TABLET {tablet}")).await?.read(|row| {
            // An unknown tablet has a row as well, of NULL and -1.
            let names = (row.text("DbName"), row.text("TableName"), row.text("PartitionName"));
            let (Some(database), Some(table), Some(partition)) = names else { return Ok(None) };
            Ok(Some(TabletHome { database: plain(database).to_owned(), table: table.to_owned(), partition: partition.to_owned() }))
        })?;
        Ok(rows.into_iter().flatten().next())
    }

    /// What the tablet scheduler has on a list.
    pub async fn scheduled_tablets(&mut self, queue: Queue) -> Result<Vec<ScheduledTablet>, Error> {
        let (what, statement) = match queue {
            Queue::Pending => ("SHOW PROC /cluster_balance/pending_tablets", r#"SHOW PROC "/cluster_balance/pending_tablets""#),
            Queue::Running => ("SHOW PROC /cluster_balance/running_tablets", r#"SHOW PROC "/cluster_balance/running_tablets""#),
        };
        self.table(what, statement).await?.read(|row| {
            Ok(ScheduledTablet {
                tablet: row.required_number("TabletId")?,
                kind: row.text("Type").unwrap_or_default().to_owned(),
                status: row.text("Status").unwrap_or_default().to_owned(),
                destination: identity(row, "DestBe")?,
                failures: (row.number("FailedSched")?.unwrap_or(0), row.number("FailedRunning")?.unwrap_or(0)),
                error: row.text("ErrMsg").unwrap_or_default().to_owned(),
            })
        })
    }
}

/// Without the prefix that older servers write before the names of databases.
pub(crate) fn plain(name: &str) -> &str {
    name.strip_prefix("default_cluster:").unwrap_or(name)
}

/// An id, where Doris writes -1 for none.
fn identity(row: Row<'_>, column: &'static str) -> Result<Option<u64>, Error> {
    let number: Option<i64> = row.number(column)?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

fn allocation(row: Row<'_>) -> Result<BTreeMap<String, u16>, Error> {
    match row.text("ReplicaAllocation").map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => parse_allocation(text).ok_or_else(|| row.malformed(format!("{text:?} is no replica allocation"))),
        None => Ok(BTreeMap::from([("default".to_owned(), row.required_number("ReplicationNum")?)])),
    }
}

/// `tag.location.default: 3, tag.location.hot: 1`.
pub(crate) fn parse_allocation(text: &str) -> Option<BTreeMap<String, u16>> {
    let pair = |part: &str| {
        let (tag, number) = part.trim().rsplit_once(':')?;
        let tag = tag.trim().trim_matches('"');
        Some((tag.strip_prefix("tag.location.").unwrap_or(tag).to_owned(), number.trim().parse().ok()?))
    };
    text.split(',').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::parse_allocation;

    #[test]
    fn allocations_are_read_by_tag() {
        let pairs = |list: &[(&str, u16)]| Some(list.iter().map(|(tag, number)| ((*tag).to_owned(), *number)).collect());
        assert_eq!(parse_allocation("tag.location.default: 3"), pairs(&[("default", 3)]));
        assert_eq!(parse_allocation("tag.location.a: 1, tag.location.b: 2"), pairs(&[("a", 1), ("b", 2)]));
        assert_eq!(parse_allocation("three"), None);
        assert_eq!(parse_allocation("tag.location.a: 99999"), None);
    }
}
