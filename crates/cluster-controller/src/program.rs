//! The program: from arguments to a running controller.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use controller_kit::args::ControllerArgs;
use controller_kit::clock::{Clock, SystemClock};
use controller_kit::discovery::ServerAbilities;
use controller_kit::leadership::{Closed, WriteGate};
use controller_kit::lease::{Claim, LeaderElector, ShardWork, Shards};
use controller_kit::metrics::Metrics;
use controller_kit::{scope, server, shutdown, telemetry, writes};
use doris_client::{Deadlines, Transport, WireTransport};
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, Parts};
use crate::controller::{self, Crew, Settings};

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
    Box::pin(serve(client, transport, arguments, stop)).await
}

/// Runs with a given way to Kubernetes and to Doris until it is told to stop or leadership is lost.
pub async fn serve(client: Client, transport: Arc<dyn Transport>, arguments: Arguments, stop: CancellationToken) -> anyhow::Result<()> {
    let shared = &arguments.shared;
    let metrics = Arc::new(Metrics::new("doris_operator"));
    let client = writes::counted(client, metrics.clone());
    let reach = shared.reach()?;
    scope::check(&client, &reach).await?;
    let abilities = ServerAbilities::discover(&client).await.context("the API server does not say what it can")?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let start = fastrand::u64(..);
    let posts = Posts::new(shared, client.clone(), clock.clone(), start);
    let parts = Parts { client, transport, clock, gate: posts.gate(), metrics: metrics.clone(), instance: shared.identity(NAME, start) };
    let mut ctx = Context::new(parts, &abilities, None);
    ctx.operator_namespace.clone_from(&arguments.own_namespace);
    let ctx = Arc::new(ctx);

    let (address, _) =
        server::serve(shared.listen, ctx.endpoints(), stop.clone()).await.with_context(|| format!("cannot listen on {}", shared.listen))?;
    tracing::info!(%address, kubernetes = format!("{}.{}", abilities.version.0, abilities.version.1), "started");

    let installation = shared.installation.clone().filter(|name| !name.is_empty());
    let claim = shared.claim(NAME, &reach).map(|claim| Claim::new(ctx.client.clone(), &claim, ctx.clock.clone(), metrics));
    let settings = Settings { reach, installation, concurrency: shared.concurrency, round_limit: shared.reconcile_limit(), seed: start };
    let work = async {
        match posts {
            Posts::Leader(elector) => Box::pin(lead(*elector, claim.as_ref(), ctx, settings, stop)).await,
            Posts::Shards(shards) => Box::pin(share(&shards, claim.as_ref(), &ctx, settings, stop)).await,
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = lost(claim.as_ref()) => Err(anyhow::anyhow!("another installation looks after all namespaces and may be writing already")),
    }
}

/// The Leases that this process runs for.
enum Posts {
    /// One, for everything.
    Leader(Box<LeaderElector>),
    /// One a shard.
    Shards(Box<Shards>),
}

impl Posts {
    fn new(arguments: &ControllerArgs, client: Client, clock: Arc<dyn Clock>, start: u64) -> Self {
        if arguments.sharded {
            Self::Shards(Box::new(Shards::new(client, arguments.election(NAME, start), clock)))
        } else {
            Self::Leader(Box::new(LeaderElector::new(&client, arguments.undivided_election(NAME, start), clock)))
        }
    }

    /// What everything is written under; shards have gates of their own.
    fn gate(&self) -> Arc<dyn WriteGate> {
        match self {
            Self::Leader(elector) => Arc::new(elector.leadership()),
            Self::Shards(_) => Arc::new(Closed),
        }
    }
}

/// Ends when a claim was lost to another installation; never without one.
async fn lost(claim: Option<&Claim>) {
    match claim {
        Some(claim) => claim.lost().await,
        None => std::future::pending().await,
    }
}

/// The crew of an installation that may have to wait for another one.
pub struct Claimed<'a> {
    /// What works on the shards.
    pub crew: &'a Crew,
    /// What has to be ours before it may.
    pub claim: Option<&'a Claim>,
}

impl ShardWork for Claimed<'_> {
    async fn begin(&self, shard: usize) {
        if let Some(claim) = self.claim {
            claim.acquire().await;
        }
        self.crew.begin(shard).await;
    }

    async fn end(&self, shard: usize) {
        self.crew.end(shard).await;
    }
}

/// Works on everything as long as the one Lease is held.
async fn lead(
    elector: LeaderElector,
    claim: Option<&Claim>,
    ctx: Arc<Context>,
    settings: Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let leadership = elector.leadership();
    let elected = CancellationToken::new();
    let election = tokio::spawn(elector.run(elected.clone()));
    let lost = leadership.lost();
    let turn = async {
        leadership.acquired().await;
        if let Some(claim) = claim {
            claim.acquire().await;
        }
        tracing::info!("leading");
    };
    let outcome = tokio::select! {
        () = controller::run_undivided(ctx, settings, turn, stop) => Ok(()),
        () = lost => Err(anyhow::anyhow!("leadership is lost; another process may be writing already")),
    };
    // The Lease is given up only after the last write.
    elected.cancel();
    election.await.context("the election broke off")?;
    outcome
}

/// Works on the shards whose Leases are held.
async fn share(
    shards: &Shards,
    claim: Option<&Claim>,
    ctx: &Arc<Context>,
    settings: Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let gates = shards.leaderships().into_iter().map(|leadership| Arc::new(leadership) as Arc<dyn WriteGate>).collect();
    let crew = Arc::new(Crew::divided(ctx, gates));
    let elected = CancellationToken::new();
    let work = Claimed { crew: &crew, claim };
    let elections = shards.run(elected.clone(), &work);
    let mut elections = std::pin::pin!(elections);
    tokio::select! {
        () = controller::run(crew.clone(), settings, async {}, stop) => {}
        outcome = &mut elections => return outcome.context("the elections ended"),
    }
    // The Leases are given up only after the last write.
    elected.cancel();
    elections.await.context("the elections broke off")
}
