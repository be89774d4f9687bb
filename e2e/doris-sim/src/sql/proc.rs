//! SHOW PROC.

mod health;
mod jobs;
mod schema;

pub(crate) use jobs::alter_rows;

use health::{balance, health, schedule_columns, tags, unhealthy};
use schema::{databases, statistic, tables, transactions};

use super::amounts::{bytes, percent};
use super::scheduling::{self, List};
use super::{replicas, show};
use crate::answer::{Rows, SqlError};
use crate::catalog::{Catalog, Database};
use crate::process::ProcessId;
use crate::state::State;

const ROOT: &[&str] = &[
    "auth",
    "backends",
    "bdbje",
    "binlog",
    "brokers",
    "catalogs",
    "cluster_balance",
    "cluster_health",
    "colocation_group",
    "current_backend_instances",
    "current_queries",
    "current_query_stmts",
    "dbs",
    "diagnose",
    "frontends",
    "jobs",
    "monitor",
    "resources",
    "routine_loads",
    "statistic",
    "stream_loads",
    "tasks",
    "transactions",
    "trash",
];

const TASKS: &[&str] = &[
    "CREATE",
    "DROP",
    "PUSH",
    "CLONE",
    "STORAGE_MEDIUM_MIGRATE",
    "ROLLUP",
    "SCHEMA_CHANGE",
    "CANCEL_DELETE",
    "MAKE_SNAPSHOT",
    "RELEASE_SNAPSHOT",
    "CHECK_CONSISTENCY",
    "UPLOAD",
    "DOWNLOAD",
    "CLEAR_REMOTE_FILE",
    "MOVE",
    "REALTIME_PUSH",
    "PUBLISH_VERSION",
    "CLEAR_ALTER_TASK",
    "CLEAR_TRANSACTION_TASK",
    "RECOVER_TABLET",
    "STREAM_LOAD",
    "UPDATE_TABLET_META_INFO",
    "ALTER",
    "INSTALL_PLUGIN",
    "UNINSTALL_PLUGIN",
    "COMPACTION",
    "STORAGE_MEDIUM_MIGRATE_V2",
    "NOTIFY_UPDATE_STORAGE_POLICY",
    "PUSH_COOLDOWN_CONF",
    "PUSH_STORAGE_POLICY",
    "ALTER_INVERTED_INDEX",
    "GC_BINLOG",
    "CLEAN_TRASH",
    "UPDATE_VISIBLE_VERSION",
    "CLEAN_UDF_CACHE",
    "CALCULATE_DELETE_BITMAP",
    "Total",
];

/// Rows of a path, as seen by the frontend that runs the statement.
pub(crate) fn proc_rows(state: &State, id: ProcessId, home: ProcessId, path: &str) -> Result<Rows, SqlError> {
    let fe = state.fe(id).ok_or(SqlError::Lost)?;
    let catalog = &fe.catalog;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let rows = match parts.as_slice() {
        [] => {
            let known = ROOT.iter().filter(|name| fe.version.from_line(2, 1) || **name != "diagnose");
            list("name", known.map(|name| (*name).to_owned()))
        }
        ["frontends"] => show::frontends(state, id, home)?,
        ["backends"] => show::backends(state, id)?,
        ["backends", backend] => disks(catalog, backend).ok_or_else(|| unknown(path))?,
        ["brokers"] => show::brokers(state, id)?,
        ["trash"] => show::trash(catalog),
        ["cluster_health"] => list("Items", ["tablet_health".to_owned()]),
        ["cluster_health", "tablet_health"] => health(fe),
        ["cluster_health", "tablet_health", database] => unhealthy(catalog, database).ok_or_else(|| unknown(path))?,
        ["cluster_balance"] => balance(fe),
        ["cluster_balance", "sched_stat"] => Rows::of_strings(&["Item", "Value"]),
        ["cluster_balance", "priority_repair"] => Rows::of_strings(&["Database", "Table", "Partition", "RemainingTimeMs"]),
        ["cluster_balance", "working_slots"] => scheduling::working_slots(fe),
        ["cluster_balance", "cluster_load_stat"] => list("Tag", tags(catalog)),
        ["cluster_balance", which @ ("pending_tablets" | "running_tablets" | "history_tablets")] => {
            let list = match *which {
                "pending_tablets" => List::Pending,
                "running_tablets" => List::Running,
                _ => List::History,
            };
            scheduling::tablets(fe, &schedule_columns(fe.version.from_line(2, 1)), &list)
        }
        ["statistic"] => statistic(catalog),
        ["dbs"] => databases(catalog),
        ["dbs", database] => tables(catalog, database).ok_or_else(|| unknown(path))?,
        ["dbs", database, table, rest @ ..] => replicas::below_table(fe, database, table, rest).ok_or_else(|| unknown(path))?,
        ["jobs"] => pairs(&["DbId", "DbName"], catalog.databases.values().map(|database| (database.id.to_string(), database.name.clone()))),
        ["jobs", database] => jobs::counts(catalog, database).ok_or_else(|| unknown(path))?,
        ["jobs", database, kind] => jobs::of_kind(catalog, database, kind, fe.version.from_line(2, 1)).ok_or_else(|| unknown(path))?,
        ["transactions"] => transactions(catalog),
        ["tasks"] => tasks(),
        ["monitor"] => pairs(&["Name", "Info"], [("jvm".to_owned(), " ".to_owned())]),
        ["resources"] => Rows::of_strings(&["Name", "ResourceType", "Item", "Value"]),
        ["colocation_group"] => scheduling::colocation(catalog),
        ["current_queries"] => scheduling::queries(fe, state.clock.now_ms()),
        ["bdbje"] if fe.debug => bdbje(fe),
        ["bdbje", ..] => return Err(SqlError::detail("Not in bdbje debug mode")),
        _ => return Err(unknown(path)),
    };
    Ok(rows)
}

