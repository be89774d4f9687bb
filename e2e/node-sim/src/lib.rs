//! Nodes, kubelets and volumes as an ordinary Kubernetes API client, running simulated processes.
//!
//! [`NodeSim::start`] registers nodes, provisions claims of its `StorageClass` and runs every pod that
//! a scheduler binds to one of its nodes. It needs nothing but a `kube::Client`, so it works against
//! the in-memory API server and against a real one alike. What a container's process *is* decides an
//! [`Engine`]: [`Generic`] runs nothing (a process that stays, and Job pods that succeed).
//!
//! Annotations on a pod steer generic containers: `sim/ready: "false"` keeps the pod unready,
//! `sim/exit: "N"` ends its containers with status N.

mod addresses;
mod cache;
mod doris;
mod engine;
mod env;
mod events;
mod faults;
pub mod gate;
mod handle;
mod kubelet;
mod names;
mod nodes;
mod options;
mod pod;
mod programs;
mod range;
mod shared;
mod storage;
mod tokens;

pub use doris::Doris;
pub use engine::{Check, Engine, Exit, FileView, Generic, Launch, Mount, Process, Signal};
pub use faults::NodeLoss;
pub use handle::NodeSim;
pub use names::NameService;
pub use options::{Binding, Clock, NodeSpec, Options};
pub use programs::{Program, Programs};
pub use range::{AddressRange, NoAddresses};
