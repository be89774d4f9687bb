//! Creates, configures and deletes Apache Doris clusters on Kubernetes.

use clap::Parser as _;
use cluster_controller::program::{Arguments, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(Arguments::parse()).await
}
