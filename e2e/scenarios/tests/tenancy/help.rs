//! What the scenarios of tenants have in common.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use scenarios::lab::{Lab, basic, cluster, delivered_role, is_ready};
use serde_json::{Value, json};

/// Name of the delivered role.
const ROLE_NAME: &str = "doris-operator-cluster-controller";

/// The smallest cluster, in a namespace.
pub fn small(namespace: &str, name: &str) -> DorisCluster {
    let mut small = cluster(name, with_backends(1));
    small.metadata.namespace = Some(namespace.to_owned());
    small
}

/// One frontend and so many backends.
pub fn with_backends(count: i32) -> Value {
    let mut spec = basic("2.1.7");
    spec["fe"]["replicas"] = json!(1);
    spec["be"]["replicas"] = json!(count);
    spec
}

/// Makes a namespace with labels, or gives it these.
pub async fn namespace(lab: &Lab, name: &str, labels: &Value) {
    let namespaces: Api<Namespace> = Api::all(lab.client.clone());
    let wanted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    namespaces.patch(name, &PatchParams::apply("admin").force(), &Patch::Apply(wanted)).await.expect("the namespace is there");
}

/// Makes the delivered role known.
pub async fn deliver_role(lab: &Lab) {
    Api::all(lab.client.clone()).create(&PostParams::default(), &delivered_role()).await.expect("the role is created");
}

/// A tenant lets a controller work in its namespace.
pub async fn bind(lab: &Lab, namespace: &str, account: &str) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": account, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE_NAME},
        "subjects": [{"kind": "ServiceAccount", "namespace": "doris-operator", "name": account}],
    });
    let binding: RoleBinding = serde_json::from_value(binding).expect("a binding");
    Api::namespaced(lab.client.clone(), namespace).create(&PostParams::default(), &binding).await.expect("the role is bound");
}

/// A request of a controller.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whose: `controller-` and the number of its life.
    pub client: String,
    /// Namespace; empty for what is cluster-wide.
    pub namespace: String,
    /// Verb and path.
    pub what: String,
    /// It may change something.
    pub is_write: bool,
    /// What it was answered.
    pub status: u16,
}

/// Listens to all requests of controllers from now on.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<Vec<Asked>>>);

impl Requests {
    pub fn of(lab: &Lab) -> Self {
        let requests = Self::default();
        let heard = requests.clone();
        lab.kube.on_request(move |audit| {
            if audit.client.starts_with("controller-") {
                heard.0.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
                    client: audit.client.clone(),
                    namespace: audit.namespace.clone(),
                    what: format!("{} {}", audit.verb, audit.path),
                    is_write: audit.method != "GET" && audit.resource != "leases",
                    status: audit.status,
                });
            }
        });
        requests
    }

    /// What was asked since the last call.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The processes that wrote about a cluster, one after the other.
pub fn writers(asked: &[Asked], cluster: &str) -> Vec<String> {
    let named = |what: &str| what.split(['/', '?']).any(|part| part == cluster || part.starts_with(&format!("{cluster}-")));
    let mut writers: Vec<String> =
        asked.iter().filter(|asked| asked.is_write && named(&asked.what)).map(|asked| asked.client.clone()).collect();
    writers.dedup();
    writers
}

/// Waits until a cluster is ready.
pub async fn ready(lab: &Lab, namespace: &str, name: &str) -> DorisCluster {
    lab.until_in(namespace, "Ready", name, Duration::from_mins(5), is_ready).await
}

/// Applies another number of backends.
pub async fn resize(lab: &Lab, namespace: &str, name: &str, backends: i32) {
    let mut wanted = small(namespace, name);
    wanted.spec = cluster(name, with_backends(backends)).spec;
    lab.apply(&wanted).await.expect("the spec is accepted");
}
