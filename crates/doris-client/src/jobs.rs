//! Jobs of Doris that are not at their end.

use crate::error::Error;
use crate::literal::{double_quoted, identifier};
use crate::session::Session;
use crate::table::{Row, Table};

/// A backup or restore that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningBackup {
    /// Doris' id.
    pub id: i64,
    /// Whether it restores.
    pub is_restore: bool,
    /// Label of the snapshot; two restores of one snapshot have the same.
    pub label: String,
    /// For example `UPLOADING`.
    pub state: String,
    /// How far it is, in Doris' words.
    pub progress: String,
}

/// A schema change or rollup that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningAlter {
    /// Doris' id.
    pub id: i64,
    /// Table.
    pub table: String,
    /// For example `RUNNING`.
    pub state: String,
    /// When it was made, in the session's time zone.
    pub created: Option<String>,
}

/// Jobs of a kind, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// `load`, `rollup`, `schema_change`, `export`, ...
    pub kind: String,
    /// Those that wait.
    pub pending: u64,
    /// Those that run.
    pub running: u64,
}

/// A group of tables that lie bucket by bucket on the same backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColocationGroup {
    /// Its name.
    pub name: String,
    /// Replicas by `tag.location`.
    pub allocation: std::collections::BTreeMap<String, u16>,
    /// Whether every bucket is where it should be.
    pub stable: bool,
    /// Why it is not, else empty.
    pub error: String,
}

impl Session {
    /// Has this session's times written in UTC, so that they can be compared with others.
    pub async fn use_utc(&mut self) -> Result<(), Error> {
        self.run("SET time_zone = '+00:00'").await.map(drop)
    }

    /// The backup and the restores of a database that are not at their end. Doris lists the last
    /// ten jobs of a database; one that runs is always among them.
    pub async fn running_backups(&mut self, database: &str) -> Result<Vec<RunningBackup>, Error> {
        let from = format!("FROM {}", identifier(database));
        let backups = self.table("SHOW BACKUP", &format!("SHOW BACKUP {from}")).await?.read(|row| running(row, false))?;
        let restores = self.table("SHOW RESTORE", &format!("SHOW RESTORE {from}")).await?.read(|row| running(row, true))?;
        Ok(backups.into_iter().chain(restores).flatten().collect())
    }

    /// Jobs of a database, counted by kind.
    pub async fn job_counts(&mut self, database: i64) -> Result<Vec<JobCount>, Error> {
        let statement = format!("SHOW PROC {}", double_quoted(&format!("/jobs/{database}")));
        self.table("SHOW PROC /jobs/<id>", &statement).await?.read(|row| {
            Ok(JobCount {
                kind: row.required("JobType")?.to_owned(),
                pending: row.required_number("Pending")?,
                running: row.required_number("Running")?,
            })
        })
    }

    /// Schema changes and rollups of a database that are not at their end.
    pub async fn running_alters(&mut self, database: i64) -> Result<Vec<RunningAlter>, Error> {
        let counts = self.job_counts(database).await?;
        let mut all = Vec::new();
        for kind in ["schema_change", "rollup"] {
            // Finished ones stay in the list for days; it is read only where there is something in it.
            if !counts.iter().any(|count| count.kind == kind && count.pending + count.running > 0) {
                continue;
            }
            let statement = format!("SHOW PROC {}", double_quoted(&format!("/jobs/{database}/{kind}")));
            all.extend(alters(&self.table("SHOW PROC /jobs/<id>/<kind>", &statement).await?)?);
        }
        Ok(all)
    }

    /// The groups of tables that lie bucket by bucket on the same backends.
    pub async fn colocation_groups(&mut self) -> Result<Vec<ColocationGroup>, Error> {
        self.table("SHOW PROC /colocation_group", r#"SHOW PROC "/colocation_group""#).await?.read(|row| {
            let text = row.required("ReplicaAllocation")?;
            Ok(ColocationGroup {
                name: row.required("GroupName")?.to_owned(),
                allocation: crate::tablets::parse_allocation(text)
                    .ok_or_else(|| row.malformed(format!("{text:?} is no replica allocation")))?,
                stable: row.flag("IsStable")?,
                error: row.text("ErrorMsg").unwrap_or_default().to_owned(),
            })
        })
    }
}

fn is_over(state: &str) -> bool {
    ["FINISHED", "CANCELLED"].iter().any(|end| state.eq_ignore_ascii_case(end))
}

fn running(row: Row<'_>, is_restore: bool) -> Result<Option<RunningBackup>, Error> {
    let state = row.required("State")?;
    if is_over(state) {
        return Ok(None);
    }
    Ok(Some(RunningBackup {
        id: row.required_number("JobId")?,
        is_restore,
        label: row.required(if is_restore { "Label" } else { "SnapshotName" })?.to_owned(),
        state: state.to_owned(),
        progress: row.text("Progress").unwrap_or_default().to_owned(),
    }))
}

fn alters(table: &Table) -> Result<Vec<RunningAlter>, Error> {
    let rows = table.read(|row| {
        let state = row.required("State")?;
        if is_over(state) {
            return Ok(None);
        }
        Ok(Some(RunningAlter {
            id: row.required_number("JobId")?,
            table: row.required("TableName")?.to_owned(),
            state: state.to_owned(),
            created: row.text("CreateTime").filter(|time| !time.is_empty()).map(str::to_owned),
        }))
    })?;
    Ok(rows.into_iter().flatten().collect())
}
