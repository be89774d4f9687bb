//! Clusters of the basic example, each in a namespace of its own, and their way to Ready.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use doris_api::DorisCluster;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use tokio::time::{Instant, interval, sleep};

use super::server::Server;
use super::tally::totals;
use crate::demo::progress::{is_ready, why_not_ready};

const EXAMPLE: &str = include_str!("../../../../deploy/examples/basic.yaml");
/// Clusters that are applied at the same time.
const AT_ONCE: usize = 16;
/// How long nothing is written before the idle time is measured.
const QUIET: Duration = Duration::from_secs(5);
/// How long quiet is waited for.
const QUIET_LIMIT: Duration = Duration::from_secs(120);

/// How many clusters, and of what size.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// Clusters.
    pub clusters: usize,
    /// Followers in each.
    pub frontends: i32,
    /// Backends in each.
    pub backends: i32,
}

/// When they were there.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The last pod was Ready.
    pub pods: Duration,
    /// The last cluster was Ready.
    pub clusters: Duration,
}

/// Name of a cluster and of its namespace.
pub fn name(index: usize) -> String {
    format!("scale-{index}")
}

impl Fleet {
    /// Pods of them all.
    pub fn pods(&self) -> usize {
        let each = usize::try_from(self.frontends).unwrap_or(0) + usize::try_from(self.backends).unwrap_or(0);
        self.clusters * each
    }

    /// Applies them.
    pub async fn create(&self, client: &Client) -> anyhow::Result<()> {
        let mut example: DorisCluster = serde_saphyr::from_str(EXAMPLE).context("the basic example")?;
        example.spec.fe.replicas = self.frontends;
        if let Some(be) = &mut example.spec.be {
            be.replicas = self.backends;
        }
        let created = stream::iter(0..self.clusters).map(|index| create_one(client.clone(), example.clone(), name(index)));
        created.buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// Waits until all are Ready, and tells now and then how many are.
    pub async fn arrive(&self, client: &Client, began: Instant, deadline: Duration) -> anyhow::Result<Arrival> {
        let clusters: Api<DorisCluster> = Api::all(client.clone());
        let pods: Api<Pod> = Api::all(client.clone());
        let members = watcher::Config::default().labels(doris_api::labels::CLUSTER);
        let mut clusters = pin!(watcher(clusters, watcher::Config::default()).default_backoff().applied_objects());
        let mut pods = pin!(watcher(pods, members).default_backoff().applied_objects());
        let (mut ready, mut last) = (BTreeSet::new(), None);
        let (mut running, mut pods_after) = (BTreeSet::new(), None);
        let mut told = interval(Duration::from_secs(10));
        let mut deadline_passed = pin!(sleep(deadline));
        while ready.len() < self.clusters {
            tokio::select! {
                Some(change) = clusters.next() => {
                    let cluster = change.context("the watch of clusters")?;
                    if is_ready(&cluster) {
                        ready.insert(cluster.name_any());
                    } else {
                        ready.remove(&cluster.name_any());
                        last = Some(cluster);
                    }
                }
                Some(change) = pods.next(), if pods_after.is_none() => {
                    let pod = change.context("the watch of pods")?;
                    if is_pod_ready(&pod) {
                        running.insert((pod.namespace(), pod.name_any()));
                    }
                    pods_after = (running.len() >= self.pods()).then(|| began.elapsed());
                }
                _ = told.tick() => {
                    let seconds = began.elapsed().as_secs_f64();
                    eprintln!("{seconds:6.1} s: {} of {} pods and {} of {} clusters are Ready", running.len(), self.pods(), ready.len(), self.clusters);
                }
                () = deadline_passed.as_mut() => {
                    let last = last.map(|cluster| format!("{}: {}", cluster.name_any(), why_not_ready(&cluster))).unwrap_or_default();
                    anyhow::bail!("only {} of {} are Ready after {} s; {last}", ready.len(), self.clusters, deadline.as_secs());
                }
            }
        }
        let all = began.elapsed();
        Ok(Arrival { pods: pods_after.unwrap_or(all), clusters: all })
    }
}

async fn create_one(client: Client, mut cluster: DorisCluster, name: String) -> anyhow::Result<()> {
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("a namespace")?;
    cluster.metadata.name = Some(name.clone());
    let clusters: Api<DorisCluster> = Api::namespaced(client, &name);
    clusters.create(&PostParams::default(), &cluster).await.map(drop).context("a cluster")
}

fn is_pod_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Deletes an object of a cluster that it can do without for a while, so that there is something to do.
pub async fn do_damage(client: &Client, index: usize) -> anyhow::Result<()> {
    let name = name(index);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), &name);
    let budget = doris_api::names::set(&name, doris_api::Component::Fe);
    budgets.delete(&budget, &DeleteParams::default()).await.map(drop).with_context(|| format!("deleting PodDisruptionBudget {budget}"))
}

/// Waits until nothing was written for a while, and tells how long that took.
pub async fn wait_until_quiet(server: &Server) -> anyhow::Result<Duration> {
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
