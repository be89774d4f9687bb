//! What the safety rules look at, read from the answers of every version.

mod scripted;

use std::collections::BTreeMap;

use doris_client::survey::{self, Catalog};
use doris_client::{Error, NodeRole, Queue};
use doris_safety::{Allocation, Step, TabletMap, Tablets};
use scripted::{Server, rows};

const DBS: &str = "DbId|DbName|TableNum|Size|Quota|LastConsistencyCheckTime|ReplicaCount|ReplicaQuota|RunningTransactionNum|TransactionQuota|LastUpdateTime";
const TABLES: &str = "TableId|TableName|IndexNum|PartitionColumnName|PartitionNum|State|Type|LastConsistencyCheckTime|ReplicaCount|VisibleVersion|VisibleVersionTime|RunningTransactionNum|LastUpdateTime";
const PARTITIONS_2_0: &str = "PartitionId|PartitionName|VisibleVersion|VisibleVersionTime|State|PartitionKey|Range|DistributionKey|Buckets|ReplicationNum|StorageMedium|CooldownTime|RemoteStoragePolicy|LastConsistencyCheckTime|DataSize|IsInMemory|ReplicaAllocation|IsMutable";
const PARTITIONS_3_0: &str = "PartitionId|PartitionName|VisibleVersion|VisibleVersionTime|State|PartitionKey|Range|DistributionKey|Buckets|ReplicationNum|StorageMedium|CooldownTime|RemoteStoragePolicy|LastConsistencyCheckTime|DataSize|IsInMemory|ReplicaAllocation|IsMutable|SyncWithBaseTables|UnsyncTables|CommittedVersion|RowCount";
const REPLICAS: &str = "TabletId|ReplicaId|BackendId|Version|LastFailedVersion|LastSuccessVersion|CommittedVersion|SchemaHash|VersionNum|IsBad|IsUserDrop|State|Status";
const HEALTH: &str = "DbId|DbName|TabletNum|HealthyNum|ReplicaMissingNum|UnrecoverableNum|InconsistentNum|OversizeNum|CloningNum";
const UNHEALTHY: &str =
    "ReplicaMissingTablets|VersionIncompleteTablets|ColocateMismatchTablets|UnrecoverableTablets|InconsistentTablets|OversizeTablets";
const HOME: &str = "DbName|TableName|PartitionName|IndexName|DbId|TableId|PartitionId|IndexId|IsSync|Order|QueryHits|DetailCmd";

/// A partition's row as 3.0 writes it.
fn partition(id: u32, name: &str, buckets: u32, allocation: &str) -> String {
    format!(
        "{id}|{name}|1|2026-11-23 02:21:21|NORMAL|||k|{buckets}|3|HDD|9999-12-31 15:59:59||NULL|0.000 |false|{allocation}|true|true|NULL|1|0"
    )
}

/// A replica's row.
fn replica(tablet: u32, backend: i32, status: &str, state: &str) -> String {
    format!("{tablet}|1|{backend}|5|-1|5|5|0|2|false|false|{state}|{status}")
}

/// Database `d1` (id 10) with two tables and a view of Doris' kind; nothing is unhealthy.
fn server() -> Server {
    let none = rows(PARTITIONS_3_0, &[]);
    Server::default()
        .on(
            "SHOW PROC \"/dbs\"",
            rows(
                DBS,
                &["0|information_schema|37|0.000 |1024.000 TB|NULL|0|1|0|1000|NULL", "10|d1|3|0.000 |1024.000 TB|NULL|12|1|0|1000|NULL"],
            ),
        )
        .on(
            "SHOW PROC \"/dbs/10\"",
            rows(
                TABLES,
                &[
                    "20|orders|2|day|3|NORMAL|OLAP|NULL|0|1|1795400481298|0|2026-11-23 02:21:21",
                    "21|log|1|NULL|1|NORMAL|OLAP|NULL|0|1|1795400481298|0|2026-11-23 02:21:21",
                    "22|sums|1|NULL|1|NORMAL|MATERIALIZED_VIEW|NULL|0|1|1795400481298|0|2026-11-23 02:21:21",
                    "23|v|0|NULL|0|NORMAL|VIEW|NULL|0|1|0|0|2026-11-23 02:21:21",
                ],
            ),
        )
        .on(
            "SHOW PROC \"/dbs/10/20/partitions\"",
            rows(
                PARTITIONS_3_0,
                &[
                    &partition(30, "p1", 4, "tag.location.default: 3"),
                    &partition(31, "p2", 4, "tag.location.default: 1"),
                    &partition(32, "p3", 4, "tag.location.default: 1"),
                ],
            ),
        )
        .on("SHOW PROC \"/dbs/10/20/temp_partitions\"", rows(PARTITIONS_3_0, &[&partition(33, "tp1", 4, "tag.location.default: 1")]))
        .on("SHOW PROC \"/dbs/10/21/partitions\"", rows(PARTITIONS_3_0, &[&partition(34, "log", 1, "tag.location.default: 1")]))
        .on("SHOW PROC \"/dbs/10/21/temp_partitions\"", none)
        .on("SHOW PROC \"/dbs/10/22/partitions\"", rows(PARTITIONS_3_0, &[&partition(35, "sums", 2, "tag.location.default: 3")]))
        .on("SHOW PROC \"/cluster_health/tablet_health\"", rows(HEALTH, &["10|d1|27|27|0|0|0|0|0", "Total|1|27|27|0|0|0|0|0"]))
}

