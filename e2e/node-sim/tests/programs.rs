//! Containers that are real processes, against the in-memory API server, in real time.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, Resource};
use kube_sim::{Identity, KubeSim};
use node_sim::{Generic, NodeSim, Options, Program, Programs};
use serde_json::{Value, json};

/// Tells what it was given, and says a word when it is told to end.
const SCRIPT: &str = "trap 'echo told to end; exit 0' TERM
cat /var/run/secrets/test/token; echo
echo $POD_NAME $ADDRESS $KUBERNETES_SERVICE_PORT $1
while :; do sleep 0.05; done";
/// Generous: a machine that builds something beside it is slow.
const PATIENCE: Duration = Duration::from_mins(1);

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object: K = serde_json::from_value(object).expect("an object of its kind");
    api.create(&PostParams::default(), &object).await.expect("the server takes it")
}

fn pod() -> Value {
    let sources = json!([{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]);
    json!({"metadata": {"name": "p"}, "spec": {
        "serviceAccountName": "robot",
        "containers": [{
            "name": "c", "image": "team/program:1", "args": ["word"],
            "env": [
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "ADDRESS", "value": "0.0.0.0:8080"},
            ],
            "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/test"}],
        }],
        "volumes": [{"name": "token", "projected": {"sources": sources}}],
    }})
}

fn log(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join("default_p_c_0.log")).ok()
}

#[tokio::test]
async fn a_container_of_a_known_image_is_a_process_with_the_token_of_its_account() {
    let kube = KubeSim::new(kube_sim::Options { storage_class: false, ..kube_sim::Options::default() });
    kube.spawn_controllers();
    let client = Client::new(kube.service("test", Identity::admin()), "default");
    let logs = tempfile::tempdir().expect("a folder");
    let entry_point = ["/bin/sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    let programs = Programs {
        rest: Arc::new(Generic),
        programs: vec![Program { image: "team/program".to_owned(), entry_point }],
        server: SocketAddr::from(([127, 0, 0, 1], 6443)),
        logs: logs.path().to_owned(),
    };
    let _nodes = NodeSim::start(&client, Arc::new(programs), Options::default());
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    create::<ServiceAccount>(&Api::default_namespaced(client.clone()), json!({"metadata": {"name": "robot"}})).await;
    create::<Pod>(&pods, pod()).await;

    let said = until("it tells", async || log(logs.path()).filter(|said| said.contains("word"))).await;
    let (token, rest) = said.split_once('\n').expect("two lines");
    assert!(token.len() > 20, "{said}");
    let found = pods.get("p").await.expect("the pod");
    let address = until("the pod has an address", async || pods.get("p").await.ok()?.status?.pod_ip).await;
    assert_eq!(rest.trim_end(), format!("p {address}:8080 6443 word"), "{found:?}");

    pods.delete("p", &DeleteParams::default()).await.expect("deleted");
    until("the pod is gone", async || pods.get_opt("p").await.expect("an answer").is_none().then_some(())).await;
    assert!(log(logs.path()).is_some_and(|said| said.ends_with("told to end\n")), "it was told");
}
