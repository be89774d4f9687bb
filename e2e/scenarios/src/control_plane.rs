//! A real control plane for tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback.
//!
//! ```no_run
//! # async fn example() -> Result<(), scenarios::control_plane::Error> {
//! use scenarios::control_plane::{ControlPlane, Options};
//!
//! let control_plane = ControlPlane::start(Options::default()).await?;
//! let client = control_plane.client()?;
//! // …
//! control_plane.stop().await
//! # }
//! ```
//!
//! The programs are built from the modules under `e2e/real` and kept in the user's cache folder. Nothing outlives the handle, nor the
//! process that holds it: see `guard`.

mod arguments;
mod audit;
mod credentials;
mod error;
mod guard;
mod process;
mod programs;
mod ready;
mod release;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use audit::AuditLevel;
pub use credentials::Token;
pub use error::Error;
pub use programs::{Programs, Tool};
pub use release::{Release, known_versions};

use arguments::{Layout, Ports};
use credentials::{Tokens, kubeconfig, write_private, write_signing_key};
use guard::Guard;
use process::Process;

/// The version that every test run uses; older ones are asked for by name.
pub const DEFAULT_VERSION: &str = "1.36";

/// A free port can be taken by somebody else before the program that it was meant for opens it.
const PORT_TRIES: u32 = 3;
/// How long a program may take to end by itself. An API server finishes requests that are under way.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Minor version as in `1.36`; see [`known_versions`].
    pub version: String,
    /// How much of each request is written to the audit log.
    pub audit: AuditLevel,
    /// Whether pods get a service account and its token's volume, as they do on a real cluster. Off, a pod comes out of the server
    /// as it went in, which is what recorded conversations and kube-sim have.
    pub service_account_admission: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: DEFAULT_VERSION.to_owned(), audit: AuditLevel::default(), service_account_admission: false }
    }
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    processes: Processes,
    admin_token: Token,
    config: kube::Config,
    version: String,
    layout: Layout,
    // Dropped last: it removes the directory when the programs have been ended.
    guard: Guard,
}

#[derive(Debug)]
struct Processes {
    scheduler: Process,
    controller_manager: Process,
    apiserver: Process,
    etcd: Process,
}

impl ControlPlane {
    /// Builds the programs if they are not there, starts them and waits until the API server, the controllers and the scheduler answer.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let release = Release::find(&options.version)?;
        let programs = provide(release.clone()).await?;
        for _ in 1..PORT_TRIES {
            match Self::start_programs(&programs, &release, &options).await {
                Err(Error::Exited { tail, .. }) if tail.contains("address already in use") => {
                    tracing::debug!("a port was taken; once more");
                }
                result => return result,
            }
        }
        Self::start_programs(&programs, &release, &options).await
    }

    /// Why such a control plane can't be had on this machine, if so. A test that skips says it.
    pub fn unavailable(options: &Options) -> Option<Error> {
        match Release::find(&options.version) {
            Ok(release) => Programs::unavailable(&release),
            Err(error) => Some(error),
        }
    }

    /// For tests: `None`, and a line that says why, on a machine that can't have it. On CI that is an error: nothing is skipped there.
    pub async fn start_if_possible(options: Options) -> Result<Option<Self>, Error> {
        match Self::unavailable(&options) {
            Some(reason) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped, for want of a real control plane: {reason}");
                Ok(None)
            }
            Some(reason) => Err(reason),
            None => Self::start(options).await.map(Some),
        }
    }

    async fn start_programs(programs: &Programs, release: &Release, options: &Options) -> Result<Self, Error> {
        let layout = Layout { root: new_directory()?, ports: free_ports()? };
        let mut guard = Guard::start(&layout.root)?;
        let tokens = write_inputs(&layout, options.audit)?;
        match start_processes(programs, &layout, &tokens, options, &mut guard).await {
            Ok((processes, config)) => {
                Ok(Self { processes, admin_token: tokens.admin, config, version: release.git_version.clone(), layout, guard })
            }
            Err(error) => {
                guard.keep_directory()?;
                Err(error)
            }
        }
    }

    /// An administrator's kubeconfig. It goes when the control plane goes.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.layout.admin_kubeconfig()
    }

    /// The API server's URL.
    pub fn server(&self) -> String {
        self.layout.server()
    }

    /// An administrator's token.
    pub fn admin_token(&self) -> &Token {
        &self.admin_token
    }

    /// As in `v1.36.3`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The API server's audit log, one JSON object a line; a request is in it before its answer is out.
    pub fn audit_log_path(&self) -> PathBuf {
        self.layout.audit_log()
    }

    /// What the four programs write.
    pub fn log_dir(&self) -> PathBuf {
        self.layout.logs()
    }

    /// An administrator's client configuration.
    pub fn client_config(&self) -> kube::Config {
        self.config.clone()
    }

    /// An administrator's client.
    pub fn client(&self) -> Result<kube::Client, Error> {
        Ok(kube::Client::try_from(self.client_config())?)
    }

    /// Stops everything in order and removes all traces. An API server without its etcd does not end, so etcd goes last.
    pub async fn stop(mut self) -> Result<(), Error> {
        let Processes { scheduler, controller_manager, apiserver, etcd } = &mut self.processes;
        tokio::try_join!(scheduler.stop(STOP_PATIENCE), controller_manager.stop(STOP_PATIENCE))?;
        apiserver.stop(STOP_PATIENCE).await?;
        etcd.stop(STOP_PATIENCE).await?;
        let root = &self.layout.root;
        std::fs::remove_dir_all(root).map_err(Error::io("remove", root))?;
        self.guard.release()
    }
}

