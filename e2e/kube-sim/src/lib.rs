//! An in-memory Kubernetes API server: what an operator and its clients see of a control plane, in one process.

mod access;
mod admission;
mod allocate;
mod api;
mod bootstrap;
mod call;
mod clock;
mod cluster;
pub mod conformance;
mod convert;
mod crd;
mod http;
mod names;
mod ops;
mod pods;
mod registry;
mod selector;
mod sim;
mod status;
mod store;
mod tables;

pub use access::User;
pub use clock::Clock;
pub use http::service::{Identity, SimService};
pub use sim::{Audit, Fault, KubeSim, Options};
pub use status::ApiStatus;
