//! Bugs in the treatment of members: whom is stopped, dropped or registered, and when.

use std::net::IpAddr;
use std::time::Duration;

use doris_sim::{Cut, MemberKind};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::acts::{founded, ready, roles, sql, sql_at, stop, wait_for};
use super::{DOMAIN, cluster};
use crate::lab::{Lab, basic};
/// All backends are taken away from under the frontends.
pub(super) async fn stop_backends_first(lab: &Lab) {
    ready(lab).await;
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
    sets.patch("demo-be", &PatchParams::default(), &none).await.expect("the set is there");
}

pub(super) async fn add_at_lone_master(lab: &Lab) {
    ready(lab).await;
    let (master, others) = roles(lab);
    let address = |pod: &str| IpAddr::V4(lab.nodes.address("default", pod).expect("it runs"));
    for other in &others {
        lab.world.cut(address(&master), address(other), Cut::Silent);
    }
    // It goes on calling itself master.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let add = "ALTER SYSTEM ADD BACKEND \"demo-be-3.demo-be-members.default.svc.cluster.local:9050\"";
    // It hangs: nobody acknowledges it.
    let _ = tokio::time::timeout(Duration::from_secs(3), sql_at(lab, &master, &[add])).await;
    for other in &others {
        lab.world.heal(address(&master), address(other));
    }
}

pub(super) async fn drop_beside_loss(lab: &Lab) {
    ready(lab).await;
    let (master, others) = roles(lab);
    assert!(lab.nodes.kill("default", &others[0], None), "it runs");
    sql_at(lab, &master, &[&format!("ALTER SYSTEM DROP FOLLOWER \"{}.{DOMAIN}:9010\"", others[1])]).await;
}

pub(super) async fn stop_during_backup(lab: &Lab) {
    ready(lab).await;
    lab.stalled_backup().await;
    stop(lab, &["demo-be-0", "demo-be-1", "demo-be-2"]).await;
    lab.jobs_go_on();
}

pub(super) async fn stop_last_replica(lab: &Lab) {
    ready(lab).await;
    let (master, _) = roles(lab);
    let table = "CREATE TABLE d.t (k INT) DISTRIBUTED BY HASH(k) BUCKETS 6 PROPERTIES (\"replication_num\" = \"1\")";
    sql_at(lab, &master, &["CREATE DATABASE d", table]).await;
    stop(lab, &["demo-be-2"]).await;
}

pub(super) async fn stop_master_first(lab: &Lab) {
    ready(lab).await;
    let (master, _) = roles(lab);
    let mut cluster = lab.cluster("default", "demo").await.expect("the cluster is there");
    cluster.metadata.managed_fields = None;
    cluster.metadata.resource_version = None;
    cluster.status = None;
    cluster.spec.fe.member.labels.insert("example.com/round".to_owned(), "2".to_owned());
    lab.apply(&cluster).await.expect("the spec is accepted");
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    wait_for(async || {
        let status = sets.get_opt("demo-fe").await.ok().flatten()?.status?;
        (status.update_revision != status.current_revision).then_some(())
    })
    .await;
    stop(lab, &[&master]).await;
}

pub(super) async fn lower_before_drop(lab: &Lab) {
    ready(lab).await;
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    let two = Patch::Merge(json!({"spec": {"replicas": 2}}));
    sets.patch("demo-be", &PatchParams::default(), &two).await.expect("the set is there");
}

pub(super) async fn drop_with_data(lab: &Lab) {
    ready(lab).await;
    // Until Doris has made its own tables.
    tokio::time::sleep(Duration::from_secs(30)).await;
    sql(lab, &["ALTER SYSTEM DROPP BACKEND \"demo-be-2.demo-be-members.default.svc.cluster.local:9050\""]).await;
}

pub(super) async fn add_beyond_spec(lab: &Lab) {
    ready(lab).await;
    sql(lab, &["ALTER SYSTEM ADD BACKEND \"demo-be-7.demo-be-members.default.svc.cluster.local:9050\""]).await;
}

pub(super) async fn leave_hold(lab: &Lab) {
    ready(lab).await;
    // The controller has seen that the switches are as they should be.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (master, _) = roles(lab);
    sql_at(lab, &master, &["ADMIN SET FRONTEND CONFIG (\"disable_tablet_scheduler\" = \"true\")"]).await;
}

/// The first follower is stopped while the second one has joined and the third has not been registered.
pub(super) async fn stop_while_it_grows(lab: &Lab) {
    let followers = |lab: &Lab| {
        let masters = lab.masters("demo");
        masters.first().map_or(0, |master| master.registered.iter().filter(|row| row.kind == MemberKind::Follower).count())
    };
    wait_for(async || (followers(lab) == 2).then_some(())).await;
    stop(lab, &["demo-fe-0"]).await;
}

