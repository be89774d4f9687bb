//! Every component of a cluster, and the order in which they start.

use std::collections::BTreeSet;
use std::time::Duration;

use doris_sim::MemberKind;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::ListParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster, full, is_ready};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn create_full() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", full("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(lab.alive("demo", MemberKind::Follower), ["demo-fe-0", "demo-fe-1", "demo-fe-2"]);
    assert_eq!(lab.alive("demo", MemberKind::Observer), ["demo-fe-ob-0", "demo-fe-ob-1"]);
    assert_eq!(lab.alive("demo", MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2", "demo-cn-0", "demo-cn-1"]);
    assert_eq!(lab.alive("demo", MemberKind::Broker), ["demo-broker-0"]);

    let master = lab.master_pod("demo").expect("there is a master");
    let rows = lab.sql("demo", &master, "SHOW BACKENDS").await.expect("backends are listed");
    for row in rows {
        let is_compute = row["Host"].starts_with("demo-cn-");
        assert_eq!(row["NodeRole"], if is_compute { "computation" } else { "mix" }, "{row:#?}");
        let location = if is_compute { "default" } else { "group_a" };
        assert!(row["Tag"].contains(&format!("\"location\" : \"{location}\"")), "{row:#?}");
    }
    let brokers = lab.sql("demo", &master, "SHOW BROKER").await.expect("brokers are listed");
    assert_eq!(brokers.iter().map(|row| row["Name"].as_str()).collect::<Vec<_>>(), ["hdfs_broker"]);

    every_backend_has_its_disks(&lab).await;
    assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "an idle minute");
}

async fn every_backend_has_its_disks(lab: &Lab) {
    let claims = lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims are listed");
    let names: BTreeSet<String> = claims.iter().map(ResourceExt::name_any).collect();
    for disk in ["fast", "slow"] {
        for ordinal in 0..3 {
            assert!(names.contains(&format!("{disk}-demo-be-{ordinal}")), "{names:?}");
        }
    }
    let sizes: BTreeSet<(String, String)> = claims
        .iter()
        .filter(|claim| claim.name_any().contains("-demo-be-"))
        .filter_map(|claim| {
            let request = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0.clone();
            Some((claim.name_any().split('-').next()?.to_owned(), request))
        })
        .collect();
    assert_eq!(sizes, BTreeSet::from([("fast".to_owned(), "100Gi".to_owned()), ("slow".to_owned(), "400Gi".to_owned())]));
}

#[tokio::test(start_paused = true)]
async fn three_followers_two_observers() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    spec["fe"]["observers"] = json!(2);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(lab.alive("demo", MemberKind::Follower), ["demo-fe-0", "demo-fe-1", "demo-fe-2"]);
    assert_eq!(lab.alive("demo", MemberKind::Observer), ["demo-fe-ob-0", "demo-fe-ob-1"]);
    let sets = lab.api::<StatefulSet>();
    for (name, replicas) in [("demo-fe", 3), ("demo-fe-ob", 2)] {
        let set = sets.get(name).await.expect("there is a set");
        assert_eq!(set.spec.and_then(|spec| spec.replicas), Some(replicas), "{name}");
    }
    // Two of three votes are a majority although three of five frontends are gone.
    let master = lab.master_pod("demo").expect("there is a master");
    let follower = ["demo-fe-0", "demo-fe-1", "demo-fe-2"].into_iter().find(|pod| *pod != master).expect("another follower");
    for pod in ["demo-fe-ob-0", "demo-fe-ob-1", follower] {
        assert!(lab.nodes.freeze("default", pod, None, true), "{pod} runs");
    }
    lab.sql("demo", &master, "CREATE DATABASE votes").await.expect("a majority of the followers takes a write");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_report_is_told_and_keeps_the_cluster_from_ready() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    // It is alive, since heartbeats come to it; it reports to a master's name that it cannot look up.
    let silent = loop {
        let pod = lab.api::<Pod>().get_opt("demo-be-1").await.expect("pods are read");
        let ip = pod.and_then(|pod| pod.status?.pod_ip);
        if let Some(ip) = ip {
            break ip.parse().expect("an address");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    lab.world.fail_lookups(silent, true);
    let told = |cluster: &doris_api::DorisCluster| {
        condition(cluster, "Reconciling").is_some_and(|(_, _, message)| message.contains("demo-be-1 is alive and has not reported"))
    };
    lab.until("it is told", "demo", Duration::from_mins(2), told).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let demo = lab.cluster("default", "demo").await.expect("there is the cluster");
    assert!(told(&demo) && !is_ready(&demo), "{:#?}", demo.status);

    lab.world.fail_lookups(silent, false);
    lab.until_ready("demo").await;
    assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "all is on record when it is ready");
}

#[tokio::test(start_paused = true)]
async fn be_waits_for_fe() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let image = "apache/doris:fe-2.1.7";
    lab.nodes.miss_images(BTreeSet::from([image.to_owned()]));
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    let waits =
        |cluster: &doris_api::DorisCluster| condition(cluster, "Reconciling").is_some_and(|(_, _, message)| message.contains("demo-fe-0"));
    let demo = lab.until("it is told what is waited for", "demo", Duration::from_mins(1), waits).await;
    let (status, _, message) = condition(&demo, "Reconciling").expect("there is the condition");
    assert_eq!(status, "True");
    assert!(message.contains("image") || message.contains("Image"), "the reason of the wait is told: {message}");
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(lab.api::<StatefulSet>().get_opt("demo-be").await.expect("sets are read").is_none(), "no backend without a master");
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.expect("pods are listed");
    assert!(
        pods.iter().all(|pod| pod.name_any().starts_with("demo-fe-")),
        "{:?}",
        pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
    );

    lab.nodes.miss_images(BTreeSet::new());
    lab.until_ready("demo").await;
    let log = lab.faults.log();
    let first = |what: &str| log.iter().position(|step| step.starts_with(what)).unwrap_or_else(|| panic!("no {what} in {log:#?}"));
    assert!(first("SQL CREATE USER") < first("PATCH statefulsets/demo-be"), "a master answered before: {log:#?}");
}
