//! A Doris cluster comes to life on the simulators, before your eyes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use doris_api::{Component, DorisCluster, names};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Event;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use scenarios::demo::hints::{About, hints};
use scenarios::demo::progress::{Progress, is_ready, why_not_ready};
use scenarios::demo::{ControllerProcess, Settings, Stand, Start, manifest, run_if_asked};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, sleep};

const EXAMPLE: &str = include_str!("../../../../deploy/examples/basic.yaml");
const EXAMPLE_NAME: &str = "deploy/examples/basic.yaml";

/// Starts a simulated Kubernetes with simulated Doris members on this machine, and the cluster-controller as a process of its own,
/// applies a DorisCluster and shows what happens.
#[derive(Parser)]
#[command(name = "cargo demo")]
struct Arguments {
    /// End as soon as the example is Ready; with status 1 if it is not in time.
    #[arg(long)]
    once: bool,
    /// Objects to apply instead of deploy/examples/basic.yaml.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Version of Kubernetes to simulate, from 1.16 to 1.36.
    #[arg(long, default_value = "1.36", value_parser = minor_version)]
    kubernetes_version: u32,
    /// Nodes that run pods.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    nodes: u16,
    /// Seconds until a cluster that is not Ready is complained about.
    #[arg(long, default_value_t = 60)]
    deadline: u64,
}

fn minor_version(version: &str) -> Result<u32, String> {
    let minor = version.trim_start_matches('v').strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse().ok());
    minor.filter(|minor| (16..=36).contains(minor)).ok_or_else(|| "a version from 1.16 to 1.36 is wanted".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(controller) = run_if_asked().await {
        return controller.map(|()| ExitCode::SUCCESS);
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stopped = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let (name, text) = match &arguments.file {
        None => (EXAMPLE_NAME.to_owned(), EXAMPLE.to_owned()),
        Some(file) => {
            (file.display().to_string(), std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?)
        }
    };
    let clock = Clock(Instant::now());
    let objects = manifest::read(&name, &text)?;
    anyhow::ensure!(objects.iter().any(is_cluster), "{name} holds no DorisCluster");
    let settings = Settings { kubernetes_minor: arguments.kubernetes_version, nodes: arguments.nodes.into(), ..Settings::default() };
    let stand = Stand::start(&settings).await?;
    let (version, nodes) = (arguments.kubernetes_version, arguments.nodes);
    clock.say(format!("a simulated Kubernetes 1.{version} with {nodes} nodes answers on http://{}", stand.address()));
    let kubeconfig = stand.kubeconfig();
    let mut controller = ControllerProcess::start(Start {
        program: std::env::current_exe().context("this program can't find itself")?,
        is_ours: true,
        kubeconfig: &kubeconfig,
        log: stand.file("cluster-controller.log"),
        arguments: Vec::new(),
    })
    .await?;
    clock.say(format!("the cluster-controller runs as process {}", controller.id().unwrap_or_default()));
    let outcome = tokio::select! {
        outcome = Show::new(&arguments, &stand, clock).run(&mut controller, &name, &objects) => outcome,
        () = stopped => Ok(if arguments.once { ExitCode::from(130) } else { ExitCode::SUCCESS }),
    };
    controller.stop().await?;
    stand.stop().await?;
    outcome
}

fn is_cluster(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == "DorisCluster")
}

/// Says things with the time since the start.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn say(self, what: impl std::fmt::Display) {
        println!("{:6.1}s  {what}", self.0.elapsed().as_secs_f64());
    }
}

/// Something to tell of.
enum News {
    Cluster(Box<DorisCluster>),
    Gone(Box<DorisCluster>),
    Event(Box<Event>),
}

/// The show, from the first object to the last line.
struct Show<'a> {
    arguments: &'a Arguments,
    stand: &'a Stand,
    clock: Clock,
    progress: Progress,
    /// Clusters to become Ready, as they were last seen.
    awaited: BTreeMap<(String, String), Option<DorisCluster>>,
    is_complete: bool,
}

impl<'a> Show<'a> {
    fn new(arguments: &'a Arguments, stand: &'a Stand, clock: Clock) -> Self {
        Self { arguments, stand, clock, progress: Progress::default(), awaited: BTreeMap::new(), is_complete: false }
    }

