//! The same requests, asked of the simulated and of the real API server: the answers are the same.
//!
//! What our controller and its users ask is recorded in the laboratory. Neither server of the replay has nodes, so that nothing but
//! the built-in controllers works beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use kube_sim::{Identity, KubeSim};
use scenarios::control_plane::{AuditLevel, ControlPlane, Options};
use scenarios::demo::install_definitions;
use scenarios::lab::{Lab, Settings, basic, cluster, full};
use scenarios::real::replay::{Answered, differences, replay};
use scenarios::real::{Recorder, Recording};
use serde_json::{Value, json};

use crate::harness::RUNTIME;

/// Differences that are no faults: end of a place, and why. They stand in the documentation too.
const KNOWN: [(&str, &str); 2] = [(".body.spec.serviceAccount", NO_ACCOUNTS), (".body.spec.serviceAccountName", NO_ACCOUNTS)];
const NO_ACCOUNTS: &str = "the real control plane of the tests runs without the ServiceAccount admission plugin, which fills it in";
/// Until the controller has dealt with what somebody did.
const SOON: Duration = Duration::from_secs(20);
/// Not the laboratory's: recorded uids are not to be drawn again.
const OTHER_SEED: u64 = 4711;
const KINDS: [(&str, &str, &str); 5] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("apps", "v1", "StatefulSet"),
];

/// `None` on a machine that can't have it.
static CONTROL_PLANE: LazyLock<Option<ControlPlane>> = LazyLock::new(|| {
    let options = Options { audit: AuditLevel::None, ..Options::default() };
    RUNTIME.block_on(async {
        controller_kit::args::install_tls_provider();
        let control_plane = ControlPlane::start_if_possible(options).await.expect("a control plane")?;
        let client = control_plane.client().expect("a client");
        install_definitions(&client, doris_api::crd::CURRENT_MINOR).await.expect("definitions");
        Some(control_plane)
    })
});

/// Records a workload on a paused clock of its own.
fn record(work: impl AsyncFnOnce(&Lab)) -> Recording {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let lab = Lab::new(Settings::default()).await;
        let recorder = Recorder::start(&lab);
        let controller = lab.start_controller();
        work(&lab).await;
        tokio::time::sleep(SOON).await;
        drop(controller);
        recorder.recording()
    })
}

/// Asks all of it of both servers and compares. `name` is the cluster's, its own among all recordings.
fn compare(name: &str, work: impl AsyncFnOnce(&Lab)) {
    let Some(control_plane) = CONTROL_PLANE.as_ref() else { return };
    let started = Instant::now();
    let recording = record(work);
    let recorded = started.elapsed();
    let (simulated, real) = RUNTIME.block_on(async {
        let sim = KubeSim::new(kube_sim::Options { storage_class: false, seed: OTHER_SEED, ..kube_sim::Options::default() });
        sim.spawn_controllers();
        let client = Client::new(sim.service("replay", Identity::admin()), "default");
        install_definitions(&client, doris_api::crd::CURRENT_MINOR).await.expect("definitions");
        let real = control_plane.client().expect("a client");
        let answers = tokio::try_join!(replay(&client, &recording), replay(&real, &recording)).expect("answers");
        sim.stop();
        answers
    });
    let asked = recording.sent.iter().filter(|sent| sent.by_controller).count();
    println!(
        "{name}: {} requests, {asked} of them by our controller; recorded in {recorded:.1?}, all took {:.1?}",
        recording.sent.len(),
        started.elapsed(),
    );
    assert!(asked > 30, "{asked}");
    let (known, unknown) = all_differences(&recording, &simulated, &real);
    for (place, why) in known {
        println!("  known: {place}: {why}");
    }
    assert!(unknown.is_empty(), "{} differences\n{}", unknown.len(), unknown.join("\n"));
}

