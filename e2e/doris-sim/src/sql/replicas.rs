//! Partitions, tablets and replicas as PROC and SHOW tell them.

use super::amounts::bytes;
use crate::answer::Rows;
use crate::catalog::{Backend, Catalog, Partition, Replica, Table};
use crate::clock::date_time;
use crate::fe::Fe;

/// How `SHOW REPLICA STATUS` judges a replica.
pub(super) fn replica_status(backend: Option<&Backend>, partition: &Partition, replica: &Replica) -> &'static str {
    match backend {
        None => "MISSING",
        Some(backend) if !backend.alive => "DEAD",
        Some(_) if replica.bad => "BAD",
        Some(_) if !replica.complete(partition.visible) => "VERSION_ERROR",
        Some(_) => "OK",
    }
}

/// Version of the first load that a replica missed; -1 where it missed none.
pub(super) fn failed_version(replica: &Replica) -> String {
    if replica.failed == 0 { "-1".to_owned() } else { replica.failed.to_string() }
}

/// Paths below `/dbs/<database>/<table>`.
pub(super) fn below_table(fe: &Fe, database: &str, table: &str, rest: &[&str]) -> Option<Rows> {
    let table = fe.catalog.table(database.parse().ok()?, table.parse().ok()?)?;
    match rest {
        [] => {
            let mut rows = Rows::of_strings(&["Nodes"]);
            for name in ["partitions", "temp_partitions", "index_schema"] {
                rows.push(vec![Some(name.to_owned())]);
            }
            Some(rows)
        }
        ["partitions"] => Some(partitions(fe, table)),
        ["temp_partitions"] => Some(Rows::of_strings(PARTITION)),
        ["partitions", partition] => {
            partition_of(table, partition)?;
            let mut rows = Rows::of_strings(&["IndexId", "IndexName", "State", "LastConsistencyCheckTime"]);
            rows.push([table.id.to_string(), table.name.clone(), "NORMAL".to_owned()].map(Some).into_iter().chain([None]).collect());
            Some(rows)
        }
        ["partitions", partition, _index] => {
            let partition = partition_of(table, partition)?;
            let tablets: Vec<_> =
                partition.tablets.iter().flat_map(|tablet| tablet.replicas.iter().map(move |replica| (tablet.id, replica))).collect();
            Some(replicas(fe, partition, &tablets, true))
        }
        ["partitions", partition, _index, tablet] => {
            let partition = partition_of(table, partition)?;
            let id: u64 = tablet.parse().ok()?;
            let tablet = partition.tablets.iter().find(|tablet| tablet.id == id)?;
            let list: Vec<_> = tablet.replicas.iter().map(|replica| (id, replica)).collect();
            Some(replicas(fe, partition, &list, false))
        }
        _ => None,
    }
}

fn partition_of<'a>(table: &'a Table, id: &str) -> Option<&'a Partition> {
    let id: u64 = id.parse().ok()?;
    table.partitions.iter().find(|partition| partition.id == id)
}

const PARTITION: &[&str] = &[
    "PartitionId",
    "PartitionName",
    "VisibleVersion",
    "VisibleVersionTime",
    "State",
    "PartitionKey",
    "Range",
    "DistributionKey",
    "Buckets",
    "ReplicationNum",
    "StorageMedium",
    "CooldownTime",
    "RemoteStoragePolicy",
    "LastConsistencyCheckTime",
    "DataSize",
    "IsInMemory",
    "ReplicaAllocation",
    "IsMutable",
    "SyncWithBaseTables",
    "UnsyncTables",
];

fn partitions(fe: &Fe, table: &Table) -> Rows {
    let names: Vec<_> = PARTITION
        .iter()
        .copied()
        .filter(|name| fe.version.from_line(2, 1) || !["SyncWithBaseTables", "UnsyncTables"].contains(name))
        .collect();
    let mut rows = Rows::of_strings(&names);
    for partition in &table.partitions {
        let size: u64 = partition.tablets.iter().filter_map(|tablet| tablet.replicas.iter().map(|replica| replica.bytes).max()).sum();
        let cell = |name: &str| {
            Some(match name {
                "PartitionId" => partition.id.to_string(),
                "PartitionName" => partition.name.clone(),
                "VisibleVersion" => partition.visible.to_string(),
                "VisibleVersionTime" => date_time(partition.visible_ms),
                "State" => "NORMAL".to_owned(),
                "Buckets" => partition.tablets.len().to_string(),
                "ReplicationNum" => partition.copies.to_string(),
                "StorageMedium" => "HDD".to_owned(),
                "CooldownTime" => "9999-12-31 23:59:59".to_owned(),
                "DataSize" => bytes(size),
                "IsInMemory" => "false".to_owned(),
                "ReplicaAllocation" => format!("tag.location.{}: {}", partition.location, partition.copies),
                "IsMutable" | "SyncWithBaseTables" => "true".to_owned(),
                "LastConsistencyCheckTime" | "UnsyncTables" => return None,
                _ => String::new(),
            })
        };
        rows.push(names.iter().map(|name| cell(name)).collect());
    }
    rows
}

/// Replicas with their versions; a tablet's own listing leaves its number out.
fn replicas(fe: &Fe, partition: &Partition, list: &[(u64, &Replica)], with_tablet: bool) -> Rows {
    let (new, first) = (fe.version.from_line(2, 1), if with_tablet { "TabletId" } else { "ReplicaId" });
    let mut names = vec![first];
    names.extend(with_tablet.then_some("ReplicaId"));
    names.push("BackendId");
    names.extend(with_tablet.then_some("SchemaHash"));
    names.extend(["Version", "LstSuccessVersion", "LstFailedVersion", "LstFailedTime"]);
    names.extend((!with_tablet).then_some("SchemaHash"));
    names.extend(["LocalDataSize", "RemoteDataSize", "RowCount", "State"]);
    names.extend(if with_tablet { ["LstConsistencyCheckTime", "CheckVersion"] } else { ["IsBad", "IsUserDrop"] });
    names.extend(new.then_some("VisibleVersionCount"));
    names.extend(["VersionCount", "PathHash", "MetaUrl", "CompactionStatus", "CooldownReplicaId", "CooldownMetaId", "QueryHits"]);
    let mut rows = Rows::of_strings(&names);
    for (tablet, replica) in list {
        let address = host(&fe.catalog, replica.backend);
        let cell = |name: &str| match name {
            "TabletId" => tablet.to_string(),
            "ReplicaId" => replica.id.to_string(),
            "BackendId" => replica.backend.to_string(),
            "Version" | "LstSuccessVersion" => replica.version.to_string(),
            "LstFailedVersion" => failed_version(replica),
            "LocalDataSize" => replica.bytes.to_string(),
            "State" => "NORMAL".to_owned(),
            "IsBad" => replica.bad.to_string(),
            "IsUserDrop" => "false".to_owned(),
            "RowCount" => (partition.rows / partition.tablets.len().max(1) as u64).to_string(),
            "MetaUrl" => format!("http://{address}/api/meta/header/{tablet}"),
            "CompactionStatus" => format!("http://{address}/api/compaction/show?tablet_id={tablet}"),
            _ => "0".to_owned(),
        };
        rows.push(names.iter().map(|name| Some(cell(name))).collect());
    }
    rows
}

fn host(catalog: &Catalog, backend: u64) -> String {
    catalog.backends.get(&backend).map(|row| format!("{}:{}", row.host, row.http_port)).unwrap_or_default()
}
