use doris_sim::{Signal, SnapshotFacts};

use crate::stand::{GIB, Stand, VERSIONS, ip, seconds};

const REPOSITORY: &str = "CREATE REPOSITORY r WITH S3 ON LOCATION \"s3://bucket/backups\" PROPERTIES (\"s3.endpoint\" = \"http://store\")";
const BACKUP: &str = "BACKUP SNAPSHOT d.nightly TO r";

/// Three backends with a table, and a repository that backs it up in a minute or two.
async fn with_repository(version: &str, frontends: u8) -> Stand {
    let stand = Stand::seeded(version, frontends, 3, 1).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.load_bytes("t", "x", 40, 8 * GIB).await.expect("all live");
    stand.world.add_object_store("s3://bucket", 100 << 20);
    stand.good(REPOSITORY).await;
    stand
}

fn job(stand: &Stand) -> SnapshotFacts {
    stand.world.snapshot_jobs().pop().expect("a job")
}

/// The states that a statement shows a job in until it is over.
async fn states(stand: &Stand, show: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    stand
        .until("the job is over", 900, async |stand| {
            let rows = stand.rows(show).await;
            let state = rows.value(rows.rows.len() - 1, "State").unwrap_or_default().to_owned();
            let is_over = ["FINISHED", "CANCELLED"].contains(&state.as_str());
            if seen.last() != Some(&state) {
                seen.push(state);
            }
            is_over
        })
        .await;
    seen
}

