//! Jobs of a database: loads, and changes of tables. Of the other kinds there are none.

use crate::answer::Rows;
use crate::catalog::{AlterJob, AlterKind, AlterState, Catalog, Database};
use crate::clock::{date_time, date_time_or_null};
use crate::sql::scheduling::running_loads;

const KINDS: [&str; 5] = ["load", "delete", "rollup", "schema_change", "export"];

const LOADS: &[&str] = &[
    "JobId",
    "Label",
    "State",
    "Progress",
    "Type",
    "EtlInfo",
    "TaskInfo",
    "ErrorMsg",
    "CreateTime",
    "EtlStartTime",
    "EtlFinishTime",
    "LoadStartTime",
    "LoadFinishTime",
    "URL",
    "JobDetails",
    "TransactionId",
    "ErrorTablets",
    "User",
    "Comment",
];

const ROLLUPS: &[&str] = &[
    "JobId",
    "TableName",
    "CreateTime",
    "FinishTime",
    "BaseIndexName",
    "RollupIndexName",
    "RollupId",
    "TransactionId",
    "State",
    "Msg",
    "Progress",
    "Timeout",
];

const SCHEMA_CHANGES: &[&str] = &[
    "JobId",
    "TableName",
    "CreateTime",
    "FinishTime",
    "IndexName",
    "IndexId",
    "OriginIndexId",
    "SchemaVersion",
    "TransactionId",
    "State",
    "Msg",
    "Progress",
    "Timeout",
];

const EXPORTS: &[&str] =
    &["JobId", "Label", "State", "Progress", "TaskInfo", "Path", "CreateTime", "StartTime", "FinishTime", "Timeout", "ErrorMsg"];

fn database<'a>(catalog: &'a Catalog, id: &str) -> Option<&'a Database> {
    catalog.databases.get(&id.parse().ok()?)
}

/// How many jobs of each kind there are.
pub(super) fn counts(catalog: &Catalog, id: &str) -> Option<Rows> {
    let database = database(catalog, id)?;
    let mut rows = Rows::of_strings(&["JobType", "Pending", "Running", "Finished", "Cancelled", "Total"]);
    for kind in KINDS {
        let counts = match kind {
            "load" => [0, running_loads(catalog, database.id), 0, 0],
            "rollup" => alter_counts(catalog, database.id, AlterKind::Rollup),
            "schema_change" => alter_counts(catalog, database.id, AlterKind::SchemaChange),
            _ => [0; 4],
        };
        let total: usize = counts.iter().sum();
        let numbers = counts.into_iter().chain([total]).map(|count| count.to_string());
        rows.push(std::iter::once(kind.to_owned()).chain(numbers).map(Some).collect());
    }
    Some(rows)
}

/// The jobs of one kind: stream loads are transactions and stand in no such list.
pub(super) fn of_kind(catalog: &Catalog, id: &str, kind: &str, is_new: bool) -> Option<Rows> {
    let owner = database(catalog, id)?.id;
    match kind {
        "rollup" => return Some(alter_rows(catalog, owner, AlterKind::Rollup)),
        "schema_change" => return Some(alter_rows(catalog, owner, AlterKind::SchemaChange)),
        _ => {}
    }
    Some(Rows::of_strings(match kind {
        "load" if is_new => LOADS,
        // 2.0 tells neither whose a load is nor its comment.
        "load" => &LOADS[..17],
        "delete" => &["TableName", "PartitionName", "CreateTime", "DeleteCondition", "State"],
        "export" => EXPORTS,
        _ => return None,
    }))
}

fn alters(catalog: &Catalog, database: u64, kind: AlterKind) -> impl Iterator<Item = &AlterJob> {
    catalog.alters.iter().filter(move |job| job.database == database && job.kind == kind)
}

/// Pending, running, finished and cancelled ones.
fn alter_counts(catalog: &Catalog, database: u64, kind: AlterKind) -> [usize; 4] {
    let mut counts = [0; 4];
    for job in alters(catalog, database, kind) {
        counts[match job.state {
            AlterState::Pending => 0,
            AlterState::WaitingTxn | AlterState::Running => 1,
            AlterState::Finished => 2,
            AlterState::Cancelled => 3,
        }] += 1;
    }
    counts
}

/// The changes of a database's tables.
pub(crate) fn alter_rows(catalog: &Catalog, database: u64, kind: AlterKind) -> Rows {
    let names = if kind == AlterKind::Rollup { ROLLUPS } else { SCHEMA_CHANGES };
    let mut rows = Rows::of_strings(names);
    for job in alters(catalog, database, kind) {
        let cell = |name: &&str| {
            Some(match *name {
                "JobId" => job.id.to_string(),
                "TableName" | "BaseIndexName" => job.table_name.clone(),
                "CreateTime" => date_time(job.created_ms),
                "FinishTime" => return date_time_or_null(job.finished_ms),
                "IndexName" | "RollupIndexName" => job.index.clone(),
                "IndexId" | "RollupId" => (job.id + 1).to_string(),
                "OriginIndexId" => job.table.to_string(),
                "TransactionId" => job.watershed.to_string(),
                "State" => job.state.name().to_owned(),
                "Msg" => job.message.clone(),
                "Timeout" => "2592000".to_owned(),
                _ => return None,
            })
        };
        rows.push(names.iter().map(cell).collect());
    }
    rows
}
