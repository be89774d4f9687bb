//! Specs that are refused, and what a spec names that is missing.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Error};
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster, merge};
use serde_json::{Value, json};

const BAD: &str = include_str!("../../../../crates/doris-api/tests/specs/bad.yaml");
const GOOD: &str = include_str!("../../../../crates/doris-api/tests/specs/good.yaml");

#[tokio::test(start_paused = true)]
async fn spec_errors_are_refused_at_apply() {
    let lab = Lab::new(Settings::default()).await;
    let cases = table(BAD);
    assert!(cases.len() >= 30, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(why) = refused(&lab, case).await {
            wrong.push(format!("{}: {why}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    for case in table(GOOD) {
        if let Err(error) = create(&lab, &case, true).await {
            panic!("{}: {error}", case["name"]);
        }
    }
    assert!(clusters(&lab).list(&ListParams::default()).await.expect("clusters are listed").items.is_empty(), "nothing bad came in");
}

/// The server says no, in a sentence and with the field.
async fn refused(lab: &Lab, case: &Value) -> Result<(), String> {
    let status = match create(lab, case, false).await {
        Ok(_) => return Err("it was accepted".into()),
        Err(Error::Api(status)) => status,
        Err(other) => return Err(other.to_string()),
    };
    if status.code != 422 || status.reason != "Invalid" {
        return Err(format!("{} {}: {}", status.code, status.reason, status.message));
    }
    if let Some(says) = case["says"].as_str()
        && !status.message.contains(says)
    {
        return Err(format!("it does not say {says:?}: {}", status.message));
    }
    let Some(field) = case["field"].as_str() else { return Ok(()) };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    if fields.iter().any(|found| found.starts_with(field)) {
        Ok(())
    } else {
        Err(format!("{fields:?} instead of {field}: {}", status.message))
    }
}

async fn create(lab: &Lab, case: &Value, dry_run: bool) -> Result<DynamicObject, Error> {
    let mut spec = basic("2.1.7");
    merge(&mut spec, &case["patch"]);
    let metadata = if case["metadata"].is_null() { json!({"name": "demo"}) } else { case["metadata"].clone() };
    let object = json!({"apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisCluster", "metadata": metadata, "spec": spec});
    let object: DynamicObject = serde_json::from_value(object).expect("it has the outer form of an object");
    // What a tool sends that applies something for the first time.
    clusters(lab).create(&PostParams { dry_run, ..PostParams::default() }, &object).await
}

fn clusters(lab: &Lab) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("doris-operator.dev", "v1beta1", "DorisCluster");
    Api::namespaced_with(lab.client.clone(), "default", &ApiResource::from_gvk(&kind))
}

fn table(text: &str) -> Vec<Value> {
    serde_saphyr::from_str(text).expect("a table of specs")
}

#[tokio::test(start_paused = true)]
async fn missing_secret_is_reported_and_heals() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    spec["auth"] = json!({"rootPassword": {"name": "root-of-demo", "key": "password"}});
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let is_told = |cluster: &doris_api::DorisCluster| condition(cluster, "Stalled").is_some_and(|(status, _, _)| status == "True");
    let demo = lab.until("the missing Secret is told", "demo", Duration::from_secs(30), is_told).await;
    let (_, reason, message) = condition(&demo, "Stalled").expect("there is the condition");
    assert_eq!(reason, "SecretMissing");
    for part in ["root-of-demo", "spec.auth.rootPassword", "key password"] {
        assert!(message.contains(part), "{message} names {part}");
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    let sets = lab.api::<StatefulSet>().list(&ListParams::default()).await.expect("sets are listed");
    assert!(sets.items.is_empty(), "nothing is founded with another password than the user's");

    let password = "Correct-Horse-7";
    put(&lab, &json!({"other": "x"})).await;
    let has_no_key = |cluster: &doris_api::DorisCluster| {
        condition(cluster, "Stalled").is_some_and(|(_, _, message)| message.contains("has no key password"))
    };
    lab.until("the missing key is told", "demo", Duration::from_secs(30), has_no_key).await;
    put(&lab, &json!({"password": password})).await;
    let demo = lab.until_ready("demo").await;
    assert_eq!(condition(&demo, "Stalled").map(|(status, _, _)| status).as_deref(), Some("False"));
    let address = lab.nodes.address("default", "demo-fe-0").expect("the pod runs");
    let of_user = lab.world.connect([10, 9, 9, 9].into(), address.into(), 9030, "root", password).await;
    assert!(of_user.is_ok(), "root's password is the user's: {:?}", of_user.err());
    let without = lab.world.connect([10, 9, 9, 9].into(), address.into(), 9030, "root", "").await;
    assert!(without.is_err(), "root has a password");
}

/// Replaces what the Secret holds.
async fn put(lab: &Lab, data: &Value) {
    let secrets = lab.api::<Secret>();
    if let Ok(Some(_)) = secrets.get_opt("root-of-demo").await {
        secrets.delete("root-of-demo", &kube::api::DeleteParams::default()).await.expect("the Secret is deleted");
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "root-of-demo"}, "stringData": data});
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    secrets.create(&PostParams::default(), &secret).await.expect("the Secret is created");
}