fn tablets_of<'a>(map: &'a TabletMap, table: &str) -> Vec<(&'a str, &'a Tablets)> {
    let found = map.tables().iter().filter(|one| &*one.name == table);
    found.flat_map(|one| &one.partitions).map(|partition| (&*partition.name, &partition.tablets)).collect()
}

#[tokio::test]
async fn only_what_could_be_hurt_is_looked_into() {
    let replicas = [replica(1, 7, "OK", "NORMAL"), replica(2, 8, "OK", "NORMAL")];
    let replicas: Vec<&str> = replicas.iter().map(String::as_str).collect();
    let server = server()
        .on("ADMIN SHOW REPLICA STATUS FROM `d1`.`orders` PARTITION (`p2`, `p3`)", rows(REPLICAS, &replicas))
        .on("ADMIN SHOW REPLICA STATUS FROM `d1`.`log`", rows(REPLICAS, &replicas[..1]));
    let mut session = server.session().await;
    let catalog = Catalog::read(&mut session).await.expect("a catalog");
    let health = survey::health(&mut session).await.expect("health");
    assert_eq!((health.tablets, health.unhealthy.len(), catalog.databases().len()), (27, 0, 1));

    let map = survey::tablets(&mut session, &catalog, &health, 1).await.expect("tablets");
    let orders = tablets_of(&map, "orders");
    assert_eq!(orders.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["p1", "p2 to p3 (2)", "tp1"]);
    assert!(matches!(orders[0].1, Tablets::Healthy { count: 8 }), "{:?}", orders[0]);
    assert!(matches!((orders[1].1, orders[2].1), (Tablets::Placed(_), Tablets::Healthy { .. })));
    assert_eq!((map.replicas_on(7), map.replicas_on(8)), (2, 1));
    let asked = server.asked();
    assert!(!asked.iter().any(|statement| statement.contains("10/22/temp_partitions")), "views have no temporary partitions");
}

#[tokio::test]
async fn partitions_with_unhealthy_tablets_are_looked_into() {
    let bad = [
        replica(41, 7, "OK", "NORMAL"),
        replica(41, 8, "OK", "CLONE"),
        replica(41, 9, "VERSION_ERROR", "NORMAL"),
        replica(42, 7, "OK", "NORMAL"),
        "42|-1|-1|-1|-1|-1|-1|-1|-1|NULL|NULL|NULL|MISSING".to_owned(),
    ];
    let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
    let server = server()
        // Older servers write a prefix, not everywhere.
        .on(
            "SHOW PROC \"/cluster_health/tablet_health\"",
            rows(HEALTH, &["10|default_cluster:d1|27|24|2|1|0|0|0", "Total|1|27|24|2|1|0|0|0"]),
        )
        .on("SHOW PROC \"/cluster_health/tablet_health/10\"", rows(UNHEALTHY, &["41,42||| 43||99"]))
        .on("SHOW TABLET 41", rows(HOME, &["d1|orders|p1|orders|10|20|30|20|true|0|0|x"]))
        .on("SHOW TABLET 42", rows(HOME, &["default_cluster:d1|orders|tp1|orders|10|20|33|20|true|0|0|x"]))
        .on("SHOW TABLET 43", rows(HOME, &["NULL|NULL|NULL|NULL|-1|-1|-1|-1|false|-1|0|x"]))
        .on("ADMIN SHOW REPLICA STATUS FROM `d1`.`orders` PARTITION (`p1`)", rows(REPLICAS, &bad));
    let mut session = server.session().await;
    let catalog = Catalog::read(&mut session).await.expect("a catalog");
    let health = survey::health(&mut session).await.expect("health");
    let told: Vec<String> = health.unhealthy.iter().map(|one| format!("{} {:?}", one.status, one.tablets)).collect();
    assert_eq!(told, ["ReplicaMissing [41, 42]", "Unrecoverable [43]"]);

    let map = survey::tablets(&mut session, &catalog, &health, 0).await.expect("tablets");
    let orders = tablets_of(&map, "orders");
    let (table, p1) = map.partitions().find(|(_, partition)| &*partition.name == "p1").expect("p1");
    let placed: Vec<_> = map.placed(p1).map(|(placement, _, tablet)| (tablet, placement.good.to_vec(), placement.other.to_vec())).collect();
    assert_eq!(placed, [(41, vec![7], vec![8, 9]), (42, vec![7], vec![])]);
    assert!(orders.iter().any(|(name, tablets)| *name == "tp1" && matches!(tablets, Tablets::Unknown { .. })), "{orders:?}");
    assert_eq!(table.partition_name(p1), "d1.orders partition p1");
}

