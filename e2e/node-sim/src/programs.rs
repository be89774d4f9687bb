//! Containers that are real processes of this machine, chosen by their image.
//!
//! A process finds its mounted files where its container has them, the token of its service account among them: it runs in a mount
//! namespace of its own (`unshare`, which needs no root where user namespaces are allowed). Everything else is the machine's: one
//! network for all pods, so what would listen on every address listens on its pod's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kube::ResourceExt;
use rustix::process::{Pid, Signal as SystemSignal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::engine::{Check, Engine, Exit, Launch, Process, Signal};
use crate::shared::lock;

/// Mounts each source over its target, below a /run of its own, and becomes the program: pairs of target and source, `--`, the program.
const MOUNT: &str = r#"set -e
mount -t tmpfs -o mode=755 tmpfs /run
[ -L /var/run ] || mount -t tmpfs -o mode=755 tmpfs /var/run
while [ "$1" != -- ]; do mkdir -p "$1"; mount --bind "$2" "$1"; shift 2; done
shift
exec "$@""#;
/// Where mounted files can be put without touching the machine's own.
const MOUNTABLE: [&str; 2] = ["/var/run/", "/run/"];
/// What would listen on every address of a pod.
const EVERY_ADDRESS: &str = "0.0.0.0:";
/// Status of a container that could not be started.
const NOT_STARTED: i32 = 128;
/// How long a probe may take.
const PROBE_TIME: Duration = Duration::from_secs(5);
/// More than a status line is not looked at.
const HEAD: u64 = 1024;

/// A program that stands for an image.
#[derive(Clone, Debug)]
pub struct Program {
    /// The image's repository: what stands before its tag and digest.
    pub image: String,
    /// The program and its first arguments, as the image's entry point; a container's `args` follow.
    pub entry_point: Vec<String>,
}

/// Runs containers of some images as real processes, everything else as another engine does.
pub struct Programs {
    /// What runs the rest.
    pub rest: Arc<dyn Engine>,
    /// The images.
    pub programs: Vec<Program>,
    /// Where the API server answers: what pods are told of the Service `kubernetes`.
    pub server: SocketAddr,
    /// Folder for what the processes write, a file for each start: `<namespace>_<pod>_<container>_<restarts>.log`.
    pub logs: PathBuf,
}

impl Engine for Programs {
    fn start(&self, launch: Launch) -> Box<dyn Process> {
        let image = launch.container.image.clone().unwrap_or_default();
        match self.programs.iter().find(|program| program.image == repository(&image)) {
            Some(program) => Box::new(Started::new(self, program, launch)),
            None => self.rest.start(launch),
        }
    }

    fn names_changed(&self, namespace: &str, names: &BTreeMap<String, Vec<Ipv4Addr>>) {
        self.rest.names_changed(namespace, names);
    }

    fn volume_lost(&self, volume: &str) {
        self.rest.volume_lost(volume);
    }

    fn volume_grown(&self, volume: &str, bytes: u64) {
        self.rest.volume_grown(volume, bytes);
    }

    fn volume_full(&self, volume: &str, full: bool) {
        self.rest.volume_full(volume, full);
    }

    fn link(&self, from: Ipv4Addr, to: Ipv4Addr, cut: bool) {
        self.rest.link(from, to, cut);
    }
}

/// An image's name without tag and digest. A colon before the last slash is a registry's port.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    image[name..].find(':').map_or(image, |colon| &image[..name + colon])
}

/// A process and what it was given.
struct Started {
    launch: Launch,
    pid: Option<Pid>,
    exit: Arc<Mutex<Option<Exit>>>,
    /// Mounted folders, by their path in the container.
    mounted: BTreeMap<String, PathBuf>,
    /// Removed with the process.
    files: Option<TempDir>,
}

impl Started {
    fn new(programs: &Programs, program: &Program, launch: Launch) -> Self {
        let mut started = Self { launch, pid: None, exit: Arc::default(), mounted: BTreeMap::new(), files: None };
        match started.spawn(programs, program) {
            Ok(child) => started.watch(child),
            Err(error) => *lock(&started.exit) = Some(Exit { code: NOT_STARTED, message: format!("cannot be started: {error}") }),
        }
        started
    }

