//! A cluster that was deleted is made anew on its volumes, by a spec that is not quite the former one.

use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, basic, cluster};
use serde_json::{Value, json};

use crate::state::{LONG, becomes, everything, fill, membership_since, ready, sizes};

async fn pods(lab: &Lab) -> usize {
    lab.api::<Pod>().list(&ListParams::default().labels("doris-operator.dev/cluster=demo")).await.expect("pods are listed").items.len()
}

async fn delete(lab: &Lab) {
    lab.api::<DorisCluster>().delete("demo", &DeleteParams::background()).await.expect("the cluster is deleted");
    let is_gone = || async { if pods(lab).await == 0 { Ok(()) } else { Err("pods are left".to_owned()) } };
    lab.eventually("all pods go", LONG, is_gone).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
}

fn stalled(reason: &'static str) -> impl Fn(&DorisCluster) -> bool {
    move |seen| condition(seen, "Stalled").is_some_and(|(status, found, _)| status == "True" && found == reason)
}

#[tokio::test(start_paused = true)]
async fn with_fewer_followers_it_still_elects() {
    let (lab, _controller) = ready(&basic("2.1.7")).await;
    fill(&lab).await;
    let before = everything(&lab).await;
    let statements = lab.faults.statements().len();
    delete(&lab).await;
    let mut spec = basic("2.1.7");
    spec["fe"]["replicas"] = json!(1);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let leads = |seen: &DorisCluster| {
        let status = seen.status.as_ref();
        status.is_some_and(|status| status.master.is_some() && status.be.as_ref().is_some_and(|be| be.alive == 3))
    };
    lab.until("a master is elected", "demo", LONG, leads).await;
    assert_eq!(everything(&lab).await, before);
    assert!(membership_since(&lab, statements).iter().all(|statement| !statement.contains(" ADD ")), "nobody is registered anew");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

/// A spec under which no member would be found, and the words that tell.
async fn is_refused(change: impl Fn(&mut Value), words: &str) {
    let (lab, _controller) = ready(&basic("2.1.7")).await;
    fill(&lab).await;
    let before = everything(&lab).await;
    delete(&lab).await;
    let mut spec = basic("2.1.7");
    change(&mut spec);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let told = lab.until("it is refused", "demo", LONG, stalled("AddressChanged")).await;
    let (_, _, message) = condition(&told, "Stalled").expect("a condition");
    assert!(message.contains(words), "{message}");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(pods(&lab).await, 0, "before any pod is made");
    lab.api::<DorisCluster>().delete("demo", &DeleteParams::background()).await.expect("the cluster is deleted");
    tokio::time::sleep(Duration::from_secs(30)).await;
    becomes(&lab, &basic("2.1.7")).await;
    assert_eq!(everything(&lab).await, before);
}

#[tokio::test(start_paused = true)]
async fn under_another_domain_it_is_refused_before_pods_are_made() {
    Box::pin(is_refused(|spec| spec["clusterDomain"] = json!("other.local"), "other.local")).await;
}

#[tokio::test(start_paused = true)]
async fn with_other_ports_it_is_refused_before_pods_are_made() {
    let edit_log = |spec: &mut Value| spec["fe"]["config"] = json!({"edit_log_port": "19010"});
    Box::pin(is_refused(edit_log, "Set fe.config.edit_log_port back to 9010")).await;
    let heartbeat = |spec: &mut Value| spec["be"]["config"] = json!({"heartbeat_service_port": "19050"});
    Box::pin(is_refused(heartbeat, "Set be.config.heartbeat_service_port back to 9050")).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_smaller_or_a_missing_disk_it_runs_on_what_is_there_and_says_so() {
    let mut two = basic("2.1.7");
    two["be"]["storage"] = json!([{"name": "data", "medium": "SSD", "size": "100Gi"}, {"name": "more", "size": "50Gi"}]);
    let (lab, _controller) = ready(&two).await;
    fill(&lab).await;
    let (before, claims) = (everything(&lab).await, sizes(&lab).await);
    delete(&lab).await;
    let mut spec = basic("2.1.7");
    spec["be"]["storage"][0]["size"] = json!("80Gi");
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let told = lab.until("it is told", "demo", LONG, stalled("SpecInvalid")).await;
    let (_, _, message) = condition(&told, "Stalled").expect("a condition");
    assert!(
        message.contains("disk more of be.storage is not in the spec any more")
            && message.contains("disk data of be.storage asks for 80Gi"),
        "{message}"
    );
    lab.until("all run", "demo", LONG, |seen| seen.status.as_ref().and_then(|status| status.be.as_ref()).is_some_and(|be| be.alive == 3))
        .await;
    assert_eq!((everything(&lab).await, sizes(&lab).await), (before, claims));
    becomes(&lab, &two).await;
}
