//! Starts a real Kubernetes control plane on loopback and keeps it until it is told to stop, or until a command has run against it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use node_sim::{Binding, Generic, NodeSim, NodeSpec};
use scenarios::control_plane::{ControlPlane, DEFAULT_VERSION, Options, Release, known_versions, provide};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A real Kubernetes control plane on this machine, for trying things out and for tests.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start it, print how to reach it, and stop it on Ctrl-C.
    Up {
        #[command(flatten)]
        start: Start,
        /// Copy the administrator's kubeconfig to this file; it is removed at the end.
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
    },
    /// Start it, run a command with KUBECONFIG, `KUBERNETES_SERVER` and `KUBERNETES_TOKEN` set, and end with the command's status.
    Run {
        #[command(flatten)]
        start: Start,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Only build the programs, so that the next start is quick.
    Build {
        /// Kubernetes version, one of the folders under e2e/real.
        #[arg(long, default_value = DEFAULT_VERSION)]
        version: String,
    },
    /// Print the versions that can be had.
    Versions,
}

#[derive(clap::Args)]
struct Start {
    /// Kubernetes version, one of the folders under e2e/real.
    #[arg(long, default_value = DEFAULT_VERSION)]
    version: String,
    /// How many simulated nodes to register. Their containers are processes in name only: they stay and are ready.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// First address of the pods. Nothing listens there, and a real server takes no loopback address for a Service's endpoint.
    #[arg(long, default_value = "10.244.0.1")]
    pod_network: Ipv4Addr,
    /// Bind a claim as soon as it exists, not only when a pod uses it.
    #[arg(long)]
    bind_claims_at_once: bool,
    /// Give pods service accounts and token volumes, as a cluster of your own does.
    #[arg(long)]
    service_account_admission: bool,
}

/// A control plane with the nodes that are played beside it.
struct Running {
    control_plane: ControlPlane,
    nodes: NodeSim,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    // A failed probe of a server that is still starting is no news.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,scenarios=info,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::Up { start, kubeconfig } => up(start, kubeconfig.as_deref()).await,
        Command::Run { start, command } => run(start, &command).await,
        Command::Build { version } => {
            let programs = provide(Release::find(&version)?).await?;
            println!("{}", programs.apiserver.parent().unwrap_or(Path::new("")).display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Versions => {
            println!("{}", known_versions().join("\n"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Start {
    async fn start(self) -> anyhow::Result<Running> {
        let options = Options { version: self.version, service_account_admission: self.service_account_admission, ..Options::default() };
        let control_plane = ControlPlane::start(options).await?;
        let nodes = node_sim::Options {
            nodes: (0..self.nodes).map(NodeSpec::numbered).collect(),
            pod_network: self.pod_network,
            binding: if self.bind_claims_at_once { Binding::Immediate } else { Binding::WaitForFirstConsumer },
            ..node_sim::Options::default()
        };
        let nodes = NodeSim::start(&control_plane.client()?, Arc::new(Generic), nodes);
        Ok(Running { control_plane, nodes })
    }
}

impl Running {
    async fn stop(self) -> anyhow::Result<()> {
        drop(self.nodes);
        Ok(self.control_plane.stop().await?)
    }
}

async fn up(start: Start, kubeconfig: Option<&Path>) -> anyhow::Result<ExitCode> {
    // From here on a Ctrl-C is an order to stop in order, also while things are still starting.
    let mut signals = StopSignals::new()?;
    let running = tokio::select! {
        started = start.start() => started?,
        () = signals.wait() => return Ok(ExitCode::SUCCESS),
    };
    if let Some(copy) = kubeconfig {
        std::fs::copy(running.control_plane.kubeconfig_path(), copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    print_hints(&running.control_plane, kubeconfig);
    signals.wait().await;
    println!("stopping");
    if let Some(copy) = kubeconfig {
        std::fs::remove_file(copy).with_context(|| format!("cannot remove {}", copy.display()))?;
    }
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

async fn run(start: Start, command: &[String]) -> anyhow::Result<ExitCode> {
    let mut signals = StopSignals::new()?;
    let running = tokio::select! {
        started = start.start() => started?,
        () = signals.wait() => return Ok(ExitCode::FAILURE),
    };
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", running.control_plane.kubeconfig_path())
        .env("KUBERNETES_SERVER", running.control_plane.server())
        .env("KUBERNETES_TOKEN", running.control_plane.admin_token().expose())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let succeeded = tokio::select! {
        status = child.wait() => status?.success(),
        () = signals.wait() => false,
    };
    running.stop().await?;
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_hints(control_plane: &ControlPlane, kubeconfig: Option<&Path>) {
    let path = kubeconfig.map_or_else(|| control_plane.kubeconfig_path(), Path::to_owned);
    println!("Kubernetes {} answers on {}\n", control_plane.version(), control_plane.server());
    println!("  export KUBECONFIG={}", path.display());
    println!("  kubectl get nodes,storageclasses\n");
    println!("logs:      {}", control_plane.log_dir().display());
    println!("audit log: {}", control_plane.audit_log_path().display());
    println!("Ctrl-C stops it and removes everything.");
}

struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
