//! The built-in Kubernetes controllers that an operator leans on, over an in-process API.
//!
//! [`spawn`] runs them all in one task: changes of the server feed an index and a queue, and each step looks
//! at one object. Nothing polls: while nothing changes and no timer is set, the task sleeps, so that paused time can jump.

pub mod api;

mod accounts;
mod batch;
mod claiming;
mod daemonset;
mod deployment;
mod disruption;
mod driver;
mod endpoints;
mod garbage;
mod hash;
mod index;
mod kinds;
mod label_index;
mod namespaces;
mod node_usage;
mod nodes;
mod owner;
mod pods;
mod quantity;
mod queue;
mod quota;
mod recorder;
mod replicaset;
mod revisions;
mod scheduler;
mod selector;
mod statefulset;
mod taints;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;
mod volumes;

pub use driver::{Guard, Options, spawn};

use driver::Controller;

/// All controllers, in the order in which they take notice of a change.
fn all_controllers(_options: &Options) -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(statefulset::StatefulSets),
        Box::new(deployment::Deployments),
        Box::new(replicaset::ReplicaSets),
        Box::new(daemonset::DaemonSets),
        Box::new(batch::Jobs),
        Box::new(batch::CronJobs),
        Box::new(scheduler::Scheduler::default()),
        Box::new(volumes::Binder),
        Box::new(volumes::ClaimProtection),
        Box::new(volumes::VolumeProtection),
        Box::new(endpoints::Slices),
        Box::new(endpoints::LegacyEndpoints),
        Box::new(disruption::Disruption),
        Box::new(accounts::ServiceAccounts),
        Box::new(accounts::RootCertificates),
        Box::new(quota::Quotas),
        Box::<nodes::NodeLifecycle>::default(),
        Box::<nodes::TaintEviction>::default(),
        Box::<nodes::PodCollector>::default(),
        Box::new(namespaces::Namespaces),
        Box::<garbage::GarbageCollector>::default(),
    ]
}
