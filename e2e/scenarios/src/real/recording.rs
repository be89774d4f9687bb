//! What our controller, and the people around it, ask of the API server in the laboratory, kept to be asked again elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Client, ResourceExt as _};
use kube_sim::{Audit, Identity};
use tokio::task::JoinSet;

use crate::lab::Lab;

/// Clients of the laboratory whose requests are kept: our controller, and the administrator, who is the user there.
const CONTROLLER: &str = "controller-";
const USER: &str = "admin";
/// Until a kind that is not served yet is asked for again.
const PAUSE: Duration = Duration::from_millis(200);
/// Kinds whose objects are told apart by uid in requests.
const KINDS: [(&str, &str, &str); 9] = [
    ("", "v1", "Secret"),
    ("", "v1", "Pod"),
    ("", "v1", "PersistentVolumeClaim"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("apps", "v1", "StatefulSet"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("doris-operator.dev", "v1beta1", "DorisCluster"),
];

/// A request, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Type of the body.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
    /// HTTP status of the answer.
    pub status: u16,
    /// Whether it was our controller that asked.
    pub by_controller: bool,
}

/// Everything that was asked for, in order.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The requests.
    pub sent: Vec<Sent>,
    /// Which object a uid belongs to: its path.
    pub objects: BTreeMap<String, String>,
}

/// Keeps what is asked in a laboratory from its making on.
pub struct Recorder {
    recording: Arc<Mutex<Recording>>,
    _watches: JoinSet<()>,
}

impl Recorder {
    /// Begins.
    pub fn start(lab: &Lab) -> Self {
        let recording = Arc::new(Mutex::new(Recording::default()));
        let kept = recording.clone();
        lab.kube.on_request(move |audit| {
            if let Some(sent) = sent(audit) {
                lock(&kept).sent.push(sent);
            }
        });
        let client = Client::new(lab.kube.service("recorder", Identity::admin()), "default");
        let mut watches = JoinSet::new();
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            watches.spawn(follow(client.clone(), resource, recording.clone()));
        }
        Self { recording, _watches: watches }
    }

    /// All that was kept so far.
    pub fn recording(&self) -> Recording {
        lock(&self.recording).clone()
    }
}

/// What another holder did before it panicked is whole.
fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The request, if it is one to ask again: the user's looks at things, watches and discovery are not.
fn sent(audit: &Audit) -> Option<Sent> {
    let by_controller = audit.client.starts_with(CONTROLLER);
    let is_write = audit.method != "GET";
    let is_wanted = !audit.resource.is_empty() && audit.verb != "watch" && (by_controller || (audit.client == USER && is_write));
    is_wanted.then(|| Sent {
        method: audit.method.clone(),
        path: audit.path.clone(),
        content_type: audit.content_type.clone(),
        body: audit.body.clone(),
        status: audit.status,
        by_controller,
    })
}

/// Learns the uids of a kind for ever.
async fn follow(client: Client, resource: ApiResource, recording: Arc<Mutex<Recording>>) {
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let mut events = watcher(all, Config::default()).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                let namespace = object.namespace().unwrap_or_default();
                let kind: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
                let path = format!("{}/{}", kind.resource_url(), object.name_any());
                lock(&recording).objects.insert(object.uid().unwrap_or_default(), path);
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
