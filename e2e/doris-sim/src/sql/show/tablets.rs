//! Tablets and their replicas.

use crate::answer::{Rows, SqlError};
use crate::catalog::{Catalog, Partition, Place, Table};
use crate::fe::Fe;
use crate::sql::amounts::percent;
use crate::sql::ast::Show;
use crate::sql::replicas::{failed_version, replica_status};
use crate::sql::{Context, Outcome, Run};

const REPLICA_STATUS: &[&str] = &[
    "TabletId",
    "ReplicaId",
    "BackendId",
    "Version",
    "LastFailedVersion",
    "LastSuccessVersion",
    "CommittedVersion",
    "SchemaHash",
    "VersionNum",
    "IsBad",
    "IsUserDrop",
    "State",
    "Status",
];

/// Columns of SHOW TABLETS from 2.1 on.
const TABLETS: &[&str] = &[
    "TabletId",
    "ReplicaId",
    "BackendId",
    "SchemaHash",
    "Version",
    "LstSuccessVersion",
    "LstFailedVersion",
    "LstFailedTime",
    "LocalDataSize",
    "RemoteDataSize",
    "RowCount",
    "State",
    "LstConsistencyCheckTime",
    "CheckVersion",
    "VisibleVersionCount",
    "VersionCount",
    "QueryHits",
    "PathHash",
    "Path",
    "MetaUrl",
    "CompactionStatus",
    "CooldownReplicaId",
    "CooldownMetaId",
];
/// Those of them that came with 2.1.
const SINCE_2_1: [&str; 2] = ["VisibleVersionCount", "Path"];

impl Context<'_> {
    pub(super) fn table_details(&self, show: &Show, database: Option<&String>, table: &str) -> Run {
        let database = self.database(database)?;
        let catalog = self.catalog()?;
        let found = catalog.database(&database).and_then(|database| database.table(table));
        let tablets_only = matches!(show, Show::Tablets { .. });
        let Some(found) = found else {
            let text = format!("Unknown table '{table}'");
            return Err(if tablets_only { SqlError::coded(1051, "42S02", text) } else { SqlError::detail(text) });
        };
        if matches!(show, Show::ReplicaDistribution { .. }) {
            return Ok(Outcome::Rows(distribution(catalog, found)));
        }
        let asked: &[String] = if let Show::ReplicaStatus { partitions, .. } = show { partitions } else { &[] };
        if let Some(unknown) = asked.iter().find(|name| !found.partitions.iter().any(|partition| partition.name == **name)) {
            return Err(SqlError::detail(format!("Partition does not exist: {unknown}")));
        }
        let is_asked = |partition: &Partition| asked.is_empty() || asked.contains(&partition.name);
        let tablets = found.tablets().filter(|(partition, _)| is_asked(partition));
        let replicas = tablets.flat_map(|(partition, tablet)| tablet.replicas.iter().map(move |r| (tablet.id, partition, r)));
        let mut rows = Rows::of_strings(&if tablets_only { tablet_columns(self.frontend()?) } else { REPLICA_STATUS.to_vec() });
        for (tablet, partition, replica) in replicas {
            let backend = catalog.backends.get(&replica.backend);
            let cell = |name: &str| match name {
                "TabletId" => tablet.to_string(),
                "ReplicaId" => replica.id.to_string(),
                "BackendId" => replica.backend.to_string(),
                "State" => "NORMAL".to_owned(),
                "Status" => replica_status(backend, partition, replica).to_owned(),
                "IsBad" => replica.bad.to_string(),
                "IsUserDrop" => "false".to_owned(),
                "CommittedVersion" => partition.visible.to_string(),
                "Version" | "LastSuccessVersion" | "LstSuccessVersion" => replica.version.to_string(),
                "LastFailedVersion" | "LstFailedVersion" => failed_version(replica),
                "LocalDataSize" => replica.bytes.to_string(),
                _ => "0".to_owned(),
            };
            let row = rows.columns.iter().map(|column| Some(cell(&column.name))).collect();
            rows.push(row);
        }
        Ok(Outcome::Rows(rows))
    }

    pub(super) fn tablet(&self, id: u64) -> Run {
        let names = [
            "DbName",
            "TableName",
            "PartitionName",
            "IndexName",
            "DbId",
            "TableId",
            "PartitionId",
            "IndexId",
            "IsSync",
            "Order",
            "QueryHits",
            "DetailCmd",
        ];
        let mut rows = Rows::of_strings(&names);
        let catalog = self.catalog()?;
        let text = |value: &str| Some(value.to_owned());
        let Some(Place { table, partition, .. }) = catalog.place(id) else {
            let detail = format!("SHOW PROC '/dbs/-1/-1/partitions/-1/-1/{id}';");
            rows.push(vec![
                None,
                None,
                None,
                None,
                text("-1"),
                text("-1"),
                text("-1"),
                text("-1"),
                text("false"),
                text("-1"),
                text("0"),
                Some(detail),
            ]);
            return Ok(Outcome::Rows(rows));
        };
        let database = catalog.databases.values().find(|database| database.tables.contains_key(&table.id));
        let (name, db) = database.map_or((String::new(), 0), |database| (database.name.clone(), database.id));
        let detail = format!("SHOW PROC '/dbs/{db}/{}/partitions/{}/{}/{id}';", table.id, partition.id, table.id);
        let ids = [db, table.id, partition.id, table.id].map(|id| Some(id.to_string()));
        let names = [name, table.name.clone(), partition.name.clone(), table.name.clone()].map(Some);
        rows.push(names.into_iter().chain(ids).chain([text("true"), text("0"), text("0"), Some(detail)]).collect());
        Ok(Outcome::Rows(rows))
    }
}

/// How many replicas each backend holds.
fn distribution(catalog: &Catalog, table: &Table) -> Rows {
    let mut rows = Rows::of_strings(&["BackendId", "ReplicaNum", "ReplicaSize", "NumGraph", "NumPercent", "SizeGraph", "SizePercent"]);
    let replicas = || table.partitions.iter().flat_map(|partition| &partition.tablets).flat_map(|tablet| &tablet.replicas);
    let all = replicas().count().max(1);
    for id in catalog.backends.keys() {
        let held = replicas().filter(|replica| replica.backend == *id).count();
        let share = percent(held as u64, all as u64);
        let cells = [id.to_string(), held.to_string(), "0.000 ".to_owned(), String::new(), share.clone(), String::new(), share];
        rows.push(cells.map(Some).to_vec());
    }
    rows
}

fn tablet_columns(fe: &Fe) -> Vec<&'static str> {
    let is_new = fe.version.from_line(2, 1);
    TABLETS.iter().copied().filter(|name| is_new || !SINCE_2_1.contains(name)).collect()
}
