//! Health of tablets, and the work on them.

use super::{pairs, real};
use crate::answer::Rows;
use crate::be::{TabletCount, tablet_health};
use crate::catalog::{Catalog, Database};
use crate::fe::Fe;

const TABLET_HEALTH: &[&str] = &[
    "DbId",
    "DbName",
    "TabletNum",
    "HealthyNum",
    "ReplicaMissingNum",
    "VersionIncompleteNum",
    "ReplicaRelocatingNum",
    "RedundantNum",
    "ReplicaMissingForTagNum",
    "ForceRedundantNum",
    "ColocateMismatchNum",
    "ColocateRedundantNum",
    "NeedFurtherRepairNum",
    "UnrecoverableNum",
    "ReplicaCompactionTooSlowNum",
    "InconsistentNum",
    "OversizeNum",
    "CloningNum",
];

/// Columns of a tablet's way through the scheduler, from 2.1 on.
const SCHEDULED: &[&str] = &[
    "TabletId",
    "Type",
    "Medium",
    "Status",
    "State",
    "SchedCode",
    "Priority",
    "RealPriorityVal",
    "SrcBe",
    "SrcPath",
    "DestBe",
    "DestPath",
    "Timeout",
    "Create",
    "LstSched",
    "LstVisit",
    "Finished",
    "ReplicaSize",
    "Rate",
    "FailedSched",
    "FailedRunning",
    "VisibleVer",
    "CmtVer",
    "ErrMsg",
];

/// Columns of the scheduler's lists; before 2.1 they lack the priority that is really used.
pub(super) fn schedule_columns(real_priority: bool) -> Vec<&'static str> {
    SCHEDULED.iter().copied().filter(|name| real_priority || *name != "RealPriorityVal").collect()
}

pub(super) fn tags(catalog: &Catalog) -> Vec<String> {
    let mut tags: Vec<_> = catalog.backends.values().map(|backend| format!("location_{}", backend.location())).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// One row a database, sorted by name, then the total whose first cell is a word.
pub(super) fn health(fe: &Fe) -> Rows {
    let catalog = &fe.catalog;
    let copied = |database: Option<&Database>| {
        let here = |tablet: &&u64| database.is_none_or(|d| d.tables.values().any(|table| table.tablets().any(|(_, t)| t.id == **tablet)));
        fe.scheduler.running.keys().filter(here).count()
    };
    let mut rows = Rows::of_strings(TABLET_HEALTH);
    let mut total = TabletCount::default();
    let databases = real(catalog);
    for database in &databases {
        let count = tablet_health(catalog, database);
        total.add(&count);
        rows.push(count.row(&database.id.to_string(), &database.name, copied(Some(database))));
    }
    rows.push(total.row("Total", &databases.len().to_string(), copied(None)));
    rows
}

pub(super) fn unhealthy(catalog: &Catalog, id: &str) -> Option<Rows> {
    let database = catalog.databases.get(&id.parse().ok()?)?;
    let names = [
        "ReplicaMissingTablets",
        "VersionIncompleteTablets",
        "ReplicaRelocatingTablets",
        "RedundantTablets",
        "ReplicaMissingForTagTablets",
        "ForceRedundantTablets",
        "ColocateMismatchTablets",
        "ColocateRedundantTablets",
        "NeedFurtherRepairTablets",
        "UnrecoverableTablets",
        "ReplicaCompactionTooSlowTablets",
        "InconsistentTablets",
        "OversizeTablets",
    ];
    let mut rows = Rows::of_strings(&names);
    rows.push(tablet_health(catalog, database).tablets());
    Some(rows)
}

pub(super) fn balance(fe: &Fe) -> Rows {
    let catalog = &fe.catalog;
    let slots = catalog.backends.len().to_string();
    let loads = tags(catalog).len().to_string();
    let zero = || "0".to_owned();
    let rows = [
        ("cluster_load_stat", loads),
        ("working_slots", slots),
        ("sched_stat", zero()),
        ("priority_repair", zero()),
        ("pending_tablets", fe.scheduler.pending.len().to_string()),
        ("running_tablets", fe.scheduler.running.len().to_string()),
        ("history_tablets", fe.scheduler.history.len().to_string()),
    ];
    pairs(&["Item", "Number"], rows.map(|(item, number)| (item.to_owned(), number)))
}
