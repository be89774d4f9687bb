//! What many clusters cost the API server and the controller.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use doris_api::DorisCluster;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use scenarios::demo::progress::{is_ready, why_not_ready};
use scenarios::demo::{ControllerProcess, Settings, Start, run_if_asked};
use scenarios::scale::process::{Usage, usage};
use scenarios::scale::scrape::{Buckets, scrape};
use scenarios::scale::server::Server;
use scenarios::scale::tally::{Counts, between, totals};
use scenarios::scale::unrelated;
use tokio::time::{Instant, interval, sleep};

const EXAMPLE: &str = include_str!("../../../../deploy/examples/basic.yaml");
const HISTOGRAM: &str = "doris_operator_reconcile_duration_seconds";
/// Clusters that are applied at the same time.
const AT_ONCE: usize = 16;
/// How long nothing is written before the idle time is measured.
const QUIET: Duration = Duration::from_secs(5);
/// How long quiet is waited for.
const QUIET_LIMIT: Duration = Duration::from_secs(120);

/// Makes many clusters of the basic example and prints what they cost.
#[derive(Parser)]
struct Arguments {
    /// How many clusters.
    #[arg(long, default_value_t = 10)]
    clusters: usize,
    /// ConfigMaps and Secrets that have nothing to do with us, made before.
    #[arg(long, default_value_t = 0)]
    unrelated: usize,
    /// Seconds to measure idleness for.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Seconds that all clusters may take to be Ready.
    #[arg(long, default_value_t = 1800)]
    deadline: u64,
    /// Nodes that run pods.
    #[arg(long, default_value_t = 10)]
    nodes: usize,
    /// Kubeconfig of a real API server, with its controllers and its scheduler; without one it is simulated in this process.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Audit log of that server: requests are counted from it, and not at all without it.
    #[arg(long, requires = "kubeconfig")]
    audit_log: Option<PathBuf>,
    /// The controller's program; without one it is the one that is built into this program.
    #[arg(long)]
    controller: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(controller) = run_if_asked().await {
        return controller;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let settings = Settings { nodes: arguments.nodes, ..Settings::default() };
    let server = match &arguments.kubeconfig {
        None => Server::simulated(&settings).await?,
        Some(file) => Server::real(file, arguments.audit_log.clone(), &settings).await?,
    };
    let outcome = tokio::select! {
        outcome = measure(&arguments, &server) => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.context("no signal can be waited for"),
    };
    server.stop().await?;
    outcome
}

async fn measure(arguments: &Arguments, server: &Server) -> anyhow::Result<()> {
    let client = server.client();
    if arguments.unrelated > 0 {
        unrelated::create(&client, arguments.unrelated).await.context("unrelated objects")?;
        eprintln!("{} unrelated objects are there", arguments.unrelated);
    }
    let controller = start_controller(arguments, server).await?;
    let pid = controller.id().context("the controller ended")?;
    sleep(QUIET).await;
    let (usage_before, counts_before) = (usage(pid)?, server.counts()?.unwrap_or_default());
    let began = Instant::now();
    create(&client, arguments.clusters).await?;
    eprintln!("{} clusters are applied after {:.1} s", arguments.clusters, began.elapsed().as_secs_f64());
    let all_ready =
        wait_until_ready(&client, arguments, began).await.with_context(|| format!("log of the controller:\n{}", controller.tail()))?;
    let (usage_ready, counts_ready) = (usage(pid)?, server.counts()?);
    let latencies_ready = Buckets::read(&scrape(controller.metrics()).await?, HISTOGRAM);
    let settled = wait_until_quiet(server).await?;
    let (usage_settled, counts_settled) = (usage(pid)?, server.counts()?);
    eprintln!("measuring {} s of idleness", arguments.idle);
    sleep(Duration::from_secs(arguments.idle)).await;
    let (usage_idle, counts_idle) = (usage(pid)?, server.counts()?);
    let latencies_idle = Buckets::read(&scrape(controller.metrics()).await?, HISTOGRAM).since(&latencies_ready);
    controller.stop().await?;

    println!("clusters                       {}", arguments.clusters);
    println!("unrelated objects              {}", arguments.unrelated);
    println!("all Ready after                {:.1} s", all_ready.as_secs_f64());
    print_latencies("until Ready", &latencies_ready);
    print_latencies("afterwards", &latencies_idle);
    print_usage("without clusters", usage_before, 0.0);
    print_usage("all Ready", usage_ready, usage_before.cpu);
    print_usage("after the idle time", usage_idle, usage_settled.cpu);
    if let (Some(ready), Some(quiet), Some(idle)) = (counts_ready, counts_settled, counts_idle) {
        print_requests("until all are Ready", &between(&counts_before, &ready), arguments.clusters);
        print_requests(
            &format!("from then until it is quiet ({:.0} s)", settled.as_secs_f64()),
            &between(&ready, &quiet),
            arguments.clusters,
        );
        let while_idle = between(&quiet, &idle);
        print_requests("while idle", &while_idle, arguments.clusters);
        #[expect(clippy::cast_precision_loss, reason = "a few writes")]
        let a_minute = totals(&while_idle).writes as f64 * 60.0 / Duration::from_secs(arguments.idle.max(1)).as_secs_f64();
        println!("writes per idle minute         {a_minute:.1}");
    }
    Ok(())
}

async fn start_controller(arguments: &Arguments, server: &Server) -> anyhow::Result<ControllerProcess> {
    let own = std::env::current_exe().context("this program can't find itself")?;
    let start = Start {
        is_ours: arguments.controller.is_none(),
        program: arguments.controller.clone().unwrap_or(own),
        kubeconfig: &server.kubeconfig(),
        log: server.file("cluster-controller.log"),
        arguments: Vec::new(),
    };
    Ok(ControllerProcess::start(start).await?)
}

/// Each cluster has a namespace of its own.
async fn create(client: &Client, count: usize) -> anyhow::Result<()> {
    let example: DorisCluster = serde_saphyr::from_str(EXAMPLE).context("the basic example")?;
    let created = stream::iter(0..count).map(|index| {
        let (client, mut cluster) = (client.clone(), example.clone());
        async move {
            let name = format!("scale-{index}");
            let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
            let namespace = Namespace { metadata, ..Namespace::default() };
            Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("a namespace")?;
            cluster.metadata.name = Some(name.clone());
            let clusters: Api<DorisCluster> = Api::namespaced(client, &name);
            clusters.create(&PostParams::default(), &cluster).await.map(drop).context("a cluster")
        }
    });
    created.buffer_unordered(AT_ONCE).try_collect::<()>().await
}

async fn wait_until_ready(client: &Client, arguments: &Arguments, began: Instant) -> anyhow::Result<Duration> {
    let clusters: Api<DorisCluster> = Api::all(client.clone());
    let mut changes = pin!(watcher(clusters, watcher::Config::default()).default_backoff().applied_objects());
    let (mut ready, mut last) = (BTreeSet::new(), None);
    let mut told = interval(Duration::from_secs(10));
    let mut deadline = pin!(sleep(Duration::from_secs(arguments.deadline)));
    while ready.len() < arguments.clusters {
        tokio::select! {
            Some(change) = changes.next() => {
                let cluster = change.context("the watch of clusters")?;
                if is_ready(&cluster) {
                    ready.insert(cluster.name_any());
                } else {
                    ready.remove(&cluster.name_any());
                    last = Some(cluster);
                }
            }
            _ = told.tick() => eprintln!("{:6.1} s: {} of {} are Ready", began.elapsed().as_secs_f64(), ready.len(), arguments.clusters),
            () = deadline.as_mut() => {
                let last = last.map(|cluster| format!("{}: {}", cluster.name_any(), why_not_ready(&cluster))).unwrap_or_default();
                anyhow::bail!("only {} of {} are Ready after {} s; {last}", ready.len(), arguments.clusters, arguments.deadline);
            }
        }
    }
    Ok(began.elapsed())
}

/// Waits until nothing was written for a while, and tells how long that took.
async fn wait_until_quiet(server: &Server) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut last = totals(&server.counts()?.unwrap_or_default()).writes;
    loop {
        sleep(QUIET).await;
        let now = totals(&server.counts()?.unwrap_or_default()).writes;
        if now == last || began.elapsed() > QUIET_LIMIT {
            return Ok(began.elapsed());
        }
        last = now;
    }
}

