//! Custom resource types of the Doris operator and the names, labels, ports and conditions its
//! parts agree on.
//!
//! No client and no clock: everything here is a pure function of its arguments, so that
//! controllers, simulators and the command line share one meaning of each word.

pub mod chart;
pub mod cluster;
pub mod component;
pub mod conditions;
pub mod crd;
pub mod example;
pub mod fields;
pub mod initializer;
pub mod labels;
pub mod member;
pub mod names;
pub mod ports;
pub mod rules;
pub mod validation;
pub mod version;

pub use cluster::{DorisCluster, DorisClusterSpec, DorisClusterStatus};
pub use component::{Component, Process};
pub use initializer::{DorisInitializer, DorisInitializerSpec, DorisInitializerStatus};
pub use version::DorisVersion;

/// API group of all our kinds.
pub const GROUP: &str = "doris-operator.dev";
/// Version of all our kinds.
pub const VERSION: &str = "v1beta1";
