//! The order of an upgrade, and what it leaves behind.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::{basic, full};

use crate::help::{LONG, all_run, apply, at, held, ready, templates, until_done, until_phase, upgrade, versions};
use crate::watch::{Restarts, hasty};

#[tokio::test(start_paused = true)]
async fn upgrade_order_is_be_cn_observer_follower_master() {
    let spec = hasty(full("2.0.15"));
    let (lab, _controller) = ready(&spec).await;
    let master = lab.master_pod("demo").expect("one master");
    let restarts = Restarts::of(&lab, "demo").await;
    let generation = apply(&lab, at(&spec, "2.1.7")).await;
    let done = until_done(&lab, generation).await;
    let mut expected =
        vec!["demo-be-2", "demo-be-1", "demo-be-0", "demo-cn-1", "demo-cn-0", "demo-broker-0", "demo-fe-ob-1", "demo-fe-ob-0"];
    expected.extend(["demo-fe-2", "demo-fe-1", "demo-fe-0"].into_iter().filter(|pod| *pod != master));
    expected.push(&master);
    assert_eq!(restarts.seen(), expected);
    all_run(&lab, "2.1.7");
    let status = done.status.expect("a status");
    assert_eq!((status.version.as_deref(), status.operation, status.upgrade), (Some("2.1.7"), None, None));
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

/// From one version to the next: every member runs it, every frontend kept a copy, and no switch is left.
async fn goes_to(from: &str, to: &str, crosses: bool) {
    let spec = hasty(basic(from));
    let (lab, _controller) = ready(&spec).await;
    let generation = apply(&lab, at(&spec, to)).await;
    let done = until_done(&lab, generation).await;
    all_run(&lab, to);
    assert_eq!(done.status.and_then(|status| status.version).as_deref(), Some(to));
    assert_eq!(lab.world.crossings().len(), usize::from(crosses), "{:?}", lab.world.crossings());
    for pod in ["demo-fe-0", "demo-fe-1", "demo-fe-2"] {
        let files = lab.disk(&format!("meta-{pod}")).await.expect("a volume").files("");
        let copy = format!(".pre-upgrade-{from}/");
        assert!(files.iter().any(|file| file.starts_with(&copy) && file.contains("/bdb/")), "{pod}: {files:?}");
    }
    assert_eq!(held(&lab), Vec::<String>::new());
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
    let before = lab.writes().len();
    tokio::time::sleep(std::time::Duration::from_mins(2)).await;
    assert_eq!(lab.writes()[before..], [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn from_2_0_to_2_1() {
    goes_to("2.0.15", "2.1.7", true).await;
}

#[tokio::test(start_paused = true)]
async fn from_2_1_to_3_0() {
    goes_to("2.1.7", "3.0.3", true).await;
}

#[tokio::test(start_paused = true)]
async fn from_3_0_to_4_0() {
    goes_to("3.0.3", "4.0.1", false).await;
}

#[tokio::test(start_paused = true)]
async fn within_a_line() {
    goes_to("2.1.7", "2.1.8", false).await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_killed_while_backends_are_upgraded_comes_back_at_the_old_version() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    until_phase(&lab, "be", 1).await;
    let master = lab.master_pod("demo").expect("one master");
    let victim = ["demo-fe-0", "demo-fe-1", "demo-fe-2"].into_iter().find(|pod| **pod != master).expect("a follower");
    let starts = lab.world.fe_starts().len();
    lab.api::<Pod>().delete(victim, &DeleteParams::default()).await.expect("the pod is deleted");
    lab.eventually("the follower comes back", crate::help::LONG, || async {
        if lab.world.fe_starts().len() > starts { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(versions(&lab).get(victim).map(String::as_str), Some("2.1.7"));
    let seen = lab.cluster("default", "demo").await.expect("the cluster");
    assert_eq!(upgrade(&seen).map(|upgrade| upgrade.phase.as_str()), Some("be"), "it is still the backends' turn");
    assert!(templates(&lab).await["demo-fe"].ends_with("fe-2.1.7"));
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn after_3_0_wrote_the_metadata_4_0_waits_for_an_image_of_it_on_every_frontend() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    until_done(&lab, generation).await;
    let generation = apply(&lab, at(&spec, "4.0.1")).await;
    let message = crate::help::until_blocked(&lab).await;
    assert!(message.contains("no image of the metadata that is newer than the upgrade to 3.0"), "{message}");
    // A master makes one as it rises, for whoever is up: the one that was restarted for it is not.
    let first = lab.master_pod("demo").expect("one master");
    lab.api::<Pod>().delete(&first, &DeleteParams::default()).await.expect("the pod is deleted");
    let only = format!("{first} has no image of the metadata");
    lab.until("only the former master is named", "demo", crate::help::LONG, |seen| {
        crate::help::blocked(seen).is_some_and(|message| message.contains(&only))
    })
    .await;
    let second = lab.master_pod("demo").expect("one master");
    lab.api::<Pod>().delete(&second, &DeleteParams::default()).await.expect("the pod is deleted");
    until_done(&lab, generation).await;
    all_run(&lab, "4.0.1");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_turned_to_another_release_keeps_the_copy_of_the_line_that_it_left() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    apply(&lab, at(&spec, "3.0.3")).await;
    lab.eventually("two frontends run it", LONG, || async {
        let count = versions(&lab).iter().filter(|(pod, runs)| pod.starts_with("demo-fe-") && *runs == "3.0.3").count();
        if count == 2 { Ok(()) } else { Err(format!("{count} do")) }
    })
    .await;
    let generation = apply(&lab, at(&spec, "3.0.4")).await;
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.4");
    for pod in ["demo-fe-0", "demo-fe-1", "demo-fe-2"] {
        let files = lab.disk(&format!("meta-{pod}")).await.expect("a volume").files("");
        let copies: std::collections::BTreeSet<&str> =
            files.iter().filter_map(|file| file.strip_prefix(".pre-upgrade-")?.split('/').next()).collect();
        assert_eq!(copies, ["2.1.7"].into(), "{pod}");
    }
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
