//! Volumes of members that left: kept, deleted, and in use again.

use std::collections::BTreeSet;

use doris_sim::MemberKind;
use scenarios::lab::basic;
use serde_json::json;

use crate::stage::{GIB, LONG, Stage, VERSIONS, told};

fn names(claims: &std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>) -> BTreeSet<String> {
    claims.keys().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn volumes_are_kept_and_say_whose_they_were() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}, "fe": {"replicas": 5}})).await;
    stage.table("orders", 3, GIB).await;
    let before = stage.claims().await;
    let id = stage.backend("demo-be-3", "BackendId").await;
    stage.change_and_wait(json!({"be": {"replicas": 3}, "fe": {"replicas": 3}})).await;
    let after = stage.claims().await;
    assert_eq!(names(&after), names(&before), "none went");
    assert_eq!(after["data-demo-be-3"].get("doris-operator.dev/dropped"), id.as_ref());
    let marked: Vec<&String> =
        after.iter().filter(|(_, labels)| labels.contains_key("doris-operator.dev/dropped")).map(|(name, _)| name).collect();
    assert_eq!(marked, ["data-demo-be-3", "meta-demo-fe-3", "meta-demo-fe-4"]);
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn volumes_are_deleted_when_the_policy_says_so() {
    for version in VERSIONS {
        let patch = json!({"be": {"replicas": 4}, "fe": {"replicas": 5, "observers": 1}, "scaleIn": {"volumes": "Delete"}});
        let mut stage = Stage::new(basic(version), patch).await;
        stage.table("orders", 3, GIB).await;
        let before = names(&stage.claims().await);
        stage.change_and_wait(json!({"be": {"replicas": 3}, "fe": {"replicas": 3, "observers": 0}})).await;
        let after = names(&stage.claims().await);
        let gone: Vec<String> = before.difference(&after).cloned().collect();
        assert_eq!(gone, ["data-demo-be-3", "meta-demo-fe-3", "meta-demo-fe-4", "meta-demo-fe-ob-0"], "{version}");
        stage.change_and_wait(json!({"be": {"replicas": 4}})).await;
        assert_eq!(stage.members(MemberKind::Backend).len(), 4, "{version}: on an empty volume, without anybody's leave");
        assert_eq!(stage.rows_of("orders").await, "80", "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_comes_back_on_its_kept_volume() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({"be": {"replicas": 4}})).await;
        stage.table("orders", 3, GIB).await;
        let id = stage.backend("demo-be-3", "BackendId").await;
        stage.change_and_wait(json!({"be": {"replicas": 3}})).await;
        stage.change_and_wait(json!({"be": {"replicas": 4}})).await;
        assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2", "demo-be-3"], "{version}");
        assert_ne!(stage.backend("demo-be-3", "BackendId").await, id, "{version}: registered anew");
        let claims = stage.claims().await;
        assert!(!claims["data-demo-be-3"].contains_key("doris-operator.dev/dropped"), "{version}: {claims:?}");
        assert_eq!(stage.rows_of("orders").await, "80", "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_not_deleted_while_a_tablet_has_no_whole_replica() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}, "scaleIn": {"volumes": "Delete"}})).await;
    stage.table("orders", 3, GIB).await;
    stage.table("lost", 1, GIB).await;
    // What it lacks is not on the backend that leaves; who could tell?
    let is_elsewhere = |tablet: &doris_sim::TabletFacts| tablet.table == "lost" && !tablet.replicas[0].host.starts_with("demo-be-3.");
    let tablet = stage.lab.world.tablets().into_iter().find(is_elsewhere).expect("eight buckets on four backends");
    assert!(stage.lab.world.spoil_tablet(&tablet.replicas[0].host, tablet.tablet), "{tablet:?}");
    let generation = stage.change(json!({"be": {"replicas": 3}})).await.metadata.generation;
    let keeps = |seen: &doris_api::DorisCluster| {
        told(seen).contains("KeepReplica: 1 tablets have no complete replica, and what they lack may be on data-demo-be-3")
    };
    stage.lab.until("the volume is kept", "demo", LONG, keeps).await;
    tokio::time::sleep(std::time::Duration::from_mins(12)).await;
    assert!(names(&stage.claims().await).contains("data-demo-be-3"), "whatever time passes");
    stage.sql("DROP TABLE d.lost FORCE").await;
    let done = |seen: &doris_api::DorisCluster| seen.metadata.generation == generation && scenarios::lab::is_ready(seen);
    stage.lab.until("it goes on by itself", "demo", LONG, done).await;
    assert!(!names(&stage.claims().await).contains("data-demo-be-3"));
    assert_eq!(stage.rows_of("orders").await, "80");
    stage.all_is_well().await;
}
