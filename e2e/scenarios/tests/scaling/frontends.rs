//! Frontends leave one at a time, dropped before their pods go, the master last.

use std::net::IpAddr;
use std::time::Duration;

use doris_sim::MemberKind;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::DeleteParams;
use scenarios::lab::basic;
use serde_json::{Value, json};

use crate::stage::{LONG, Stage, VERSIONS, told};

fn five() -> Value {
    json!({"fe": {"replicas": 5}})
}

const SURVIVORS: [&str; 3] = ["demo-fe-0", "demo-fe-1", "demo-fe-2"];

fn holds(so: bool) -> Result<(), String> {
    so.then_some(()).ok_or_else(|| "not yet".to_owned())
}

/// Drops of frontends that were sent, in order.
fn drops(stage: &Stage) -> Vec<String> {
    let statements = stage.lab.faults.statements().into_iter().map(|(_, text)| text);
    let dropped = statements.filter(|text| text.contains("DROP FOLLOWER") || text.contains("DROP OBSERVER"));
    dropped.filter_map(|text| text.split('"').nth(1)?.split('.').next().map(str::to_owned)).collect()
}

/// Restarts masters until this pod leads.
async fn make_master(stage: &Stage, pod: &str) {
    for _ in 0..40 {
        let Some(master) = stage.lab.master_pod("demo") else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        if master == pod {
            stage.lab.until_ready("demo").await;
            return;
        }
        stage.lab.api::<Pod>().delete(&master, &DeleteParams::default()).await.expect("it is deleted");
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    panic!("{pod} was never elected");
}

/// Three are left, each drop left a majority, and clients were sent away first.
async fn three_are_left(stage: &Stage) {
    assert_eq!(stage.members(MemberKind::Follower), SURVIVORS);
    assert_eq!(stage.replicas("demo-fe").await, Some(3));
    assert_eq!(stage.pods().await.iter().filter(|pod| pod.starts_with("demo-fe-")).count(), 3);
    let identity = stage.lab.secret("demo-identity", "frontends").await.expect("members");
    assert!(!identity.contains("demo-fe-3") && !identity.contains("demo-fe-4"), "{identity}");
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn scale_in_five_to_three_followers() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), five()).await;
        stage.change_and_wait(json!({"fe": {"replicas": 3}})).await;
        let leader = stage.lab.master_pod("demo").expect("one master");
        assert!(SURVIVORS.contains(&leader.as_str()));
        assert_eq!(drops(&stage).len(), 2, "{version}");
        three_are_left(&stage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn scale_in_five_to_three_followers_with_the_highest_as_master() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), five()).await;
        make_master(&stage, "demo-fe-4").await;
        // Whoever began a minute ago is steady.
        tokio::time::sleep(Duration::from_mins(2)).await;
        stage.change_and_wait(json!({"fe": {"replicas": 3}})).await;
        assert_eq!(drops(&stage), ["demo-fe-3", "demo-fe-4"], "{version}: the master last");
        three_are_left(&stage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn scale_in_five_to_three_followers_with_a_dead_one() {
    let mut stage = Stage::new(basic("2.1.7"), five()).await;
    stage.lab.nodes.miss_images(["apache/doris:fe-2.1.7".to_owned()].into());
    stage.lab.api::<Pod>().delete("demo-fe-3", &DeleteParams::default()).await.expect("it is deleted");
    tokio::time::sleep(Duration::from_mins(2)).await;
    stage.change_and_wait(json!({"fe": {"replicas": 3}})).await;
    assert_eq!(drops(&stage), ["demo-fe-3", "demo-fe-4"], "the dead one first");
    three_are_left(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn scale_in_five_to_three_followers_waits_for_one_that_is_behind() {
    let mut stage = Stage::new(basic("3.0.3"), five()).await;
    let master = stage.lab.master_pod("demo").expect("one master");
    let behind = SURVIVORS.into_iter().find(|pod| *pod != master).expect("another one");
    assert!(stage.lab.nodes.freeze("default", behind, None, true), "it runs");
    tokio::time::sleep(Duration::from_secs(45)).await;
    stage.change(json!({"fe": {"replicas": 3}})).await;
    let named = |seen: &doris_api::DorisCluster| {
        let waits = told(seen);
        waits.contains(behind) && waits.contains("before another frontend leaves")
    };
    stage.lab.until("it is told who is waited for", "demo", LONG, named).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(drops(&stage), [] as [String; 0]);
    assert!(stage.lab.nodes.freeze("default", behind, None, false), "it runs");
    stage.change_and_wait(json!({})).await;
    three_are_left(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn one_follower_has_to_be_confirmed() {
    let mut stage = Stage::new(basic("2.1.7"), json!({})).await;
    stage.change(json!({"fe": {"replicas": 1}})).await;
    let asked = |seen: &doris_api::DorisCluster| told(seen).contains("override.doris-operator.dev/FeQuorum");
    stage.lab.until("a confirmation is asked for", "demo", LONG, asked).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(stage.members(MemberKind::Follower), SURVIVORS);
    let patch = json!({"metadata": {"annotations": {"override.doris-operator.dev/FeQuorum": "2026-06-02T00:00:00Z"}}});
    let clusters = stage.lab.api::<doris_api::DorisCluster>();
    clusters.patch("demo", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&patch)).await.expect("it is confirmed");
    let one = |seen: &doris_api::DorisCluster| {
        scenarios::lab::is_ready(seen) && seen.status.as_ref().and_then(|status| status.fe.as_ref()).is_some_and(|fe| fe.alive == 1)
    };
    stage.lab.until("one is left", "demo", LONG, one).await;
    assert_eq!(stage.members(MemberKind::Follower), ["demo-fe-0"]);
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn one_follower_is_refused_where_the_last_drop_could_fail_half_way() {
    let mut stage = Stage::new(basic("3.0.3"), json!({})).await;
    stage.change(json!({"fe": {"replicas": 1}})).await;
    stage.lab.until("it is told why not", "demo", LONG, |seen| told(seen).contains("Set fe.replicas to 3")).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(stage.members(MemberKind::Follower), SURVIVORS);
    stage.change_and_wait(json!({"fe": {"replicas": 3}})).await;
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn observers_leave_altogether() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({"fe": {"observers": 2}})).await;
        stage.change_and_wait(json!({"fe": {"observers": 0}})).await;
        assert_eq!(stage.members(MemberKind::Observer), [] as [String; 0]);
        assert_eq!(stage.replicas("demo-fe-ob").await, None, "{version}");
        assert_eq!(drops(&stage), ["demo-fe-ob-1", "demo-fe-ob-0"], "{version}");
        stage.change_and_wait(json!({"fe": {"observers": 1}})).await;
        assert_eq!(stage.members(MemberKind::Observer), ["demo-fe-ob-0"], "{version}: it comes back on its old volume");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_comes_back_joins_anew_on_its_kept_volume() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), five()).await;
        stage.change_and_wait(json!({"fe": {"replicas": 3}})).await;
        let claims = stage.claims().await;
        assert!(claims["meta-demo-fe-4"].get("doris-operator.dev/dropped").is_some_and(|name| name.starts_with("fe_")), "{claims:?}");
        stage.change_and_wait(five()).await;
        assert_eq!(stage.members(MemberKind::Follower), ["demo-fe-0", "demo-fe-1", "demo-fe-2", "demo-fe-3", "demo-fe-4"], "{version}");
        let claims = stage.claims().await;
        assert!(claims.values().all(|labels| !labels.contains_key("doris-operator.dev/dropped")), "{version}: {claims:?}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn four_followers_that_come_back_elect_nobody_among_themselves() {
    let mut stage = Stage::new(basic("2.1.7"), five()).await;
    let patch = json!({"metadata": {"annotations": {"override.doris-operator.dev/FeQuorum": "2026-06-02T00:00:00Z"}}});
    let clusters = stage.lab.api::<doris_api::DorisCluster>();
    clusters.patch("demo", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&patch)).await.expect("it is confirmed");
    stage.change_and_wait(json!({"fe": {"replicas": 1}})).await;
    assert_eq!(stage.members(MemberKind::Follower), ["demo-fe-0"]);
    // Those that come back hear nothing of the one that is left: on what they had they would be a majority of five.
    let survivor = IpAddr::from(stage.lab.nodes.address("default", "demo-fe-0").expect("it runs"));
    stage.change(five()).await;
    let asked_at = tokio::time::Instant::now();
    let asked = async || holds(stage.replicas("demo-fe").await == Some(5));
    stage.lab.eventually("their pods are asked for", LONG, asked).await;
    stage.lab.world.isolate(survivor, doris_sim::Cut::Silent);
    let there = async || holds(stage.pods().await.iter().filter(|pod| pod.contains("-fe-")).count() == 5);
    stage.lab.eventually("their pods are there", LONG, there).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    let starts = stage.lab.frontends("demo").into_iter().map(|fe| fe.start).filter(|start| start.at >= asked_at && start.ip != survivor);
    let on_former: Vec<String> = starts.filter(|start| start.metadata.is_complete()).map(|start| start.fqdn).collect();
    assert_eq!(on_former, [] as [String; 0], "nobody starts on what it had");
    stage.lab.world.rejoin(survivor);
    stage.change_and_wait(five()).await;
    assert_eq!(stage.members(MemberKind::Follower), ["demo-fe-0", "demo-fe-1", "demo-fe-2", "demo-fe-3", "demo-fe-4"]);
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_somebody_dropped_by_hand_is_not_started_on_what_it_had() {
    let mut stage = Stage::new(basic("2.1.7"), json!({})).await;
    let master = stage.lab.master_pod("demo").expect("there is a master");
    let other = SURVIVORS.into_iter().find(|pod| *pod != master).expect("another follower");
    let (_, row) = stage.lab.registered("demo", MemberKind::Follower).into_iter().find(|(pod, _)| pod == other).expect("its row");
    let host = row.host;
    stage.sql(&format!("ALTER SYSTEM DROP FOLLOWER \"{host}:9010\"")).await;
    let gate = async || {
        let gate = stage.lab.api::<ConfigMap>().get("demo-gate").await.expect("there is the gate's ConfigMap");
        gate.data.unwrap_or_default().remove("left")
    };
    let knows = async || holds(gate().await.is_some_and(|left| left.starts_with(&format!("{host} fe_"))));
    stage.lab.eventually("the gate knows", LONG, knows).await;
    stage.lab.eventually("it is a member again", LONG, async || holds(gate().await.is_none())).await;
    stage.change_and_wait(json!({})).await;
    assert_eq!(stage.members(MemberKind::Follower), SURVIVORS);
    stage.all_is_well().await;
}
