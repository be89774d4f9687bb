//! A scale in is taken back by asking for the members again.

use std::time::Duration;

use doris_sim::MemberKind;
use scenarios::lab::basic;
use serde_json::json;

use crate::stage::{GIB, LONG, Stage, VERSIONS, told};

#[tokio::test(start_paused = true)]
async fn decommission_cancelled_at_every_percent() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({"be": {"replicas": 4}})).await;
        stage.table("orders", 3, 16 * GIB).await;
        let (pods, uid, id) = (stage.pods().await, stage.uid("demo-be-3").await, stage.backend("demo-be-3", "BackendId").await);
        for percent in [100, 75, 50, 25, 5] {
            // What was moved away comes back by the balance.
            tokio::time::sleep(Duration::from_mins(3)).await;
            let whole = stage.tablets("demo-be-3").await;
            stage.change(json!({"be": {"replicas": 3}})).await;
            let so_far = || async {
                let flag = stage.backend("demo-be-3", "SystemDecommissioned").await.unwrap_or_default();
                let left = stage.tablets("demo-be-3").await;
                if flag == "true" && left * 100 <= whole * percent { Ok(()) } else { Err(format!("{left} of {whole}, {flag}")) }
            };
            stage.lab.eventually(&format!("{percent} % are left"), LONG, so_far).await;
            stage.change_and_wait(json!({"be": {"replicas": 4}})).await;
            assert_eq!(stage.backend("demo-be-3", "SystemDecommissioned").await.as_deref(), Some("false"), "{version} {percent}");
            assert_eq!((stage.uid("demo-be-3").await, stage.backend("demo-be-3", "BackendId").await), (uid.clone(), id.clone()));
        }
        assert_eq!(stage.pods().await, pods, "{version}: no pod was touched");
        assert_eq!(stage.rows_of("orders").await, "80", "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_backends_that_leave_may_stay() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 5}})).await;
    stage.table("orders", 3, 16 * GIB).await;
    stage.change(json!({"be": {"replicas": 3}})).await;
    stage.lab.until("both are being emptied", "demo", LONG, |seen| told(seen).contains("tablets are left")).await;
    stage.change_and_wait(json!({"be": {"replicas": 4}})).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2", "demo-be-3"]);
    assert_eq!(stage.backend("demo-be-3", "SystemDecommissioned").await.as_deref(), Some("false"));
    assert_eq!(stage.rows_of("orders").await, "80");
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_decommission_by_hand_is_nobodys_to_cancel() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}})).await;
    stage.sql("ADMIN SET FRONTEND CONFIG (\"drop_backend_after_decommission\" = \"false\")").await;
    let host = stage.backend("demo-be-1", "Host").await.expect("it is registered");
    stage.sql(&format!("ALTER SYSTEM DECOMMISSION BACKEND \"{host}:9050\"")).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    stage.change_and_wait(json!({"be": {"replicas": 5}})).await;
    stage.change_and_wait(json!({"be": {"replicas": 4}})).await;
    assert_eq!(stage.backend("demo-be-1", "SystemDecommissioned").await.as_deref(), Some("true"));
}

#[tokio::test(start_paused = true)]
async fn compute_nodes_that_are_asked_for_again_get_queries_again() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"cn": {"replicas": 2}, "update": {"timeouts": {"drainSeconds": 120}}})).await;
    let uid = stage.uid("demo-cn-1").await;
    stage.change(json!({"cn": {"replicas": 1}})).await;
    let drained = || async {
        let status = stage.backend("demo-cn-1", "Status").await.unwrap_or_default();
        if status.contains("\"isQueryDisabled\":true") { Ok(()) } else { Err(status) }
    };
    stage.lab.eventually("it is drained", LONG, drained).await;
    stage.change_and_wait(json!({"cn": {"replicas": 2}})).await;
    let status = stage.backend("demo-cn-1", "Status").await.unwrap_or_default();
    assert!(status.contains("\"isQueryDisabled\":false") && status.contains("\"isLoadDisabled\":false"), "{status}");
    assert_eq!(stage.uid("demo-cn-1").await, uid);
    stage.all_is_well().await;
}
