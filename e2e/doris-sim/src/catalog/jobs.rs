//! Repositories, and jobs that go on for a while: backups, restores, changes of tables.

use serde::{Deserialize, Serialize};

use super::{Catalog, Op, Table};

/// Backups and restores of one database that are listed.
const LISTED: usize = 10;

/// A place in an object store that snapshots are kept in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Repository {
    pub id: u64,
    pub name: String,
    pub kind: String,
    pub location: String,
    pub read_only: bool,
    pub made_ms: i64,
}

/// How far a backup or restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SnapshotState {
    Pending,
    Snapshoting,
    UploadSnapshot,
    Uploading,
    SaveMeta,
    UploadInfo,
    Download,
    Downloading,
    Commit,
    Committing,
    Finished,
    Cancelled,
}

impl SnapshotState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Snapshoting => "SNAPSHOTING",
            Self::UploadSnapshot => "UPLOAD_SNAPSHOT",
            Self::Uploading => "UPLOADING",
            Self::SaveMeta => "SAVE_META",
            Self::UploadInfo => "UPLOAD_INFO",
            Self::Download => "DOWNLOAD",
            Self::Downloading => "DOWNLOADING",
            Self::Commit => "COMMIT",
            Self::Committing => "COMMITTING",
            Self::Finished => "FINISHED",
            Self::Cancelled => "CANCELLED",
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// A backup or restore.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotJob {
    pub id: u64,
    pub is_restore: bool,
    pub database: u64,
    pub database_name: String,
    pub label: String,
    pub repository: String,
    /// Which snapshot of that label a restore brings back.
    pub timestamp: String,
    pub tables: Vec<String>,
    pub state: SnapshotState,
    pub created_ms: i64,
    /// When its snapshots were made, and when their data was up in the store, or down from it; 0 if it is not so far.
    pub snapshot_ms: i64,
    pub transfer_ms: i64,
    pub finished_ms: i64,
    pub timeout_ms: i64,
    pub status: String,
    /// Tables that a restore is about to make.
    pub restored: Vec<Table>,
}

/// What a change of a table makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AlterKind {
    SchemaChange,
    Rollup,
}

/// How far a change of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AlterState {
    Pending,
    WaitingTxn,
    Running,
    Finished,
    Cancelled,
}

impl AlterState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::WaitingTxn => "WAITING_TXN",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Cancelled => "CANCELLED",
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Cancelled)
    }
}

/// A change of a table that rewrites its data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AlterJob {
    pub id: u64,
    pub kind: AlterKind,
    pub database: u64,
    pub table: u64,
    pub table_name: String,
    /// Name of the index that it makes.
    pub index: String,
    pub state: AlterState,
    pub created_ms: i64,
    pub finished_ms: i64,
    /// Loads with a lower number have to end first.
    pub watershed: u64,
    pub message: String,
}

impl Catalog {
    /// The backup or restore of a database that is not at its end.
    pub fn running_snapshot(&self, database: u64) -> Option<&SnapshotJob> {
        self.snapshots.iter().find(|job| job.database == database && !job.state.is_over())
    }

    /// The change of a table that is not at its end.
    pub fn running_alter(&self, table: u64) -> Option<&AlterJob> {
        self.alters.iter().find(|job| job.table == table && !job.state.is_over())
    }

    pub(super) fn apply_job(&mut self, op: &Op) {
        match op {
            Op::Repository(repository) => {
                self.used(repository.id);
                self.repositories.push(repository.clone());
            }
            Op::DropRepository { name } => self.repositories.retain(|repository| repository.name != *name),
            Op::Snapshot(job) => {
                self.used(job.id);
                let replicas = job.restored.iter().flat_map(Table::tablets).flat_map(|(_, tablet)| &tablet.replicas);
                if let Some(highest) = replicas.map(|replica| replica.id).max() {
                    self.used(highest);
                }
                match self.snapshots.iter_mut().find(|known| known.id == job.id) {
                    Some(known) if known.state.is_over() => {}
                    Some(known) => known.clone_from(job),
                    None => self.snapshots.push((**job).clone()),
                }
                let listed = self.snapshots.iter().filter(|known| known.database == job.database).count();
                // One that runs is never forgotten.
                let oldest = self.snapshots.iter().position(|known| known.database == job.database && known.state.is_over());
                if let Some(oldest) = oldest.filter(|_| listed > LISTED) {
                    self.snapshots.remove(oldest);
                }
            }
            Op::Alter(job) => {
                self.used(job.id);
                match self.alters.iter_mut().find(|known| known.id == job.id) {
                    Some(known) if known.state.is_over() => {}
                    Some(known) => known.clone_from(job),
                    None => self.alters.push((**job).clone()),
                }
            }
            _ => {}
        }
    }
}
