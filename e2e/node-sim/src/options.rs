//! What a caller can choose about the simulated nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// Wall clock: time stamps in objects come from here, waiting is done with `tokio::time`.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One node to register.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Name of the Node object, also its `kubernetes.io/hostname`.
    pub name: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: String,
    /// Allocatable CPUs.
    pub cpu: String,
    /// Allocatable memory.
    pub memory: String,
    /// How many pods fit.
    pub pods: u32,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
}

impl NodeSpec {
    /// A node that fits much more than a test needs; every third one shares a zone.
    pub fn numbered(index: usize) -> Self {
        Self {
            name: format!("node-{index}"),
            zone: format!("zone-{}", index % 3),
            cpu: "10000".into(),
            memory: "100Ti".into(),
            pods: 100_000,
            labels: BTreeMap::new(),
        }
    }
}

/// When a claim gets its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// As soon as it exists.
    Immediate,
    /// When a pod that uses it has a node.
    WaitForFirstConsumer,
}

/// What [`crate::NodeSim::start`] is to simulate.
#[derive(Clone)]
pub struct Options {
    /// Nodes to register and to play.
    pub nodes: Vec<NodeSpec>,
    /// Name of the `StorageClass` to register.
    pub storage_class: String,
    /// Mark that class as the default one.
    pub default_class: bool,
    /// When its claims are bound.
    pub binding: Binding,
    /// Volumes stay on the node they were made on (node affinity); otherwise they move with the pod.
    pub local_volumes: bool,
    /// First address of the pods, in 127/8 so that they can be listened on without any set-up.
    pub pod_network: Ipv4Addr,
    /// How many addresses from [`Options::pod_network`] on may be used.
    pub pod_network_size: u32,
    /// Domain of Services, `cluster.local`.
    pub cluster_domain: String,
    /// Images that no registry has.
    pub missing_images: BTreeSet<String>,
    /// Between binding and the first container's start.
    pub start_delay: Duration,
    /// Between a change of a mounted object and the change of its files.
    pub sync_delay: Duration,
    /// Between two renewals of a node's lease.
    pub lease_period: Duration,
    /// Write Events.
    pub events: bool,
    /// Wall clock.
    pub clock: Clock,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: (0..3).map(NodeSpec::numbered).collect(),
            storage_class: "node-sim".into(),
            default_class: true,
            binding: Binding::WaitForFirstConsumer,
            local_volumes: false,
            pod_network: Ipv4Addr::new(127, 64, 0, 1),
            pod_network_size: 1 << 21,
            cluster_domain: "cluster.local".into(),
            missing_images: BTreeSet::new(),
            start_delay: Duration::from_millis(50),
            sync_delay: Duration::from_millis(500),
            lease_period: Duration::from_secs(10),
            events: true,
            clock: Arc::new(Timestamp::now),
            seed: 0,
        }
    }
}
