use std::time::Duration;

use doris_sim::{NodeRole, Signal, TabletFacts};

use crate::stand::{GIB, Stand, seconds};

fn of<'a>(tablets: &'a [TabletFacts], table: &'a str) -> impl Iterator<Item = &'a TabletFacts> {
    tablets.iter().filter(move |tablet| tablet.table == table)
}

/// Replicas of table `t` on a host.
fn on(stand: &Stand, host: &str) -> usize {
    let tablets = stand.world.tablets();
    of(&tablets, "t").flat_map(|tablet| &tablet.replicas).filter(|replica| replica.host == host).count()
}

#[tokio::test(start_paused = true)]
async fn an_absent_replica_is_waited_for_unless_the_backends_are_as_many_as_the_copies() {
    // Version, backends, copies, and the seconds from the death to the first changed replica.
    let cases = [
        ("2.0.15", 5, 3, 120..200),
        ("2.1.7", 5, 3, 120..200),
        ("3.0.3", 5, 3, 120..200),
        ("2.0.15", 4, 2, 60..120),
        ("2.1.7", 4, 2, 5..60),
        ("2.0.15", 4, 3, 5..60),
        ("2.1.7", 4, 3, 5..60),
        ("4.0.0", 4, 3, 5..60),
    ];
    for (version, backends, copies, wanted) in cases {
        let stand = Stand::new(version, backends).await;
        stand.set("disable_balance", "true").await;
        stand.table("t", &format!("\"replication_num\" = \"{copies}\"")).await;
        let victim = (0..backends).find(|n| on(&stand, &format!("be-{n}.test")) > 0).expect("the table lies somewhere");
        let before = summary(&stand);
        stand.backend(victim).signal(Signal::Kill);
        let took = stand.until("the first replica changes", 400, async |stand| summary(stand) != before).await;
        assert!(wanted.contains(&took.as_secs()), "{version}, {backends} backends, {copies} copies: {took:?}");
        stand.until("every tablet is whole", 600, async |stand| whole(stand, copies)).await;
    }
}

/// Where the replicas of table `t` are said to be.
fn summary(stand: &Stand) -> Vec<Vec<u64>> {
    let tablets = stand.world.tablets();
    of(&tablets, "t").map(|tablet| tablet.replicas.iter().map(|replica| replica.backend).collect()).collect()
}

fn whole(stand: &Stand, copies: usize) -> bool {
    of(&stand.world.tablets(), "t").all(|tablet| tablet.readable() == copies)
}

#[tokio::test(start_paused = true)]
async fn copies_take_their_bytes_time_and_end_with_the_switch() {
    let stand = Stand::new("2.1.7", 4).await;
    stand.set("disable_balance", "true").await;
    stand.table("t", "\"replication_num\" = \"2\"").await;
    // 4 tablets of 6 GiB at 50 MB/s: two minutes each.
    stand.load_bytes("t", "x", 100, 24 * GIB).await.expect("there is room");
    let victim = (0..4).find(|n| on(&stand, &format!("be-{n}.test")) > 0).expect("the table lies somewhere");
    stand.backend(victim).signal(Signal::Kill);
    stand.until("copies run", 60, async |stand| stand.health("CloningNum").await > 0).await;
    let running = stand.rows("SHOW PROC '/cluster_balance/running_tablets'").await;
    assert!(running.value(0, "Type") == Some("REPAIR") && running.value(0, "ReplicaSize") == Some("6442450944"), "{running:?}");
    stand.set("disable_tablet_scheduler", "true").await;
    seconds(60).await;
    assert_eq!(stand.health("CloningNum").await, 0, "the switch gives up what is under way");
    seconds(600).await;
    assert!(!whole(&stand, 2), "and nothing comes after it");
    stand.set("disable_tablet_scheduler", "false").await;
    let took = stand.until("every tablet is whole", 900, async |stand| whole(stand, 2)).await;
    assert!(took > Duration::from_secs(125), "{took:?}");
    let history = stand.rows("SHOW PROC '/cluster_balance/history_tablets'").await;
    assert!((0..history.rows.len()).any(|row| history.value(row, "State") == Some("FINISHED")), "{history:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_backend_gets_its_share_unless_balance_is_off() {
    for balance in [true, false] {
        let mut stand = Stand::new("3.0.3", 3).await;
        stand.set("disable_balance", if balance { "false" } else { "true" }).await;
        stand.table("t", "\"replication_num\" = \"3\"").await;
        stand.load("t", "x", 100).await.expect("all live");
        stand.add_backend(3, NodeRole::Mix).await;
        seconds(900).await;
        let held: u64 = stand.row(3, "TabletNum").await.and_then(|text| text.parse().ok()).unwrap_or(0);
        let all = stand.health("TabletNum").await * 3;
        assert_eq!(held > all / 5, balance, "{held} of {all}");
        assert_eq!(stand.health("HealthyNum").await, stand.health("TabletNum").await, "what moved is not there twice");
        assert_eq!(stand.count("t").await, Ok(100));
        let before = stand.world.tablets();
        seconds(600).await;
        assert_eq!(stand.world.tablets(), before, "and then it rests");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_with_a_drain_flag_or_a_full_disk_gets_no_copies() {
    for flag in ["disable_query", "disable_load", "full disk"] {
        let stand = Stand::new("2.1.7", 4).await;
        stand.set("disable_balance", "true").await;
        stand.table("t", "\"replication_num\" = \"3\"").await;
        let spare = 3;
        let moved = on(&stand, "be-3.test");
        if flag == "full disk" {
            stand.disks[&spare].fill(stand.capacity / 100 * 86);
        } else {
            stand.good(&format!("ALTER SYSTEM MODIFY BACKEND \"be-3.test:9050\" SET (\"{flag}\" = \"true\")")).await;
        }
        seconds(70).await;
        stand.backend(0).signal(Signal::Kill);
        seconds(600).await;
        assert_eq!(on(&stand, "be-3.test"), moved, "{flag}");
        if flag == "full disk" {
            stand.disks[&spare].fill(0);
        } else {
            stand.good(&format!("ALTER SYSTEM MODIFY BACKEND \"be-3.test:9050\" SET (\"{flag}\" = \"false\")")).await;
        }
        stand.until("every tablet is whole", 400, async |stand| whole(stand, 3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_starts_blank_is_written_off_at_its_report() {
    let mut stand = Stand::new("3.0.3", 4).await;
    stand.set("disable_balance", "true").await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.load("t", "x", 40).await.expect("all live");
    stand.backend(1).signal(Signal::Kill);
    stand.disks.insert(1, doris_sim::Volume::with_capacity(stand.capacity));
    stand.start_backend(1, NodeRole::Mix);
    stand.until("it is written off", 60, async |stand| on(stand, "be-1.test") == 0).await;
    stand.until("every tablet is whole", 600, async |stand| whole(stand, 3)).await;
    assert_eq!(stand.count("t").await, Ok(40));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_backend_that_comes_back_soon_gives_its_replicas_back() {
    let stand = Stand::new("2.1.7", 4).await;
    stand.set("disable_balance", "true").await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.load("t", "x", 40).await.expect("all live");
    stand.good("ALTER SYSTEM DROPP BACKEND \"be-1.test:9050\"").await;
    stand.good("ALTER SYSTEM ADD BACKEND \"be-1.test:9050\"").await;
    let took = stand.until("every tablet is whole", 400, async |stand| whole(stand, 3)).await;
    assert!(took < Duration::from_secs(300), "{took:?}");
    assert_eq!(stand.count("t").await, Ok(40));
}