    fn spawn(&mut self, programs: &Programs, program: &Program) -> io::Result<Child> {
        let files = tempfile::Builder::new().prefix("node-sim-").tempdir()?;
        let mountable = |path: &&str| MOUNTABLE.iter().any(|prefix| path.starts_with(prefix));
        let paths = self.launch.mounts.iter().map(|mount| mount.path.as_str()).filter(mountable);
        self.mounted = paths.enumerate().map(|(index, path)| (path.to_owned(), files.path().join(index.to_string()))).collect();
        self.write_files()?;
        self.files = Some(files);

        let pod = &self.launch.pod;
        let name = &self.launch.container.name;
        let log = format!("{}_{}_{name}_{}.log", pod.namespace().unwrap_or_default(), pod.name_any(), self.launch.restarts);
        let log = File::create(programs.logs.join(log))?;
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--", "/bin/sh", "-c", MOUNT, "sh"]);
        for (target, source) in &self.mounted {
            command.arg(target).arg(source);
        }
        command.arg("--").args(&program.entry_point).args(&self.launch.command).env_clear().envs(self.environment(programs.server));
        command
            // A program that watches it ends with us, however we end.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    fn environment(&self, server: SocketAddr) -> BTreeMap<String, String> {
        let own = |value: &str| value.strip_prefix(EVERY_ADDRESS).map(|port| format!("{}:{port}", self.launch.address));
        let given = self.launch.env.iter().map(|(name, value)| (name.clone(), own(value).unwrap_or_else(|| value.clone())));
        let mut environment: BTreeMap<String, String> = given.collect();
        environment.insert("PATH".into(), std::env::var("PATH").unwrap_or_default());
        // A home without files: nobody's own kubeconfig is taken for the pod's.
        environment.insert("HOME".into(), "/nonexistent".into());
        environment.insert("KUBERNETES_SERVICE_HOST".into(), server.ip().to_string());
        environment.insert("KUBERNETES_SERVICE_PORT".into(), server.port().to_string());
        environment
    }

    /// Puts the mounted files in place, each at once.
    fn write_files(&self) -> io::Result<()> {
        for (path, folder) in &self.mounted {
            std::fs::create_dir_all(folder)?;
            for (name, content) in self.launch.files.directory(path) {
                let new = folder.join(format!("..{name}"));
                std::fs::write(&new, content)?;
                std::fs::rename(&new, folder.join(name))?;
            }
        }
        Ok(())
    }

    fn watch(&mut self, mut child: Child) {
        self.pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (exit, changed) = (self.exit.clone(), self.launch.changed.clone());
        // Held until the end: closing it tells the program that we are gone.
        let pipe = child.stdin.take();
        tokio::spawn(async move {
            let status = child.wait().await;
            drop(pipe);
            let code = status.map_or(NOT_STARTED, code);
            *lock(&exit) = Some(Exit { code, message: String::new() });
            changed.notify_one();
        });
    }

    fn send(&self, signal: SystemSignal) {
        if lock(&self.exit).is_some() {
            return;
        }
        if let Some(Err(error)) = self.pid.map(|pid| kill_process(pid, signal)) {
            tracing::debug!(%error, "a process that has just ended takes no signal");
        }
    }
}

/// As a container runtime reports it: a signal counts from 128 on.
fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(NOT_STARTED)
}

#[async_trait]
impl Process for Started {
    fn exit(&mut self) -> Option<Exit> {
        lock(&self.exit).clone()
    }

    fn signal(&mut self, signal: Signal) {
        self.send(if signal == Signal::Kill { SystemSignal::KILL } else { SystemSignal::TERM });
    }

    fn pre_stop(&mut self, _command: &[String]) {}

    async fn check(&mut self, check: &Check) -> Result<(), String> {
        let address = |port: u16| SocketAddr::from((self.launch.address, port));
        let answer = async {
            match check {
                Check::Exec(command) => Err(format!("there is no {} in the image", command.first().map_or("", String::as_str))),
                Check::Tcp(port) => TcpStream::connect(address(*port)).await.map(drop).map_err(|error| error.to_string()),
                Check::Http { port, path } => get(address(*port), path).await,
            }
        };
        timeout(PROBE_TIME, answer).await.unwrap_or_else(|_| Err("timeout: no answer".into()))
    }

    fn freeze(&mut self, frozen: bool) {
        self.send(if frozen { SystemSignal::STOP } else { SystemSignal::CONT });
    }

    fn files_changed(&mut self) {
        if let Err(error) = self.write_files() {
            tracing::warn!(%error, pod = self.launch.pod.name_any(), "mounted files are not brought up to date");
        }
    }
}

/// Any answer between 200 and 399 is a good one.
async fn get(address: SocketAddr, path: &str) -> Result<(), String> {
    let answer: io::Result<String> = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut head = Vec::new();
        stream.take(HEAD).read_to_end(&mut head).await?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    }
    .await;
    let answer = answer.map_err(|error| error.to_string())?;
    let status: Option<u16> = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("HTTP probe failed with statuscode: {status}")),
        None => Err("what answered speaks no HTTP".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn an_images_repository_is_found_whatever_follows_it() {
        for (image, expected) in [
            ("doris-operator/cluster-controller:0.1.0", "doris-operator/cluster-controller"),
            ("localhost:5000/team/x:1@sha256:abc", "localhost:5000/team/x"),
            ("localhost:5000/team/x", "localhost:5000/team/x"),
            ("x", "x"),
        ] {
            assert_eq!(repository(image), expected, "{image}");
        }
    }
}
