//! The launcher of the real control plane, tried on the real control plane.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use scenarios::control_plane::{ControlPlane, Options};
use serde_json::{Value, json};
use std::time::Duration;

/// Generous: a machine that builds something beside it is slow, and nothing here is a measurement.
const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_real_control_plane_starts_works_and_leaves_nothing_behind() {
    let Some(control_plane) = ControlPlane::start_if_possible(Options::default()).await.expect("a control plane") else { return };
    let client = control_plane.client().expect("a client");

    let version = client.apiserver_version().await.expect("a version");
    assert_eq!(version.git_version, control_plane.version());
    a_deployment_gets_its_pod(&client).await;
    a_write_is_in_the_audit_log_with_its_body(&client, &control_plane).await;

    let directory = control_plane.kubeconfig_path().parent().expect("a directory").to_owned();
    assert!(directory.is_dir());
    control_plane.stop().await.expect("an end");
    assert!(!directory.exists());
    assert!(client.apiserver_version().await.is_err(), "nobody is to listen any more");
}

/// Shows that the controllers run: a Deployment becomes a ReplicaSet and that a pod.
async fn a_deployment_gets_its_pod(client: &Client) {
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web"}]}},
        },
    }))
    .expect("a deployment");
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    deployments.create(&PostParams::default(), &deployment).await.expect("created");
    let has_a_pod = |found: Option<&Deployment>| found.and_then(|found| found.status.as_ref()?.replicas) == Some(1);
    let awaited = tokio::time::timeout(DEADLINE, await_condition(deployments, "web", has_a_pod)).await;
    awaited.expect("a pod in time").expect("a watch");
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    assert_eq!(pods.list(&ListParams::default().labels("app=web")).await.expect("pods").items.len(), 1);
}

async fn a_write_is_in_the_audit_log_with_its_body(client: &Client, control_plane: &ControlPlane) {
    let config_maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let config_map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "audited"}, "data": {"key": "value"}})).expect("one");
    config_maps.create(&PostParams::default(), &config_map).await.expect("created");
    let log = std::fs::read_to_string(control_plane.audit_log_path()).expect("an audit log");
    let entry = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
        .find(|entry| entry["verb"] == "create" && entry["objectRef"]["resource"] == "configmaps" && entry["user"]["username"] == "admin")
        .expect("our write is logged before it is answered");
    assert_eq!(entry["requestObject"]["data"]["key"], "value");
    assert_eq!(entry["responseStatus"]["code"], 201);
}
