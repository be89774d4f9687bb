//! Bugs in what is written: passwords, the identity, objects.

use std::net::IpAddr;
use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use kube_sim::Identity;
use serde_json::{Value, json};

use super::CONTROLLER_ADDRESS;
use super::acts::{founded, ready};
use crate::lab::{Lab, storm};
/// Changes the operator's password as root, again and again: the controller mends it.
pub(super) async fn forget_password(lab: &Lab) {
    let identity = founded(lab).await;
    let ip = IpAddr::V4(lab.nodes.address("default", "demo-fe-0").expect("the founder runs"));
    for _ in 0..10 {
        let root = lab.world.connect(CONTROLLER_ADDRESS, ip, 9030, "root", &identity["root.generated"]).await;
        let change = "ALTER USER 'doris_operator' IDENTIFIED BY 'Another-1-that-nobody-knows'";
        root.expect("root logs in").query(change).await.expect("root may change it");
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
}

/// Doris gets a new password of admin's, and a Secret gets it later.
pub(super) async fn store_afterwards(lab: &Lab) {
    ready(lab).await;
    let password = "Stored-Too-Late-1";
    super::acts::sql(lab, &[&format!("ALTER USER 'admin' IDENTIFIED BY '{password}'")]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"admin": password}});
    let params = PatchParams::apply("other").force();
    lab.api::<Secret>().patch("late", &params, &Patch::Apply(&secret)).await.expect("a Secret");
}

pub(super) async fn password_in_status(lab: &Lab) {
    let identity = founded(lab).await;
    let clusters: Api<DorisCluster> = Api::default_namespaced(lab.client.clone());
    let text = format!("doris_operator could not log in with {}", identity["operator.current"]);
    let status: Value = json!({"status": {"summary": text}});
    clusters.patch_status("demo", &PatchParams::default(), &Patch::Merge(status)).await.expect("the status is there");
}

pub(super) async fn phase(lab: &Lab, phase: &str) {
    let secrets: Api<Secret> = Api::default_namespaced(lab.client.clone());
    let change = json!({"stringData": {"phase": phase}});
    secrets.patch("demo-identity", &PatchParams::default(), &Patch::Merge(change)).await.expect("the identity is there");
}

/// Writes what is there already, as a controller that compares nothing does.
pub(super) async fn write_every_round(lab: &Lab) {
    ready(lab).await;
    let name = format!("{}other", storm::CONTROLLER);
    let client = Client::new(lab.kube.service(&name, Identity::admin()), "default");
    let services: Api<Service> = Api::default_namespaced(client.clone());
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let gate = maps.get_opt("demo-gate").await.ok().flatten();
    let change = json!({"metadata": {"labels": {"rounds": gate.map(|gate| gate.name_any())}}});
    // The run judges what happens after this.
    tokio::time::sleep(Duration::from_secs(1)).await;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            if services.patch("demo-fe", &PatchParams::default(), &Patch::Merge(&change)).await.is_err() {
                return;
            }
        }
    });
}