fn print_latencies(when: &str, buckets: &Buckets) {
    let milliseconds = |share| buckets.quantile(share).map_or_else(|| "-".to_owned(), |seconds| format!("{:.0} ms", seconds * 1000.0));
    println!("reconciles, {when:<18} {}, P50 {}, P99 {}", buckets.count(), milliseconds(0.5), milliseconds(0.99));
}

fn print_usage(when: &str, usage: Usage, cpu_before: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a process has far less memory than that")]
    let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
    println!(
        "{when:<30} {:.1} MiB resident (of these {:.1} MiB allocated; peak {:.1} MiB), {:.1} CPU seconds",
        mebibytes(usage.resident),
        mebibytes(usage.anonymous),
        mebibytes(usage.peak),
        usage.cpu - cpu_before
    );
}

fn print_requests(when: &str, counts: &Counts, clusters: usize) {
    let sums = totals(counts);
    #[expect(clippy::cast_precision_loss, reason = "far fewer requests than that")]
    let each = |count: u64| count as f64 / clusters.max(1) as f64;
    println!(
        "\nrequests {when}: {:.1} writes and {:.1} reads a cluster, {} about Leases",
        each(sums.writes),
        each(sums.reads),
        sums.leases
    );
    for ((verb, resource), count) in counts.iter().filter(|((_, resource), _)| resource != "leases") {
        println!("  {verb:<8} {resource:<28} {count:>8} {:>8.2} a cluster", each(*count));
    }
}
