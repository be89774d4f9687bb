use doris_sim::{MemberKind, ProcessState, Signal};

use crate::stand::{Stand, ip, seconds};

#[tokio::test(start_paused = true)]
async fn a_stop_without_care_is_on_record() {
    let stand = Stand::new("2.1.7", 3).await;
    stand.table("single", "\"replication_num\" = \"1\"").await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    let stop = async {
        seconds(5).await;
        stand.backend(0).signal(Signal::Term);
    };
    let (_, ()) = tokio::join!(stand.sql("SELECT count(*), sleep(30) FROM d.t"), stop);
    seconds(60).await;
    stand.backend(1).signal(Signal::Kill);
    let stops = stand.world.backend_stops();
    let [first, second] = stops.as_slice() else { unreachable!("two were stopped: {stops:?}") };
    assert!(!first.drained && first.queries > 0 && first.others_down.is_empty(), "{first:?}");
    assert!(first.unreadable.contains(&"d.single".to_owned()) && !first.unreadable.contains(&"d.t".to_owned()), "{first:?}");
    assert!(!first.unloadable.contains(&"d.t".to_owned()), "{first:?}");
    assert_eq!((second.others_down.as_slice(), second.signal), (&["be-0.test".to_owned()][..], Signal::Kill));
    assert!(second.unloadable.contains(&"d.t".to_owned()), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drained_stop_hurts_nobody_and_says_so() {
    let stand = Stand::seeded("2.1.7", 3, 3, 1).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.good("ALTER SYSTEM MODIFY BACKEND \"be-0.test:9050\" SET (\"disable_query\" = \"true\", \"disable_load\" = \"true\")").await;
    stand.set("disable_tablet_scheduler", "true").await;
    seconds(10).await;
    stand.backend(0).signal(Signal::Term);
    let from = stand.world.now_ms();
    for n in 0..60 {
        stand.count("t").await.expect("two replicas are left");
        stand.load("t", &format!("l{n}"), 1).await.expect("two of three are a majority");
        seconds(1).await;
    }
    let served = stand.world.served_since(from);
    assert_eq!((served.queries, served.loads, served.failed_queries, served.failed_loads), (60, 60, 0, 0));
    let stops = stand.world.backend_stops();
    assert!(
        matches!(stops.as_slice(), [stop] if stop.drained && stop.scheduler_held && stop.queries == 0 && stop.unreadable.is_empty()),
        "{stops:?}"
    );
    assert_eq!(stand.world.traffic(stops[0].cluster_id).values().map(|second| second.queries).sum::<u64>(), 60);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_replica_is_on_record() {
    let stand = Stand::new("3.0.3", 3).await;
    stand.table("single", "\"replication_num\" = \"1\"").await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    stand.load("single", "x", 4).await.expect("it lives");
    stand.good("ALTER SYSTEM DROPP BACKEND \"be-0.test:9050\"").await;
    let drops = stand.world.backend_drops();
    let [dropped] = drops.as_slice() else { unreachable!("one was dropped: {drops:?}") };
    assert!(!dropped.decommissioned && !dropped.destroyed.is_empty(), "{dropped:?}");
    assert!(dropped.destroyed.iter().all(|tablet| tablet.wanted == 1), "{dropped:?}");
    assert!(!stand.world.unreadable_tablets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_new_master_is_the_point_of_no_return() {
    let stand = Stand::seeded("2.0.15", 3, 0, 1).await;
    // A new follower changes nothing.
    stand.world.process_at(ip(3)).expect("it runs").signal(Signal::Term);
    seconds(5).await;
    stand.start_frontend(2, "2.1.7");
    seconds(60).await;
    assert_eq!(stand.world.crossings(), []);
    let kinds: Vec<_> = stand.world.versions().into_iter().map(|of| (of.kind, of.version.to_string())).collect();
    assert_eq!(kinds.iter().filter(|(kind, version)| *kind == MemberKind::Follower && version == "2.1.7").count(), 1);
    // One of the old ones misses what is written; of the two that are left the new one alone has it all.
    stand.world.process_at(ip(2)).expect("it runs").signal(Signal::Kill);
    seconds(5).await;
    stand.good("CREATE DATABASE while_one_was_away").await;
    stand.world.process_at(ip(1)).expect("it runs").signal(Signal::Kill);
    seconds(5).await;
    let old = stand.start_frontend(1, "2.0.15");
    seconds(60).await;
    let crossings = stand.world.crossings();
    assert!(matches!(crossings.as_slice(), [one] if (one.from, one.to) == (123, 129) && one.fqdn == "fe-2.test"), "{crossings:?}");
    assert_ne!(old.state(), ProcessState::Running, "no old frontend reads on");
}
