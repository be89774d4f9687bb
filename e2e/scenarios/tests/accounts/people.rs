//! What people do about passwords.

use std::net::IpAddr;
use std::time::Duration;

use doris_api::DorisCluster;
use doris_api::labels::ROTATE_OPERATOR_PASSWORD;
use doris_sim::SqlError;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use scenarios::lab::{Lab, Settings, cluster};
use serde_json::{Value, json};

pub const IDENTITY: &str = "demo-identity";
pub const SECRET: &str = "passwords";
pub const VERSIONS: [&str; 3] = ["2.0.15", "2.1.7", "3.0.3"];
/// Where a person's client is.
pub const DESK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));
/// A changed Secret is seen within a minute.
pub const SEEN: Duration = Duration::from_secs(75);

/// The spec with both passwords in a Secret.
pub fn with_passwords(mut spec: Value) -> Value {
    let reference = |key: &str| json!({"name": SECRET, "key": key});
    spec["auth"] = json!({"rootPassword": reference("root"), "adminPassword": reference("admin")});
    spec
}

/// The cluster with a wish for a new password of the operator's account.
pub fn asking(spec: Value, wish: &str) -> DorisCluster {
    let mut wanted = cluster("demo", spec);
    wanted.metadata.annotations = Some([(ROTATE_OPERATOR_PASSWORD.to_owned(), wish.to_owned())].into());
    wanted
}

/// A laboratory with the Secret.
pub async fn lab(root: &str, admin: &str) -> Lab {
    let lab = Lab::new(Settings::default()).await;
    put(&lab, root, admin).await;
    lab
}

/// Writes the Secret as a tool does that takes it from a vault.
pub async fn put(lab: &Lab, root: &str, admin: &str) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {"root": root, "admin": admin}});
    let params = PatchParams::apply("vault").force();
    lab.api::<Secret>().patch(SECRET, &params, &Patch::Apply(&secret)).await.expect("the Secret is written");
}

pub async fn delete(lab: &Lab, secret: &str) {
    lab.api::<Secret>().delete(secret, &DeleteParams::default()).await.expect("the Secret is deleted");
}

/// Runs statements at the master.
pub async fn sql(lab: &Lab, user: &str, password: &str, statements: &[&str]) -> Result<(), SqlError> {
    let master = lab.master_pod("demo").expect("one master");
    let address = lab.nodes.address("default", &master).expect("the master's pod runs");
    let mut session = lab.world.connect(DESK, address.into(), 9030, user, password).await?;
    for statement in statements {
        session.query(statement).await?;
    }
    Ok(())
}

/// Frontends that serve and would let an account in.
pub fn doors(lab: &Lab, user: &str, password: &str) -> (usize, usize) {
    let serving: Vec<_> =
        lab.frontends("demo").into_iter().filter_map(|fe| lab.world.would_log_in(DESK, fe.start.ip, user, password)).collect();
    (serving.iter().filter(|opens| **opens).count(), serving.len())
}

/// Waits until every frontend takes this password of an account.
pub async fn until_logs_in(lab: &Lab, user: &str, password: &str, within: Duration) {
    let is_so = || async {
        let (open, all) = doors(lab, user, password);
        if open == all && all > 0 { Ok(()) } else { Err(format!("{open} of {all} frontends let {user} in")) }
    };
    lab.eventually(&format!("{user} has the new password"), within, is_so).await;
}

/// Waits until a value of the identity is this one.
pub async fn until_stored(lab: &Lab, key: &str, value: Option<&str>) {
    let is_so = || async {
        let stored = lab.secret(IDENTITY, key).await;
        // Passwords stay out of what a failure prints.
        if stored.as_deref() == value { Ok(()) } else { Err(format!("{key} is not as expected")) }
    };
    lab.eventually(&format!("{key} is on record"), SEEN, is_so).await;
}

/// Uids of the pods: who was restarted has another one.
pub async fn pods(lab: &Lab) -> Vec<(String, Option<String>)> {
    let list = lab.api::<k8s_openapi::api::core::v1::Pod>().list(&ListParams::default()).await.expect("pods are listed");
    list.iter().map(|pod| (pod.name_any(), pod.uid())).collect()
}

/// Notes of the Events with a reason.
pub async fn events(lab: &Lab, reason: &str) -> Vec<String> {
    let list = lab.api::<Event>().list(&ListParams::default()).await.expect("Events are listed");
    list.items.into_iter().filter(|event| event.reason.as_deref() == Some(reason)).filter_map(|event| event.message).collect()
}

/// Rules that were broken, but for those about a password that the test itself made unknown.
pub fn broken(lab: &Lab, but_for: &[&str]) -> Vec<String> {
    let is_meant = |rule: &String| but_for.iter().any(|name| rule.starts_with(&format!("{name}:")));
    lab.broken_rules().into_iter().filter(|rule| !is_meant(rule)).collect()
}
