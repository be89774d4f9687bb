//! Backends leave when their data is elsewhere.

use std::time::Duration;

use doris_sim::MemberKind;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use scenarios::lab::basic;
use serde_json::json;

use crate::stage::{GIB, LONG, Stage, VERSIONS, told};

#[tokio::test(start_paused = true)]
async fn scale_in_never_loses_a_single_replica_table() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({"be": {"replicas": 5}})).await;
        stage.table("single", 1, 8 * GIB).await;
        stage.table("triple", 3, GIB).await;
        stage.change(json!({"be": {"replicas": 3}})).await;
        let told = stage
            .lab
            .until("it is told how far it is", "demo", LONG, |seen| {
                let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
                operation.is_some_and(|operation| operation.step.contains("tablets are left") && operation.estimated_completion.is_some())
            })
            .await;
        let operation = told.status.and_then(|status| status.operation).expect("there is one");
        assert_eq!((operation.kind.as_str(), operation.target.as_str()), ("ScaleIn", "demo-be-4, demo-be-3"), "{version}");
        assert!(operation.done < operation.total && operation.total > Some(0), "{version}: {operation:?}");
        stage.change_and_wait(json!({})).await;
        assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"], "{version}");
        assert_eq!((stage.rows_of("single").await, stage.rows_of("triple").await), ("80".into(), "80".into()), "{version}");
        assert_eq!(stage.replicas("demo-be").await, Some(3));
        let sent = stage.lab.faults.statements().into_iter().filter(|(_, text)| text.contains("DECOMMISSION BACKEND")).count();
        assert_eq!(sent, 1, "{version}: both leave by one statement");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn decommission_blocked_names_table() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({})).await;
        stage.table("orders", 3, GIB).await;
        let pods = stage.pods().await;
        stage.change(json!({"be": {"replicas": 2}})).await;
        let blocked = |seen: &doris_api::DorisCluster| told(seen).contains("d.orders");
        let seen = stage.lab.until("the table is named", "demo", LONG, blocked).await;
        let status = seen.status.clone().expect("a status");
        let operation = status.operation.expect("an operation");
        assert_eq!(operation.blocked_by.iter().map(|one| one.rule.as_str()).collect::<Vec<_>>(), ["DecommissionFeasible"], "{version}");
        assert!(operation.blocked_by[0].message.contains("ALTER TABLE"), "{version}: {:?}", operation.blocked_by);
        assert!(status.summary.unwrap_or_default().starts_with("Blocked: ScaleIn of demo-be-2 is blocked by DecommissionFeasible"));
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(stage.pods().await, pods, "{version}");
        assert_eq!(stage.backend("demo-be-2", "SystemDecommissioned").await.as_deref(), Some("false"));
        let events = stage.lab.api::<Event>().list(&ListParams::default()).await.expect("Events are listed");
        let told = events.iter().filter(|event| event.reason.as_deref() == Some("Blocked")).count();
        assert_eq!(told, 1, "{version}: one Event for one refusal");
        stage.change_and_wait(json!({"be": {"replicas": 3}})).await;
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_of_backends_lets_a_roll_go_on() {
    let mut stage = Stage::new(basic("2.1.7"), json!({})).await;
    stage.table("orders", 3, GIB).await;
    stage.change(json!({"be": {"replicas": 2}})).await;
    stage.lab.until("it is blocked", "demo", LONG, |seen| told(seen).contains("d.orders")).await;
    let before = stage.uid("demo-fe-0").await;
    stage.change(json!({"fe": {"labels": {"example.com/round": "2"}}})).await;
    let renewed = || async {
        let mut fresh = Vec::new();
        for pod in ["demo-fe-0", "demo-fe-1", "demo-fe-2"] {
            fresh.push(stage.uid(pod).await);
        }
        if fresh[0] != before && fresh.iter().all(Option::is_some) { Ok(()) } else { Err(format!("{fresh:?}")) }
    };
    stage.lab.eventually("the frontends are restarted", LONG, renewed).await;
    let blocked = |seen: &doris_api::DorisCluster| {
        let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
        operation.is_some_and(|operation| operation.kind == "ScaleIn" && !operation.blocked_by.is_empty())
    };
    stage.lab.until("the scale in is told again", "demo", LONG, blocked).await;
    assert_eq!(stage.lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_that_stays_is_named() {
    let mut stage = Stage::new(basic("3.0.3"), json!({"be": {"replicas": 4}})).await;
    stage.table("orders", 3, GIB).await;
    assert!(stage.lab.nodes.fill_volume("default", "data-demo-be-1", true), "it has a volume");
    tokio::time::sleep(Duration::from_secs(10)).await;
    stage.change(json!({"be": {"replicas": 3}})).await;
    let named = |seen: &doris_api::DorisCluster| told(seen).contains("fuller than 85 %") && told(seen).contains("demo-be-1");
    stage.lab.until("the disk is named", "demo", LONG, named).await;
    assert!(stage.lab.nodes.fill_volume("default", "data-demo-be-1", false), "it has a volume");
    stage.change_and_wait(json!({})).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_decommission_explains_itself() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}, "scaleIn": {"timeoutSeconds": 1200}})).await;
    stage.table("orders", 3, 8 * GIB).await;
    stage.change(json!({"be": {"replicas": 3}})).await;
    let begun = |seen: &doris_api::DorisCluster| told(seen).contains("tablets are left");
    stage.lab.until("it is being emptied", "demo", LONG, begun).await;
    stage.sql("ADMIN SET FRONTEND CONFIG (\"disable_tablet_scheduler\" = \"true\")").await;
    let explained = |seen: &doris_api::DorisCluster| told(seen).contains("disable_tablet_scheduler is true on the master");
    let seen = stage.lab.until("it is told why", "demo", LONG, explained).await;
    let (status, reason, _) = scenarios::lab::look::condition(&seen, "Stalled").expect("a condition");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Scaling"), "it is told, and not yet late");
    let late = |seen: &doris_api::DorisCluster| {
        scenarios::lab::look::condition(seen, "Stalled").is_some_and(|(status, reason, _)| status == "True" && reason == "ScaleInStopped")
    };
    stage.lab.until("it is late", "demo", LONG, late).await;
    stage.sql("ADMIN SET FRONTEND CONFIG (\"disable_tablet_scheduler\" = \"false\")").await;
    stage.change_and_wait(json!({})).await;
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn backends_that_doris_does_not_drop_are_dropped_when_their_pods_are_gone() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({"be": {"replicas": 4}})).await;
        stage.table("orders", 3, GIB).await;
        stage.sql("ADMIN SET FRONTEND CONFIG (\"drop_backend_after_decommission\" = \"false\")").await;
        stage.change_and_wait(json!({"be": {"replicas": 3}})).await;
        assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"], "{version}");
        let drops = stage.lab.world.backend_drops();
        assert!(matches!(drops.as_slice(), [drop] if drop.replicas == 0 && drop.decommissioned), "{version}: {drops:?}");
        let stop = stage.lab.world.backend_stops().into_iter().find(|stop| stop.fqdn.starts_with("demo-be-3.")).expect("it stopped");
        assert!(stop.at_ms <= drops[0].at_ms, "{version}: the pod goes first");
        assert_eq!(stage.rows_of("orders").await, "80", "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_leaves_too() {
    let mut stage = Stage::new(basic("3.0.3"), json!({"be": {"replicas": 4}})).await;
    stage.table("orders", 3, GIB).await;
    stage.lab.nodes.miss_images(["apache/doris:be-3.0.3".to_owned()].into());
    stage.lab.api::<k8s_openapi::api::core::v1::Pod>().delete("demo-be-3", &kube::api::DeleteParams::default()).await.expect("deleted");
    tokio::time::sleep(Duration::from_mins(1)).await;
    stage.change_and_wait(json!({"be": {"replicas": 3}})).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    assert_eq!(stage.rows_of("orders").await, "80");
    stage.all_is_well().await;
}
