//! What can go wrong with nodes, and what the kubelets ask before they act.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a node is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeLoss {
    /// The machine is off: its processes are gone.
    PowerOff,
    /// The API server cannot be reached from it: its processes run on, its kubelet hears nothing.
    Unreachable,
}

/// Something to do to one container's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Kill,
    Freeze(bool),
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) lost_nodes: BTreeMap<String, NodeLoss>,
    pub(crate) missing_images: BTreeSet<String>,
    /// What an image's name stands for by now.
    pub(crate) moved_tags: BTreeMap<String, String>,
    pub(crate) sync_delay: Option<Duration>,
    /// Why no volume grows, in the driver's words.
    pub(crate) resize_error: Option<String>,
    /// By pod uid, then container.
    pub(crate) orders: BTreeMap<String, Vec<(Option<String>, Order)>>,
}
