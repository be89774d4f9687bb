//! What is changed in running processes.

use std::time::Duration;

use doris_api::Component;
use doris_api::cluster::ConfigState;
use scenarios::lab::{Lab, Settings, full};
use serde_json::json;

use crate::look::{LONG, apply, judge, runs, told, values};
use crate::watch::hasty;

async fn mutable_config_restarts_nothing_on(version: &str) {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = full(version);
    apply(&lab, &spec).await;
    let before = runs(&lab).await;
    spec["fe"]["config"]["disable_balance"] = json!("true");
    spec["fe"]["config"]["catalog_trash_expire_second"] = json!("3600");
    spec["fe"]["config"]["max_running_txn_num_per_db"] = json!(2000);
    spec["be"]["config"]["max_tablet_version_num"] = json!("3000");
    spec["be"]["config"]["disable_auto_compaction"] = json!("1");
    spec["cn"]["config"] = json!({"streaming_load_max_mb": "20480"});
    let seen = apply(&lab, &spec).await;
    for (key, wanted) in [("disable_balance", "true"), ("catalog_trash_expire_second", "3600"), ("max_running_txn_num_per_db", "2000")] {
        assert_eq!(values(&lab, Component::Fe, 3, key), [wanted; 3], "{key}");
        assert_eq!(values(&lab, Component::FeObserver, 2, key), [wanted; 2], "{key}");
        assert_eq!(told(&seen, "fe", key), Some((ConfigState::Live, Vec::new(), String::new())), "{key}");
    }
    assert_eq!(values(&lab, Component::Be, 3, "max_tablet_version_num"), ["3000"; 3]);
    assert_eq!(values(&lab, Component::Be, 3, "disable_auto_compaction"), ["true"; 3]);
    assert_eq!(values(&lab, Component::Cn, 2, "streaming_load_max_mb"), ["20480"; 2]);
    assert!(lab.world.setting_changes().iter().all(|change| !change.persisted), "nothing is written into a container");
    assert_eq!(runs(&lab).await, before, "no process was restarted");
    // What they would start with, with keys normalised as the file has them.
    spec["be"]["config"]["disable_auto_compaction"] = json!("true");
    apply(&lab, &spec).await;
    judge(&lab).await;
    let (writes, steps) = (lab.writes().len(), lab.faults.log().len());
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(lab.writes()[writes..], [] as [String; 0]);
    let asked: Vec<String> =
        lab.faults.log().split_off(steps).into_iter().filter(|step| step.contains("CONFIG") || step.contains("HTTP")).collect();
    assert_eq!(asked, [] as [String; 0], "nothing is asked of a cluster at rest");
    assert_eq!(runs(&lab).await, before);
}

#[tokio::test(start_paused = true)]
async fn mutable_config_restarts_nothing() {
    Box::pin(mutable_config_restarts_nothing_on("2.1.7")).await;
}

#[tokio::test(start_paused = true)]
async fn mutable_config_restarts_nothing_on_2_0() {
    Box::pin(mutable_config_restarts_nothing_on("2.0.15")).await;
}

#[tokio::test(start_paused = true)]
async fn mutable_config_restarts_nothing_on_3_0() {
    Box::pin(mutable_config_restarts_nothing_on("3.0.3")).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_out_gets_its_default_back() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = full("2.1.7");
    spec["be"]["config"]["trash_file_expire_time_sec"] = json!("7200");
    apply(&lab, &spec).await;
    let before = runs(&lab).await;
    spec["fe"]["config"]["disable_balance"] = json!("true");
    spec["be"]["config"]["max_tablet_version_num"] = json!("3000");
    apply(&lab, &spec).await;
    assert_eq!(values(&lab, Component::Be, 3, "max_tablet_version_num"), ["3000"; 3]);
    spec["fe"]["config"].as_object_mut().expect("a map").remove("disable_balance");
    spec["be"]["config"] = json!({});
    apply(&lab, &spec).await;
    assert_eq!(values(&lab, Component::Fe, 3, "disable_balance"), ["false"; 3], "a default that is known");
    assert_eq!(values(&lab, Component::Be, 3, "max_tablet_version_num"), ["2000"; 3], "what it was before it was set");
    // It was in the file from the first start on: nobody knows what it would be without.
    assert_eq!(values(&lab, Component::Be, 3, "trash_file_expire_time_sec"), ["7200"; 3]);
    let seen = lab.until("the status tells", "demo", LONG, |seen| told(seen, "be", "trash_file_expire_time_sec").is_some()).await;
    let (state, members, message) = told(&seen, "be", "trash_file_expire_time_sec").expect("it is told");
    assert_eq!((state, members.len()), (ConfigState::WaitsForRestart, 3));
    assert!(message.contains("default is not known"), "{message}");
    assert_eq!(runs(&lab).await, before, "no process was restarted");
    // A process that starts anew shows what it is, and the others get it.
    tokio::time::sleep(Duration::from_mins(3)).await;
    lab.nodes.kill("default", "demo-be-1", None);
    lab.eventually("all have the default", LONG, async || {
        let found = values(&lab, Component::Be, 3, "trash_file_expire_time_sec");
        if found == ["86400"; 3] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    lab.until("nothing is told any more", "demo", LONG, |seen| told(seen, "be", "trash_file_expire_time_sec").is_none()).await;
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn compute_nodes_are_preferred_on_every_frontend_as_soon_as_there_are_some() {
    const KEY: &str = "prefer_compute_node_for_external_table";
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = hasty(full("2.1.7"));
    spec.as_object_mut().expect("a map").remove("cn");
    apply(&lab, &spec).await;
    let before = runs(&lab).await;
    assert_eq!(values(&lab, Component::Fe, 3, KEY), ["false"; 3]);
    spec["cn"] = json!({"replicas": 1});
    apply(&lab, &spec).await;
    assert_eq!(values(&lab, Component::Fe, 3, KEY), ["true"; 3]);
    assert_eq!(values(&lab, Component::FeObserver, 2, KEY), ["true"; 2]);
    let after = runs(&lab).await;
    assert!(before.iter().all(|(pod, run)| after.get(pod) == Some(run)), "no process was restarted");
    judge(&lab).await;
}
