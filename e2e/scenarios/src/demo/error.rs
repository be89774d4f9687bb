//! What can go wrong on the way to a running world.

use std::path::{Path, PathBuf};

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a process could not be used.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A port could not be opened.
    #[error("can't listen on 127.0.0.1: {0}")]
    Listen(std::io::Error),
    /// No range of loopback addresses is free.
    #[error(transparent)]
    Addresses(#[from] node_sim::NoAddresses),
    /// The API server refused something.
    #[error("the API server refused {what}: {}", told(source))]
    Refused {
        /// What it was asked.
        what: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// Something was waited for in vain.
    #[error("waiting for {what} failed: {source}")]
    Wait {
        /// What was waited for.
        what: String,
        /// What the watch says.
        source: Box<kube::runtime::wait::Error>,
    },
    /// The definitions could not be made.
    #[error(transparent)]
    Definitions(#[from] doris_api::crd::CrdError),
    /// The file is no manifest.
    #[error("{file}: {problem}")]
    Manifest {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The controller ended.
    #[error("the cluster-controller ended ({status}); the end of its log:\n{tail}")]
    ControllerEnded {
        /// How it ended.
        status: String,
        /// The last lines that it logged.
        tail: String,
    },
    /// The controller does not come up.
    #[error("the cluster-controller did not start within {seconds} s; the end of its log:\n{tail}")]
    ControllerSilent {
        /// How long it was given.
        seconds: u64,
        /// The last lines that it logged.
        tail: String,
    },
}

impl Error {
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn refused(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Refused { what, source: Box::new(source) }
    }
}

/// What a server says, without the words that say that it said so.
fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
