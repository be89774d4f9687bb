//! Plays nodes, kubelets and volumes against any Kubernetes API server.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use doris_sim::{World, WorldOptions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use node_sim::{Doris, NodeSim, NodeSpec, Options};

/// Plays nodes, kubelets and volumes against any Kubernetes API server.
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
    /// First address of the pods.
    #[arg(long, default_value = "127.64.0.1")]
    pod_network: Ipv4Addr,
}

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
    let world = World::new(WorldOptions { wire: true, ..WorldOptions::default() });
    let options = Options {
        nodes: (0..arguments.nodes).map(NodeSpec::numbered).collect(),
        storage_class: arguments.storage_class,
        pod_network: arguments.pod_network,
        ..Options::default()
    };
    let _nodes = NodeSim::start(&client, Arc::new(Doris::new(world)), options);
    tracing::info!(nodes = arguments.nodes, "playing nodes until interrupted");
    tokio::signal::ctrl_c().await.context("cannot wait for a signal")
}
