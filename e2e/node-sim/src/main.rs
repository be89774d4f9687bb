//! Plays nodes, kubelets, volumes and the members of Doris clusters against any Kubernetes API server.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};
use node_sim::{AddressRange, Doris, NodeSim, NodeSpec, Options};
use tokio::signal::unix::{SignalKind, signal};

/// Plays nodes, kubelets, volumes and the members of Doris clusters against any Kubernetes API server.
#[derive(Debug, Parser)]
struct Arguments {
    /// Kubeconfig of the API server.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: PathBuf,
    /// How many nodes to register.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Name of the `StorageClass` to register; it becomes the default one.
    #[arg(long, default_value = "node-sim")]
    storage_class: String,
    /// First address of the pods; by default of a range that no other process of ours uses.
    #[arg(long)]
    pod_network: Option<Ipv4Addr>,
}

/// Of ids and names.
const SEED: u64 = 1;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    rustls::crypto::ring::default_provider().install_default().map_err(|_| anyhow::anyhow!("a TLS provider is already installed"))?;
    let arguments = Arguments::parse();
    let kubeconfig = Kubeconfig::read_from(&arguments.kubeconfig).context("cannot read the kubeconfig")?;
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.context("cannot use the kubeconfig")?;
    let client = kube::Client::try_from(config).context("cannot make a client")?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let range = AddressRange::take()?;
    let options = Options {
        nodes: (0..arguments.nodes).map(NodeSpec::numbered).collect(),
        storage_class: arguments.storage_class.clone(),
        pod_network: arguments.pod_network.unwrap_or_else(|| range.first()),
        pod_network_size: range.size(),
        ..Options::default()
    };
    client.apiserver_version().await.context("the API server does not answer")?;
    println!("node-sim: {} nodes and the StorageClass {} until Ctrl-C", arguments.nodes, arguments.storage_class);
    let _nodes = NodeSim::start(&client, Arc::new(Doris::on_loopback(SEED)), options);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
