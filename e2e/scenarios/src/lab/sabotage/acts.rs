//! What seeded bugs are made of.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use doris_api::member::TICKET_ANNOTATION;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use kube_sim::Identity;
use serde_json::json;

use super::CONTROLLER_ADDRESS;
use crate::lab::{Lab, is_ready, storm};
/// Asks again and again until there is an answer.
pub(super) async fn wait_for<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn pod(lab: &Lab, name: &str) -> Pod {
    let pods: Api<Pod> = Api::default_namespaced(lab.client.clone());
    wait_for(async || pods.get_opt(name).await.ok().flatten()).await
}

/// The identity as soon as it says Founded.
pub(super) async fn founded(lab: &Lab) -> BTreeMap<String, String> {
    let secrets: Api<Secret> = Api::default_namespaced(lab.client.clone());
    wait_for(async || {
        let secret = secrets.get_opt("demo-identity").await.ok().flatten()?;
        let text = |bytes: k8s_openapi::ByteString| String::from_utf8(bytes.0).ok();
        let data: BTreeMap<String, String> =
            secret.data.unwrap_or_default().into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect();
        (data.get("phase").map(String::as_str) == Some("Founded")).then_some(data)
    })
    .await
}

pub(super) async fn ready(lab: &Lab) {
    wait_for(async || lab.cluster("default", "demo").await.filter(is_ready)).await;
}

pub(super) async fn ticket(lab: &Lab, pod: &str, text: &str) {
    let pods: Api<Pod> = Api::default_namespaced(lab.client.clone());
    let annotation = json!({"metadata": {"annotations": {TICKET_ANNOTATION: text}}});
    pods.patch(pod, &PatchParams::default(), &Patch::Merge(annotation)).await.expect("the pod is there");
}

/// Runs statements on the first frontend as the operator, once the cluster is founded.
pub(super) async fn sql(lab: &Lab, statements: &[&str]) {
    sql_at(lab, "demo-fe-0", statements).await;
}

/// Runs statements on a frontend as the operator, once the cluster is founded.
pub(super) async fn sql_at(lab: &Lab, pod: &str, statements: &[&str]) {
    let identity = founded(lab).await;
    let ip = IpAddr::V4(lab.nodes.address("default", pod).expect("it runs"));
    let password = &identity["operator.current"];
    // It may be about to serve.
    let connect = async || lab.world.connect(CONTROLLER_ADDRESS, ip, 9030, "doris_operator", password).await.ok();
    let mut session = wait_for(connect).await;
    for statement in statements {
        // The controller may have done the same a moment before.
        if let Err(error) = session.query(statement).await {
            println!("{statement}: {error}");
        }
    }
}

/// The master and its followers by pod name.
pub(super) fn roles(lab: &Lab) -> (String, Vec<String>) {
    let master = lab.master_pod("demo").expect("a ready cluster has a master");
    let others = ["demo-fe-0", "demo-fe-1", "demo-fe-2"].into_iter().filter(|pod| *pod != master).map(str::to_owned).collect();
    (master, others)
}

/// Deletes pods as a controller does that asks nobody, and waits until their processes have ended.
pub(super) async fn stop(lab: &Lab, names: &[&str]) {
    let client = format!("{}other", storm::CONTROLLER);
    let pods: Api<Pod> = Api::default_namespaced(Client::new(lab.kube.service(&client, Identity::admin()), "default"));
    for name in names {
        pods.delete(name, &DeleteParams::default()).await.expect("the pod is there");
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
}
