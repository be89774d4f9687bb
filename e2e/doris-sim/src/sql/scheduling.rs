//! The tablet scheduler, loads and queries as PROC tells them.

use crate::answer::Rows;
use crate::catalog::Catalog;
use crate::clock::{date_time, date_time_or_null};
use crate::clone::{Copying, Task};
use crate::fe::Fe;

/// Which list of the scheduler.
pub(super) enum List {
    Pending,
    Running,
    History,
}

/// A tablet in one of the lists.
struct Entry<'a> {
    tablet: u64,
    task: &'a Task,
    copying: Option<&'a Copying>,
    finished_ms: i64,
    error: &'a str,
    state: &'static str,
}

/// Tablets that wait, are copied, or were.
pub(super) fn tablets(fe: &Fe, columns: &[&str], list: &List) -> Rows {
    let scheduler = &fe.scheduler;
    let entries: Vec<Entry<'_>> = match list {
        List::Pending => scheduler.pending.iter().map(|(tablet, task)| waiting(*tablet, task)).collect(),
        List::Running => scheduler
            .running
            .iter()
            .map(|(tablet, copying)| Entry { copying: Some(copying), state: "RUNNING", error: "", ..waiting(*tablet, &copying.task) })
            .collect(),
        List::History => scheduler
            .history
            .iter()
            .map(|past| Entry {
                tablet: past.tablet,
                task: &past.copying.task,
                copying: Some(&past.copying),
                finished_ms: past.finished_ms,
                error: &past.error,
                state: if past.error.is_empty() { "FINISHED" } else { "CANCELLED" },
            })
            .collect(),
    };
    let mut rows = Rows::of_strings(columns);
    for entry in &entries {
        rows.push(columns.iter().map(|name| cell(fe, entry, name)).collect());
    }
    rows
}

fn waiting(tablet: u64, task: &Task) -> Entry<'_> {
    Entry { tablet, task, copying: None, finished_ms: 0, error: &task.error, state: "PENDING" }
}

fn cell(fe: &Fe, entry: &Entry<'_>, name: &str) -> Option<String> {
    let place = fe.catalog.place(entry.tablet);
    let visible = || place.map_or(-1, |place| i64::try_from(place.partition.visible).unwrap_or(-1)).to_string();
    let backend = |pick: fn(&Copying) -> u64| entry.copying.map_or_else(|| "-1".to_owned(), |copying| pick(copying).to_string());
    Some(match name {
        "TabletId" => entry.tablet.to_string(),
        "Type" => if entry.task.balance { "BALANCE" } else { "REPAIR" }.to_owned(),
        "Medium" => "HDD".to_owned(),
        "Status" => entry.task.health.name().to_owned(),
        "State" => entry.state.to_owned(),
        "Priority" => entry.task.priority.name().to_owned(),
        "SrcBe" => backend(|copying| copying.source),
        "DestBe" => backend(|copying| copying.destination),
        "SrcPath" | "DestPath" | "RealPriorityVal" => "-1".to_owned(),
        "Timeout" => entry.copying.map_or(0, |copying| copying.timeout.as_secs()).to_string(),
        "Create" => date_time(entry.task.created_ms),
        "LstSched" | "LstVisit" => return date_time_or_null(entry.task.scheduled_ms),
        "Finished" => return date_time_or_null(entry.finished_ms),
        "ReplicaSize" => entry.copying.map_or(0, |copying| copying.bytes).to_string(),
        "FailedSched" => entry.task.failed_scheduling.to_string(),
        "FailedRunning" => entry.task.failed_running.to_string(),
        "VisibleVer" | "CmtVer" => visible(),
        "ErrMsg" => entry.error.to_owned(),
        _ => String::new(),
    })
}

/// Slots of every backend's disks.
pub(super) fn working_slots(fe: &Fe) -> Rows {
    let mut rows = Rows::of_strings(&["BeId", "PathHash", "AvailSlots", "TotalSlots", "BalanceSlot", "AvgRate"]);
    for backend in fe.catalog.backends.values().filter(|backend| backend.alive && backend.stores()) {
        let used = fe.scheduler.running.values().filter(|copying| copying.source == backend.id || copying.destination == backend.id).count()
            as u64;
        for disk in &backend.disks {
            let total = fe.settings.number(if disk.ssd { "schedule_slot_num_per_ssd_path" } else { "schedule_slot_num_per_hdd_path" });
            let free = total.saturating_sub(used.div_ceil(backend.disks.len() as u64));
            let row = [backend.id.to_string(), disk.hash.to_string(), free.to_string(), total.to_string(), "1".to_owned(), "0".to_owned()];
            rows.push(row.map(Some).to_vec());
        }
    }
    rows
}

/// Colocate groups.
pub(super) fn colocation(catalog: &Catalog) -> Rows {
    let names = ["GroupId", "GroupName", "TableIds", "BucketsNum", "ReplicaAllocation", "DistCols", "IsStable", "ErrorMsg"];
    let mut rows = Rows::of_strings(&names);
    for (name, group) in &catalog.groups {
        let tables = catalog.databases.values().flat_map(|database| database.tables.values());
        let tables: Vec<_> = tables.filter(|table| table.group.as_ref() == Some(name)).map(|table| table.id.to_string()).collect();
        let row = [
            format!("{}.{}", group.database, group.id),
            format!("{}_{name}", group.database),
            tables.join(", "),
            group.buckets.len().to_string(),
            format!("tag.location.{}: {}", group.location, group.copies),
            "int(11)".to_owned(),
            group.stable.to_string(),
            String::new(),
        ];
        rows.push(row.map(Some).to_vec());
    }
    rows
}

/// Loads that have not ended, by database.
pub(super) fn running_loads(catalog: &Catalog, database: u64) -> usize {
    catalog.transactions.values().filter(|txn| txn.is_running() && (database == 0 || txn.database == database)).count()
}

/// Statements under way on this frontend.
pub(super) fn queries(fe: &Fe, now: i64) -> Rows {
    let mut rows = Rows::of_strings(&["QueryId", "ConnectionId", "Catalog", "Database", "User", "ScanBytes", "ProcessRows", "ExecTime"]);
    for (id, session) in fe.sessions.iter().filter(|(_, session)| session.command == "Query") {
        let row = [
            session.query_id.clone(),
            id.to_string(),
            "internal".to_owned(),
            session.database.clone(),
            session.user.user.clone(),
            "0.000 ".to_owned(),
            "0 Rows".to_owned(),
            format!("{} ms", now - session.since_ms),
        ];
        rows.push(row.map(Some).to_vec());
    }
    rows
}
