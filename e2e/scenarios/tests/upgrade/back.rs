//! The way back, as long as there is one.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::{Lab, basic};

use crate::help::{LONG, all_run, apply, at, blocked, ready, until_done, until_phase, upgrade, versions};
use crate::watch::hasty;

/// Waits until so many frontends run the new version.
async fn until_frontends_run(lab: &Lab, version: &str, count: usize) {
    lab.eventually("frontends of the new version", LONG, || async {
        let running = versions(lab).into_iter().filter(|(pod, runs)| pod.starts_with("demo-fe-") && runs == version).count();
        if running >= count { Ok(()) } else { Err(format!("{running} run it")) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_goes_back_while_no_new_frontend_was_master() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    apply(&lab, at(&spec, "3.0.3")).await;
    until_frontends_run(&lab, "3.0.3", 1).await;
    let seen = until_phase(&lab, "fe", 3).await;
    let told = upgrade(&seen).and_then(|upgrade| upgrade.point_of_no_return.as_ref()).expect("it is told");
    assert!(!told.crossed && told.message.contains("setting spec.version back to 2.1.7 goes back"), "{}", told.message);
    let generation = apply(&lab, spec).await;
    until_done(&lab, generation).await;
    all_run(&lab, "2.1.7");
    assert_eq!(lab.world.crossings().len(), 0);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn after_the_point_of_no_return_going_back_is_refused_and_the_upgrade_goes_on() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    apply(&lab, at(&spec, "3.0.3")).await;
    lab.eventually("the crossing", LONG, || async { if lab.world.crossings().is_empty() { Err("not yet".to_owned()) } else { Ok(()) } })
        .await;
    apply(&lab, spec.clone()).await;
    let seen = lab.until("it is refused", "demo", LONG, |seen| blocked(seen).is_some()).await;
    let message = blocked(&seen).expect("a message");
    assert!(message.contains("2.1") && message.contains("wrote the metadata"), "{message}");
    until_frontends_run(&lab, "3.0.3", 3).await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_master_that_fails_among_new_followers_crosses_early_and_the_upgrade_goes_on() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    until_frontends_run(&lab, "3.0.3", 1).await;
    until_phase(&lab, "fe", 4).await;
    let master = lab.master_pod("demo").expect("one master");
    lab.api::<Pod>().delete(&master, &DeleteParams::default().grace_period(0)).await.expect("the pod is deleted");
    let told = |seen: &doris_api::DorisCluster| {
        upgrade(seen).and_then(|upgrade| upgrade.point_of_no_return.clone()).filter(|told| told.crossed).map(|told| told.message)
    };
    let seen = lab.until("it is told", "demo", LONG, |seen| told(seen).is_some()).await;
    assert!(told(&seen).is_some_and(|message| message.contains("the way is forward")));
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(lab.world.crossings().len(), 1);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
