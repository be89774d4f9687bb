//! Containers that run our start script: the script's model, and a simulated Doris process below it.

mod config;
mod process;
mod script;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use doris_api::names;
use doris_sim::{Cut, Timing, Volume, World, WorldOptions};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::engine::{Engine, Exit, Generic, Launch, Process};
use crate::shared::lock;

/// Disks by name, and names by namespace.
#[derive(Default)]
struct Kept {
    volumes: BTreeMap<String, Volume>,
    names: BTreeMap<String, BTreeMap<String, Vec<Ipv4Addr>>>,
    /// Nodes on which a backend ends at once unless its pod prepares them.
    unprepared: BTreeSet<String>,
}

/// Runs members of Doris clusters in a [`World`], everything else as [`Generic`] does.
#[derive(Clone)]
pub struct Doris {
    world: World,
    kept: Arc<Mutex<Kept>>,
}

impl Doris {
    /// An engine whose processes live in this world.
    pub fn new(world: World) -> Self {
        Self { world, kept: Arc::default() }
    }

    /// Members that listen on their pods' loopback addresses, from now on and as quick as a demonstration wants them.
    pub fn on_loopback(seed: u64) -> Self {
        let epoch_ms = Timestamp::now().as_millisecond();
        Self::new(World::new(WorldOptions { seed, timing: Timing::fast(), epoch_ms, wire: true }))
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The disk behind a `PersistentVolume`, made if it was never used.
    pub fn volume(&self, name: &str) -> Volume {
        lock(&self.kept).volumes.entry(name.to_owned()).or_default().clone()
    }

    /// The kernel of a node is not set up for backends: they end at once there, unless a container of the pod sets it up.
    pub fn set_prepared(&self, node: &str, is_prepared: bool) {
        let unprepared = &mut lock(&self.kept).unprepared;
        if is_prepared {
            unprepared.remove(node);
        } else {
            unprepared.insert(node.to_owned());
        }
    }

    /// Whether a backend of this pod finds the node as it needs it. A container that sets a node up has done so for good.
    fn is_prepared(&self, node: &str, pod: &Pod) -> bool {
        let mut containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        if containers.any(|container| container.name == names::TUNE_CONTAINER) {
            self.set_prepared(node, true);
        }
        !lock(&self.kept).unprepared.contains(node)
    }

    /// Whether a pod's name and address lead to each other.
    fn resolves(&self, fqdn: &str, address: Ipv4Addr) -> bool {
        lock(&self.kept).names.values().filter_map(|names| names.get(fqdn)).any(|addresses| addresses.contains(&address))
    }
}

impl Engine for Doris {
    fn start(&self, launch: Launch) -> Box<dyn Process> {
        let words: Vec<&str> = launch.command.iter().map(String::as_str).collect();
        let script = words.iter().position(|word| word.ends_with("/start.sh"));
        match script.and_then(|position| words.get(position + 1).copied()) {
            Some("inspect") => {
                let message = if words.last() == Some(&"be") {
                    volume::inspect_backend(self, &launch)
                } else {
                    volume::frontend(self, &launch)
                        .map_or_else(|| "mounted=false\n".into(), |dir| volume::inspect_frontend(&dir, &launch).to_string())
                };
                Box::new(process::Ended(Exit { code: 0, message }))
            }
            Some("fe") => process::Member::start(self.clone(), launch, script::Component::Fe),
            Some("be") => process::Member::start(self.clone(), launch, script::Component::Be),
            Some("broker") => process::Member::start(self.clone(), launch, script::Component::Broker),
            _ => Generic.start(launch),
        }
    }

    fn names_changed(&self, namespace: &str, names: &BTreeMap<String, Vec<Ipv4Addr>>) {
        // Names of pods only: an address has one name to be found by, and members know each other
        // by it.
        let pods: BTreeMap<_, _> =
            names.iter().filter(|(name, _)| name.split('.').nth(3) == Some("svc")).map(|(name, all)| (name.clone(), all.clone())).collect();
        let old = lock(&self.kept).names.insert(namespace.to_owned(), pods.clone()).unwrap_or_default();
        for name in old.keys().filter(|name| !pods.contains_key(*name)) {
            self.world.remove_name(name);
        }
        for (name, addresses) in pods.iter().filter(|(name, addresses)| old.get(*name) != Some(*addresses)) {
            if let Some(address) = addresses.first() {
                self.world.set_name(name, IpAddr::V4(*address));
            }
        }
    }

    fn volume_lost(&self, volume: &str) {
        if let Some(volume) = lock(&self.kept).volumes.get(volume) {
            volume.clear();
        }
    }

    fn volume_grown(&self, volume: &str, bytes: u64) {
        let volume = self.volume(volume);
        let is_full = volume.free() == Some(0);
        volume.set_capacity(Some(bytes));
        if is_full {
            volume.fill(0);
        }
    }

    fn volume_full(&self, volume: &str, full: bool) {
        let volume = self.volume(volume);
        let limit = volume.capacity().unwrap_or(u64::MAX / 4);
        volume.set_capacity(Some(limit));
        volume.fill(if full { limit } else { 0 });
    }

    fn link(&self, from: Ipv4Addr, to: Ipv4Addr, cut: bool) {
        if cut {
            self.world.cut(from.into(), to.into(), Cut::Silent);
        } else {
            self.world.heal(from.into(), to.into());
        }
    }
}
