//! The real control plane with simulated nodes and Doris members on loopback, and our controller with rights of its own.
//!
//! One control plane serves a whole test binary; every scenario has a namespace, a service account and a controller to itself.

#![allow(clippy::panic, clippy::missing_panics_doc, reason = "a stand for tests tells of a failure by panicking")]

mod controller;
mod creation;
mod error;
mod link;
mod mortal;
mod place;
pub mod plans;
mod recording;
pub mod replay;

use std::sync::Arc;

use kube::Client;
use node_sim::{Doris, NodeSim, NodeSpec};

pub use controller::RealController;
pub use creation::{Outcome, create};
pub use error::Error;
pub use mortal::MortalController;
pub use place::{ACCOUNT, Place, object};
pub use recording::{Recorder, Recording, Sent};

use crate::control_plane::{ControlPlane, Options};
use crate::demo::{AddressRange, install_definitions};
use crate::lab::oracles::Watcher;

/// Names another version than the usual one, as in `1.25`.
const VERSION_VARIABLE: &str = "REAL_KUBERNETES";
const NODES: usize = 3;
/// Of ids and names; nothing here depends on it.
const SEED: u64 = 1;

/// A running world without a controller.
pub struct RealStand {
    /// The programs.
    pub control_plane: ControlPlane,
    /// Kubelets and volumes.
    pub nodes: NodeSim,
    /// What runs in the pods.
    pub engine: Arc<Doris>,
    /// The administrator's way to the API server.
    pub client: Client,
    /// What must never happen, in any scenario.
    pub oracles: Watcher,
    _range: AddressRange,
}

impl RealStand {
    /// Starts it with our definitions and our controller's role installed. `None`, and a line that says why, on a machine that can't
    /// have it; an error on CI.
    pub async fn start_if_possible() -> Result<Option<Self>, Error> {
        controller_kit::args::install_tls_provider();
        let mut options = Options::default();
        if let Some(version) = std::env::var(VERSION_VARIABLE).ok().filter(|version| !version.is_empty()) {
            options.version = version;
        }
        let Some(control_plane) = ControlPlane::start_if_possible(options).await? else { return Ok(None) };
        println!("Kubernetes {}", control_plane.version());
        let client = control_plane.client()?;
        let range = AddressRange::take().map_err(crate::demo::Error::from)?;
        let engine = Arc::new(doris_engine());
        let options = node_sim::Options {
            nodes: (0..NODES).map(NodeSpec::numbered).collect(),
            pod_network: range.first(),
            pod_network_size: range.size(),
            seed: SEED,
            ..node_sim::Options::default()
        };
        let nodes = NodeSim::start(&client, engine.clone(), options);
        let oracles = Watcher::start(engine.world().clone(), &client, None);
        install_definitions(&client, minor_of(control_plane.version())).await?;
        place::install_role(&client).await?;
        Ok(Some(Self { control_plane, nodes, engine, client, oracles, _range: range }))
    }
}

/// Doris members that listen on their pods' loopback addresses.
pub fn doris_engine() -> Doris {
    Doris::on_loopback(SEED)
}

/// 36 of `v1.36.3`; what can't be read counts as the newest.
fn minor_of(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(doris_api::crd::CURRENT_MINOR)
}

#[cfg(test)]
mod tests {
    use super::minor_of;

    #[test]
    fn the_minor_version_is_read_from_the_servers_own() {
        for (version, minor) in [("v1.36.3", 36), ("v1.25.4", 25), ("?", doris_api::crd::CURRENT_MINOR)] {
            assert_eq!(minor_of(version), minor, "{version}");
        }
    }
}
