//! A laboratory in one process: the simulated API server, nodes and Doris, and our controller, on
//! paused time and under a fault plan.

#![allow(clippy::panic, clippy::missing_panics_doc, reason = "a laboratory for tests tells of a failure by panicking")]

mod backups;
mod controller;
mod examples;
pub mod faults;
pub mod look;
pub mod many;
pub mod oracles;
pub mod plans;
mod rows;
pub mod sabotage;
mod storm;
pub mod transport;
mod users;
pub mod walks;
pub mod workloads;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::{Timing, World, WorldOptions};
use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use kube_sim::{Identity, KubeSim};
use node_sim::{Doris, NodeSim};

pub use controller::{Admission, Controller, ControllerOptions, delivered_role};
pub use examples::{basic, cluster, full, merge};
pub use faults::{Fault, Faults};
pub use oracles::Verdicts;
pub use storm::Right;
pub use users::{Tally, Users};

/// Wall time at the beginning of every run.
const EPOCH: &str = "2026-06-01T00:00:00Z";
/// Where the controller's connections come from.
const CONTROLLER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 63, 0, 1));
/// Field manager of the user.
const USER: &str = "git";

/// What a laboratory is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything random follows from it.
    pub seed: u64,
    /// Minor version of Kubernetes.
    pub kubernetes_minor: u32,
    /// How long things take in Doris.
    pub timing: Timing,
    /// Faults of the controller.
    pub faults: Faults,
    /// Whether the oracles look on. What they look at grows with every member, so that hundreds of clusters are too many for them.
    pub judged: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, kubernetes_minor: 36, timing: Timing::fast(), faults: Faults::none(), judged: true }
    }
}

/// The laboratory.
pub struct Lab {
    /// The API server.
    pub kube: KubeSim,
    /// Doris' processes and their network.
    pub world: World,
    /// Kubelets and volumes.
    pub nodes: NodeSim,
    /// What runs in the pods.
    pub engine: Arc<Doris>,
    /// The administrator's way to the API server.
    pub client: Client,
    /// The fault plan.
    pub faults: Faults,
    /// What it was made with.
    pub settings: Settings,
    /// There is a table with rows.
    has_rows: AtomicBool,
    storm: storm::Storm,
    oracles: oracles::Watcher,
}

impl Lab {
    /// Starts everything but a controller.
    pub async fn new(settings: Settings) -> Self {
        println!("seed {}", settings.seed);
        let epoch: Timestamp = EPOCH.parse().expect("the epoch is a timestamp");
        let clock = kube_sim::Clock::from_tokio(epoch);
        let options = kube_sim::Options {
            minor: settings.kubernetes_minor,
            seed: settings.seed,
            clock: clock.clone(),
            admin_token: None,
            storage_class: false,
        };
        let kube = KubeSim::new(options);
        kube.spawn_controllers();
        let world = World::new(WorldOptions {
            seed: settings.seed,
            timing: settings.timing.clone(),
            epoch_ms: epoch.as_millisecond(),
            wire: false,
        });
        let engine = Arc::new(Doris::new(world.clone()));
        let client = client(&kube, "admin");
        let options =
            node_sim::Options { clock: Arc::new(move || clock.now()), seed: settings.seed, events: false, ..node_sim::Options::default() };
        let nodes = NodeSim::start(&self::client(&kube, "nodes"), engine.clone(), options);
        let storm = storm::Storm::watch(&kube, settings.faults.clone());
        let oracles = if settings.judged {
            oracles::Watcher::start(world.clone(), &self::client(&kube, "oracles"), Some(storm.clone()))
        } else {
            oracles::Watcher::blind(world.clone())
        };
        crate::demo::install_definitions(&client, settings.kubernetes_minor).await.expect("the definitions are accepted");
        Self {
            kube,
            world,
            nodes,
            engine,
            client,
            faults: settings.faults.clone(),
            settings,
            has_rows: AtomicBool::new(false),
            storm,
            oracles,
        }
    }

