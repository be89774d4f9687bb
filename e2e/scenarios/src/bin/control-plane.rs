//! Starts a real Kubernetes control plane on loopback and keeps it until it is told to stop.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
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
        /// Copy the administrator's kubeconfig to this file; it is removed at the end.
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
        /// Give pods service accounts and token volumes, as a cluster of your own does.
        #[arg(long)]
        service_account_admission: bool,
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,scenarios=info,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::Up { version, nodes, pod_network, bind_claims_at_once, kubeconfig, service_account_admission } => {
            let nodes = node_sim::Options {
                nodes: (0..nodes).map(NodeSpec::numbered).collect(),
                pod_network,
                binding: if bind_claims_at_once { Binding::Immediate } else { Binding::WaitForFirstConsumer },
                ..node_sim::Options::default()
            };
            up(Options { version, service_account_admission, ..Options::default() }, nodes, kubeconfig.as_deref()).await
        }
        Command::Build { version } => {
            let programs = provide(Release::find(&version)?).await?;
            println!("{}", programs.apiserver.parent().unwrap_or(Path::new("")).display());
            Ok(())
        }
        Command::Versions => {
            println!("{}", known_versions().join("\n"));
            Ok(())
        }
    }
}

async fn up(options: Options, nodes: node_sim::Options, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    // From here on a Ctrl-C is an order to stop in order, also while things are still starting.
    let mut stop = StopSignals::new()?;
    let control_plane = tokio::select! {
        started = ControlPlane::start(options) => started?,
        () = stop.wait() => return Ok(()),
    };
    let played = NodeSim::start(&control_plane.client()?, Arc::new(Generic), nodes);
    if let Some(copy) = kubeconfig {
        std::fs::copy(control_plane.kubeconfig_path(), copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    print_hints(&control_plane, kubeconfig);
    stop.wait().await;
    println!("stopping");
    if let Some(copy) = kubeconfig {
        std::fs::remove_file(copy).with_context(|| format!("cannot remove {}", copy.display()))?;
    }
    drop(played);
    Ok(control_plane.stop().await?)
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
