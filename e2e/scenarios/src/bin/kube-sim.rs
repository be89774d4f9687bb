//! `kube-sim`: an in-memory Kubernetes API server on a port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use kube_sim::{Identity, KubeSim, Options};
use node_sim::{AddressRange, Binding, Doris, NodeSim, NodeSpec};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves the Kubernetes API from memory, with the built-in controllers, until it is stopped.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
    /// Bearer token of the administrator; without one everybody is an administrator.
    #[arg(long)]
    admin_token: Option<String>,
    /// Nodes that run pods in this process, members of Doris clusters on loopback addresses.
    #[arg(long, default_value_t = 0)]
    nodes: usize,
    /// Writes a kubeconfig of the administrator to this file.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Version of Kubernetes to simulate, from 1.16 to 1.36.
    #[arg(long, default_value = "1.36", value_parser = minor_version)]
    kubernetes_version: u32,
    /// Seed of uids, generated names and tokens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn minor_version(version: &str) -> Result<u32, String> {
    let minor = version.trim_start_matches('v').strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse().ok());
    minor.filter(|minor| (16..=36).contains(minor)).ok_or_else(|| "a version from 1.16 to 1.36 is wanted".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = listener.local_addr()?;
    let options = Options {
        minor: arguments.kubernetes_version,
        seed: arguments.seed,
        admin_token: arguments.admin_token.clone(),
        storage_class: arguments.nodes == 0,
        ..Options::default()
    };
    let sim = KubeSim::new(options);
    sim.spawn_controllers();
    let range = if arguments.nodes > 0 { Some(AddressRange::take()?) } else { None };
    let _nodes = range.as_ref().map(|range| start_nodes(&sim, range, &arguments));
    let server = tokio::spawn(sim.serve(listener));
    if let Some(file) = &arguments.kubeconfig {
        let text = kubeconfig(address, arguments.admin_token.as_deref());
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!("kube-sim: Kubernetes 1.{} on http://{address}", arguments.kubernetes_version);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    sim.stop();
    server.await??;
    Ok(())
}

/// Starts nodes that run pods and bring the default StorageClass. All are in one zone and claims are bound at once, as where
/// the recorded conversations were held.
fn start_nodes(sim: &KubeSim, range: &AddressRange, arguments: &Arguments) -> NodeSim {
    let client = kube::Client::new(sim.service("node-sim", Identity::admin()), "default");
    let options = node_sim::Options {
        nodes: (0..arguments.nodes).map(|index| NodeSpec { zone: "z1".to_owned(), ..NodeSpec::numbered(index) }).collect(),
        storage_class: "standard".to_owned(),
        default_class: true,
        binding: Binding::Immediate,
        pod_network: range.first(),
        pod_network_size: range.size(),
        seed: arguments.seed,
        ..node_sim::Options::default()
    };
    NodeSim::start(&client, Arc::new(Doris::on_loopback(arguments.seed)), options)
}

fn kubeconfig(address: SocketAddr, token: Option<&str>) -> String {
    let user = token.map_or_else(|| "{}".to_owned(), |token| format!("{{token: \"{token}\"}}"));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kube-sim\n  cluster: {{server: \"http://{address}\"}}\nusers:\n- name: admin\n  \
         user: {user}\ncontexts:\n- name: kube-sim\n  context: {{cluster: kube-sim, user: admin}}\ncurrent-context: kube-sim\n"
    )
}
