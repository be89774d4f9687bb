//! Root, admin and the operator's own account get other passwords, twice in a row.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::{NAME, Sampling, Workload};
use crate::lab::plans::WITHIN;
use crate::lab::{Lab, basic, cluster};

/// It is there, its spec names passwords, and then these change.
pub const CHANGE_PASSWORDS: Workload = Workload {
    name: "ChangePasswords",
    cluster: || cluster(NAME, basic("2.1.7")),
    change: Some(|lab| Box::pin(change_passwords(lab))),
    sampling: Sampling { questions: 12, changes: 1, refusals: 2 },
};

const IDENTITY: &str = "demo-identity";
const SECRET: &str = "passwords";

async fn change_passwords(lab: &Lab) {
    let mut wanted = cluster(NAME, basic("2.1.7"));
    wanted.metadata.annotations = Some([(doris_api::labels::ROTATE_OPERATOR_PASSWORD.to_owned(), "june".to_owned())].into());
    let reference = |key: &str| json!({"name": SECRET, "key": key});
    let auth = json!({"rootPassword": reference("root"), "adminPassword": reference("admin")});
    wanted.spec.auth = serde_json::from_value(auth).expect("references");
    let before = lab.secret(IDENTITY, "operator.current").await;
    put(lab, "First-Root-1", "First-Admin-1").await;
    lab.apply(&wanted).await.expect("the spec is accepted");
    // The second ones come while the first are being set, or just after.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    put(lab, "Second-Root-2", "Second-Admin-2").await;
    let end = Instant::now() + WITHIN;
    while Instant::now() < end {
        if is_done(lab, before.as_deref()).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn put(lab: &Lab, root: &str, admin: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": SECRET, "labels": {doris_api::labels::CLUSTER: NAME}},
        "stringData": {"root": root, "admin": admin},
    });
    let params = PatchParams::apply("git").force();
    lab.api::<Secret>().patch(SECRET, &params, &Patch::Apply(&secret)).await.expect("the Secret is written");
}

/// The identity says so, and Doris does.
async fn is_done(lab: &Lab, operator_before: Option<&str>) -> bool {
    let value = async |key: &str| lab.secret(IDENTITY, key).await;
    let operator = value("operator.current").await;
    let is_stored = value("root.applied").await.as_deref() == Some("Second-Root-2")
        && value("admin.applied").await.as_deref() == Some("Second-Admin-2")
        && operator.as_deref() != operator_before
        && value("root.next").await.is_none()
        && value("operator.next").await.is_none();
    let fits = |user: &str, password: &str| {
        lab.frontends(NAME)
            .iter()
            .filter(|fe| fe.ready && fe.says_master)
            .any(|fe| lab.world.would_log_in(crate::lab::CONTROLLER_ADDRESS, fe.start.ip, user, password) == Some(true))
    };
    is_stored
        && fits("root", "Second-Root-2")
        && fits("admin", "Second-Admin-2")
        && fits("doris_operator", operator.as_deref().unwrap_or_default())
}
