//! Creates, configures and deletes Apache Doris clusters on Kubernetes.

use clap::Parser as _;
use cluster_controller::program::{Arguments, run};

/// Fits a thousand clusters' small objects tightly and gives back what a burst of work took. What it does by itself is set where it is
/// built, in .cargo/config.toml.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(Arguments::parse()).await
}
