//! The order of a roll, and what it leaves behind.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use scenarios::lab::{Lab, Settings, basic, cluster, full, is_ready};

use crate::watch::{Restarts, hasty, labelled};

const LONG: Duration = Duration::from_mins(20);

#[tokio::test(start_paused = true)]
async fn a_change_restarts_backends_compute_nodes_brokers_observers_followers_and_the_master_last() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", hasty(full("2.1.7")))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let master = lab.master_pod("demo").expect("one master");
    let restarts = Restarts::of(&lab, "demo").await;
    let changed = labelled(hasty(full("2.1.7")), &["fe", "be", "cn", "broker"], "2");
    let changed = lab.apply(&cluster("demo", changed)).await.expect("the spec is accepted");
    let ready =
        lab.until("the roll is done", "demo", LONG, |seen| seen.metadata.generation == changed.metadata.generation && is_ready(seen)).await;
    let mut expected =
        vec!["demo-be-2", "demo-be-1", "demo-be-0", "demo-cn-1", "demo-cn-0", "demo-broker-0", "demo-fe-ob-1", "demo-fe-ob-0"];
    expected.extend(["demo-fe-2", "demo-fe-1", "demo-fe-0"].into_iter().filter(|pod| *pod != master));
    expected.push(&master);
    assert_eq!(restarts.seen(), expected);
    assert_eq!(ready.status.and_then(|status| status.operation), None);
    let lease = lab.api::<Lease>().get("demo-operation").await.expect("the operation Lease stays");
    assert_eq!(lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty()), None, "it is given up");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_roll_leaves_no_switch_behind_and_then_writes_nothing() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", hasty(basic("2.1.7")))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let changed = lab.apply(&cluster("demo", labelled(hasty(basic("2.1.7")), &["be"], "2"))).await.expect("the spec is accepted");
    lab.until("the roll is done", "demo", LONG, |seen| seen.metadata.generation == changed.metadata.generation && is_ready(seen)).await;
    let master = lab.master_pod("demo").expect("one master");
    for row in lab.sql("demo", &master, "SHOW BACKENDS").await.expect("the master answers") {
        let status = &row["Status"];
        assert!(status.contains("\"isQueryDisabled\":false") && status.contains("\"isLoadDisabled\":false"), "{status}");
    }
    let hold = lab.sql("demo", &master, "ADMIN SHOW FRONTEND CONFIG LIKE 'disable_tablet_scheduler'").await.expect("the master answers");
    assert_eq!(hold[0]["Value"], "false");
    let before = lab.writes().len();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(lab.writes()[before..], [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_paused_finishes_the_member_under_work_and_says_who_waits() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", hasty(basic("2.1.7")))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let restarts = Restarts::of(&lab, "demo").await;
    let mut spec = labelled(hasty(basic("2.1.7")), &["be"], "2");
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until("a backend is under work", "demo", LONG, |seen| {
        seen.status.as_ref().and_then(|status| status.operation.as_ref()).is_some_and(|operation| operation.member.is_some())
    })
    .await;
    spec["update"]["paused"] = serde_json::json!(true);
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    let held = lab
        .until("the roll is held", "demo", LONG, |seen| {
            let summary = seen.status.as_ref().and_then(|status| status.summary.clone()).unwrap_or_default();
            summary.starts_with("RestartPending") && summary.contains("paused")
        })
        .await;
    assert_eq!(restarts.seen(), ["demo-be-2"]);
    insta::assert_snapshot!(held.status.and_then(|status| status.summary).unwrap_or_default(), @"RestartPending: demo-be-0, demo-be-1 still run what the spec said before: update.paused is true");
    spec["update"]["paused"] = serde_json::json!(false);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-1", "demo-be-0"]);
}
