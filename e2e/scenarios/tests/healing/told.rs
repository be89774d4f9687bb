//! What a cluster says of itself when something is as nobody asked for.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::Cut;
use k8s_openapi::api::core::v1::{Event, Node};
use kube::Api;
use kube::api::ListParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::json;

fn is_stalled(cluster: &DorisCluster, reason: &str) -> bool {
    condition(cluster, "Stalled").is_some_and(|(status, told, _)| status == "True" && told == reason)
}

/// The notes of Events with a reason.
pub async fn told(lab: &Lab, reason: &str) -> Vec<String> {
    let events = lab.api::<Event>().list(&ListParams::default()).await.expect("Events are listed");
    let meant = events.items.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
    meant.filter_map(|event| event.message).collect()
}

/// Nodes on which backends end at once.
async fn unprepared(lab: &Lab) -> Vec<String> {
    let nodes = Api::<Node>::all(lab.client.clone()).list(&ListParams::default()).await.expect("nodes");
    let nodes: Vec<String> = nodes.items.iter().map(kube::ResourceExt::name_any).collect();
    for node in &nodes {
        lab.engine.set_prepared(node, false);
    }
    nodes
}

#[tokio::test(start_paused = true)]
async fn pods_that_may_prepare_their_nodes_need_nobody() {
    let lab = Lab::new(Settings::default()).await;
    unprepared(&lab).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    spec["be"]["nodeTuning"] = json!("InitContainer");
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(told(&lab, "NodeUntuned").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_prepared_is_told_in_doris_words() {
    let lab = Lab::new(Settings::default()).await;
    let nodes = unprepared(&lab).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    let stalled = lab.until("stalled", "demo", Duration::from_mins(5), |cluster| is_stalled(cluster, "NodeUntuned")).await;
    let (_, _, message) = condition(&stalled, "Stalled").expect("it is told");
    assert!(message.contains("demo-be-") && message.contains("vm.max_map_count") && message.contains("nodeTuning"), "{message}");
    // Somebody prepares them: the kubelet starts the containers again, and nothing else is needed.
    for node in &nodes {
        lab.engine.set_prepared(node, true);
    }
    let ready = lab.until_ready("demo").await;
    assert_eq!(ready.status.and_then(|status| status.be).map(|be| be.alive), Some(3));
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_node_that_is_not_prepared_helps() {
    let lab = Lab::new(Settings::default()).await;
    unprepared(&lab).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until("stalled", "demo", Duration::from_mins(5), |cluster| is_stalled(cluster, "NodeUntuned")).await;
    spec["be"]["nodeTuning"] = json!("InitContainer");
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_nobody_asked_for_is_told_once_and_left_alone() {
    const HOST: &str = "10.9.8.7";
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let master = lab.master_pod("demo").expect("there is a master");
    lab.sql("demo", &master, &format!("ALTER SYSTEM ADD BACKEND \"{HOST}:9050\"")).await.expect("Doris takes it");
    tokio::time::sleep(Duration::from_mins(4)).await;
    let found = lab.cluster("default", "demo").await.expect("it is there");
    let (holds, _, message) = condition(&found, "Ready").expect("it is told");
    assert!(holds == "True" && message.contains(HOST), "{message}");
    let unknown = found.status.map(|status| status.unknown_members).unwrap_or_default();
    assert_eq!(unknown.iter().map(|member| (member.host.as_str(), member.port)).collect::<Vec<_>>(), [(HOST, 9050)]);
    let notes = told(&lab, "UnknownMembers").await;
    assert!(notes.len() == 1 && notes[0].contains(HOST), "{notes:?}");
    // Nor is it told again, by this process or the next one.
    assert_eq!(lab.idle(Duration::from_mins(30)).await, Vec::<String>::new());
    drop(controller);
    let _next = lab.start_controller();
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(told(&lab, "UnknownMembers").await.len(), 1);
    // The statement was ours.
    let broken: Vec<String> = lab.broken_rules().into_iter().filter(|broken| !broken.contains(HOST)).collect();
    assert_eq!(broken, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn two_masters_after_a_cut_pass_by_themselves_and_wake_nobody() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let old = lab.master_pod("demo").expect("there is a master");
    let address = |pod: &str| lab.nodes.address("default", pod).expect("it runs");
    for other in ["demo-fe-0", "demo-fe-1", "demo-fe-2"].into_iter().filter(|pod| *pod != old) {
        lab.world.cut(address(&old).into(), address(other).into(), Cut::Silent);
    }
    let is_torn = |cluster: &DorisCluster| {
        condition(cluster, "Reconciling").is_some_and(|(status, reason, _)| status == "True" && reason == "TwoMasters")
    };
    lab.until("torn", "demo", Duration::from_mins(5), is_torn).await;
    let has_another = |cluster: &DorisCluster| {
        assert!(!is_stalled(cluster, "TwoMasters"), "an election takes seconds");
        cluster.status.as_ref().and_then(|status| status.master.as_ref()).is_some_and(|master| *master != old)
    };
    lab.until("led by another one", "demo", Duration::from_mins(5), has_another).await;
    assert_eq!(told(&lab, "TwoMasters").await, Vec::<String>::new());
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
