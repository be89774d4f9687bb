//! What many clusters cost the API server and the controller.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use kube::Client;
use scenarios::control_plane::{ControlPlane, DEFAULT_VERSION, Options};
use scenarios::demo::{ControllerProcess, Settings, Start, run_if_asked};
use scenarios::scale::clusters::{Fleet, wait_until_quiet};
use scenarios::scale::figures::{Between, Figures, Memory, Requests, Rounds, table};
use scenarios::scale::process::{Usage, raise_file_limit, usage};
use scenarios::scale::scrape::{Buckets, scrape, until_ready};
use scenarios::scale::server::Server;
use scenarios::scale::takeover::{End, follow};
use scenarios::scale::tally::{self, Counts, totals};
use scenarios::scale::{cases, unrelated};
use tokio::time::{Instant, sleep};

const HISTOGRAM: &str = "doris_operator_reconcile_duration_seconds";
/// How long a controller without clusters is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(5);

/// Makes many clusters and prints what they cost.
#[derive(Parser)]
struct Arguments {
    /// How many clusters.
    #[arg(long, default_value_t = 10)]
    clusters: usize,
    /// Followers in each.
    #[arg(long, default_value_t = 3)]
    frontends: i32,
    /// Backends in each.
    #[arg(long, default_value_t = 3)]
    backends: i32,
    /// `ConfigMap`s and Secrets that have nothing to do with us, made before.
    #[arg(long, default_value_t = 0)]
    unrelated: usize,
    /// Seconds to measure idleness for.
    #[arg(long, default_value_t = 180)]
    idle: u64,
    /// Seconds that all clusters may take to be Ready.
    #[arg(long, default_value_t = 1800)]
    deadline: u64,
    /// Nodes that run pods.
    #[arg(long, default_value_t = 10)]
    nodes: usize,
    /// Leave out what happens when the controller is restarted or crashes.
    #[arg(long)]
    no_restarts: bool,
    /// Start the real control plane of this version and measure on it.
    #[arg(long, num_args = 0..=1, default_missing_value = DEFAULT_VERSION, value_name = "VERSION", conflicts_with = "kubeconfig")]
    real: Option<String>,
    /// Kubeconfig of a real API server, with its controllers and its scheduler; without one it is simulated in this process.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Audit log of that server: requests are counted from it, and not at all without it.
    #[arg(long, requires = "kubeconfig")]
    audit_log: Option<PathBuf>,
    /// The controller's program; without one it is the one that is built into this program.
    #[arg(long)]
    controller: Option<PathBuf>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
    /// Do the runs that the documentation shows and print its table; of the other arguments only `--idle` and `--deadline` count.
    #[arg(long)]
    table: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(controller) = run_if_asked().await {
        return controller;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    if arguments.table {
        print!("{}", table(&cases::measure(arguments.idle, arguments.deadline).await?));
        return Ok(());
    }
    raise_file_limit();
    let settings = Settings { nodes: arguments.nodes, timing: scenarios::scale::server::timing(), ..Settings::default() };
    let control_plane = match &arguments.real {
        Some(version) => Some(ControlPlane::start(Options { version: version.clone(), ..Options::default() }).await?),
        None => None,
    };
    let server = match (&control_plane, &arguments.kubeconfig) {
        (Some(real), _) => Server::real(&real.kubeconfig_path(), Some(real.audit_log_path()), &settings).await?,
        (None, Some(file)) => Server::real(file, arguments.audit_log.clone(), &settings).await?,
        (None, None) => Server::simulated(&settings).await?,
    };
    let run = Run { arguments: &arguments, server: &server, client: server.client() };
    let outcome = tokio::select! {
        outcome = run.measure() => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("no signal can be waited for").and(Err(anyhow::anyhow!("interrupted"))),
    };
    server.stop().await?;
    if let Some(control_plane) = control_plane {
        control_plane.stop().await?;
    }
    let figures = outcome?;
    if arguments.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        print!("{}", figures.text());
    }
    Ok(())
}

/// What was read at one moment.
struct Reading {
    usage: Usage,
    counts: Option<Counts>,
    rounds: Buckets,
}

struct Run<'a> {
    arguments: &'a Arguments,
    server: &'a Server,
    client: Client,
}