/// Known places that differ, and one line for each other, with the requests in whose answers it does.
fn all_differences(
    recording: &Recording,
    simulated: &[Answered],
    real: &[Answered],
) -> (BTreeSet<(&'static str, &'static str)>, Vec<String>) {
    let (mut known, mut found) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for (sent, (simulated, real)) in recording.sent.iter().zip(simulated.iter().zip(real)) {
        let as_value = |answered: &Answered| json!({"code": answered.code, "body": answered.body});
        for (place, simulated, real) in differences(&as_value(simulated), &as_value(real)) {
            if let Some(reason) = KNOWN.iter().find(|(known, _)| *known == place) {
                known.insert(*reason);
            } else {
                let line = format!("{place}: kube-sim {simulated}, the real one {real}");
                found.entry(line).or_default().insert(format!("{} ({})", sent.title(), sent.status));
            }
        }
    }
    let line =
        |(line, requests): (String, BTreeSet<String>)| format!("{line}\n    {}", requests.into_iter().collect::<Vec<_>>().join("\n    "));
    (known, found.into_iter().map(line).collect())
}

async fn created(lab: &Lab, name: &str, spec: Value) {
    lab.apply(&cluster(name, spec)).await.expect("applied");
    lab.until_ready(name).await;
}

fn api(lab: &Lab, (group, version, kind): (&str, &str, &str)) -> Api<DynamicObject> {
    Api::namespaced_with(lab.client.clone(), "default", &ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)))
}

/// Names of the objects of a kind that the cluster owns.
async fn owned(lab: &Lab, kind: (&str, &str, &str)) -> Vec<String> {
    let all = api(lab, kind).list(&kube::api::ListParams::default()).await.expect("a list");
    all.iter().filter(|object| !object.owner_references().is_empty()).map(kube::ResourceExt::name_any).collect()
}

#[test]
fn a_basic_cluster_is_answered_alike() {
    compare("same-basic", async |lab: &Lab| created(lab, "same-basic", basic("2.1.7")).await);
}

#[test]
fn a_full_cluster_is_answered_alike() {
    compare("same-full", async |lab: &Lab| created(lab, "same-full", full("3.0.3")).await);
}

#[test]
fn repaired_drift_is_answered_alike() {
    compare("same-drift", async |lab: &Lab| {
        created(lab, "same-drift", basic("2.1.7")).await;
        for kind in KINDS {
            for name in owned(lab, kind).await {
                let edit = json!({"metadata": {"labels": {"app.kubernetes.io/instance": "by-hand"}}});
                let params = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
                api(lab, kind).patch(&name, &params, &Patch::Merge(edit)).await.expect("edited");
                tokio::time::sleep(SOON).await;
                api(lab, kind).delete(&name, &DeleteParams::background()).await.expect("deleted");
                tokio::time::sleep(SOON).await;
            }
        }
        lab.until_ready("same-drift").await;
    });
}

#[test]
fn foreign_fields_are_answered_alike() {
    compare("same-foreign", async |lab: &Lab| {
        // What is marked is not restarted: a replay has no kubelets to stop and start members in step with it.
        let mut spec = basic("2.1.7");
        spec["update"] = json!({"strategy": "OnDelete"});
        created(lab, "same-foreign", spec.clone()).await;
        let gitops = PatchParams::apply("gitops");
        for kind @ (group, version, kind_name) in KINDS {
            for name in owned(lab, kind).await {
                let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
                let mut marked =
                    json!({"apiVersion": version, "kind": kind_name, "metadata": {"name": name, "labels": {"example.org/team": "data"}}});
                if kind_name == "StatefulSet" {
                    let mesh = json!({"name": "mesh", "image": "mesh"});
                    marked["spec"] = json!({"template": {"spec": {"containers": [mesh]}}});
                }
                api(lab, kind).patch(&name, &gitops, &Patch::Apply(marked)).await.expect("no conflict");
            }
        }
        tokio::time::sleep(SOON).await;
        spec["be"]["labels"] = json!({"tier": "hot"});
        spec["podDisruptionBudget"] = json!({"backendsAway": 0});
        lab.apply(&cluster("same-foreign", spec)).await.expect("applied");
        tokio::time::sleep(SOON).await;
    });
}

#[test]
fn a_cluster_that_comes_back_is_answered_alike() {
    compare("same-again", async |lab: &Lab| {
        created(lab, "same-again", basic("2.1.7")).await;
        lab.api::<doris_api::DorisCluster>().delete("same-again", &DeleteParams::background()).await.expect("deleted");
        tokio::time::sleep(Duration::from_mins(2)).await;
        created(lab, "same-again", basic("2.1.7")).await;
    });
}
