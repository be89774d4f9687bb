//! What these scenarios look at.

use std::time::Duration;

use doris_api::DorisInitializer;
use doris_api::initializer::Phase;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::{Value, json};

pub const SOON: Duration = Duration::from_mins(2);

/// A laboratory with a cluster that is ready.
pub async fn with_cluster(settings: Settings, version: &str) -> (Lab, scenarios::lab::Controller) {
    let lab = Lab::new(settings).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", basic(version))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    (lab, controller)
}

/// Applies an initializer of the cluster.
pub async fn apply(lab: &Lab, mut spec: Value) -> Result<DorisInitializer, kube::Error> {
    spec["clusterRef"] = json!({"name": "demo"});
    let object =
        json!({"apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisInitializer", "metadata": {"name": "setup"}, "spec": spec});
    let params = PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..PatchParams::apply("git") };
    lab.api::<DorisInitializer>().patch("setup", &params.force(), &Patch::Apply(&object)).await
}

pub fn texts(texts: &[&str]) -> Value {
    json!({"sql": texts.iter().map(|text| json!({"text": text})).collect::<Vec<_>>()})
}

pub async fn put_map(lab: &Lab, text: &str) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": {"a.sql": text}});
    lab.api::<ConfigMap>()
        .patch("scripts", &PatchParams::apply("git").force(), &Patch::Apply(&map))
        .await
        .expect("the ConfigMap is written");
}

pub async fn put_secret(lab: &Lab, name: &str, key: &str, text: &str) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: text}});
    lab.api::<Secret>().patch(name, &PatchParams::apply("git").force(), &Patch::Apply(&secret)).await.expect("the Secret is written");
}

pub async fn get(lab: &Lab) -> DorisInitializer {
    lab.api::<DorisInitializer>().get("setup").await.expect("the initializer is there")
}

/// Waits until it stands there at its present generation; returns it.
pub async fn until(lab: &Lab, phase: Phase, within: Duration) -> DorisInitializer {
    let is_so = || async {
        let found = get(lab).await;
        let status = found.status.clone().unwrap_or_default();
        if status.phase == Some(phase) && status.observed_generation == found.metadata.generation {
            Ok(())
        } else {
            Err(format!("{status:#?}"))
        }
    };
    lab.eventually(&format!("{phase:?}"), within, is_so).await;
    get(lab).await
}

/// Reason and message of its `Ready` condition.
pub fn ready(initializer: &DorisInitializer) -> (String, String, String) {
    let conditions = initializer.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").expect("there is the condition");
    (ready.status, ready.reason, ready.message)
}

/// How often a statement was sent, by its beginning.
pub fn sent(lab: &Lab, beginning: &str) -> usize {
    lab.faults.statements().iter().filter(|(_, text)| text.starts_with(beginning)).count()
}

/// What a query of root gives, as one text.
pub async fn ask(lab: &Lab, statement: &str) -> String {
    let master = lab.master_pod("demo").expect("one master");
    let rows = lab.sql("demo", &master, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    rows.iter().flat_map(|row| row.values().cloned()).collect::<Vec<_>>().join(" ")
}