#[tokio::test(start_paused = true)]
async fn what_was_backed_up_can_be_restored() {
    for version in VERSIONS {
        let stand = with_repository(version, 1).await;
        stand.good(BACKUP).await;
        let all = ["PENDING", "SNAPSHOTING", "UPLOAD_SNAPSHOT", "UPLOADING", "SAVE_META", "UPLOAD_INFO", "FINISHED"];
        let seen = states(&stand, "SHOW BACKUP FROM d").await;
        assert!(
            seen.len() > 3 && seen.contains(&"UPLOADING".to_owned()) && seen.iter().all(|state| all.contains(&state.as_str())),
            "{seen:?}"
        );
        let saved = stand.rows("SHOW SNAPSHOT ON r").await;
        assert_eq!((saved.value(0, "Snapshot"), saved.value(0, "Status")), (Some("nightly"), Some("OK")), "{version}");
        let timestamp = saved.value(0, "Timestamp").expect("a time").to_owned();
        assert!(stand.bad(BACKUP).await.contains("Snapshot with name 'nightly' already exist in repository"));
        stand.good("DROP TABLE d.t FORCE").await;
        stand.good(&format!("RESTORE SNAPSHOT d.nightly FROM r PROPERTIES (\"backup_timestamp\" = \"{timestamp}\")")).await;
        let seen = states(&stand, "SHOW RESTORE FROM d").await;
        assert!(seen.contains(&"DOWNLOADING".to_owned()) && seen.last().is_some_and(|last| last == "FINISHED"), "{seen:?}");
        assert_eq!(stand.count("t").await, Ok(40), "{version}");
        stand.until("it is whole", 120, async |stand| stand.is_healthy().await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_has_one_job_at_a_time_and_it_can_be_cancelled() {
    let stand = with_repository("2.1.7", 1).await;
    stand.good(BACKUP).await;
    seconds(10).await;
    let other = stand.bad("BACKUP SNAPSHOT d.other TO r").await;
    assert!(other.contains("Can only run one backup or restore job of a database at same time"), "{other}");
    assert!(stand.bad("DROP REPOSITORY r").await.contains("Can not drop it"));
    assert!(stand.bad("CANCEL RESTORE FROM d").await.contains("No restore is currently running"));
    stand.good("CANCEL BACKUP FROM d").await;
    let rows = stand.rows("SHOW BACKUP FROM d").await;
    assert_eq!((rows.value(0, "State"), rows.value(0, "Status")), (Some("CANCELLED"), Some("[COMMON_ERROR, msg: user cancelled]")));
    assert!(stand.bad("CANCEL BACKUP FROM d").await.contains("No backup job is currently running"));
    stand.good("DROP REPOSITORY r").await;
    let missing = stand.bad("CREATE REPOSITORY q WITH S3 ON LOCATION \"s3://elsewhere/x\" PROPERTIES (\"a\" = \"b\")").await;
    assert!(missing.contains("needs an object store"), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_ends_takes_its_part_of_a_backup_with_it() {
    let stand = with_repository("2.1.7", 1).await;
    stand.good(BACKUP).await;
    stand.until("it uploads", 60, async |stand| job(stand).state == "UPLOADING").await;
    stand.backend(0).signal(Signal::Kill);
    let stop = stand.world.backend_stops().pop().expect("a stop");
    assert_eq!(stop.snapshots, ["nightly"]);
    seconds(600).await;
    let left = job(&stand);
    assert!(left.state == "UPLOADING" && left.tasks_lost > 0 && left.tasks_lost == left.tasks_left, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_tried_until_it_does() {
    let stand = with_repository("3.0.3", 1).await;
    stand.good(BACKUP).await;
    stand.until("it uploads", 60, async |stand| job(stand).state == "UPLOADING").await;
    stand.world.set_object_store_answers("s3://bucket", false);
    seconds(1200).await;
    assert_eq!(job(&stand).state, "UPLOADING");
    assert!(stand.rows("SHOW REPOSITORIES").await.value(0, "ErrMsg").is_some());
    stand.world.set_object_store_answers("s3://bucket", true);
    stand.until("it is done", 300, async |stand| job(stand).state == "FINISHED").await;
}

#[tokio::test(start_paused = true)]
async fn another_master_goes_on_with_a_backup() {
    let stand = with_repository("2.1.7", 3).await;
    stand.good(BACKUP).await;
    stand.until("it uploads", 60, async |stand| job(stand).state == "UPLOADING").await;
    let master =
        stand.world.members().into_iter().filter_map(|member| member.frontend().cloned()).find(|fe| fe.says_master).expect("a master");
    let number: u8 = master.start.fqdn.trim_start_matches("fe-").chars().take(1).collect::<String>().parse().expect("a number");
    stand.world.process_at(ip(number + 1)).expect("it runs").signal(Signal::Kill);
    seconds(30).await;
    stand.until("it is done", 600, async |stand| job(stand).state == "FINISHED").await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_table_waits_for_the_loads_before_it() {
    for version in VERSIONS {
        let stand = Stand::new(version, 3).await;
        stand.table("t", "\"replication_num\" = \"3\"").await;
        let insert = stand.sql("INSERT INTO d.t SELECT SLEEP(600)");
        let alter = async {
            seconds(5).await;
            stand.good("ALTER TABLE d.t MODIFY COLUMN k bigint").await;
            let again = stand.bad("ALTER TABLE d.t ADD ROLLUP r (k)").await;
            assert!(again.contains("state(SCHEMA_CHANGE) is not NORMAL"), "{again}");
            seconds(60).await;
            let show = "SHOW ALTER TABLE COLUMN FROM d";
            assert_eq!(stand.rows(show).await.value(0, "State"), Some("WAITING_TXN"), "{version}");
            let database = stand.rows("SHOW PROC '/jobs'").await;
            let row = (0..database.rows.len()).find(|row| database.value(*row, "DbName") == Some("d")).expect("d");
            let counts = stand.rows(&format!("SHOW PROC '/jobs/{}'", database.value(row, "DbId").expect("an id"))).await;
            let row = (0..counts.rows.len()).find(|row| counts.value(*row, "JobType") == Some("schema_change")).expect("a row");
            assert_eq!((counts.value(row, "Running"), counts.value(row, "Total")), (Some("1"), Some("1")), "{version}");
        };
        let (inserted, ()) = tokio::join!(insert, alter);
        inserted.expect("it ends in time");
        stand
            .until("it is written", 60, async |stand| {
                stand.rows("SHOW ALTER TABLE COLUMN FROM d").await.value(0, "State") == Some("FINISHED")
            })
            .await;
        stand.good("ALTER TABLE d.t ADD ROLLUP r (k)").await;
        stand.good("CANCEL ALTER TABLE ROLLUP FROM d.t").await;
        assert_eq!(stand.rows("SHOW ALTER TABLE ROLLUP FROM d").await.value(0, "State"), Some("CANCELLED"), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_spoiled_tablet_is_bad_until_the_scheduler_mends_it() {
    let stand = Stand::new("2.1.7", 3).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.load("t", "x", 40).await.expect("all live");
    seconds(70).await;
    stand.set("disable_tablet_scheduler", "true").await;
    let tablet = stand.world.tablets().into_iter().find(|tablet| tablet.table == "t").expect("one").tablet;
    assert!(stand.world.spoil_tablet("be-0.test", tablet));
    stand.until("it is reported", 90, async |stand| !stand.is_healthy().await).await;
    seconds(600).await;
    assert!(!stand.is_healthy().await, "nothing repairs it");
    stand.set("disable_tablet_scheduler", "false").await;
    stand.until("it is repaired", 200, async |stand| stand.is_healthy().await).await;
    assert_eq!(stand.count("t").await, Ok(40));
}