impl Drop for ControlPlane {
    /// A test that failed leaves the logs behind.
    fn drop(&mut self) {
        if std::thread::panicking() && self.guard.keep_directory().is_ok() {
            eprintln!("the control plane's logs are kept in {}", self.log_dir().display());
        }
    }
}

/// Builds the programs of a release if they are not there.
pub async fn provide(release: Release) -> Result<Programs, Error> {
    let building = release.module.clone();
    tokio::task::spawn_blocking(move || Programs::provide(&release))
        .await
        .map_err(|join| Error::io("build", &building)(std::io::Error::other(join)))?
}

fn new_directory() -> Result<PathBuf, Error> {
    let directory =
        tempfile::Builder::new().prefix("doris-control-plane-").tempdir().map_err(Error::io("create", Path::new("a directory")))?;
    Ok(directory.keep())
}

/// Ports that were free a moment ago: all are held at once, so that they differ.
fn free_ports() -> Result<Ports, Error> {
    let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("open", Path::new("a port on loopback")));
    let held = [open()?, open()?, open()?, open()?, open()?];
    let number =
        |listener: &TcpListener| listener.local_addr().map(|address| address.port()).map_err(Error::io("open", Path::new("a port")));
    let [etcd, etcd_peer, apiserver, controller_manager, scheduler] = &held;
    Ok(Ports {
        etcd: number(etcd)?,
        etcd_peer: number(etcd_peer)?,
        apiserver: number(apiserver)?,
        controller_manager: number(controller_manager)?,
        scheduler: number(scheduler)?,
    })
}

/// Writes what the API server reads at its start.
fn write_inputs(layout: &Layout, audit: AuditLevel) -> Result<Tokens, Error> {
    for directory in [layout.logs(), layout.certificates()] {
        std::fs::create_dir(&directory).map_err(Error::io("create", &directory))?;
    }
    let tokens = Tokens::random()?;
    write_private(&layout.tokens(), &tokens.file())?;
    write_signing_key(&layout.signing_key(), &layout.verification_key())?;
    write_private(&layout.audit_policy(), &audit.policy().to_string())?;
    Ok(tokens)
}

async fn start_processes(
    programs: &Programs,
    layout: &Layout,
    tokens: &Tokens,
    options: &Options,
    guard: &mut Guard,
) -> Result<(Processes, kube::Config), Error> {
    let logs = layout.logs();
    let mut start = |name, program: &Path, arguments: Vec<String>| {
        let process = Process::start(name, program, &arguments, &logs)?;
        process.id().map_or(Ok(()), |id| guard.watch(id))?;
        Ok::<Process, Error>(process)
    };
    let mut etcd = start("etcd", &programs.etcd, layout.etcd_arguments())?;
    let mut apiserver = start("kube-apiserver", &programs.apiserver, layout.apiserver_arguments(options))?;
    let ca = ready::serving_certificate(layout, &mut [&mut etcd, &mut apiserver]).await?;
    let server = layout.server();
    for (path, user, token) in [
        (layout.admin_kubeconfig(), "admin", &tokens.admin),
        (layout.controller_manager_kubeconfig(), "controller-manager", &tokens.controller_manager),
        (layout.scheduler_kubeconfig(), "scheduler", &tokens.scheduler),
    ] {
        write_private(&path, &kubeconfig(&server, &ca, user, token)?)?;
    }
    let config = ready::client_config(&layout.admin_kubeconfig()).await?;
    ready::apiserver(layout, &config, &mut [&mut etcd, &mut apiserver]).await?;
    let controller_manager = start("kube-controller-manager", &programs.controller_manager, layout.controller_manager_arguments())?;
    let scheduler = start("kube-scheduler", &programs.scheduler, layout.scheduler_arguments())?;
    let mut processes = Processes { scheduler, controller_manager, apiserver, etcd };
    ready::controllers(layout, &config, &mut processes.all()).await?;
    Ok((processes, config))
}

impl Processes {
    fn all(&mut self) -> [&mut Process; 4] {
        [&mut self.etcd, &mut self.apiserver, &mut self.controller_manager, &mut self.scheduler]
    }
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn ports_differ() {
        let ports = free_ports().expect("ports");
        let mut all = [ports.etcd, ports.etcd_peer, ports.apiserver, ports.controller_manager, ports.scheduler];
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{ports:?}");
    }
}
