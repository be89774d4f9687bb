//! Jobs of a database. Loads are the only ones that the model runs; of the others there are none.

use crate::answer::Rows;
use crate::catalog::{Catalog, Database};
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
        let running = if kind == "load" { running_loads(catalog, database.id) } else { 0 };
        let none = || "0".to_owned();
        rows.push([kind.to_owned(), none(), running.to_string(), none(), none(), running.to_string()].map(Some).to_vec());
    }
    Some(rows)
}

/// The jobs of one kind: stream loads are transactions and stand in no such list.
pub(super) fn of_kind(catalog: &Catalog, id: &str, kind: &str, is_new: bool) -> Option<Rows> {
    database(catalog, id)?;
    Some(Rows::of_strings(match kind {
        "load" if is_new => LOADS,
        // 2.0 tells neither whose a load is nor its comment.
        "load" => &LOADS[..17],
        "delete" => &["TableName", "PartitionName", "CreateTime", "DeleteCondition", "State"],
        "rollup" => ROLLUPS,
        "schema_change" => SCHEMA_CHANGES,
        "export" => EXPORTS,
        _ => return None,
    }))
}
