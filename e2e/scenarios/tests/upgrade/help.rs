//! What the tests of upgrades share.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::DorisCluster;
use doris_api::cluster::UpgradeStatus;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Controller, Lab, Settings, cluster, is_ready};
use serde_json::{Value, json};

/// Longest time for a whole upgrade, in the laboratory.
pub const LONG: Duration = Duration::from_mins(40);

/// A cluster that is ready, and its controller.
pub async fn ready(spec: &Value) -> (Lab, Controller) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    (lab, controller)
}

/// The spec with another version.
pub fn at(spec: &Value, version: &str) -> Value {
    let mut spec = spec.clone();
    spec["version"] = json!(version);
    spec
}

/// Applies a spec and returns the generation that it got.
pub async fn apply(lab: &Lab, spec: Value) -> Option<i64> {
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted").metadata.generation
}

/// Waits until the cluster is ready with the spec of this generation.
pub async fn until_done(lab: &Lab, generation: Option<i64>) -> DorisCluster {
    lab.until("the upgrade is done", "demo", LONG, |seen| seen.metadata.generation == generation && is_ready(seen)).await
}

/// The status' word on the upgrade.
pub fn upgrade(seen: &DorisCluster) -> Option<&UpgradeStatus> {
    seen.status.as_ref()?.upgrade.as_ref()
}

/// Waits until it is this component's turn and so many members are done.
pub async fn until_phase(lab: &Lab, phase: &str, done: i32) -> DorisCluster {
    let what = format!("phase {phase}");
    lab.until(&what, "demo", LONG, |seen| {
        let told = seen.status.as_ref().and_then(|status| status.operation.as_ref()).and_then(|operation| operation.done);
        upgrade(seen).is_some_and(|upgrade| upgrade.phase == phase) && told.unwrap_or(0) >= done
    })
    .await
}

/// Why the cluster does not follow its spec.
pub fn blocked(seen: &DorisCluster) -> Option<String> {
    let of = |type_: &str, status: &str| condition(seen, type_).filter(|(is, reason, _)| is == status && reason == "Blocked");
    of("Stalled", "True").or_else(|| of("Reconciling", "True")).map(|(_, _, message)| message)
}

/// Waits until it says that it is blocked.
pub async fn until_blocked(lab: &Lab) -> String {
    let seen = lab.until("the upgrade is blocked", "demo", LONG, |seen| blocked(seen).is_some()).await;
    blocked(&seen).expect("a message")
}

/// Versions of the running processes, by pod.
pub fn versions(lab: &Lab) -> BTreeMap<String, String> {
    let pod = |fqdn: &str| fqdn.split('.').next().unwrap_or_default().to_owned();
    lab.world.versions().into_iter().map(|process| (pod(&process.fqdn), process.version.to_string())).collect()
}

/// Asserts that every process runs this version.
pub fn all_run(lab: &Lab, version: &str) {
    let versions = versions(lab);
    assert!(versions.len() >= 6 && versions.values().all(|runs| runs == version), "{versions:?}");
}

/// Images of the pod templates, by StatefulSet.
pub async fn templates(lab: &Lab) -> BTreeMap<String, String> {
    let sets = lab.api::<StatefulSet>().list(&ListParams::default()).await.expect("sets are listed");
    let image = |set: &StatefulSet| {
        let pod = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        pod.and_then(|pod| pod.containers.first()).and_then(|container| container.image.clone()).unwrap_or_default()
    };
    sets.iter().map(|set| (set.name_any(), image(set))).collect()
}

/// Balance switches that are on in some running process.
pub fn held(lab: &Lab) -> Vec<String> {
    let mut held: Vec<String> = lab
        .world
        .live_settings()
        .into_iter()
        .filter(|setting| setting.key.starts_with("disable_") && setting.value == "true")
        .map(|setting| setting.key)
        .collect();
    held.sort();
    held
}
