//! Databases, tables, and counts of what is in them.

use super::real;
use crate::answer::Rows;
use crate::catalog::Catalog;
use crate::clock::date_time;
use crate::sql::scheduling::running_loads;

pub(super) fn statistic(catalog: &Catalog) -> Rows {
    let mut rows = Rows::of_strings(&["DbId", "DbName", "TableNum", "PartitionNum", "IndexNum", "TabletNum", "ReplicaNum"]);
    let mut totals = [0; 5];
    let databases = real(catalog);
    for database in &databases {
        let partitions = || database.tables.values().flat_map(|table| &table.partitions);
        let tablets = || partitions().flat_map(|partition| &partition.tablets);
        let replicas = tablets().map(|tablet| tablet.replicas.len()).sum();
        let counts = [database.tables.len(), partitions().count(), partitions().count(), tablets().count(), replicas];
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
        let cells = [database.id.to_string(), database.name.clone()].into_iter().chain(counts.map(|count| count.to_string()));
        rows.push(cells.map(Some).collect());
    }
    let cells = ["Total".to_owned(), databases.len().to_string()].into_iter().chain(totals.map(|count: usize| count.to_string()));
    rows.push(cells.map(Some).collect());
    rows
}

pub(super) fn databases(catalog: &Catalog) -> Rows {
    let names = [
        "DbId",
        "DbName",
        "TableNum",
        "Size",
        "Quota",
        "LastConsistencyCheckTime",
        "ReplicaCount",
        "ReplicaQuota",
        "RunningTransactionNum",
        "TransactionQuota",
        "LastUpdateTime",
    ];
    let mut rows = Rows::of_strings(&names);
    for database in catalog.databases.values() {
        let replicas: usize = database.tables.values().flat_map(|t| &t.partitions).flat_map(|p| &p.tablets).map(|t| t.replicas.len()).sum();
        let cell = |text: &str| Some(text.to_owned());
        let (id, tables, replicas) = (Some(database.id.to_string()), Some(database.tables.len().to_string()), Some(replicas.to_string()));
        rows.push(vec![
            id,
            cell(&database.name),
            tables,
            cell("0.000 "),
            cell("1024.000 TB"),
            None,
            replicas,
            cell("1073741824"),
            cell("0"),
            cell("1000"),
            None,
        ]);
    }
    rows
}

pub(super) fn tables(catalog: &Catalog, id: &str) -> Option<Rows> {
    let database = catalog.databases.get(&id.parse().ok()?)?;
    let names = [
        "TableId",
        "TableName",
        "IndexNum",
        "PartitionColumnName",
        "PartitionNum",
        "State",
        "Type",
        "LastConsistencyCheckTime",
        "ReplicaCount",
        "VisibleVersion",
        "VisibleVersionTime",
        "RunningTransactionNum",
        "LastUpdateTime",
    ];
    let mut rows = Rows::of_strings(&names);
    for table in database.tables.values() {
        let replicas: usize = table.partitions.iter().flat_map(|p| &p.tablets).map(|t| t.replicas.len()).sum();
        let cell = |text: &str| Some(text.to_owned());
        rows.push(vec![
            Some(table.id.to_string()),
            cell(&table.name),
            cell("1"),
            None,
            Some(table.partitions.len().to_string()),
            cell("NORMAL"),
            cell("OLAP"),
            None,
            Some(replicas.to_string()),
            cell("1"),
            Some(table.created_ms.to_string()),
            cell("0"),
            Some(date_time(table.created_ms)),
        ]);
    }
    Some(rows)
}

pub(super) fn transactions(catalog: &Catalog) -> Rows {
    let mut rows = Rows::of_strings(&["DbId", "DbName", "RunningTransactionNum"]);
    let own = catalog.databases.values().filter(|database| !database.is_virtual()).map(|database| (database.id, database.name.clone()));
    for (id, name) in own.chain([(0, "Total".to_owned())]) {
        let running = running_loads(catalog, id);
        rows.push([id.to_string(), name, running.to_string()].map(Some).to_vec());
    }
    rows
}
