//! API server, nodes and Doris in this process; everything else talks to them over sockets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use doris_api::crd::CrdError;
use doris_sim::{Timing, WorldOptions};
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use kube_sim::KubeSim;
use node_sim::{NodeSim, NodeSpec};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{AddressRange, Error, Worlds};

/// What a world is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Kubernetes 1.`minor` is simulated.
    pub kubernetes_minor: u32,
    /// Nodes that run pods.
    pub nodes: usize,
    /// How long things take in Doris.
    pub timing: Timing,
    /// uids, names and ids follow from it.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { kubernetes_minor: 36, nodes: 3, timing: Timing::fast(), seed: 1 }
    }
}

/// A running world without a controller.
pub struct Stand {
    /// The API server.
    pub kube: KubeSim,
    /// Kubelets and volumes.
    pub nodes: NodeSim,
    /// The administrator's way to the API server, over HTTP.
    pub client: Client,
    server: JoinHandle<std::io::Result<()>>,
    address: SocketAddr,
    directory: TempDir,
    _range: AddressRange,
}

impl Stand {
    /// Starts it, with our definitions installed.
    pub async fn start(settings: &Settings) -> Result<Self, Error> {
        controller_kit::args::install_tls_provider();
        let directory =
            tempfile::Builder::new().prefix("doris-demo-").tempdir().map_err(Error::io("make a directory in", std::env::temp_dir()))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let range = AddressRange::take()?;
        let options = kube_sim::Options {
            minor: settings.kubernetes_minor,
            seed: settings.seed,
            storage_class: false,
            ..kube_sim::Options::default()
        };
        let kube = KubeSim::new(options);
        kube.spawn_controllers();
        let nodes = nodes(&kube, settings, &range);
        let server = tokio::spawn(kube.serve(listener));
        let kubeconfig = directory.path().join("kubeconfig");
        write_private(&kubeconfig, &kubeconfig_text(address))?;
        let config = kube::Config::new(uri(address));
        let client = Client::try_from(config).map_err(Error::refused("a client"))?;
        let stand = Self { kube, nodes, client, server, address, directory, _range: range };
        install_definitions(&stand.client, settings.kubernetes_minor).await?;
        Ok(stand)
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// A file in the world's own directory, which goes with it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Ends everything and removes its files.
    pub async fn stop(self) -> Result<(), Error> {
        self.kube.stop();
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the API server ended badly"),
            Err(error) => tracing::warn!(%error, "the API server broke off"),
        }
        let path = self.directory.path().to_owned();
        self.directory.close().map_err(Error::io("remove", path))
    }
}

fn nodes(kube: &KubeSim, settings: &Settings, range: &AddressRange) -> NodeSim {
    let worlds = Worlds::new(WorldOptions {
        seed: settings.seed,
        timing: settings.timing.clone(),
        epoch_ms: Timestamp::now().as_millisecond(),
        wire: true,
    });
    let client = Client::new(kube.service("nodes", kube_sim::Identity::admin()), "default");
    let options = node_sim::Options {
        nodes: (0..settings.nodes).map(NodeSpec::numbered).collect(),
        pod_network: range.first(),
        pod_network_size: range.size(),
        seed: settings.seed,
        ..node_sim::Options::default()
    };
    NodeSim::start(&client, Arc::new(worlds), options)
}

fn uri(address: SocketAddr) -> http::Uri {
    format!("http://{address}").parse().expect("an address makes a URI")
}

/// No token: kubectl sends none over plain HTTP, and the port is on loopback.
fn kubeconfig_text(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: demo\n  cluster: {{server: \"http://{address}\"}}\nusers:\n- name: admin\n  \
         user: {{}}\ncontexts:\n- name: demo\n  context: {{cluster: demo, user: admin, namespace: default}}\ncurrent-context: demo\n"
    )
}

/// Writes a file that nobody else may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(Error::io("create", path))?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(Error::io("write", path))
}

/// Our definitions for a server of Kubernetes 1.`minor`, as name and document. They are made once in a process: the thousands of runs
/// of a fault plan would otherwise spend a good part of their time on it.
fn our_definitions(minor: u32) -> Result<Arc<Definitions>, Error> {
    static MADE: Mutex<BTreeMap<u32, Arc<Definitions>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(&minor) {
        return Ok(known.clone());
    }
    let document = |definition: CustomResourceDefinition| Ok((definition.name_any(), serde_json::to_value(definition)?));
    let all: Result<Definitions, CrdError> = doris_api::crd::crds(minor)?.into_iter().map(document).collect();
    Ok(made.entry(minor).or_insert(Arc::new(all?)).clone())
}

type Definitions = Vec<(String, Value)>;

/// Applies our definitions and waits until their kinds are served.
pub async fn install_definitions(client: &Client, minor: u32) -> Result<(), Error> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (name, definition) in our_definitions(minor)?.iter() {
        definitions
            .patch(name, &PatchParams::apply("helm").force(), &Patch::Apply(definition))
            .await
            .map_err(Error::refused(format!("the definition {name}")))?;
        kube::runtime::wait::await_condition(definitions.clone(), name, kube::runtime::conditions::is_crd_established())
            .await
            .map_err(|source| Error::Wait { what: format!("the definition {name}"), source: Box::new(source) })?;
    }
    Ok(())
}
