//! What can go wrong on the way to a scenario.

use crate::{control_plane, demo};

/// Why a scenario can't begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The control plane does not start.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
    /// Nodes, definitions or manifests.
    #[error(transparent)]
    Stand(#[from] demo::Error),
    /// The API server refuses what a scenario begins with.
    #[error("can't {what}: {source}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the server says.
        source: Box<kube::Error>,
    },
    /// The API server gave no token.
    #[error("the API server gave no token to the controller's service account")]
    NoToken,
    /// The controller can't be started.
    #[error("the controller can't be started: {0}")]
    Controller(String),
}

impl Error {
    pub(super) fn refused(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Refused { what, source: Box::new(source) }
    }
}
