//! Backups that a backend must not leave.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::MemberKind;
use scenarios::lab::basic;
use scenarios::lab::cluster;
use serde_json::json;

use crate::stage::{GIB, LONG, Stage, told};

fn rules(seen: &DorisCluster) -> Vec<String> {
    let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
    operation.map(|operation| operation.blocked_by.iter().map(|one| one.rule.clone()).collect()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn no_backend_is_emptied_while_a_backup_runs() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}})).await;
    stage.lab.stalled_backup().await;
    stage.change(json!({"be": {"replicas": 3}})).await;
    let seen = stage.lab.until("it is blocked", "demo", LONG, |seen| !rules(seen).is_empty()).await;
    assert_eq!(rules(&seen), ["BackupIdle"]);
    assert!(told(&seen).contains("backup nightly of database stock (state UPLOADING) is running"), "{}", told(&seen));
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(stage.backend("demo-be-3", "SystemDecommissioned").await.as_deref(), Some("false"));
    stage.lab.jobs_go_on();
    stage.change_and_wait(json!({})).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    assert_eq!(stage.lab.world.snapshot_jobs().pop().map(|job| job.state), Some("FINISHED"));
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_override_lets_backends_be_emptied_beside_a_backup() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}})).await;
    stage.lab.stalled_backup().await;
    stage.change(json!({"be": {"replicas": 3}})).await;
    stage.lab.until("it is blocked", "demo", LONG, |seen| !rules(seen).is_empty()).await;
    let mut wanted = cluster("demo", stage.spec.clone());
    wanted.metadata.annotations = Some([("override.doris-operator.dev/BackupIdle".to_owned(), "2026-06-01T04:00:00Z".to_owned())].into());
    stage.lab.apply(&wanted).await.expect("the annotation is accepted");
    let is_used = |seen: &DorisCluster| {
        let used = seen.status.iter().flat_map(|status| &status.overrides).collect::<Vec<_>>();
        matches!(used.as_slice(), [one] if one.rule == "BackupIdle" && one.step.contains("DecommissionBackends"))
    };
    stage.lab.until("the override is on record", "demo", LONG, is_used).await;
    stage.lab.jobs_go_on();
    let gone = |seen: &DorisCluster| scenarios::lab::is_ready(seen);
    stage.lab.until("it has left", "demo", LONG, gone).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_backend_is_dropped_once_a_backup_is_done() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}})).await;
    stage.table("orders", 3, 8 * GIB).await;
    stage.sql("ADMIN SET FRONTEND CONFIG (\"drop_backend_after_decommission\" = \"false\")").await;
    stage.change(json!({"be": {"replicas": 3}})).await;
    stage.lab.until("it is being emptied", "demo", LONG, |seen| told(seen).contains("tablets are left")).await;
    stage.lab.stalled_backup().await;
    let is_blocked = |seen: &DorisCluster| rules(seen) == ["BackupIdle"];
    stage.lab.until("the drop is blocked", "demo", LONG, is_blocked).await;
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!(stage.backend("demo-be-3", "SystemDecommissioned").await.as_deref(), Some("true"));
    stage.lab.jobs_go_on();
    stage.change_and_wait(json!({})).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    assert_eq!(stage.lab.world.snapshot_jobs().pop().map(|job| job.state), Some("FINISHED"));
    stage.all_is_well().await;
}