#[tokio::test]
async fn partitions_of_every_version_read_alike() {
    let old =
        "30|p1|1|2026-11-23 02:21:21|NORMAL|||k|16|3|SSD|9999-12-31 15:59:59||NULL|0.000 |false|tag.location.a: 1, tag.location.b: 2|true";
    let server = Server::default()
        .on("SHOW PROC \"/dbs/1/2/partitions\"", rows(PARTITIONS_2_0, &[old]))
        .on("SHOW PROC \"/dbs/1/3/partitions\"", rows("PartitionId|PartitionName|Buckets|ReplicationNum", &["30|p1|16|2"]));
    let mut session = server.session().await;
    let row = session.partitions(1, 2, false).await.expect("18 columns").remove(0);
    assert_eq!((row.buckets, row.medium.as_deref()), (16, Some("SSD")));
    assert_eq!(Allocation::new(row.allocation).to_string(), "tag.location.a: 1, tag.location.b: 2");
    let row = session.partitions(1, 3, false).await.expect("without an allocation").remove(0);
    assert_eq!((Allocation::new(row.allocation), row.medium), (Allocation::new([("default", 2u16)]), None));
}

#[tokio::test]
async fn jobs_at_their_end_are_left_out() {
    let backup = "JobId|SnapshotName|DbName|State|BackupObjs|CreateTime|SnapshotFinishedTime|UploadFinishedTime|FinishedTime|UnfinishedTasks|Progress|TaskErrMsg|Status|Timeout";
    let restore = "JobId|Label|Timestamp|DbName|State|AllowLoad|Status|Timeout";
    let change =
        "JobId|TableName|CreateTime|FinishTime|IndexName|IndexId|OriginIndexId|SchemaVersion|TransactionId|State|Msg|Progress|Timeout";
    let counts = "JobType|Pending|Running|Finished|Cancelled|Total";
    let server = server()
        .on(
            "SHOW BACKUP FROM `d1`",
            rows(
                backup,
                &[
                    "1|b1|d1|FINISHED||t|t|t|t||||[OK]|86400",
                    "2|b2|d1|UPLOADING||t|t|NULL|NULL||[7: 1/2]||[OK]|86400",
                    "3|b3|d1|CANCELLED||t|t|t|t||||[COMMON_ERROR, msg: user cancelled]|86400",
                ],
            ),
        )
        .on("SHOW RESTORE FROM `d1`", rows(restore, &["4|r1|2026-11-23-02-00-00|d1|DOWNLOADING|false|[OK]|86400"]))
        .on("SHOW PROC \"/jobs/10\"", rows(counts, &["load|0|0|9|0|9", "rollup|0|0|3|0|3", "schema_change|0|1|2|0|3"]))
        .on(
            "SHOW PROC \"/jobs/10/schema_change\"",
            rows(
                change,
                &[
                    "5|orders|2026-11-23 02:21:21|NULL|orders|1|1|1:1|7|RUNNING||1/4|86400",
                    "6|log|2026-11-22 02:21:21|2026-11-22 02:21:22|log|1|1|1:1|7|FINISHED||NULL|86400",
                ],
            ),
        );
    let mut session = server.session().await;
    session.use_utc().await.expect("done");
    let databases = session.databases().await.expect("databases");
    let jobs = survey::jobs(&mut session, &databases).await.expect("jobs");
    let backups: Vec<String> = jobs.backups.iter().map(|job| format!("{} {} {}", job.is_restore, job.label, job.state)).collect();
    assert_eq!(backups, ["false b2 UPLOADING", "true r1 DOWNLOADING"]);
    assert_eq!((jobs.alters.len(), jobs.alters[0].table.as_str()), (1, "orders"));
    assert_eq!(jobs.alters[0].created, "2026-11-23T02:21:21Z".parse().ok());
    assert!(!server.asked().iter().any(|statement| statement.ends_with("rollup\"")), "nothing to see there");
}

