//! What a namespace does not allow is told in the cluster's condition.

use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Patch, PatchParams, PostParams};
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::{Value, json};

use crate::help::{namespace, ready};

fn stalled<'a>(reason: &'a str, part: &'a str) -> impl Fn(&DorisCluster) -> bool + 'a {
    move |cluster| {
        let all = ["Stalled", "Ready"].map(|type_| condition(cluster, type_));
        let holds = |expected: &str, found: &Option<(String, String, String)>| {
            found.as_ref().is_some_and(|(status, why, message)| status == expected && why == reason && message.contains(part))
        };
        holds("True", &all[0]) && holds("False", &all[1])
    }
}

async fn quota(lab: &Lab, hard: &Value) {
    let quota =
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team", "namespace": "default"}, "spec": {"hard": hard}});
    let quota: ResourceQuota = serde_json::from_value(quota).expect("a quota");
    lab.api().create(&PostParams::default(), &quota).await.expect("the quota is accepted");
}

async fn raise(lab: &Lab, hard: &Value) {
    let patch = json!({"spec": {"hard": hard}});
    lab.api::<ResourceQuota>().patch("team", &PatchParams::default(), &Patch::Merge(patch)).await.expect("the quota is raised");
}

#[tokio::test(start_paused = true)]
async fn quota_refusal_is_told() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    quota(&lab, &json!({"pods": "4"})).await;
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    let said =
        "is not made, it is refused: exceeded quota: team, requested: pods=1, used: pods=4, limited: pods=4. Raise the ResourceQuota";
    lab.until("the quota is told", "demo", Duration::from_mins(3), stalled("QuotaExceeded", said)).await;
    raise(&lab, &json!({"pods": "6"})).await;
    // The StatefulSet controller tries again more and more rarely.
    lab.until("Ready with room", "demo", Duration::from_mins(30), scenarios::lab::is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_a_quota_refuses_is_told() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    quota(&lab, &json!({"requests.storage": "250Gi"})).await;
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    let said = "its claim data-demo-be-";
    lab.until("the quota is told", "demo", Duration::from_mins(3), stalled("QuotaExceeded", said)).await;
    raise(&lab, &json!({"requests.storage": "1Ti"})).await;
    lab.until("Ready with room", "demo", Duration::from_mins(30), scenarios::lab::is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn pod_security_refusal_is_told() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    namespace(&lab, "default", &json!({"pod-security.kubernetes.io/enforce": "restricted"})).await;
    let mut spec = basic("2.1.7");
    spec["podSecurity"] = json!({"level": "Baseline"});
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    let said = "violates PodSecurity \"restricted:latest\"";
    let told = lab.until("pod security is told", "demo", Duration::from_mins(3), stalled("PodSecurity", said)).await;
    let (_, _, message) = condition(&told, "Ready").expect("a condition");
    assert!(message.contains("Set spec.podSecurity to what the namespace enforces"), "{message}");
    namespace(&lab, "default", &json!({})).await;
    lab.until("Ready when it is allowed", "demo", Duration::from_mins(30), scenarios::lab::is_ready).await;
    ready(&lab, "default", "demo").await;
}
