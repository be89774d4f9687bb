//! The real control plane, looked at by tests that install the charts on it: what runs, what is Ready, and who asked for what.

use std::cell::Cell;
use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, PostParams};
use scenarios::delivery::{Command, Stand};
use scenarios::demo::progress::{is_ready, why_not_ready};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Generous: a machine that builds something beside it is slow, and nothing here is a measurement.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(200);

/// Makes a namespace with labels.
pub async fn namespace(client: &Client, name: &str, labels: Value) {
    let namespace = json!({"metadata": {"name": name, "labels": labels}});
    let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("created");
}

pub struct World {
    pub stand: &'static Stand,
    pub kubectl: Command,
    /// How much of the audit log has been looked at.
    judged: Cell<usize>,
}

impl World {
    pub fn new(stand: &'static Stand, kubectl: Command) -> Self {
        Self { stand, kubectl, judged: Cell::new(0) }
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.stand.client.clone(), namespace)
    }

    /// Runs Helm or kubectl, which succeeds.
    pub async fn call(&self, tool: &Command, call: &[&str]) -> String {
        match tool.run(call).await {
            Ok(said) => said,
            Err(refused) => panic!("{refused}\n{}", self.stand.logs()),
        }
    }

    /// Waits until something holds; what it says when it does not is told at the end, with the controllers' own words.
    pub async fn until(&self, what: &str, holds: impl AsyncFn() -> Result<(), String>) {
        let end = Instant::now() + PATIENCE;
        loop {
            let Err(why) = holds().await else { return };
            assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}: {why}\n{}", self.stand.logs());
            sleep(PAUSE).await;
        }
    }

    /// All pods of a Deployment are ready, and one of them leads.
    pub async fn controllers_run(&self, namespace: &str, deployment: &str) {
        self.until("the controllers run", async || {
            let deployment: Deployment = self.api(namespace).get(deployment).await.map_err(|error| error.to_string())?;
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            let status = deployment.status.unwrap_or_default();
            let is_so = status.observed_generation == deployment.metadata.generation
                && status.updated_replicas == wanted
                && status.ready_replicas == wanted
                && status.replicas == wanted;
            if is_so { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }

    pub async fn cluster(&self, namespace: &str, name: &str) -> Option<DorisCluster> {
        self.api(namespace).get_opt(name).await.expect("an answer")
    }

    /// Waits until a cluster is Ready.
    pub async fn ready(&self, namespace: &str, name: &str) {
        self.until(&format!("{namespace}/{name} is Ready"), async || match self.cluster(namespace, name).await {
            Some(cluster) if is_ready(&cluster) => Ok(()),
            Some(cluster) => Err(why_not_ready(&cluster)),
            None => Err("there is no such cluster".to_owned()),
        })
        .await;
    }

    /// Takes the definitions away, and with them every cluster: whoever installs next finds nothing.
    pub async fn no_definitions(&self) {
        let definitions = ["dorisclusters.doris-operator.dev", "dorisinitializers.doris-operator.dev"];
        self.call(&self.kubectl, &[&["delete", "crd", "--timeout=120s"], definitions.as_slice()].concat()).await;
    }

    fn audit_log(&self) -> String {
        std::fs::read_to_string(self.stand.control_plane.audit_log_path()).expect("an audit log")
    }

    /// What was asked so far is nobody's business: processes that end after their roles were taken away are denied their last word.
    pub fn judge_from_here(&self) {
        self.judged.set(self.audit_log().len());
    }

    /// The requests since then with the tokens of the service accounts of a namespace.
    pub fn requests(&self, namespace: &str) -> Vec<Value> {
        let theirs = format!("system:serviceaccount:{namespace}:");
        let log = self.audit_log();
        let entries = log[self.judged.get()..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter(|entry| entry["user"]["username"].as_str().is_some_and(|name| name.starts_with(&theirs))).collect()
    }

    /// What the controllers of a namespace asked for was theirs to ask, and they did ask.
    pub fn nothing_was_denied(&self, namespace: &str) {
        let requests = self.requests(namespace);
        for request in &requests {
            assert_ne!(request["responseStatus"]["code"], 403, "{} {}", request["verb"], request["requestURI"]);
        }
        assert!(requests.iter().any(|request| request["verb"] == "patch"), "the controller wrote with the token of its service account");
    }
}