fn unknown(path: &str) -> SqlError {
    SqlError::coded(5001, "HY000", format!("Proc path '{path}' doesn't exist"))
}

fn list(column: &str, values: impl IntoIterator<Item = String>) -> Rows {
    let mut rows = Rows::of_strings(&[column]);
    values.into_iter().for_each(|value| rows.push(vec![Some(value)]));
    rows
}

fn pairs(columns: &[&str], values: impl IntoIterator<Item = (String, String)>) -> Rows {
    let mut rows = Rows::of_strings(columns);
    values.into_iter().for_each(|(a, b)| rows.push(vec![Some(a), Some(b)]));
    rows
}

fn real(catalog: &Catalog) -> Vec<&Database> {
    let mut databases: Vec<_> = catalog.databases.values().filter(|database| database.id != 0).collect();
    databases.sort_by(|a, b| a.name.cmp(&b.name));
    databases
}

fn tasks() -> Rows {
    let mut rows = Rows::of_strings(&["TaskType", "FailedNum", "TotalNum"]);
    for task in TASKS {
        rows.push([*task, "0", "0"].map(|cell| Some(cell.to_owned())).to_vec());
    }
    rows
}

fn disks(catalog: &Catalog, id: &str) -> Option<Rows> {
    let backend = catalog.backends.get(&id.parse().ok()?)?;
    let names = [
        "RootPath",
        "DataUsedCapacity",
        "OtherUsedCapacity",
        "AvailCapacity",
        "TotalCapacity",
        "TotalUsedPct",
        "State",
        "PathHash",
        "StorageMedium",
    ];
    let mut rows = Rows::of_strings(&names);
    for disk in &backend.disks {
        let used = disk.total.saturating_sub(disk.available);
        let row = [
            disk.path.clone(),
            bytes(disk.data_used),
            bytes(used.saturating_sub(disk.data_used)),
            bytes(disk.available),
            bytes(disk.total),
            percent(used, disk.total),
            if disk.online { "ONLINE" } else { "OFFLINE" }.to_owned(),
            disk.hash.to_string(),
            if disk.ssd { "SSD" } else { "HDD" }.to_owned(),
        ];
        rows.push(row.map(Some).to_vec());
    }
    Some(rows)
}

fn bdbje(fe: &crate::fe::Fe) -> Rows {
    let mut rows = Rows::of_strings(&["DbNames", "JournalNumber", "Comment"]);
    let Some(log) = fe.bdb.as_ref().map(|bdb| &bdb.log) else { return rows };
    let mut found: Vec<_> = log.databases().into_iter().map(|(first, count)| (first.to_string(), count)).collect();
    found.sort_unstable();
    found.push(("epochDB".to_owned(), log.epoch()));
    for (name, count) in found {
        rows.push([name, count.to_string(), String::new()].map(Some).to_vec());
    }
    rows
}
