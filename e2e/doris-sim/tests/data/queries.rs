use doris_sim::{NodeRole, Signal, SqlError, Work};

use crate::stand::{Stand, VERSIONS, ip, seconds};

#[tokio::test(start_paused = true)]
async fn a_query_counts_what_was_loaded() {
    for version in VERSIONS {
        let stand = Stand::new(version, 3).await;
        stand.table("t", "\"replication_num\" = \"3\"").await;
        assert_eq!(stand.count("t").await, Ok(0), "{version}");
        stand.load("t", "first", 7).await.expect("all replicas live");
        stand.good("INSERT INTO d.t VALUES (1), (2), (3)").await;
        assert_eq!(stand.count("t").await, Ok(10), "{version}");
        assert_eq!(stand.health("HealthyNum").await, stand.health("TabletNum").await, "{version}");
        assert!(stand.world.failures().is_empty(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_is_planned_again_until_it_sent_rows() {
    let stand = Stand::new("2.1.7", 3).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.load("t", "first", 8).await.expect("all replicas live");
    let statements = [("SELECT count(*), sleep(20) FROM d.t", true), ("SELECT k, sleep(20) FROM d.t", false)];
    for (n, (statement, survives)) in (0..).zip(statements) {
        let blow = async {
            seconds(10).await;
            stand.backend(n).signal(Signal::Kill);
        };
        let (answer, ()) = tokio::join!(stand.sql(statement), blow);
        assert_eq!(answer.is_ok(), survives, "{statement}: {answer:?}");
        stand.start_backend(n, NodeRole::Mix);
        seconds(200).await;
    }
    let failures = stand.world.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].work == Work::Query && failures[0].table == "d.t" && failures[0].reason.contains("Network closed"), "{failures:?}");
}

#[tokio::test(start_paused = true)]
async fn a_table_without_a_living_replica_fails_by_its_tablet() {
    for version in VERSIONS {
        let stand = Stand::new(version, 3).await;
        stand.table("single", "\"replication_num\" = \"1\"").await;
        stand.backend(0).signal(Signal::Kill);
        seconds(30).await;
        let text = stand.bad("SELECT count(*) FROM d.single").await;
        assert!(
            text.contains("has no queryable replicas. err: replica") && text.contains("does not exist or not alive"),
            "{version}: {text}"
        );
        assert!(stand.world.unreadable_tablets().iter().all(|tablet| tablet.wanted == 1), "{version}");
        assert!(!stand.world.unreadable_tablets().is_empty(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frontend_leaves_a_backend_that_failed_alone_for_two_minutes() {
    let stand = Stand::new("3.0.3", 1).await;
    stand.table("single", "\"replication_num\" = \"1\"").await;
    stand.backend(0).signal(Signal::Kill);
    // The heartbeat does not know yet, so the query goes there.
    assert!(stand.bad("SELECT count(*) FROM d.single").await.contains("in black list"));
    stand.start_backend(0, NodeRole::Mix);
    seconds(60).await;
    assert_eq!(stand.row(0, "Alive").await.as_deref(), Some("true"));
    assert!(stand.bad("SELECT count(*) FROM d.single").await.contains("in black list"), "it is back, and still left alone");
    seconds(70).await;
    assert_eq!(stand.count("single").await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn drain_flags_reach_every_frontend_and_keep_work_away() {
    let stand = Stand::seeded("3.0.3", 3, 3, 1).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.good("ALTER SYSTEM MODIFY BACKEND \"be-0.test:9050\" SET (\"disable_query\" = \"true\", \"disable_load\" = \"true\")").await;
    seconds(5).await;
    for frontend in 0..3 {
        let mut session = stand.session(frontend).await.expect("it serves");
        session.query("SET forward_to_master = false").await.expect("a good statement");
        let rows = session.query("SHOW BACKENDS").await.expect("a good statement");
        let status = rows.rows().and_then(|rows| rows.value(0, "Status").map(str::to_owned)).unwrap_or_default();
        assert!(status.contains("\"isQueryDisabled\":true,\"isLoadDisabled\":true"), "{status}");
        for _ in 0..12 {
            let mut other = stand.session(frontend).await.expect("it serves");
            let query = async { other.query("SELECT count(*), sleep(2) FROM d.t").await };
            let look = async {
                seconds(1).await;
                stand.rows("SELECT BE_ID FROM information_schema.backend_active_tasks").await
            };
            let (answer, tasks) = tokio::join!(query, look);
            answer.expect("two replicas are left");
            let first = stand.rows("SHOW BACKENDS").await.value(0, "BackendId").map(str::to_owned);
            assert!(!tasks.rows.is_empty() && tasks.rows.iter().all(|row| row[0] != first), "{tasks:?}");
        }
    }
    for n in 0..12 {
        let done = stand.load("t", &format!("l{n}"), 1).await.expect("a majority and a leader are there");
        assert_ne!(done.coordinator, "be-0.test", "a flagged backend leads no load");
    }
}

#[tokio::test(start_paused = true)]
async fn compute_nodes_read_other_systems_only_where_they_are_preferred() {
    let mut stand = Stand::new("2.1.7", 1).await;
    stand.add_backend(1, NodeRole::Computation).await;
    seconds(60).await;
    stand.good("CREATE CATALOG hive PROPERTIES (\"type\" = \"hms\")").await;
    let mut seen = Vec::new();
    for prefer in ["false", "true"] {
        stand.set("prefer_compute_node_for_external_table", prefer).await;
        let query = stand.sql("SELECT count(*), sleep(5) FROM hive.sales.orders");
        let look = async {
            seconds(1).await;
            stand.rows("SELECT BE_ID FROM information_schema.backend_active_tasks").await.rows
        };
        let (answer, tasks) = tokio::join!(query, look);
        assert!(answer.is_ok(), "{answer:?}");
        seen.push(tasks);
    }
    let ids = stand.rows("SHOW BACKENDS").await;
    let id = |row: usize| vec![ids.value(row, "BackendId").map(str::to_owned)];
    assert_eq!(seen, [vec![id(0)], vec![id(1)]]);
}

#[tokio::test(start_paused = true)]
async fn a_frontend_takes_its_connections_with_it() {
    let stand = Stand::seeded("3.0.3", 3, 3, 1).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    let mut session = stand.session(2).await.expect("it serves");
    let stop = async {
        seconds(5).await;
        stand.world.process_at(ip(3)).expect("it runs").signal(Signal::Term);
    };
    let (answer, ()) = tokio::join!(session.query("SELECT count(*), sleep(60) FROM d.t"), stop);
    assert_eq!(answer, Err(SqlError::Lost));
    assert_eq!(stand.world.failures().len(), 1);
    let stops = stand.world.frontend_stops();
    assert!(matches!(stops.as_slice(), [stop] if stop.busy == 1 && !stop.master && stop.fqdn == "fe-2.test"), "{stops:?}");
    assert_eq!(stand.rows("SELECT * FROM information_schema.backend_active_tasks").await.rows.len(), 0, "its parts ended with it");
}

#[tokio::test(start_paused = true)]
async fn a_tablet_is_found_on_the_path_that_show_tablet_names() {
    for version in VERSIONS {
        let stand = Stand::new(version, 3).await;
        stand.table("t", "\"replication_num\" = \"3\"").await;
        stand.load("t", "x", 8).await.expect("all live");
        let tablets = stand.rows("SHOW TABLETS FROM d.t").await;
        assert_eq!((tablets.rows.len(), tablets.value(0, "Version")), (12, Some("2")), "{version}");
        let found = stand.rows(&format!("SHOW TABLET {}", tablets.value(0, "TabletId").unwrap_or_default())).await;
        let path = found.value(0, "DetailCmd").unwrap_or_default().to_owned();
        let replicas = stand.rows(&path).await;
        let versions: Vec<_> = (0..replicas.rows.len()).map(|row| (replicas.value(row, "Version"), replicas.value(row, "IsBad"))).collect();
        assert_eq!(versions, [(Some("2"), Some("false")); 3], "{version}: {path}");
        let ids: Vec<_> = path.split('/').collect();
        let partitions = stand.rows(&format!("SHOW PROC '/dbs/{}/{}/partitions'", ids[2], ids[3])).await;
        assert_eq!(partitions.value(0, "ReplicaAllocation"), Some("tag.location.default: 3"), "{version}");
    }
}
