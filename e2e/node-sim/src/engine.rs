//! What runs inside a container, behind a small trait.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::Notify;

/// Files that a container sees from `ConfigMap`s, Secrets and the downward API, by absolute path.
/// They change while the container runs, as a kubelet's files do.
#[derive(Clone, Debug, Default)]
pub struct FileView(Arc<Mutex<BTreeMap<String, String>>>);

impl FileView {
    /// Content of a file, or `None` if there is none.
    pub fn read(&self, path: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Names and contents of the files directly inside a directory.
    pub fn directory(&self, path: &str) -> BTreeMap<String, String> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = files.iter().filter_map(|(path, content)| Some((path.strip_prefix(&prefix)?, content)));
        inside.filter(|(name, _)| !name.contains('/')).map(|(name, content)| (name.to_owned(), content.clone())).collect()
    }

    pub(crate) fn differs(&self, other: &BTreeMap<String, String>) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) != *other
    }

    /// Replaces all files; tells whether anything changed.
    pub(crate) fn replace(&self, new: BTreeMap<String, String>) -> bool {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *files != new;
        *files = new;
        changed
    }
}

/// A volume that is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Path in the container.
    pub path: String,
    /// Path inside the volume, empty for its root.
    pub sub_path: String,
    /// Name of the `PersistentVolume`; `None` for volumes that live as long as the pod.
    pub volume: Option<String>,
    /// Capacity in the API's notation, if the volume has one.
    pub capacity: Option<String>,
}

/// Everything that a container's process starts with.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The pod as the kubelet knows it.
    pub pod: Arc<Pod>,
    /// The container in it.
    pub container: Container,
    /// How often this container was started before.
    pub restarts: i32,
    /// Command and arguments, with `$(VAR)` replaced; empty when the image's entrypoint runs.
    pub command: Vec<String>,
    /// Environment, all references resolved.
    pub env: BTreeMap<String, String>,
    /// Mounted files.
    pub files: FileView,
    /// Mounted volumes.
    pub mounts: Vec<Mount>,
    /// Address of the pod.
    pub address: Ipv4Addr,
    /// Node that runs it.
    pub node: String,
    /// To be notified whenever the process ends or a probe's answer may have changed.
    pub changed: Arc<Notify>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit status; 137 and 143 for signals.
    pub code: i32,
    /// What it left in the termination message file.
    pub message: String,
}

/// A signal, as a container runtime sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Runs a command in the container.
    Exec(Vec<String>),
    /// Opens a TCP connection.
    Tcp(u16),
    /// HTTP GET.
    Http {
        /// Port.
        port: u16,
        /// Path.
        path: String,
    },
}

/// A running process of a container.
#[async_trait]
pub trait Process: Send {
    /// `Some` once it ended.
    fn exit(&mut self) -> Option<Exit>;
    /// Sends a signal. The end is reported by [`Process::exit`] and a notification.
    fn signal(&mut self, signal: Signal);
    /// Runs the command of a preStop hook; SIGTERM follows by itself.
    fn pre_stop(&mut self, command: &[String]);
    /// Answers a probe; `Err` is what an Event says about the failure.
    async fn check(&mut self, check: &Check) -> Result<(), String>;
    /// Whether every change of an answer to [`Process::check`] is notified: such a process need not
    /// be asked again while nothing changes.
    fn notifies(&self) -> bool {
        false
    }
    /// Stops (`true`) or continues (`false`) the process without ending it.
    fn freeze(&mut self, frozen: bool);
    /// Mounted files changed.
    fn files_changed(&mut self) {}
}

/// Starts processes and keeps what outlives them.
pub trait Engine: Send + Sync + 'static {
    /// Starts a container's process.
    fn start(&self, launch: Launch) -> Box<dyn Process>;
    /// The names of a namespace changed: full name to addresses.
    fn names_changed(&self, namespace: &str, names: &BTreeMap<String, Vec<Ipv4Addr>>) {
        let _ = (namespace, names);
    }
    /// A volume (by name of its `PersistentVolume`) lost its content.
    fn volume_lost(&self, volume: &str) {
        let _ = volume;
    }
    /// A volume has grown to this size while it may be in use.
    fn volume_grown(&self, volume: &str, bytes: u64) {
        let _ = (volume, bytes);
    }
    /// A volume is full or has room again.
    fn volume_full(&self, volume: &str, full: bool) {
        let _ = (volume, full);
    }
    /// No packet passes between two addresses (`cut`), or it does again.
    fn link(&self, from: Ipv4Addr, to: Ipv4Addr, cut: bool) {
        let _ = (from, to, cut);
    }
}

/// Runs nothing: containers stay until they are stopped, those of Jobs succeed at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generic;

impl Engine for Generic {
    fn start(&self, launch: Launch) -> Box<dyn Process> {
        let annotations = launch.pod.metadata.annotations.as_ref();
        let wanted = annotations.and_then(|annotations| annotations.get("sim/exit")).and_then(|code| code.parse().ok());
        let owners = launch.pod.metadata.owner_references.iter().flatten();
        let job = owners.into_iter().any(|owner| owner.kind == "Job");
        let init = launch.pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let init = init.into_iter().any(|init| init.name == launch.container.name && init.restart_policy.is_none());
        let code = if init { Some(0) } else { wanted.or(job.then_some(0)) };
        Box::new(Idle {
            exit: code.map(|code| Exit { code, message: String::new() }),
            frozen: false,
            pending: None,
            changed: launch.changed,
        })
    }
}

struct Idle {
    exit: Option<Exit>,
    frozen: bool,
    pending: Option<Exit>,
    changed: Arc<Notify>,
}

#[async_trait]
impl Process for Idle {
    fn exit(&mut self) -> Option<Exit> {
        self.exit.clone()
    }

    fn signal(&mut self, signal: Signal) {
        let code = if signal == Signal::Kill { 137 } else { 143 };
        let exit = Exit { code, message: String::new() };
        if self.frozen && signal == Signal::Term {
            self.pending = Some(exit);
        } else if self.exit.is_none() {
            self.exit = Some(exit);
        }
        self.changed.notify_one();
    }

    fn pre_stop(&mut self, _command: &[String]) {}

    async fn check(&mut self, _check: &Check) -> Result<(), String> {
        if self.frozen { Err("command timed out".into()) } else { Ok(()) }
    }

    fn notifies(&self) -> bool {
        true
    }

    fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        if !frozen && self.exit.is_none() {
            self.exit = self.pending.take();
        }
        self.changed.notify_one();
    }
}
