//! What can be done to a cluster that may hurt it.

use std::collections::BTreeSet;
use std::fmt;

use doris_api::DorisVersion;

use crate::text;

/// Role of a frontend in the metadata group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendRole {
    /// Votes and can become master.
    Follower,
    /// Follows the journal without a vote.
    Observer,
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// Stores tablets and computes.
    Mix,
    /// Only computes.
    Computation,
}

/// One disruptive step. Frontends are named by their registered host, backends by Doris' id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frontend's pod is replaced and keeps its volume.
    RestartFrontend {
        /// Its host.
        host: String,
        /// The version that it will run afterwards, by its image, where that is not the one it runs now.
        onto: Option<DorisVersion>,
    },
    /// The pods of one failure domain's backends or compute nodes are replaced and keep their volumes.
    RestartBackends {
        /// Their ids.
        backends: BTreeSet<u64>,
    },
    /// A frontend is registered.
    AddFrontend {
        /// Its host.
        host: String,
        /// Its role.
        role: FrontendRole,
    },
    /// A frontend is removed from the metadata group.
    DropFrontend {
        /// Its host.
        host: String,
    },
    /// Backends are emptied, all in one statement.
    DecommissionBackends {
        /// Their ids.
        backends: BTreeSet<u64>,
    },
    /// A backend is removed at once, with whatever is on it (`DROPP`).
    DropBackend {
        /// Its id.
        backend: u64,
    },
    /// A compute node is removed.
    DropComputeNode {
        /// Its id.
        backend: u64,
    },
    /// A StatefulSet shrinks, so that a pod goes for good; its volume stays.
    RemovePod {
        /// Host that the pod was registered with.
        host: String,
    },
    /// A frontend's volume is given up.
    DeleteFrontendClaim {
        /// Host of the member whose volume it is.
        host: String,
        /// Name of the claim.
        claim: String,
    },
    /// A backend's volume is given up.
    DeleteBackendClaim {
        /// Host of the member whose volume it is.
        host: String,
        /// Name of the claim.
        claim: String,
    },
    /// The cluster's version changes; from which one, its metadata tells.
    ChangeVersion {
        /// The version wanted.
        to: DorisVersion,
    },
    /// All members stop, in order.
    Suspend,
}

impl Step {
    /// What it does, as the operation Lease and the metrics name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RestartFrontend { .. } => "RestartFrontend",
            Self::RestartBackends { .. } => "RestartBackends",
            Self::AddFrontend { .. } => "AddFrontend",
            Self::DropFrontend { .. } => "DropFrontend",
            Self::DecommissionBackends { .. } => "DecommissionBackends",
            Self::DropBackend { .. } => "DropBackend",
            Self::DropComputeNode { .. } => "DropComputeNode",
            Self::RemovePod { .. } => "RemovePod",
            Self::DeleteFrontendClaim { .. } => "DeleteFrontendClaim",
            Self::DeleteBackendClaim { .. } => "DeleteBackendClaim",
            Self::ChangeVersion { .. } => "ChangeVersion",
            Self::Suspend => "Suspend",
        }
    }
}

/// The step with what it is done to; the same step is always written alike.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind())?;
        match self {
            Self::RestartFrontend { host, .. }
            | Self::AddFrontend { host, .. }
            | Self::DropFrontend { host }
            | Self::RemovePod { host } => {
                write!(formatter, " {}", text::short(host))
            }
            Self::RestartBackends { backends } | Self::DecommissionBackends { backends } => {
                let ids: Vec<String> = backends.iter().map(u64::to_string).collect();
                write!(formatter, " {}", ids.join(","))
            }
            Self::DropBackend { backend } | Self::DropComputeNode { backend } => write!(formatter, " {backend}"),
            Self::DeleteFrontendClaim { claim, .. } | Self::DeleteBackendClaim { claim, .. } => write!(formatter, " {claim}"),
            Self::ChangeVersion { to } => write!(formatter, " {to}"),
            Self::Suspend => Ok(()),
        }
    }
}