    /// Starts a controller; it dies when dropped, or by the fault plan.
    pub fn start_controller(&self) -> Controller {
        self.start_controller_with(ControllerOptions::default())
    }

    /// Starts a controller that differs from the usual one.
    pub fn start_controller_with(&self, options: ControllerOptions) -> Controller {
        Controller::start(self, options)
    }

    /// Applies a cluster as a tool that takes it from Git does.
    pub async fn apply(&self, cluster: &DorisCluster) -> Result<DorisCluster, kube::Error> {
        let namespace = cluster.namespace().unwrap_or_else(|| "default".into());
        let clusters: Api<DorisCluster> = Api::namespaced(self.client.clone(), &namespace);
        let params = PatchParams { field_validation: Some(kube::api::ValidationDirective::Strict), ..PatchParams::apply(USER) };
        clusters.patch(&cluster.name_any(), &params.force(), &Patch::Apply(cluster)).await
    }

    /// The cluster as the server has it.
    pub async fn cluster(&self, namespace: &str, name: &str) -> Option<DorisCluster> {
        let clusters: Api<DorisCluster> = Api::namespaced(self.client.clone(), namespace);
        clusters.get_opt(name).await.ok().flatten()
    }

    /// Waits until a condition on a cluster holds. Panics with the cluster's state when it does not in time.
    pub async fn until(&self, what: &str, name: &str, within: Duration, holds: impl Fn(&DorisCluster) -> bool) -> DorisCluster {
        self.until_in("default", what, name, within, holds).await
    }

    /// The same in any namespace.
    pub async fn until_in(
        &self,
        namespace: &str,
        what: &str,
        name: &str,
        within: Duration,
        holds: impl Fn(&DorisCluster) -> bool,
    ) -> DorisCluster {
        let end = tokio::time::Instant::now() + within;
        let mut last = None;
        while tokio::time::Instant::now() < end {
            last = self.cluster(namespace, name).await;
            if let Some(cluster) = last.as_ref().filter(|cluster| holds(cluster)) {
                return cluster.clone();
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let status = last.and_then(|cluster| cluster.status);
        panic!(
            "{what}: not within {within:?} (seed {}); status {}\nsteps:\n{}",
            self.settings.seed,
            serde_json::to_string_pretty(&status).unwrap_or_default(),
            self.faults.log().join("\n"),
        );
    }

    /// Waits until a cluster is ready at its present generation.
    pub async fn until_ready(&self, name: &str) -> DorisCluster {
        self.until("Ready", name, Duration::from_secs(900), is_ready).await
    }

    /// Writes that controllers sent so far, leases and Events left out.
    pub fn writes(&self) -> Vec<String> {
        self.storm.writes()
    }

    /// Notes that a pod's member is taken away by somebody else than a controller: what a controller had just decided on is not
    /// judged by it.
    pub fn disturbed(&self, pod: &str) {
        self.storm.disturbed(pod);
    }

    /// Whether the API server refused somebody for lack of a right.
    pub fn denials(&self) -> Vec<String> {
        self.storm.denials()
    }

    /// Rights that controllers used so far.
    pub fn rights(&self) -> std::collections::BTreeSet<Right> {
        self.storm.rights()
    }

    /// Requests of controllers that were answered by this status.
    pub fn refusals(&self, code: u16) -> Vec<String> {
        self.storm.refusals(code)
    }

    /// What was never to happen and did.
    pub fn broken_rules(&self) -> Verdicts {
        self.oracles.verdicts()
    }

    /// Every password that an identity Secret ever held.
    pub fn passwords(&self) -> std::collections::BTreeSet<String> {
        self.oracles.passwords()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kube.stop();
    }
}

/// Ready at the present generation, by the condition itself.
pub fn is_ready(cluster: &DorisCluster) -> bool {
    let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| {
        condition.type_ == "Ready" && condition.status == "True" && condition.observed_generation == cluster.metadata.generation
    })
}

fn client(kube: &KubeSim, name: &str) -> Client {
    Client::new(kube.service(name, Identity::admin()), "default")
}
