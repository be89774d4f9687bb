//! Repositories, backups and restores, changes of tables.

use super::super::proc::alter_rows;
use super::super::{Context, Outcome, Run};
use crate::answer::{Rows, SqlError};
use crate::catalog::{AlterKind, SnapshotJob};
use crate::clock::{date_time, date_time_or_null};
use crate::snapshot::Tasks;

const REPOSITORIES: &[&str] = &["RepoId", "RepoName", "CreateTime", "IsReadOnly", "Location", "Broker", "Type", "ErrMsg"];

const BACKUP: &[&str] = &[
    "JobId",
    "SnapshotName",
    "DbName",
    "State",
    "BackupObjs",
    "CreateTime",
    "SnapshotFinishedTime",
    "UploadFinishedTime",
    "FinishedTime",
    "UnfinishedTasks",
    "Progress",
    "TaskErrMsg",
    "Status",
    "Timeout",
];

const RESTORE: &[&str] = &[
    "JobId",
    "Label",
    "Timestamp",
    "DbName",
    "State",
    "AllowLoad",
    "ReplicationNum",
    "ReplicaAllocation",
    "ReserveReplica",
    "ReserveDynamicPartitionEnable",
    "RestoreObjs",
    "CreateTime",
    "MetaPreparedTime",
    "SnapshotFinishedTime",
    "DownloadFinishedTime",
    "FinishedTime",
    "UnfinishedTasks",
    "Progress",
    "TaskErrMsg",
    "Status",
    "Timeout",
];

impl Context<'_> {
    pub(super) fn repositories(&self) -> Run {
        let mut rows = Rows::of_strings(REPOSITORIES);
        for repository in &self.catalog()?.repositories {
            let answers = self.state.stores.of(&repository.location).is_some_and(|store| store.answers);
            let error = (!answers).then(|| format!("{}: no answer", date_time(self.state.clock.now_ms())));
            rows.push(vec![
                Some(repository.id.to_string()),
                Some(repository.name.clone()),
                Some(date_time(repository.made_ms)),
                Some(repository.read_only.to_string()),
                Some(repository.location.clone()),
                Some("-".to_owned()),
                Some(repository.kind.clone()),
                error,
            ]);
        }
        Ok(Outcome::Rows(rows))
    }

    pub(super) fn snapshots(&self, database: Option<&String>, is_restore: bool, brief: bool) -> Run {
        let name = self.database(database)?;
        let all = if is_restore { RESTORE } else { BACKUP };
        let names: Vec<_> =
            all.iter().copied().filter(|name| !brief || !["RestoreObjs", "Progress", "TaskErrMsg"].contains(name)).collect();
        let mut rows = Rows::of_strings(&names);
        let fe = self.frontend()?;
        for job in fe.catalog.snapshots.iter().filter(|job| job.database_name == name && job.is_restore == is_restore) {
            rows.push(names.iter().map(|column| cell(job, fe.snapshots.get(&job.id), column)).collect());
        }
        Ok(Outcome::Rows(rows))
    }

    pub(super) fn saved(&self, repository: &str) -> Run {
        let known = self.catalog()?.repositories.iter().find(|known| known.name == *repository);
        let Some(known) = known else { return Err(SqlError::detail(format!("Repository {repository} does not exist"))) };
        let mut rows = Rows::of_strings(&["Snapshot", "Timestamp", "Status"]);
        let listed = self.state.stores.of(&known.location).filter(|store| store.answers).map(|store| store.listed(&known.location));
        for saved in listed.unwrap_or_default() {
            rows.push([saved.label.clone(), saved.timestamp.clone(), "OK".to_owned()].map(Some).to_vec());
        }
        Ok(Outcome::Rows(rows))
    }

    pub(super) fn alters(&self, kind: AlterKind, database: Option<&String>) -> Run {
        let name = self.database(database)?;
        let catalog = self.catalog()?;
        Ok(Outcome::Rows(alter_rows(catalog, catalog.database(&name).map_or(0, |database| database.id), kind)))
    }
}

fn cell(job: &SnapshotJob, tasks: Option<&Tasks>, column: &str) -> Option<String> {
    let state = tasks.map_or(job.state, |tasks| tasks.state);
    let left = |task: &crate::snapshot::Task| format!("[{}: 0/1]", task.number);
    Some(match column {
        "JobId" => job.id.to_string(),
        "SnapshotName" | "Label" => job.label.clone(),
        "DbName" => job.database_name.clone(),
        "State" => state.name().to_owned(),
        "Timestamp" => job.timestamp.clone(),
        "BackupObjs" | "RestoreObjs" => {
            job.tables.iter().map(|table| format!("[{}.{table}]", job.database_name)).collect::<Vec<_>>().join(", ")
        }
        "CreateTime" => date_time(job.created_ms),
        "MetaPreparedTime" | "SnapshotFinishedTime" => return date_time_or_null(job.snapshot_ms),
        "UploadFinishedTime" | "DownloadFinishedTime" => return date_time_or_null(job.transfer_ms),
        "FinishedTime" => return date_time_or_null(job.finished_ms),
        "UnfinishedTasks" => {
            let numbers = tasks.iter().flat_map(|tasks| &tasks.left).map(|task| task.number.to_string());
            numbers.collect::<Vec<_>>().join(", ")
        }
        "Progress" => tasks.iter().flat_map(|tasks| &tasks.left).map(left).collect::<Vec<_>>().join(", "),
        "Status" => job.status.clone(),
        "Timeout" => (job.timeout_ms / 1000).to_string(),
        "AllowLoad" | "ReserveReplica" | "ReserveDynamicPartitionEnable" => "false".to_owned(),
        "ReplicationNum" => job.restored.iter().flat_map(|table| &table.partitions).map(|p| p.copies).next().unwrap_or(3).to_string(),
        _ => String::new(),
    })
}
