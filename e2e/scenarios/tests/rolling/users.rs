//! What users get while members are restarted.

use std::time::Duration;

use scenarios::lab::{Lab, Settings, Tally, Users, basic, cluster, is_ready};

use crate::watch::{Restarts, brisk, labelled, table, until_healthy};

const LONG: Duration = Duration::from_mins(20);

/// Every backend and every frontend is made anew while clients query and load a table of three replicas.
async fn roll_under_users(version: &str) -> (Lab, Tally) {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", brisk(basic(version)))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    table(&lab, "t", 3, 6).await;
    until_healthy(&lab).await;
    let users = Users::of(&lab, "demo", 3).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before = users.tally();
    assert!(before.queries > 100 && before.loads > 5, "they work: {before:?}");
    let restarts = Restarts::of(&lab, "demo").await;
    let changed = lab.apply(&cluster("demo", labelled(brisk(basic(version)), &["fe", "be"], "2"))).await.expect("the spec is accepted");
    lab.until("the roll is done", "demo", LONG, |seen| seen.metadata.generation == changed.metadata.generation && is_ready(seen)).await;
    assert_eq!(restarts.seen().len(), 6, "{:?}", restarts.seen());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let tally = users.tally();
    drop(users);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let master = lab.master_pod("demo").expect("one master");
    let rows = lab.sql("demo", &master, "SELECT count(*) FROM d.t").await.expect("the master answers");
    let count: u64 = rows[0].values().next().and_then(|count| count.parse().ok()).expect("a number");
    // The last load may have been made without anybody left to hear of it.
    assert!((tally.loads..=tally.loads + 1).contains(&count), "{count} rows of {} loads", tally.loads);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
    for stop in lab.world.backend_stops() {
        assert!(stop.drained && stop.queries == 0 && stop.loads == 0 && stop.scheduler_held, "{stop:?}");
    }
    (lab, tally)
}

async fn nothing_fails(version: &str) {
    let (_lab, tally) = roll_under_users(version).await;
    assert_eq!(tally.failed_queries, Vec::<String>::new(), "{tally:?}");
    assert_eq!(tally.failed_loads, Vec::<String>::new(), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn zero_failed_queries_during_roll() {
    nothing_fails("2.1.7").await;
}

#[tokio::test(start_paused = true)]
async fn zero_failed_queries_during_roll_of_3_0() {
    nothing_fails("3.0.3").await;
}

#[tokio::test(start_paused = true)]
async fn no_load_is_lost_during_roll_of_2_0() {
    let (_lab, tally) = roll_under_users("2.0.15").await;
    assert_eq!(tally.failed_loads, Vec::<String>::new(), "{tally:?}");
    assert_eq!(tally.failed_queries, Vec::<String>::new(), "its backends are drained as well: {tally:?}");
}