#[tokio::test]
async fn groups_switches_and_queues_are_read_by_name() {
    let settings = "Key|Value|Type|IsMutable|MasterOnly|Comment";
    let pending = "TabletId|Type|Medium|Status|State|SchedCode|Priority|SrcBe|SrcPath|DestBe|DestPath|Timeout|Create|LstSched|LstVisit|Finished|ReplicaSize|Rate|FailedSched|FailedRunning|VisibleVer|CmtVer|ErrMsg";
    let server = Server::default()
        .on(
            "SHOW PROC \"/colocation_group\"",
            rows("GroupId|GroupName|TableIds|BucketsNum|ReplicaAllocation|DistCols|IsStable|ErrorMsg", &["10.11|10_g1|20, 21|4|tag.location.default: 3|int(11)|false|no room"]),
        )
        .on(
            "ADMIN SHOW FRONTEND CONFIG LIKE 'disable%'",
            rows(settings, &["disable_balance|true|boolean|true|true|", "disable_colocate_balance|false|boolean|true|true|", "disable_tablet_scheduler|false|boolean|true|true|"]),
        )
        .on(
            "SHOW PROC \"/cluster_balance/pending_tablets\"",
            rows(pending, &["41|REPAIR|HDD|REPLICA_RELOCATING|PENDING|NULL|NORMAL|7|-1|-1|-1|0|NULL|NULL|NULL|NULL|0.000 |NULL|3|1|5|5|unable to find dest path"]),
        );
    let mut session = server.session().await;
    let group = survey::colocate_groups(&mut session).await.expect("groups").remove(0);
    assert_eq!((group.name.as_str(), group.stable, group.allocation.replicas()), ("10_g1", false, 3));
    let switches = survey::switches(&mut session).await.expect("switches");
    assert_eq!((switches.scheduler_off, switches.balance_off, switches.colocate_balance_off), (false, true, false));
    let tablet = session.scheduled_tablets(Queue::Pending).await.expect("a list").remove(0);
    assert_eq!((tablet.destination, tablet.failures, tablet.status.as_str()), (None, (3, 1), "REPLICA_RELOCATING"));
}

#[tokio::test]
async fn a_switch_that_the_server_does_not_name_is_no_switch_that_is_off() {
    let server =
        Server::default().on("ADMIN SHOW FRONTEND CONFIG LIKE 'disable%'", rows("Key|Value|IsMutable", &["disable_balance|false|true"]));
    let error = survey::switches(&mut server.session().await).await.expect_err("two are missing");
    assert!(matches!(error, Error::Malformed { .. }) && error.to_string().contains("disable_tablet_scheduler"), "{error}");
}

