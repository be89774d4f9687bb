//! A world of Doris processes for each namespace.
//!
//! What happens in a world wakes everything in it. Clusters of different namespaces have nothing to say to each other, and a hundred
//! of them in one world would keep each other busy.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use doris_sim::{World, WorldOptions};
use node_sim::{Doris, Engine, Launch, Process};

/// Runs the Doris processes of each namespace in a world of its own.
pub struct Worlds {
    options: WorldOptions,
    engines: Mutex<BTreeMap<String, Doris>>,
}

impl Worlds {
    /// Worlds that are made like this, as they are needed.
    pub fn new(options: WorldOptions) -> Self {
        Self { options, engines: Mutex::default() }
    }

    fn of(&self, namespace: &str) -> Doris {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let next = engines.len() as u64;
        // Each world draws its own ids.
        let options = || WorldOptions { seed: self.options.seed.wrapping_add(next), ..self.options.clone() };
        engines.entry(namespace.to_owned()).or_insert_with(|| Doris::new(World::new(options()))).clone()
    }

    fn all(&self) -> Vec<Doris> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Engine for Worlds {
    fn start(&self, launch: Launch) -> Box<dyn Process> {
        self.of(launch.pod.metadata.namespace.as_deref().unwrap_or_default()).start(launch)
    }

    fn names_changed(&self, namespace: &str, names: &BTreeMap<String, Vec<Ipv4Addr>>) {
        self.of(namespace).names_changed(namespace, names);
    }

    fn volume_lost(&self, volume: &str) {
        self.all().iter().for_each(|engine| engine.volume_lost(volume));
    }

    fn volume_full(&self, volume: &str, full: bool) {
        self.all().iter().for_each(|engine| engine.volume_full(volume, full));
    }

    fn link(&self, from: Ipv4Addr, to: Ipv4Addr, cut: bool) {
        self.all().iter().for_each(|engine| engine.link(from, to, cut));
    }
}
