//! A tool that applies what Git says, every second, beside the operator at work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doris_api::DorisCluster;
use kube::api::{Api, Patch, PatchParams, ValidationDirective};
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::{Value, json};

/// The tool's field manager.
const MANAGER: &str = "argocd-controller";
const PERIOD: Duration = Duration::from_secs(1);

/// What is in Git now, and what the tool saw.
#[derive(Default)]
struct Git {
    spec: Value,
    applies: usize,
    troubles: Vec<String>,
}

type Shared = Arc<Mutex<Git>>;

fn lock(git: &Shared) -> std::sync::MutexGuard<'_, Git> {
    git.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Applies on the server, strictly and without force, for ever: whatever of the spec is not as in Git afterwards is a trouble, and so is
/// every conflict.
async fn sync(clusters: Api<DorisCluster>, git: Shared) {
    let params = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(MANAGER) };
    loop {
        let wanted = cluster("demo", lock(&git).spec.clone());
        let document = json!({
            "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisCluster", "metadata": {"name": "demo"}, "spec": lock(&git).spec,
        });
        let outcome = clusters.patch("demo", &params, &Patch::Apply(&document)).await;
        let trouble = match outcome {
            Err(error) => Some(error.to_string()),
            // Defaults are the server's; the rest is Git's.
            Ok(live) if live.spec == wanted.spec => None,
            Ok(live) => Some(format!("the spec is another: {:?}", live.spec)),
        };
        {
            let mut git = lock(&git);
            git.applies += 1;
            git.troubles.extend(trouble);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Who owns what of the cluster object, at its top.
async fn owners(lab: &Lab) -> Vec<(String, String)> {
    let cluster = lab.cluster("default", "demo").await.expect("it is there");
    let mut owners = Vec::new();
    for entry in cluster.metadata.managed_fields.into_iter().flatten() {
        let fields = entry.fields_v1.and_then(|fields| fields.0.as_object().cloned()).unwrap_or_default();
        owners.extend(fields.into_iter().map(|(field, _)| (entry.manager.clone().unwrap_or_default(), field)));
    }
    owners.sort();
    owners
}

#[tokio::test(start_paused = true)]
async fn gitops_loop() {
    let lab = Lab::new(Settings::default()).await;
    let git = Shared::default();
    let mut spec = basic("2.1.7");
    lock(&git).spec = spec.clone();
    let tool = tokio::spawn(sync(Api::default_namespaced(lab.client.clone()), git.clone()));
    let _controller = lab.start_controller();
    lab.until_ready("demo").await;
    for change in [
        // A roll, a scale-out, a scale-in, an upgrade.
        json!({"be": {"labels": {"example.com/round": "2"}}}),
        json!({"be": {"replicas": 4}}),
        json!({"be": {"replicas": 3}}),
        json!({"version": "3.0.3"}),
    ] {
        scenarios::lab::merge(&mut spec, &change);
        lock(&git).spec = spec.clone();
        let before = lab.cluster("default", "demo").await.and_then(|cluster| cluster.metadata.generation);
        let is_taken = |cluster: &DorisCluster| cluster.metadata.generation > before;
        lab.until("taken from Git", "demo", Duration::from_mins(1), is_taken).await;
        lab.until_ready("demo").await;
    }
    tool.abort();
    let owners = owners(&lab).await;
    let git = lock(&git);
    assert_eq!(git.troubles, Vec::<String>::new(), "of {} applies", git.applies);
    assert!(git.applies > 60, "{}", git.applies);
    assert_eq!(lab.refusals(409), Vec::<String>::new(), "nor does the controller meet a conflict");
    assert_eq!(owners, [("argocd-controller".to_owned(), "f:spec".to_owned()), ("doris-cluster-controller".into(), "f:status".into())]);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