#[tokio::test]
async fn shares_and_backends_are_read_with_what_a_dead_one_does_not_tell() {
    let backends = "BackendId|Host|HeartbeatPort|BePort|HttpPort|Alive|SystemDecommissioned|TabletNum|Tag|Status|NodeRole";
    let server = Server::default()
        .on(
            "SHOW BACKENDS",
            rows(
                backends,
                &[r#"7|be-0|9050|9060|8040|false|true|5|{"location" : "hot"}|{"isQueryDisabled":true,"isLoadDisabled":false}|"#],
            ),
        )
        .on(
            "SHOW PROC \"/backends/7\"",
            rows(
                "RootPath|DataUsedCapacity|OtherUsedCapacity|AvailCapacity|TotalCapacity|TotalUsedPct|State|PathHash|StorageMedium",
                &["/data|1.000 GB|1.000 GB|98.000 GB|100.000 GB|2.00 %|ONLINE|7|SSD"],
            ),
        )
        .on(
            "ADMIN SHOW REPLICA DISTRIBUTION FROM `d1`.`log`",
            rows("BackendId|ReplicaNum|ReplicaSize|NumGraph|NumPercent", &["7|3|4096|>|50.00%", "8|3|0.000 |>|50.00%"]),
        );
    let mut session = server.session().await;
    let known = BTreeMap::from([("be-0".to_owned(), NodeRole::Mix)]);
    let backend = survey::backends(&mut session, &known, true).await.expect("backends").remove(0);
    assert_eq!((backend.role, backend.location.as_str(), backend.query_disabled), (Some(doris_safety::NodeRole::Mix), "hot", true));
    assert_eq!((backend.disks.len(), backend.disks[0].data_used, backend.disks[0].used()), (1, 1 << 30, 2 << 30));
    let shares = session.replica_shares("d1", "log").await.expect("shares");
    assert_eq!(
        shares.iter().map(|share| (share.backend, share.replicas, share.bytes)).collect::<Vec<_>>(),
        [(7, 3, Some(4096)), (8, 3, Some(0))]
    );
}

#[tokio::test]
async fn names_cannot_carry_a_statement() {
    let server = Server::default();
    let mut session = server.session().await;
    let refused = session.replicas("d`; DROP DATABASE d", "t", &["p`) x"]).await;
    assert!(refused.is_err());
    assert_eq!(server.asked(), ["ADMIN SHOW REPLICA STATUS FROM `d``; DROP DATABASE d`.`t` PARTITION (`p``) x`)"]);
}

#[tokio::test]
async fn each_step_has_read_what_its_rules_ask_for_and_no_more() {
    use doris_safety::{Terms, check};
    let replicas = [replica(1, 7, "OK", "NORMAL")];
    let server = server()
        .on(
            "SHOW BACKENDS",
            rows(
                "BackendId|Host|HeartbeatPort|Alive|SystemDecommissioned|TabletNum|Tag|Status|NodeRole",
                &[
                    r#"7|be-0|9050|true|false|5|{"location" : "default"}|{}|mix"#,
                    r#"8|cn-0|9050|true|false|0|{"location" : "default"}|{}|computation"#,
                ],
            ),
        )
        .on("ADMIN SHOW REPLICA STATUS FROM `d1`.`orders` PARTITION (`p2`, `p3`)", rows(REPLICAS, &[&replicas[0]]))
        .on("ADMIN SHOW REPLICA STATUS FROM `d1`.`log`", rows(REPLICAS, &[&replicas[0]]))
        .on(
            "ADMIN SHOW FRONTEND CONFIG LIKE 'disable%'",
            rows(
                "Key|Value|IsMutable",
                &["disable_balance|false|true", "disable_colocate_balance|false|true", "disable_tablet_scheduler|false|true"],
            ),
        )
        .on("SHOW BACKUP FROM `d1`", rows("JobId|State", &[]))
        .on("SHOW RESTORE FROM `d1`", rows("JobId|State", &[]))
        .on("SHOW PROC \"/jobs/10\"", rows("JobType|Pending|Running", &[]));
    let mut session = server.session().await;
    let known = BTreeMap::new();
    let terms = Terms {
        operation: "test",
        unavailable_tables: doris_api::cluster::UnavailableTables::Refuse,
        overrides: &[],
        used: &[],
        now: "2026-11-23T03:00:00Z".parse().expect("a time"),
    };
    let restart = Step::RestartBackends { backends: [7].into() };
    let observed = survey::for_step(&mut session, &restart, None, &known).await.expect("read");
    let refused = check(&observed, &restart, &terms).expect_err("a table has one replica");
    let rules: Vec<&str> = refused.blocked.iter().map(|blocked| blocked.rule.name()).collect();
    // Twice where one sentence is about what was seen and the other about the temporary partition.
    assert_eq!(rules, ["ServeReplica", "ServeReplica", "LoadQuorum", "LoadQuorum", "OneAtATime", "Fresh"], "{refused}");

    let before = server.asked().len();
    let compute = Step::DropComputeNode { backend: 8 };
    let observed = survey::for_step(&mut session, &compute, None, &known).await.expect("read");
    assert_eq!(server.asked()[before..], ["SHOW BACKENDS"]);
    assert!(observed.backends.is_some() && observed.tablets.is_none());
}
