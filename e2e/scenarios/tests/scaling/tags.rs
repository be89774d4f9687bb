//! Resource tags of members that are registered.

use std::time::Duration;

use doris_api::DorisCluster;
use scenarios::lab::basic;
use scenarios::lab::look::condition;
use serde_json::json;

use crate::stage::{GIB, LONG, Stage, VERSIONS, told};

async fn locations(stage: &Stage, pods: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for pod in pods {
        let tags = stage.backend(pod, "Tag").await.expect("it is registered");
        let tags: serde_json::Value = serde_json::from_str(&tags).expect("tags are JSON");
        all.push(tags["location"].as_str().unwrap_or_default().to_owned());
    }
    all
}

const BACKENDS: [&str; 3] = ["demo-be-0", "demo-be-1", "demo-be-2"];

#[tokio::test(start_paused = true)]
async fn another_location_of_registered_backends_is_told_and_moves_nothing() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({})).await;
        stage.table("orders", 3, GIB).await;
        let steps = stage.lab.faults.log().len();
        stage.change(json!({"be": {"tags": {"location": "group_a"}}})).await;
        let is_told = |seen: &DorisCluster| {
            condition(seen, "Stalled").is_some_and(|(status, reason, message)| {
                status == "True"
                    && reason == "SpecInvalid"
                    && message.contains("demo-be-0 (default), demo-be-1 (default), demo-be-2 (default)")
            })
        };
        let seen = stage.lab.until("it is told", "demo", Duration::from_mins(2), is_told).await;
        assert_eq!(condition(&seen, "Ready").map(|(status, ..)| status).as_deref(), Some("False"), "{version}: not what the spec says");
        tokio::time::sleep(Duration::from_mins(3)).await;
        assert_eq!(locations(&stage, &BACKENDS).await, ["default"; 3], "{version}");
        let changing: Vec<String> =
            stage.lab.faults.log().split_off(steps).into_iter().filter(|step| step.starts_with("SQL ALTER")).collect();
        assert_eq!(changing, [] as [String; 0], "{version}");
        // New ones get it, and tables may be put there; then the others follow by hand, as the sentence says.
        stage.change(json!({"be": {"replicas": 4}})).await;
        stage
            .lab
            .eventually("the fourth one is there", LONG, || async {
                match stage.backend("demo-be-3", "Tag").await {
                    Some(tags) if tags.contains("group_a") => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        let back = stage.change_and_wait(json!({"be": {"tags": null}})).await;
        assert!(!told(&back).contains("be.tags"), "{version}: {}", told(&back));
        assert_eq!(stage.rows_of("orders").await, "80", "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn compute_nodes_follow_the_location_of_the_spec() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({"cn": {"replicas": 2}})).await;
        stage.change_and_wait(json!({"cn": {"tags": {"location": "etl"}}})).await;
        assert_eq!(locations(&stage, &["demo-cn-0", "demo-cn-1"]).await, ["etl"; 2], "{version}");
        assert_eq!(locations(&stage, &BACKENDS).await, ["default"; 3], "{version}");
        // Whatever somebody does by hand meanwhile.
        let host = "demo-cn-1.demo-cn-members.default.svc.cluster.local:9050";
        stage.sql(&format!("ALTER SYSTEM MODIFY BACKEND \"{host}\" SET (\"tag.location\" = \"other\")")).await;
        stage.change_and_wait(json!({"cn": {"tags": {"location": "default"}}})).await;
        assert_eq!(locations(&stage, &["demo-cn-0", "demo-cn-1"]).await, ["default"; 2], "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn tags_that_nobody_is_registered_with_are_told() {
    let mut stage = Stage::new(basic("2.1.7"), json!({})).await;
    stage.change(json!({"be": {"tags": {"rack": "r1"}}})).await;
    let is_told = |seen: &DorisCluster| told(seen).contains("be.tags has rack, and members are registered with location alone");
    stage.lab.until("it is told", "demo", Duration::from_mins(2), is_told).await;
    stage.change_and_wait(json!({"be": {"tags": null}})).await;
    stage.all_is_well().await;
}
