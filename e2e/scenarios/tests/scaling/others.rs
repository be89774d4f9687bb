//! Compute nodes and brokers, whole components, and changes that come together.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::MemberKind;
use kube::api::{Patch, PatchParams};
use scenarios::lab::{basic, full};
use serde_json::json;

use crate::stage::{GIB, LONG, Stage, VERSIONS, told};

#[tokio::test(start_paused = true)]
async fn compute_nodes_scale_to_zero_and_back() {
    for version in VERSIONS {
        let mut stage = Stage::new(basic(version), json!({"cn": {"replicas": 2}})).await;
        let seen = stage.change_and_wait(json!({"cn": {"replicas": 0}})).await;
        let cn = seen.status.and_then(|status| status.cn).expect("compute nodes are counted");
        assert_eq!((cn.desired, cn.registered, cn.alive, cn.ready, cn.replicas, cn.summary.as_str()), (0, 0, 0, 0, 0, "0/0"));
        assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"], "{version}");
        assert_eq!(stage.replicas("demo-cn").await, Some(0));
        for stop in stage.lab.world.backend_stops() {
            assert!(stop.drained && stop.fqdn.starts_with("demo-cn-"), "{version}: {stop:?}");
        }
        stage.change_and_wait(json!({"cn": {"replicas": 2}})).await;
        let all = ["demo-be-0", "demo-be-1", "demo-be-2", "demo-cn-0", "demo-cn-1"];
        assert_eq!(stage.members(MemberKind::Backend), all, "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_scale_subresource_takes_compute_nodes_away() {
    let stage = Stage::new(basic("2.1.7"), json!({"cn": {"replicas": 3}})).await;
    let clusters = stage.lab.api::<DorisCluster>();
    let scale = clusters.get_scale("demo").await.expect("it has a scale");
    assert_eq!(scale.status.as_ref().map(|status| status.replicas), Some(3));
    let selector = scale.status.and_then(|status| status.selector).unwrap_or_default();
    assert!(selector.contains("doris-operator.dev/component=cn"), "{selector}");
    let patch = json!({"spec": {"replicas": 1}});
    clusters.patch_scale("demo", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("it is scaled");
    let done = |seen: &DorisCluster| {
        scenarios::lab::is_ready(seen) && seen.status.as_ref().and_then(|status| status.cn.as_ref()).is_some_and(|cn| cn.replicas == 1)
    };
    stage.lab.until("one is left", "demo", LONG, done).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2", "demo-cn-0"]);
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn whole_components_leave_when_the_spec_has_them_no_more() {
    for version in VERSIONS {
        let mut stage = Stage::new(full(version), json!({})).await;
        stage.change_and_wait(json!({"cn": null, "broker": null, "fe": {"observers": null}})).await;
        assert_eq!(stage.members(MemberKind::Broker), [] as [String; 0], "{version}");
        assert_eq!(stage.members(MemberKind::Observer), [] as [String; 0], "{version}");
        assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"], "{version}");
        for set in ["demo-cn", "demo-broker", "demo-fe-ob"] {
            assert_eq!(stage.replicas(set).await, None, "{version} {set}");
        }
        assert!(stage.pods().await.iter().all(|pod| pod.starts_with("demo-fe-") || pod.starts_with("demo-be-")), "{version}");
        stage.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_waits_for_loads() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"broker": {"replicas": 2}})).await;
    stage.table("orders", 3, GIB).await;
    let master = stage.lab.master_pod("demo").expect("one master");
    let insert = "INSERT INTO d.orders SELECT SLEEP(120)";
    let work = async {
        stage.lab.sql("demo", &master, insert).await.expect("the load succeeds");
    };
    let watch = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut spec = stage.spec.clone();
        scenarios::lab::merge(&mut spec, &json!({"broker": {"replicas": 1}}));
        stage.lab.apply(&scenarios::lab::cluster("demo", spec)).await.expect("the spec is accepted");
        let waits = |seen: &DorisCluster| told(seen).contains("demo-broker-1 goes when no load needs a broker");
        stage.lab.until("the load is waited for", "demo", Duration::from_secs(60), waits).await;
        assert_eq!(stage.replicas("demo-broker").await, Some(2));
    };
    tokio::join!(work, watch);
    stage.change_and_wait(json!({"broker": {"replicas": 1}})).await;
    assert_eq!(stage.members(MemberKind::Broker), ["demo-broker-0"]);
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn two_changes_at_once() {
    let mut stage = Stage::new(basic("2.1.7"), json!({"be": {"replicas": 4}, "fe": {"replicas": 5}})).await;
    stage.table("orders", 3, GIB).await;
    let label = |round: &str| json!({"labels": {"example.com/round": round}});
    stage.change(json!({"be": label("2"), "fe": label("2")})).await;
    let restarting = |seen: &DorisCluster| {
        let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
        operation.is_some_and(|operation| operation.kind == "RollingRestart" && operation.member.is_some())
    };
    stage.lab.until("a backend is under work", "demo", LONG, restarting).await;
    // Fewer members are asked for while one is restarted: that one is finished, then they leave, then the roll goes on.
    stage.change(json!({"be": {"replicas": 3}, "fe": {"replicas": 3}})).await;
    let told_so = |seen: &DorisCluster| told(seen).contains("leave once RollingRestart of");
    stage.lab.until("it is told who goes first", "demo", LONG, told_so).await;
    let scaling = |seen: &DorisCluster| {
        let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
        operation.is_some_and(|operation| operation.kind == "ScaleIn") && told(seen).contains("are restarted once ScaleIn of")
    };
    stage.lab.until("the roll waits in turn", "demo", LONG, scaling).await;
    stage.change_and_wait(json!({})).await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    assert_eq!(stage.members(MemberKind::Follower), ["demo-fe-0", "demo-fe-1", "demo-fe-2"]);
    assert_eq!(stage.rows_of("orders").await, "80");
    stage.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_somebody_asked_the_set_for_go_again() {
    let stage = Stage::new(basic("2.1.7"), json!({})).await;
    let sets = stage.lab.api::<k8s_openapi::api::apps::v1::StatefulSet>();
    let patch = json!({"spec": {"replicas": 5}});
    sets.patch("demo-be", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("it is edited");
    let back = || async {
        let replicas = stage.replicas("demo-be").await;
        let pods = stage.pods().await.len();
        if replicas == Some(3) && pods == 6 { Ok(()) } else { Err(format!("{replicas:?}, {pods} pods")) }
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    stage.lab.eventually("three again", LONG, back).await;
    stage.lab.until_ready("demo").await;
    assert_eq!(stage.members(MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    stage.all_is_well().await;
}