/// A set is taken away with its pods instead of around them.
pub(super) async fn take_set_with_pods(lab: &Lab) {
    ready(lab).await;
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    sets.delete("demo-be", &DeleteParams::background()).await.expect("the set is there");
    tokio::time::sleep(Duration::from_mins(1)).await;
}

/// A cluster that is made again gets a single frontend, of three that are on record.
pub(super) async fn start_too_few(lab: &Lab) {
    ready(lab).await;
    // Until all are on record.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let sets: Api<StatefulSet> = Api::default_namespaced(lab.client.clone());
    let clusters = lab.api::<doris_api::DorisCluster>();
    let mut set = sets.get("demo-fe").await.expect("the set is there");
    clusters.delete("demo", &DeleteParams::background()).await.expect("the cluster is there");
    wait_for(async || sets.get_opt("demo-fe").await.ok().filter(Option::is_none)).await;
    (set.metadata.uid, set.metadata.resource_version, set.metadata.owner_references, set.status) = (None, None, None, None);
    if let Some(spec) = &mut set.spec {
        spec.replicas = Some(1);
    }
    sets.create(&PostParams::default(), &set).await.expect("a set");
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    tokio::time::sleep(Duration::from_secs(10)).await;
}

/// A backend is registered while all members stop.
pub(super) async fn add_during_suspension(lab: &Lab) {
    ready(lab).await;
    let mut spec = basic("2.1.7");
    spec["suspend"] = json!(true);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    wait_for(async || {
        let status = lab.cluster("default", "demo").await?.status?;
        status.operation.filter(|operation| operation.kind == "Suspend")
    })
    .await;
    sql(lab, &["ALTER SYSTEM ADD BACKEND \"demo-be-7.demo-be-members.default.svc.cluster.local:9050\""]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
}

/// A pod does what members' own scripts do elsewhere: it has itself registered.
pub(super) async fn register_from_pod(lab: &Lab) {
    ready(lab).await;
    let address = |pod: &str| IpAddr::V4(lab.nodes.address("default", pod).expect("it runs"));
    let identity = founded(lab).await;
    let password = &identity["operator.current"];
    let connecting = lab.world.connect(address("demo-be-2"), address("demo-fe-0"), 9030, "doris_operator", password);
    let mut session = connecting.await.expect("the account is there");
    let own = "demo-be-2.demo-be-members.default.svc.cluster.local:9050";
    // It is registered already.
    drop(session.query(&format!("ALTER SYSTEM ADD BACKEND \"{own}\"")).await);
}

/// A key changes that Doris takes while it runs, and a backend is restarted for it.
pub(super) async fn restart_for_nothing(lab: &Lab) {
    ready(lab).await;
    let mut spec = basic("2.1.7");
    spec["be"]["config"] = json!({"max_tablet_version_num": "3000"});
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    tokio::time::sleep(Duration::from_mins(1)).await;
    ready(lab).await;
    stop(lab, &["demo-be-1"]).await;
}

/// Backends get an image that does not run: the roll stops at the first one, and the second one is made anew all the same.
pub(super) async fn spread_bad_image(lab: &Lab) {
    ready(lab).await;
    let mut spec = basic("2.1.7");
    spec["update"] = json!({"timeouts": {"drainSeconds": 5}});
    spec["be"]["image"] = json!("example.org/nothing-there:be-2.1.7");
    lab.nodes.miss_images(["example.org/nothing-there:be-2.1.7".to_owned()].into());
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    let pods = lab.api::<Pod>();
    wait_for(async || {
        let container = pods.get_opt("demo-be-2").await.ok().flatten()?.spec?.containers.into_iter().next()?;
        container.image.filter(|image| image.contains("nothing-there"))
    })
    .await;
    stop(lab, &["demo-be-1"]).await;
    spec["be"]["image"] = serde_json::Value::Null;
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
}

/// A backend is dropped and registered anew, as its cluster is resumed.
pub(super) async fn resume_as_another(lab: &Lab) {
    ready(lab).await;
    let mut spec = basic("2.1.7");
    spec["suspend"] = json!(true);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    wait_for(async || lab.masters("demo").is_empty().then_some(())).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    wait_for(async || lab.masters("demo").iter().any(|master| master.ready && master.has_majority).then_some(())).await;
    let master = lab.master_pod("demo").expect("there is one");
    let own = "demo-be-2.demo-be-members.default.svc.cluster.local:9050";
    sql_at(lab, &master, &[&format!("ALTER SYSTEM DROPP BACKEND \"{own}\""), &format!("ALTER SYSTEM ADD BACKEND \"{own}\"")]).await;
    ready(lab).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
}