    async fn run(mut self, controller: &mut ControllerProcess, file: &str, objects: &[DynamicObject]) -> anyhow::Result<ExitCode> {
        let mut news = pin!(news(&self.stand.client));
        let applied_at = Instant::now();
        for object in objects {
            let applied = manifest::apply(&self.stand.client, file, object).await?;
            self.clock.say(format!("applied {} {} of {file}", applied.kind, applied.name));
            if is_cluster(object) {
                self.awaited.insert((applied.namespace, applied.name), None);
            }
        }
        let mut deadline = pin!(sleep(Duration::from_secs(self.arguments.deadline)));
        let mut health = interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                Some(news) = news.next() => self.tell(news),
                _ = health.tick() => controller.check_alive()?,
                () = deadline.as_mut(), if !self.is_complete && !deadline.is_elapsed() => {
                    self.complain(controller);
                    if self.arguments.once {
                        return Ok(ExitCode::FAILURE);
                    }
                }
            }
            if !self.is_complete && self.awaited.values().all(|cluster| cluster.as_ref().is_some_and(is_ready)) {
                self.is_complete = true;
                let (took, all) = (applied_at.elapsed().as_secs_f64(), self.clock.0.elapsed().as_secs_f64());
                self.clock.say(format!("Ready {took:.1} s after it was applied, {all:.1} s after the start of everything"));
                if self.arguments.once {
                    return Ok(ExitCode::SUCCESS);
                }
                self.print_hints(controller);
            }
        }
    }

    fn tell(&mut self, news: News) {
        let line = match news {
            News::Cluster(cluster) => {
                let line = self.progress.of_cluster(&cluster);
                if let Some(last) = self.awaited.get_mut(&(cluster.namespace().unwrap_or_default(), cluster.name_any())) {
                    *last = Some(*cluster);
                }
                line
            }
            News::Gone(cluster) => Some(self.progress.of_gone(&cluster)),
            News::Event(event) => self.progress.of_event(&event),
        };
        if let Some(line) = line {
            self.clock.say(line);
        }
    }

    fn complain(&self, controller: &ControllerProcess) {
        let seconds = self.arguments.deadline;
        for ((_, name), cluster) in self.awaited.iter().filter(|(_, cluster)| !cluster.as_ref().is_some_and(is_ready)) {
            let why = cluster.as_ref().map_or_else(|| "it was not seen on the server".to_owned(), why_not_ready);
            self.clock.say(format!("{name} is not Ready after {seconds} s: {why}"));
        }
        println!("\nThe end of the controller's log:\n{}", controller.tail());
    }

    fn print_hints(&self, controller: &ControllerProcess) {
        let Some(cluster) = self.awaited.values().flatten().next() else { return };
        let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
        let frontend = self.stand.nodes.address(&namespace, &names::pod(&name, Component::Fe, 0));
        let about = About {
            kubeconfig: &self.stand.kubeconfig(),
            log: controller.log(),
            cluster: &name,
            namespace: &namespace,
            frontend: frontend.map(Into::into),
            root_is_given: cluster.spec.auth.root_password.is_some(),
            backends: cluster.spec.replicas(Component::Be),
        };
        println!("\n{}\n", hints(&about));
    }
}

/// What happens to clusters, and the Events of everything.
fn news(client: &Client) -> impl Stream<Item = News> + use<> {
    let clusters = watcher(Api::<DorisCluster>::all(client.clone()), watcher::Config::default()).default_backoff();
    let clusters = clusters.filter_map(|event| async move {
        match event {
            Ok(watcher::Event::Apply(cluster) | watcher::Event::InitApply(cluster)) => Some(News::Cluster(Box::new(cluster))),
            Ok(watcher::Event::Delete(cluster)) => Some(News::Gone(Box::new(cluster))),
            Ok(watcher::Event::Init | watcher::Event::InitDone) => None,
            Err(error) => {
                tracing::warn!(%error, "the watch of clusters failed and is tried again");
                None
            }
        }
    });
    let events = watcher(Api::<Event>::all(client.clone()), watcher::Config::default()).default_backoff();
    let events = events.applied_objects().filter_map(|event| async move {
        event
            .inspect_err(|error| tracing::warn!(%error, "the watch of Events failed and is tried again"))
            .ok()
            .map(Box::new)
            .map(News::Event)
    });
    futures::stream::select(clusters, events)
}
