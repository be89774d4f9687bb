//! A whole world to try the operator in: the simulated API server on a port, nodes that run simulated Doris members on loopback
//! addresses, and the cluster-controller as a process of its own.

mod controller;
mod error;
pub mod hints;
pub mod manifest;
pub mod progress;
mod stand;
mod worlds;

pub use controller::{ControllerProcess, SUBCOMMAND, Start, run_if_asked};
pub use error::Error;
pub use node_sim::AddressRange;
pub(crate) use stand::write_private;
pub use stand::{Settings, Stand, install_definitions};
pub use worlds::Worlds;
