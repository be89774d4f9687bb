use std::time::Duration;

use doris_sim::{LoadError, LoadStatus, NodeRole, Signal, StreamLoad};

use crate::stand::{CLIENT, Stand, VERSIONS, ip, seconds};

#[tokio::test(start_paused = true)]
async fn loads_need_a_majority_of_every_tablet_or_what_the_table_asks_for() {
    let cases = [
        ("\"replication_num\" = \"3\"", [true; 4]),
        ("\"replication_num\" = \"2\"", [false; 4]),
        ("\"replication_num\" = \"1\"", [false; 4]),
        ("\"replication_num\" = \"2\", \"min_load_replica_num\" = \"1\"", [false, true, true, true]),
    ];
    for (at, version) in VERSIONS.into_iter().enumerate() {
        let stand = Stand::new(version, 3).await;
        for (number, (properties, _)) in cases.iter().enumerate() {
            stand.table(&format!("t{number}"), properties).await;
        }
        // Nobody copies what is missed meanwhile.
        stand.set("disable_tablet_scheduler", "true").await;
        stand.backend(0).signal(Signal::Kill);
        seconds(30).await;
        for (number, (properties, wanted)) in cases.iter().enumerate() {
            let result = stand.load(&format!("t{number}"), &format!("l{number}"), 4).await;
            assert_eq!(result.is_ok(), wanted[at], "{version} {properties}: {result:?}");
            let word = if at == 0 { "quorum replica num" } else { "load required replica num" };
            if let Err(error) = result {
                assert!(error.to_string().contains(word), "{version}: {error}");
            }
        }
        assert_eq!(stand.count("t0").await, Ok(4), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_label_counts_once() {
    let stand = Stand::new("2.1.7", 3).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    assert_eq!(stand.load("t", "x", 5).await.map(|done| done.status), Ok(LoadStatus::Success));
    let again = stand.load("t", "x", 5).await;
    assert!(matches!(&again, Err(LoadError::LabelInUse { state, .. }) if state == "VISIBLE"), "{again:?}");
    assert!(stand.bad("INSERT INTO d.t WITH LABEL x VALUES (1)").await.contains("has already been used"));
    assert_eq!(stand.count("t").await, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn a_load_dies_with_its_leader_and_is_made_once_when_it_is_repeated() {
    let stand = Stand::new("3.0.3", 3).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    let load = StreamLoad { rows: 9, duration: Some(Duration::from_secs(30)), ..StreamLoad::new("d", "t", "x") };
    let blow = async {
        seconds(10).await;
        let busy = |n: &u8| stand.world.members().iter().any(|m| m.fqdn() == format!("be-{n}.test") && m.is_running());
        for n in (0..3).filter(busy) {
            let metrics = metric(&stand, n, "doris_be_load_channel_count").await;
            if metrics == 1 {
                stand.backend(n).signal(Signal::Kill);
                return n;
            }
        }
        unreachable!("somebody leads the load")
    };
    let (result, killed) = tokio::join!(stand.world.stream_load(CLIENT, ip(1), &load), blow);
    assert_eq!(result, Err(LoadError::Lost));
    let again = stand.load("t", "x", 9).await;
    assert!(matches!(&again, Err(LoadError::LabelInUse { state, .. }) if state == "PREPARE"), "{again:?}");
    stand.start_backend(killed, NodeRole::Mix);
    seconds(40).await;
    stand.load("t", "x", 9).await.expect("the leader was started anew, so its loads were given up");
    assert_eq!(stand.count("t").await, Ok(9));
}

async fn metric(stand: &Stand, n: u8, name: &str) -> u64 {
    let request = http::Request::builder().uri("/metrics").body(bytes::Bytes::new()).expect("a good request");
    let response = stand.world.http(CLIENT, ip(n + 11), 8040, request).await.expect("an answer");
    let text = String::from_utf8_lossy(response.body()).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_missed_a_load_lags_until_it_is_copied() {
    for version in VERSIONS {
        let stand = Stand::new(version, 3).await;
        stand.table("t", "\"replication_num\" = \"3\"").await;
        stand.backend(0).signal(Signal::Kill);
        seconds(30).await;
        stand.load("t", "x", 8).await.expect("two of three live");
        assert_eq!(stand.health("VersionIncompleteNum").await, 0, "{version}: an absent replica is missing, not behind");
        stand.set("disable_tablet_scheduler", "true").await;
        stand.start_backend(0, NodeRole::Mix);
        seconds(120).await;
        assert_eq!(stand.health("VersionIncompleteNum").await, 4, "{version}: nobody copies while the scheduler is held");
        let status = stand.rows("ADMIN SHOW REPLICA STATUS FROM d.t").await;
        let behind = (0..status.rows.len()).filter(|row| status.value(*row, "Status") == Some("VERSION_ERROR")).count();
        assert_eq!(behind, 4, "{version}");
        // A lagging replica does not count: with another backend down nothing is a majority.
        stand.backend(1).signal(Signal::Kill);
        seconds(30).await;
        let refused = stand.load("t", "y", 1).await;
        assert!(matches!(&refused, Err(LoadError::Failed(text)) if text.contains("succ replica num 1")), "{version}: {refused:?}");
        stand.start_backend(1, NodeRole::Mix);
        stand.set("disable_tablet_scheduler", "false").await;
        stand.until("lagging replicas are copied", 200, async |stand| stand.is_healthy().await).await;
        stand.load("t", "z", 2).await.expect("all is well again");
        assert_eq!(stand.count("t").await, Ok(10), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_ahead_log_is_seen_and_outlives_its_backend() {
    let stand = Stand::new("2.1.7", 1).await;
    stand.table("t", "\"replication_num\" = \"1\"").await;
    let load = StreamLoad { rows: 3, group_commit: true, ..StreamLoad::new("d", "t", "g") };
    let done = stand.world.stream_load(CLIENT, ip(1), &load).await.expect("the backend takes it");
    assert_eq!(done.status, LoadStatus::Logged);
    let size = stand.http(ip(1), 8030, "GET", "/api/get_wal_size?host_ports=be-0.test:9050").await;
    assert_eq!(size["data"][0], "be-0.test:9050:1");
    stand.backend(0).signal(Signal::Kill);
    seconds(20).await;
    stand.start_backend(0, NodeRole::Mix);
    seconds(60).await;
    let size = stand.http(ip(1), 8030, "GET", "/api/get_wal_size?host_ports=be-0.test:9050").await;
    assert_eq!(size["data"][0], "be-0.test:9050:0");
    assert_eq!(stand.count("t").await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_loads() {
    let stand = Stand::new("2.1.7", 1).await;
    stand.table("t", "\"replication_num\" = \"1\"").await;
    stand.disks[&0].fill(stand.capacity / 100 * 96);
    let unreported = stand.load("t", "x", 1).await;
    assert!(unreported.is_err(), "the backend itself refuses: {unreported:?}");
    seconds(70).await;
    let refused = stand.load("t", "y", 1).await;
    assert!(matches!(&refused, Err(LoadError::Failed(text)) if text.contains("exceed limit usage")), "{refused:?}");
    stand.disks[&0].fill(0);
    seconds(70).await;
    stand.load("t", "z", 1).await.expect("there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_is_sent_on_to_a_backend() {
    let stand = Stand::new("3.0.3", 1).await;
    stand.table("t", "\"replication_num\" = \"1\"").await;
    let request = || {
        let builder = http::Request::builder().method("PUT").uri("/api/d/t/_stream_load");
        builder
            .header("authorization", "Basic cm9vdDo=")
            .header("label", "web")
            .body(bytes::Bytes::from("1\n2\n3\n"))
            .expect("a good request")
    };
    let sent = stand.world.http(CLIENT, ip(1), 8030, request()).await.expect("an answer");
    assert_eq!(sent.status(), 307);
    assert_eq!(sent.headers()["location"], "http://be-0.test:8040/api/d/t/_stream_load");
    let done = stand.world.http(CLIENT, ip(11), 8040, request()).await.expect("an answer");
    let body: serde_json::Value = serde_json::from_slice(done.body()).expect("JSON");
    assert_eq!((&body["Status"], &body["NumberLoadedRows"]), (&"Success".into(), &3.into()));
    let again = stand.world.http(CLIENT, ip(11), 8040, request()).await.expect("an answer");
    let body: serde_json::Value = serde_json::from_slice(again.body()).expect("JSON");
    assert_eq!((&body["Status"], &body["ExistingJobStatus"]), (&"Label Already Exists".into(), &"FINISHED".into()));
    assert_eq!(stand.count("t").await, Ok(3));
}