impl Run<'_> {
    async fn measure(&self) -> anyhow::Result<Figures> {
        let arguments = self.arguments;
        if arguments.unrelated > 0 {
            unrelated::create(&self.client, arguments.unrelated).await.context("unrelated objects")?;
            eprintln!("{} unrelated objects are there", arguments.unrelated);
        }
        let (mut controller, start_empty) = self.start_and_fill(1).await?;
        sleep(SETTLE).await;
        let empty = self.read(&controller).await?;
        let fleet = Fleet { clusters: arguments.clusters, frontends: arguments.frontends, backends: arguments.backends };
        let began = Instant::now();
        fleet.create(&self.client).await?;
        eprintln!("{} clusters are applied after {:.1} s", fleet.clusters, began.elapsed().as_secs_f64());
        let arrived = tokio::select! {
            arrived = fleet.arrive(&self.client, began, Duration::from_secs(arguments.deadline)) => arrived,
            dead = death(&mut controller) => Err(dead),
        };
        let arrival = arrived.with_context(|| format!("log of the controller:\n{}", controller.tail()))?;
        let ready = self.read(&controller).await?;
        let settled = wait_until_quiet(self.server).await?;
        let quiet = self.read(&controller).await?;
        eprintln!("quiet {:.0} s later; measuring {} s of idleness", settled.as_secs_f64(), arguments.idle);
        sleep(Duration::from_secs(arguments.idle)).await;
        let idle = self.read(&controller).await?;
        let figures = Figures {
            clusters: fleet.clusters,
            members: (fleet.frontends, fleet.backends),
            unrelated: arguments.unrelated,
            pods_after: arrival.pods.as_secs_f64(),
            ready_after: arrival.clusters.as_secs_f64(),
            rounds_until_ready: rounds(&ready.rounds),
            rounds_idle: rounds(&idle.rounds.since(&quiet.rounds)),
            until_ready: requests(&empty, &ready, fleet.clusters),
            settling: requests(&ready, &quiet, fleet.clusters),
            idle_seconds: arguments.idle,
            idle_writes: counted(&quiet, &idle).map(|counts| totals(&counts).writes),
            memory_empty: memory(empty.usage),
            memory_ready: memory(ready.usage),
            memory_idle: memory(idle.usage),
            cpu_until_ready: ready.usage.cpu - empty.usage.cpu,
            cpu_idle: idle.usage.cpu - quiet.usage.cpu,
            start_empty: start_empty.as_secs_f64(),
            ..Figures::default()
        };
        if let Some(counts) = counted(&quiet, &idle).filter(|counts| totals(counts).writes > 0) {
            eprintln!("requests while idle: {counts:?}");
        }
        if arguments.no_restarts {
            controller.stop().await?;
            return Ok(figures);
        }
        self.measure_restarts(controller, figures).await
    }

    async fn measure_restarts(&self, controller: ControllerProcess, figures: Figures) -> anyhow::Result<Figures> {
        let middle = self.arguments.clusters / 2;
        eprintln!("restarting the controller");
        let (controller, restart) = follow(self.server, &self.client, controller, End::Asked, middle, async || self.start(2).await).await?;
        wait_until_quiet(self.server).await?;
        let restarted = self.read(&controller).await?;
        eprintln!("killing the controller");
        let (controller, crash) = follow(self.server, &self.client, controller, End::Killed, middle, async || self.start(3).await).await?;
        let alone = between(restart, crash);
        wait_until_quiet(self.server).await?;
        eprintln!("the same with a second one that waits");
        let (waiting, start_full) = self.start_and_fill(4).await?;
        let (controller, restart) = follow(self.server, &self.client, controller, End::Asked, middle, async || Ok(waiting)).await?;
        wait_until_quiet(self.server).await?;
        let (waiting, _) = self.start_and_fill(5).await?;
        let (controller, crash) = follow(self.server, &self.client, controller, End::Killed, middle, async || Ok(waiting)).await?;
        controller.stop().await?;
        let start_full = Some(start_full.as_secs_f64());
        Ok(Figures { alone, paired: between(restart, crash), start_full, memory_restarted: memory(restarted.usage), ..figures })
    }

    /// Starts a controller, and tells when its caches were filled.
    async fn start_and_fill(&self, number: u32) -> anyhow::Result<(ControllerProcess, Duration)> {
        let began = Instant::now();
        let controller = self.start(number).await?;
        until_ready(controller.metrics()).await.with_context(|| format!("log of the controller:\n{}", controller.tail()))?;
        Ok((controller, began.elapsed()))
    }

    async fn start(&self, number: u32) -> anyhow::Result<ControllerProcess> {
        let own = std::env::current_exe().context("this program can't find itself")?;
        let start = Start {
            is_ours: self.arguments.controller.is_none(),
            program: self.arguments.controller.clone().unwrap_or(own),
            kubeconfig: &self.server.kubeconfig(),
            log: self.server.file(&format!("cluster-controller-{number}.log")),
            arguments: Vec::new(),
        };
        Ok(ControllerProcess::start(start).await?)
    }

    async fn read(&self, controller: &ControllerProcess) -> anyhow::Result<Reading> {
        let pid = controller.id().context("the controller ended")?;
        let rounds = Buckets::read(&scrape(controller.metrics()).await?, HISTOGRAM);
        Ok(Reading { usage: usage(pid)?, counts: self.server.counts()?, rounds })
    }
}

/// Waits until a controller ends that nobody asked to.
async fn death(controller: &mut ControllerProcess) -> anyhow::Error {
    loop {
        if let Err(error) = controller.check_alive() {
            return error.into();
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn counted(from: &Reading, to: &Reading) -> Option<Counts> {
    Some(tally::between(from.counts.as_ref()?, to.counts.as_ref()?))
}

fn requests(from: &Reading, to: &Reading, clusters: usize) -> Option<Requests> {
    let counts = counted(from, to)?;
    let sums = totals(&counts);
    #[expect(clippy::cast_precision_loss, reason = "far fewer requests than that")]
    let each = |count: u64| count as f64 / clusters.max(1) as f64;
    let rows = counts.iter().filter(|((_, resource), _)| resource != "leases");
    Some(Requests {
        writes: each(sums.writes),
        reads: each(sums.reads),
        each: rows.map(|((verb, resource), count)| (verb.clone(), resource.clone(), each(*count))).collect(),
    })
}

fn between(restart: Option<Duration>, crash: Option<Duration>) -> Between {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    Between { restart: seconds(restart), crash: seconds(crash) }
}

fn rounds(buckets: &Buckets) -> Rounds {
    let milliseconds = |share| buckets.quantile(share).map(|seconds| seconds * 1000.0);
    Rounds { count: buckets.count(), p50: milliseconds(0.5), p99: milliseconds(0.99) }
}

fn memory(usage: Usage) -> Memory {
    #[expect(clippy::cast_precision_loss, reason = "a process has far less memory than that")]
    let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
    Memory { resident: mebibytes(usage.resident), allocated: mebibytes(usage.anonymous), peak: mebibytes(usage.peak) }
}
