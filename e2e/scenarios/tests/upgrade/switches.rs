//! The balance of tablets is off while an upgrade is under way, and on again afterwards, whoever dies.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::basic;

use crate::help::{LONG, all_run, apply, at, held, ready, until_done, until_phase};
use crate::watch::hasty;

const BALANCE: [&str; 2] = ["disable_balance", "disable_colocate_balance"];

#[tokio::test(start_paused = true)]
async fn balance_switches_restored_after_crash() {
    let spec = hasty(basic("2.1.7"));
    let (lab, controller) = ready(&spec).await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    until_phase(&lab, "be", 1).await;
    let is_held = || BALANCE.iter().all(|key| held(&lab).iter().any(|on| on == key));
    assert!(is_held(), "{:?}", held(&lab));
    // The controller dies, and with it whatever it had in mind.
    drop(controller);
    let master = lab.master_pod("demo").expect("one master");
    // The master dies, and with it the switches: they are memory of its process.
    lab.api::<Pod>().delete(&master, &DeleteParams::default()).await.expect("the pod is deleted");
    lab.eventually("another master", LONG, || async {
        if lab.master_pod("demo").is_some_and(|pod| pod != master) { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    assert!(!is_held(), "the new master was not told");
    let _controller = lab.start_controller();
    lab.eventually("the switches are set again", LONG, || async { if is_held() { Ok(()) } else { Err(format!("{:?}", held(&lab))) } })
        .await;
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(held(&lab), Vec::<String>::new(), "on no frontend, master or not");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn switches_that_nobody_wants_are_taken_back_by_the_next_controller() {
    let spec = hasty(basic("2.1.7"));
    let (lab, controller) = ready(&spec).await;
    drop(controller);
    let master = lab.master_pod("demo").expect("one master");
    lab.sql("demo", &master, "ADMIN SET FRONTEND CONFIG (\"disable_balance\" = \"true\")").await.expect("the master answers");
    assert_eq!(held(&lab), ["disable_balance"]);
    let _controller = lab.start_controller();
    lab.eventually("it is taken back", LONG, || async { if held(&lab).is_empty() { Ok(()) } else { Err("it is on".to_owned()) } }).await;
}

#[tokio::test(start_paused = true)]
async fn the_master_is_asked_for_its_switches_once_a_round() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    apply(&lab, at(&spec, "3.0.3")).await;
    until_phase(&lab, "be", 1).await;
    let mut paused = at(&spec, "3.0.3");
    paused["update"]["paused"] = serde_json::json!(true);
    apply(&lab, paused).await;
    tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    let before = lab.faults.statements().len();
    tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    let statements = lab.faults.statements().split_off(before);
    let asked = |what: &str| statements.iter().filter(|(_, text)| text.contains(what)).count();
    let (rounds, switches) = (asked("SHOW BACKENDS"), asked("LIKE 'disable%'"));
    assert!(rounds > 3 && switches > 0 && switches <= rounds, "{switches} times in {rounds} rounds");
}
