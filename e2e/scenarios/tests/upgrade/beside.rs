//! What may happen between two members of an upgrade, and what waits until it is through.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::{MemberKind, ProcessState};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Controller, Lab, basic, is_ready};
use serde_json::{Value, json};

use crate::help::{LONG, all_run, apply, at, ready, until_done, until_phase, upgrade};
use crate::watch::hasty;

/// An upgrade that somebody paused after its first backend.
async fn paused(patch: impl Fn(&mut Value)) -> (Lab, Controller, Value) {
    let mut spec = hasty(basic("2.1.7"));
    patch(&mut spec);
    let (lab, controller) = ready(&spec).await;
    apply(&lab, at(&spec, "3.0.3")).await;
    until_phase(&lab, "be", 1).await;
    let mut paused = at(&spec, "3.0.3");
    paused["update"]["paused"] = json!(true);
    apply(&lab, paused.clone()).await;
    lab.until("it rests between two members", "demo", LONG, |seen| {
        let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
        operation.is_some_and(|operation| operation.member.is_none() && operation.step.contains("update.paused"))
    })
    .await;
    (lab, controller, paused)
}

fn resumed(mut spec: Value) -> Value {
    spec["update"]["paused"] = json!(false);
    spec
}

#[tokio::test(start_paused = true)]
async fn a_frontend_that_lost_its_volume_is_let_in_anew() {
    let (lab, _controller, spec) = paused(|_| ()).await;
    let victim = ["demo-fe-1", "demo-fe-2"].into_iter().find(|pod| lab.master_pod("demo").as_deref() != Some(pod)).expect("a follower");
    lab.nodes.freeze("default", victim, None, true);
    assert!(lab.nodes.lose_volume("default", &format!("meta-{victim}")), "it has a volume");
    lab.api::<Pod>().delete(victim, &DeleteParams::default().grace_period(0)).await.expect("the pod is deleted");
    let lost = tokio::time::Instant::now();
    lab.eventually("it serves again", LONG, || async {
        let is_back = lab.frontends("demo").iter().any(|frontend| {
            frontend.start.at > lost && frontend.ready && frontend.state == ProcessState::Running && frontend.start.fqdn.starts_with(victim)
        });
        if is_back { Ok(()) } else { Err("it does not".to_owned()) }
    })
    .await;
    let seen = lab.cluster("default", "demo").await.expect("the cluster");
    assert!(upgrade(&seen).is_some_and(|told| told.phase == "be"), "the upgrade is where it was");
    let generation = apply(&lab, resumed(spec)).await;
    until_done(&lab, generation).await;
    assert_eq!(lab.alive("demo", MemberKind::Follower).len(), 3);
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

fn told(seen: &DorisCluster) -> Option<String> {
    condition(seen, "Reconciling").map(|(_, _, message)| message)
}

#[tokio::test(start_paused = true)]
async fn a_member_that_works_leaves_once_the_upgrade_is_done_and_says_so() {
    let (lab, _controller, mut spec) = paused(|spec| spec["be"]["replicas"] = json!(4)).await;
    spec["be"]["replicas"] = json!(3);
    apply(&lab, spec.clone()).await;
    let says = "demo-be-3 leaves once the upgrade to 3.0.3 is done";
    let seen = lab.until("it is told", "demo", LONG, |seen| told(seen).is_some_and(|told| told.contains(says))).await;
    assert!(told(&seen).is_some_and(|told| told.contains("it is at this: update.paused is true")), "{:?}", told(&seen));
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(lab.alive("demo", MemberKind::Backend).len(), 4);
    let generation = apply(&lab, resumed(spec)).await;
    until_done(&lab, generation).await;
    assert_eq!(lab.alive("demo", MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_will_never_come_back_leaves_and_holds_no_upgrade_up() {
    let mut spec = hasty(basic("2.1.7"));
    spec["be"]["replicas"] = json!(4);
    let (lab, _controller) = ready(&spec).await;
    apply(&lab, at(&spec, "3.0.3")).await;
    // The last one to be upgraded is lost for good before its turn, with its node.
    until_phase(&lab, "be", 1).await;
    lab.nodes.miss_images(["apache/doris:be-3.0.3".to_owned()].into());
    lab.api::<Pod>().delete("demo-be-3", &DeleteParams::default().grace_period(0)).await.expect("the pod is deleted");
    lab.until("the upgrade waits for it", "demo", LONG, |seen| {
        let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
        operation.is_some_and(|operation| operation.member.is_none() && operation.step.contains("demo-be-3 is not there"))
    })
    .await;
    let mut fewer = at(&spec, "3.0.3");
    fewer["be"]["replicas"] = json!(3);
    let generation = apply(&lab, fewer).await;
    let is_gone = || async {
        let rows = lab.registered("demo", MemberKind::Backend);
        if rows.iter().any(|(pod, _)| pod == "demo-be-3") { Err("it is registered".to_owned()) } else { Ok(()) }
    };
    lab.eventually("the lost one has left", LONG, is_gone).await;
    lab.nodes.miss_images(std::collections::BTreeSet::new());
    let done = until_done(&lab, generation).await;
    assert!(is_ready(&done));
    all_run(&lab, "3.0.3");
    assert_eq!(lab.world.unreadable_tablets(), Vec::new());
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
