//! The real control plane as a cluster of the users' own: service accounts and their tokens, pod security, nodes that run our program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use node_sim::{Doris, NodeSim, NodeSpec, Program, Programs};
use tempfile::TempDir;

use crate::control_plane::{ControlPlane, Options};
use crate::demo::{AddressRange, SUBCOMMAND};
use crate::real::{Error, doris_engine};

/// The image that our controller's pods name.
pub const CONTROLLER_IMAGE: &str = "doris-operator/cluster-controller";
const NODES: usize = 3;

/// A running world in which nothing of ours is installed.
pub struct Stand {
    /// The programs.
    pub control_plane: ControlPlane,
    /// Kubelets and volumes.
    pub nodes: NodeSim,
    /// What runs in the pods that are no programs of ours.
    pub engine: Arc<Doris>,
    /// The administrator's way to the API server.
    pub client: Client,
    directory: TempDir,
    _range: AddressRange,
}

impl Stand {
    /// Starts it. `None`, and a line that says why, on a machine that can't have it; an error on CI. The controller's pods run this
    /// program, with the argument that makes it a cluster-controller.
    pub async fn start_if_possible(version: &str, controller: PathBuf) -> Result<Option<Self>, Error> {
        controller_kit::args::install_tls_provider();
        let options = Options { version: version.to_owned(), service_account_admission: true, ..Options::default() };
        let Some(control_plane) = ControlPlane::start_if_possible(options).await? else { return Ok(None) };
        println!("Kubernetes {}", control_plane.version());
        let client = control_plane.client()?;
        let range = AddressRange::take().map_err(crate::demo::Error::from)?;
        let directory = tempfile::Builder::new().prefix("doris-delivery-").tempdir().expect("a temporary directory");
        let engine = Arc::new(doris_engine());
        let url = control_plane.client_config().cluster_url;
        let port = url.port_u16().expect("the API server's own port");
        let entry_point = vec![controller.display().to_string(), SUBCOMMAND.to_owned()];
        let programs = Programs {
            rest: engine.clone(),
            programs: vec![Program { image: CONTROLLER_IMAGE.to_owned(), entry_point }],
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            logs: directory.path().to_owned(),
        };
        let options = node_sim::Options {
            nodes: (0..NODES).map(NodeSpec::numbered).collect(),
            pod_network: range.first(),
            pod_network_size: range.size(),
            ..node_sim::Options::default()
        };
        let nodes = NodeSim::start(&client, Arc::new(programs), options);
        Ok(Some(Self { control_plane, nodes, engine, client, directory, _range: range }))
    }

    /// A folder for files that go with the world. What our programs write is in it, a file for each start.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// What the pods of our programs wrote, for a failure's report.
    pub fn logs(&self) -> String {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.directory.path())
            .map(|files| files.filter_map(|file| Some(file.ok()?.path())).collect())
            .unwrap_or_default();
        files.sort();
        let is_log = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "log");
        let texts = files.into_iter().filter(is_log).map(|file| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(20).collect();
            format!("== {}\n{}\n", file.display(), last.into_iter().rev().collect::<Vec<_>>().join("\n"))
        });
        texts.collect()
    }
}
