//! The program: from arguments to a running controller.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use controller_kit::args::ControllerArgs;
use controller_kit::clock::{Clock, SystemClock};
use controller_kit::discovery::ServerAbilities;
use controller_kit::lease::LeaderElector;
use controller_kit::metrics::Metrics;
use controller_kit::{server, shutdown, telemetry, writes};
use doris_client::{Deadlines, Transport, WireTransport};
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, Parts};
use crate::controller::{self, Settings};

/// Name of this controller, in Leases, logs and Events.
pub const NAME: &str = "cluster-controller";

/// Creates, configures and deletes Apache Doris clusters on Kubernetes.
#[derive(Parser, Debug)]
#[command(version)]
pub struct Arguments {
    /// What every controller takes.
    #[command(flatten)]
    pub shared: ControllerArgs,
    /// Namespace that this process runs in: network policies let it reach the members' internal ports.
    #[arg(long, env = "POD_NAMESPACE")]
    pub own_namespace: Option<String>,
}

/// Runs until a signal comes or leadership is lost.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let shared = &arguments.shared;
    let _telemetry = telemetry::install(NAME, shared.log_format, shared.otlp_endpoint.as_deref())?;
    let stop = CancellationToken::new();
    shutdown::on_signals(stop.clone()).context("no signal can be waited for")?;
    let client = shared.client().await.context("no way to the API server")?;
    let transport = Arc::new(WireTransport::new(Deadlines::default()).context("no client for Doris")?);
    serve(client, transport, arguments, stop).await
}

/// Runs with a given way to Kubernetes and to Doris until it is told to stop or leadership is lost.
pub async fn serve(client: Client, transport: Arc<dyn Transport>, arguments: Arguments, stop: CancellationToken) -> anyhow::Result<()> {
    let shared = &arguments.shared;
    let metrics = Arc::new(Metrics::new("doris_operator"));
    let client = writes::counted(client, metrics.clone());
    let abilities = ServerAbilities::discover(&client).await.context("the API server does not say what it can")?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let start = fastrand::u64(..);
    let elector = LeaderElector::new(client.clone(), shared.election(NAME, start), clock.clone());
    let leadership = elector.leadership();
    let gate = Arc::new(leadership.clone());
    let parts = Parts { client, transport, clock, gate, metrics: metrics.clone(), instance: shared.identity(NAME, start) };
    let mut ctx = Context::new(parts, &abilities, None);
    ctx.operator_namespace.clone_from(&arguments.own_namespace);
    let ctx = Arc::new(ctx);

    let (address, _) =
        server::serve(shared.listen, ctx.endpoints(), stop.clone()).await.with_context(|| format!("cannot listen on {}", shared.listen))?;
    tracing::info!(%address, kubernetes = format!("{}.{}", abilities.version.0, abilities.version.1), "started");

    let settings = Settings { namespaces: shared.namespaces.clone(), concurrency: shared.concurrency, seed: start };
    let elected = CancellationToken::new();
    let election = tokio::spawn(elector.run(elected.clone()));
    let lost = leadership.lost();
    let turn = async {
        leadership.acquired().await;
        metrics.leads(true);
        tracing::info!("leading");
    };
    let outcome = tokio::select! {
        () = controller::run(ctx, settings, turn, stop.clone()) => Ok(()),
        () = lost => Err(anyhow::anyhow!("leadership is lost; another process may be writing already")),
    };
    // The Lease is given up only after the last write.
    elected.cancel();
    election.await.context("the election broke off")?;
    outcome
}
