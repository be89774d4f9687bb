//! What only a restart changes.

use std::time::Duration;

use doris_api::Component;
use doris_api::cluster::ConfigState;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::json;

use crate::look::{LONG, apply, judge, runs, told, value, values};
use crate::watch::{Restarts, hasty};

async fn beside(version: &str) {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = hasty(basic(version));
    apply(&lab, &spec).await;
    let master = lab.master_pod("demo").expect("one master");
    let restarts = Restarts::of(&lab, "demo").await;
    spec["fe"]["config"] = json!({"qe_max_connection": "4096", "disable_balance": "true"});
    let applied = lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.eventually("the live key is in force", Duration::from_secs(20), async || {
        let found = values(&lab, Component::Fe, 3, "disable_balance");
        if found == ["true"; 3] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(restarts.seen(), [] as [String; 0], "it waits for nobody");
    let waits = |seen: &doris_api::DorisCluster| {
        told(seen, "fe", "qe_max_connection").is_some_and(|(state, ..)| state == ConfigState::WaitsForRestart)
    };
    lab.until("the status tells", "demo", LONG, waits).await;
    lab.until("the roll is done", "demo", LONG, |seen| {
        seen.metadata.generation == applied.metadata.generation && scenarios::lab::is_ready(seen)
    })
    .await;
    let mut expected: Vec<String> =
        ["demo-fe-2", "demo-fe-1", "demo-fe-0"].iter().map(|pod| (*pod).to_owned()).filter(|pod| *pod != master).collect();
    expected.push(master);
    assert_eq!(restarts.seen(), expected, "the frontends alone, once each");
    assert_eq!(values(&lab, Component::Fe, 3, "qe_max_connection"), ["4096"; 3]);
    judge(&lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_only_key_rolls_and_a_live_one_beside_it_is_in_force_at_once() {
    Box::pin(beside("2.1.7")).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_only_key_rolls_and_a_live_one_beside_it_is_in_force_at_once_on_3_0() {
    Box::pin(beside("3.0.3")).await;
}

#[tokio::test(start_paused = true)]
async fn who_crashes_before_its_turn_starts_with_the_former_restart_only_value_and_the_new_live_one() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    spec["update"] = json!({"paused": true});
    apply(&lab, &spec).await;
    spec["be"]["config"] = json!({"mem_limit": "70%", "max_tablet_version_num": "3000"});
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until("the roll is held", "demo", LONG, |seen| {
        told(seen, "be", "mem_limit").is_some_and(|(state, members, _)| state == ConfigState::WaitsForRestart && members.len() == 3)
    })
    .await;
    let before = runs(&lab).await;
    lab.nodes.kill("default", "demo-be-1", None);
    lab.eventually("it is back", LONG, async || {
        let after = runs(&lab).await;
        let is_back = after["demo-be-1"].1 > before["demo-be-1"].1 && value(&lab, Component::Be, 1, "mem_limit") != "no such key";
        if is_back { Ok(()) } else { Err(format!("{after:?}")) }
    })
    .await;
    assert_eq!(values(&lab, Component::Be, 3, "mem_limit"), ["90%"; 3], "nobody's turn came");
    assert_eq!(value(&lab, Component::Be, 1, "max_tablet_version_num"), "3000", "its file says so");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
    // And back again: nobody is restarted for a change that was taken back.
    let before = runs(&lab).await;
    spec["be"]["config"] = json!({"max_tablet_version_num": "3000"});
    spec["update"] = json!({"unavailableTables": "Allow"});
    apply(&lab, &spec).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(runs(&lab).await, before);
    judge(&lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_begins_anew_makes_no_new_revision() {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    let mut spec = hasty(basic("2.1.7"));
    spec["be"]["config"] = json!({"max_tablet_version_num": "3000", "mem_limit": "80%"});
    apply(&lab, &spec).await;
    // Not on the list of keys that names are made without: its revision keeps the name that it was made with.
    spec["be"]["config"]["max_tablet_version_num"] = json!("4000");
    apply(&lab, &spec).await;
    let before = runs(&lab).await;
    drop(controller);
    let writes = lab.writes().len();
    let _controller = lab.start_controller();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(lab.writes()[writes..], [] as [String; 0]);
    assert_eq!(runs(&lab).await, before);
    judge(&lab).await;
}
