//! What can go wrong between "start it" and "it answers".

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a real control plane could not be built, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `go.mod` stands for the version that was asked for.
    #[error("no Kubernetes {asked} under e2e/real: there are {known}")]
    UnknownVersion {
        /// The version asked for.
        asked: String,
        /// The versions that can be had, comma-separated.
        known: String,
    },
    /// The programs are not built yet, and Go is not there to build them.
    #[error(
        "the real control plane is built from Go modules and `go` is not on the PATH: install Go, or point KUBEBUILDER_ASSETS at built programs"
    )]
    NoGo,
    /// `KUBEBUILDER_ASSETS` names a directory that lacks a program.
    #[error(
        "KUBEBUILDER_ASSETS is {directory}, which has no `{program}`: a control plane needs etcd, kube-apiserver, kube-controller-manager and kube-scheduler"
    )]
    MissingProgram {
        /// The directory of the environment variable.
        directory: PathBuf,
        /// The program that is not in it.
        program: &'static str,
    },
    /// `go build` failed.
    #[error("go build failed in {module}:\n{output}")]
    Build {
        /// The module's directory.
        module: PathBuf,
        /// What `go` wrote.
        output: String,
    },
    /// A go.mod does not say which Kubernetes it is.
    #[error("{0} requires no version of k8s.io/kubernetes")]
    NoVersion(PathBuf),
    /// A file or a process could not be handled.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program ended while it was waited for.
    #[error("{program} ended with {status} before it was ready; its log is {log}:\n{tail}", log = log.display())]
    Exited {
        /// The program's name.
        program: &'static str,
        /// Its exit status.
        status: String,
        /// Where all that it wrote is kept.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
    /// A program runs and does not answer as it should.
    #[error("{what} was not ready within {waited:?} ({last}); logs are kept in {logs}", logs = logs.display())]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
        /// The last answer.
        last: String,
        /// Where the logs are.
        logs: PathBuf,
    },
    /// A signing key could not be made.
    #[error("cannot make the service accounts' signing key: {0}")]
    Key(#[from] rcgen::Error),
    /// A kubeconfig could not be written down.
    #[error("cannot write a kubeconfig: {0}")]
    Kubeconfig(#[from] serde_saphyr::ser::Error),
    /// A kubeconfig that should serve could not be read.
    #[error("cannot use the kubeconfig: {0}")]
    ClientConfig(#[from] kube::config::KubeconfigError),
    /// A client could not be made of a configuration.
    #[error("cannot make a client: {0}")]
    Client(#[from] kube::Error),
}

impl Error {
    /// A closure for `map_err` that says what was tried on what.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
