//! Starts a real Kubernetes control plane on loopback and keeps it until it is told to stop, or until a command has run against it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use node_sim::{Binding, Engine, Generic, NodeSim, NodeSpec};
use scenarios::control_plane::{ControlPlane, DEFAULT_VERSION, Options, Release, Tool, known_versions, provide};
use scenarios::demo::AddressRange;
use scenarios::real::doris_engine;
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
        /// Helm 3, Helm 4 and Argo CD's Lua too, which the tests of the delivery run.
        #[arg(long)]
        tools: bool,
    },
    /// Print the versions that can be had.
    Versions,
}

#[derive(clap::Args)]
struct Start {
    /// Kubernetes version, one of the folders under e2e/real.
    #[arg(long, default_value = DEFAULT_VERSION)]
    version: String,
    /// How many simulated nodes to register.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// What runs in the pods; by default doris for `up` and processes for `run`.
    #[arg(long)]
    pods: Option<Pods>,
    /// Put all nodes into this zone; without it there are three.
    #[arg(long)]
    zone: Option<String>,
    /// Bind a claim as soon as it exists, not only when a pod uses it.
    #[arg(long)]
    bind_claims_at_once: bool,
    /// Give pods service accounts and token volumes, as a cluster of your own does.
    #[arg(long)]
    service_account_admission: bool,
}

/// What the containers of simulated nodes are.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pods {
    /// Doris members that speak Doris' protocols on loopback addresses; other containers as in `processes`. A real server takes no
    /// loopback address for the endpoints of a Service, so Services have none.
    Doris,
    /// Processes in name only: they stay and are ready. Nothing listens, and Services have endpoints.
    Processes,
}

/// Where pods get their addresses when nothing listens there.
const NOBODYS_NETWORK: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// A control plane with the nodes that are played beside it.
struct Running {
    control_plane: ControlPlane,
    nodes: NodeSim,
    pods: Pods,
    _range: Option<AddressRange>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    // A failed probe of a server that is still starting is no news.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,scenarios=info,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::Up { start, kubeconfig } => up(start.with(Pods::Doris), kubeconfig.as_deref()).await,
        Command::Run { start, command } => run(start.with(Pods::Processes), &command).await,
        Command::Build { version, tools } => {
            let programs = provide(Release::find(&version)?).await?;
            println!("{}", programs.apiserver.parent().unwrap_or(Path::new("")).display());
            for tool in Tool::ALL.into_iter().filter(|_| tools) {
                println!("{}", tool.provide()?.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Versions => {
            println!("{}", known_versions().join("\n"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Start {
    fn with(self, pods: Pods) -> Self {
        Self { pods: Some(self.pods.unwrap_or(pods)), ..self }
    }

    async fn start(self) -> anyhow::Result<Running> {
        let pods = self.pods.unwrap_or(Pods::Processes);
        let range = (pods == Pods::Doris).then(AddressRange::take).transpose()?;
        let options = Options { version: self.version, service_account_admission: self.service_account_admission, ..Options::default() };
        let control_plane = ControlPlane::start(options).await?;
        let nodes = node_sim::Options {
            nodes: (0..self.nodes).map(|index| node(index, self.zone.as_deref())).collect(),
            pod_network: range.as_ref().map_or(NOBODYS_NETWORK, AddressRange::first),
            binding: if self.bind_claims_at_once { Binding::Immediate } else { Binding::WaitForFirstConsumer },
            ..node_sim::Options::default()
        };
        let engine: Arc<dyn Engine> = if pods == Pods::Doris { Arc::new(doris_engine()) } else { Arc::new(Generic) };
        let nodes = NodeSim::start(&control_plane.client()?, engine, nodes);
        Ok(Running { control_plane, nodes, pods, _range: range })
    }
}

fn node(index: usize, zone: Option<&str>) -> NodeSpec {
    let numbered = NodeSpec::numbered(index);
    NodeSpec { zone: zone.map_or(numbered.zone, str::to_owned), ..numbered }
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
    print_hints(&running, kubeconfig);
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

fn print_hints(running: &Running, kubeconfig: Option<&Path>) {
    let control_plane = &running.control_plane;
    let path = kubeconfig.map_or_else(|| control_plane.kubeconfig_path(), Path::to_owned);
    println!("Kubernetes {} answers on {}\n", control_plane.version(), control_plane.server());
    println!("  export KUBECONFIG={}", path.display());
    println!("  kubectl get nodes,storageclasses");
    if running.pods == Pods::Doris {
        println!("  kubectl apply --server-side -f deploy/crds");
        println!("  cargo run --bin cluster-controller -- --listen 127.0.0.1:0 --log-format text   # in a terminal of its own");
        println!("  kubectl apply -f deploy/examples/basic.yaml");
        println!("  kubectl get dcr --watch");
    }
    println!();
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
