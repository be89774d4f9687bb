//! What keeps an upgrade from beginning, overridden by a person: recorded, used for this one step, and told.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::{FrontendFacts, ProcessState};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Controller, Lab, basic, cluster};
use serde_json::Value;

use crate::help::{LONG, all_run, apply, at, ready, until_blocked, until_done, upgrade};
use crate::jobs::spoil;
use crate::watch::{Restarts, hasty};

/// The overrides on record: rule and step.
fn used(seen: &DorisCluster) -> Vec<(String, String)> {
    let all = seen.status.iter().flat_map(|status| &status.overrides);
    all.map(|used| (used.rule.clone(), used.step.clone())).collect()
}

/// Wants a version under an override of a rule.
async fn wants(lab: &Lab, spec: &Value, version: &str, rule: &str, until: &str) -> Option<i64> {
    let mut wanted = cluster("demo", at(spec, version));
    wanted.metadata.annotations = Some([(format!("override.doris-operator.dev/{rule}"), until.to_owned())].into());
    lab.apply(&wanted).await.expect("the annotation is accepted").metadata.generation
}

/// An upgrade that is blocked begins under the override of a rule: it is on record for this step before anything is touched.
async fn begins_overridden(lab: &Lab, spec: &Value, version: &str, rule: &str, says: &str) -> Option<i64> {
    let restarts = Restarts::of(lab, "demo").await;
    apply(lab, at(spec, version)).await;
    let message = until_blocked(lab).await;
    assert!(message.contains(says), "{message}");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(restarts.seen(), [] as [String; 0], "it stays blocked");
    // Another rule's annotation is of no use.
    wants(lab, spec, version, "FeQuorum", "2026-06-01T04:00:00Z").await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(until_blocked(lab).await.contains(says));
    assert_eq!(restarts.seen(), [] as [String; 0], "it stays blocked");
    let generation = wants(lab, spec, version, rule, "2026-06-01T05:00:00Z").await;
    let seen = lab.until("it begins", "demo", LONG, |seen| upgrade(seen).is_some_and(|told| told.phase != "PreFlight")).await;
    let used = used(&seen);
    assert!(
        matches!(used.as_slice(), [(by, step)] if by == rule && step.ends_with(&format!("ChangeVersion {version}"))),
        "it is on record for this step alone: {used:?}"
    );
    generation
}

async fn stand(version: &str) -> (Lab, Controller, Value) {
    let spec = hasty(basic(version));
    let (lab, controller) = ready(&spec).await;
    (lab, controller, spec)
}

#[tokio::test(start_paused = true)]
async fn damage_that_stays_can_be_accepted() {
    let (lab, _controller, spec) = stand("2.1.7").await;
    // With a single replica there is nothing to repair it from.
    spoil(&lab, 1).await;
    let generation = begins_overridden(&lab, &spec, "3.0.3", "TabletHealth", "1 tablet is not healthy: 1 Unrecoverable in d").await;
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_backup_can_be_given_up_for_an_upgrade_and_each_further_backend_asks_again() {
    let (lab, _controller, spec) = stand("2.1.7").await;
    lab.stalled_backup().await;
    begins_overridden(&lab, &spec, "3.0.3", "BackupIdle", "backup nightly of database stock").await;
    let message = until_blocked(&lab).await;
    assert!(message.contains("demo-be-2 is not restarted") && message.contains("BackupIdle"), "{message}");
    let generation = wants(&lab, &spec, "3.0.3", "BackupIdle", "2026-06-01T06:00:00Z").await;
    let seen = lab.until("one more restart is let through", "demo", LONG, |seen| used(seen).len() == 2).await;
    assert!(used(&seen)[1].1.contains("RestartBackends"), "{:?}", used(&seen));
    let message = until_blocked(&lab).await;
    assert!(message.contains("demo-be-1 is not restarted"), "one step, not all: {message}");
    lab.jobs_go_on();
    let master = lab.master_pod("demo").expect("one master");
    lab.sql("demo", &master, "CANCEL BACKUP FROM stock").await.expect("it is running");
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_nobody_documents_can_be_insisted_on() {
    let (lab, _controller, spec) = stand("2.0.15").await;
    let generation = begins_overridden(&lab, &spec, "3.0.3", "VersionPath", "from 2.0.15 to 3.0.3 it is by way of 2.1").await;
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_way_back_over_a_line_cannot_be_insisted_on() {
    let (lab, _controller, spec) = stand("2.1.7").await;
    let restarts = Restarts::of(&lab, "demo").await;
    wants(&lab, &spec, "2.0.15", "VersionPath", "2026-06-01T05:00:00Z").await;
    let message = until_blocked(&lab).await;
    assert!(message.contains("2.1.7 has been master and wrote the metadata"), "{message}");
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!(restarts.seen(), [] as [String; 0]);
    let seen = lab.cluster("default", "demo").await.expect("the cluster");
    assert_eq!(used(&seen), [] as [(String, String); 0]);
    all_run(&lab, "2.1.7");
}

const NO_IMAGE: &str = "no image of the metadata that is newer than the upgrade to 3.0";

/// A cluster that has just come to 3.0.
async fn just_upgraded() -> (Lab, Controller, Value) {
    let (lab, controller, spec) = stand("2.1.7").await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    until_done(&lab, generation).await;
    (lab, controller, spec)
}

/// The master's pod is made anew: whoever leads next makes an image for all who are there.
async fn led_anew(lab: &Lab) {
    let former = lab.master_pod("demo").expect("one master");
    lab.api::<Pod>().delete(&former, &DeleteParams::default()).await.expect("the pod is deleted");
    let is_led = || async {
        let master = lab.master_pod("demo").filter(|master| *master != former);
        let is_there = |frontend: &FrontendFacts| frontend.ready && frontend.state == ProcessState::Running;
        let ready = lab.frontends("demo").iter().filter(|frontend| is_there(frontend)).count();
        if master.is_some() && ready == 3 { Ok(()) } else { Err(format!("{master:?} leads {ready}")) }
    };
    lab.eventually("another one leads all three", LONG, is_led).await;
}

#[tokio::test(start_paused = true)]
async fn doris_4_waits_until_every_frontend_has_an_image_that_a_3_x_master_wrote() {
    let (lab, _controller, spec) = just_upgraded().await;
    let restarts = Restarts::of(&lab, "demo").await;
    let generation = apply(&lab, at(&spec, "4.0.1")).await;
    let message = until_blocked(&lab).await;
    assert!(message.contains(NO_IMAGE) && message.contains("or when the master is restarted"), "{message}");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(restarts.seen(), [] as [String; 0]);
    // Who led before was down while the image was made, so there is a second time.
    led_anew(&lab).await;
    led_anew(&lab).await;
    until_done(&lab, generation).await;
    all_run(&lab, "4.0.1");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_for_images_before_doris_4_gets_as_far_as_the_first_frontend_and_back() {
    let (lab, _controller, spec) = just_upgraded().await;
    begins_overridden(&lab, &spec, "4.0.1", "VersionPath", NO_IMAGE).await;
    let is_stopped = |seen: &DorisCluster| {
        condition(seen, "Stalled").is_some_and(|(status, reason, message)| {
            status == "True" && reason == "RollStopped" && message.contains("lower than minimum required version 140")
        })
    };
    lab.until("the first frontend does not start", "demo", LONG, is_stopped).await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
