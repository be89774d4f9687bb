use std::time::Duration;

use doris_sim::{NodeRole, Signal};
use tokio::time::Instant;

use crate::stand::{Stand, VERSIONS, seconds};

/// How long a backend takes to end with a query of a minute on it, and how it went with the query.
async fn end_with_query(stand: &Stand) -> (Duration, bool) {
    let process = stand.backend(0);
    let stop = async {
        seconds(10).await;
        process.signal(Signal::Term);
        let start = Instant::now();
        process.wait().await;
        start.elapsed()
    };
    let (answer, took) = tokio::join!(stand.sql("SELECT k, sleep(60) FROM d.single"), stop);
    (took, answer.is_ok())
}

#[tokio::test(start_paused = true)]
async fn only_backends_from_2_1_on_wait_for_their_queries() {
    for version in VERSIONS {
        let stand = Stand::new(version, 1).await;
        stand.table("single", "\"replication_num\" = \"1\"").await;
        stand.load("single", "x", 4).await.expect("it lives");
        let (took, answered) = end_with_query(&stand).await;
        if version == "2.0.15" {
            assert!(took < Duration::from_secs(10) && !answered, "{version}: {took:?} {answered}");
        } else {
            assert!((50..57).contains(&took.as_secs()) && answered, "{version}: {took:?} {answered}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn grace_ends_and_an_idle_backend_needs_none() {
    let stand = Stand::new("3.0.3", 1).await;
    stand.table("single", "\"replication_num\" = \"1\"").await;
    let process = stand.backend(0);
    process.signal(Signal::Term);
    let start = Instant::now();
    process.wait().await;
    assert!(start.elapsed() < Duration::from_secs(5), "without a query it leaves at its next look: {:?}", start.elapsed());
    stand.start_backend(0, NodeRole::Mix);
    seconds(200).await;
    let changed = stand.http(crate::stand::ip(11), 8040, "POST", "/api/update_config?grace_shutdown_wait_seconds=20").await;
    assert_eq!(changed[0]["status"], "OK");
    let (took, answered) = end_with_query(&stand).await;
    assert!((20..25).contains(&took.as_secs()) && !answered, "{took:?} {answered}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_tells_that_it_stops_from_2_1_on() {
    for version in ["2.0.15", "2.1.7", "4.1.0"] {
        let stand = Stand::new(version, 1).await;
        stand.table("single", "\"replication_num\" = \"1\"").await;
        let process = stand.backend(0);
        let look = async {
            seconds(5).await;
            process.signal(Signal::Term);
            seconds(12).await;
            let status = stand.row(0, "Status").await.unwrap_or_default();
            let other = stand.sql("SELECT count(*) FROM d.single").await;
            (status, other.map(|_| ()).map_err(|error| error.to_string()).err().unwrap_or_default())
        };
        let (_, (status, refused)) = tokio::join!(stand.sql("SELECT count(*), sleep(40) FROM d.single"), look);
        match version {
            "2.0.15" => assert!(refused.contains("does not exist or not alive"), "{version}: {refused}"),
            _ => assert!(refused.contains("shutting down"), "{version}: {refused}"),
        }
        assert_eq!(status.contains("\"isShutdown\":true"), version == "4.1.0", "{version}: {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn running_work_is_told_where_the_version_tells_it() {
    for version in VERSIONS {
        let stand = Stand::new(version, 1).await;
        stand.table("single", "\"replication_num\" = \"1\"").await;
        let look = async {
            seconds(15).await;
            let processes = stand.rows("SHOW PROCESSLIST").await;
            let queries = (0..processes.rows.len()).filter(|row| processes.value(*row, "Command") == Some("Query")).count();
            (stand.row(0, "RunningTasks").await, stand.row(0, "Status").await.unwrap_or_default(), queries)
        };
        let (_, (tasks, status, queries)) = tokio::join!(stand.sql("SELECT count(*), sleep(30) FROM d.single"), look);
        assert_eq!(tasks.as_deref(), (version == "4.0.0").then_some("1"), "{version}");
        assert_eq!(status.contains("\"currentFragmentNum\":1"), ["3.0.3", "4.0.0"].contains(&version), "{version}: {status}");
        assert_eq!(queries, 2, "{version}: the query and the look itself");
    }
}
