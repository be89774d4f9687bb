//! Starts a real Kubernetes control plane on loopback and keeps it until it is told to stop.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
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
        Command::Up { version, kubeconfig, service_account_admission } => {
            up(Options { version, service_account_admission, ..Options::default() }, kubeconfig.as_deref()).await
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

async fn up(options: Options, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    // From here on a Ctrl-C is an order to stop in order, also while things are still starting.
    let mut stop = StopSignals::new()?;
    let control_plane = tokio::select! {
        started = ControlPlane::start(options) => started?,
        () = stop.wait() => return Ok(()),
    };
    if let Some(copy) = kubeconfig {
        std::fs::copy(control_plane.kubeconfig_path(), copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    print_hints(&control_plane, kubeconfig);
    stop.wait().await;
    println!("stopping");
    if let Some(copy) = kubeconfig {
        std::fs::remove_file(copy).with_context(|| format!("cannot remove {}", copy.display()))?;
    }
    Ok(control_plane.stop().await?)
}

fn print_hints(control_plane: &ControlPlane, kubeconfig: Option<&Path>) {
    let path = kubeconfig.map_or_else(|| control_plane.kubeconfig_path(), Path::to_owned);
    println!("Kubernetes {} answers on {}\n", control_plane.version(), control_plane.server());
    println!("  export KUBECONFIG={}", path.display());
    println!("  kubectl get namespaces\n");
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
