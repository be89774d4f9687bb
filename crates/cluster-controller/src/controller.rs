//! The controller: watches, the queue of clusters, and what happens around a round.

use std::sync::Arc;
use std::time::Duration;

use controller_kit::apply::{ApplyError, StatusWrite};
use controller_kit::events::{Happening, Severity};
use controller_kit::report::{Failures, ReconcileError as _, full_text};
use controller_kit::watch::{self as kit, WatchHealth, WatchName};
use doris_api::conditions::{READY, STALLED, reason};
use doris_api::{DorisCluster, DorisClusterStatus};
use futures::channel::mpsc;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::build;
use crate::cache::{self, ClusterKey, Index, Stamp};
use crate::context::{Context, OPERATION_LEASE, SetView};
use crate::error::Error;
use crate::initializer;
use crate::program::NAME;
use crate::report::{self, Facts, Finding};
use crate::round::Round;

/// A round that takes longer is given up: one slow cluster delays no other for ever.
const ROUND_LIMIT: Duration = Duration::from_mins(2);
/// Until the next look at a cluster that is on its way.
const BUSY: Duration = Duration::from_secs(2);
/// Until the next look at a cluster that is as it should be.
const IDLE: Duration = Duration::from_secs(30);

/// Between two writes of a status that only tell how far the work is.
const STATUS_PACE: Duration = Duration::from_secs(10);
/// The same for a cluster that comes to life: once soon, so that whatever holds it up is told; from
/// then on rarely. A hundred clusters that come up at once on a busy server cost no more writes each
/// than one alone.
const BIRTH_PACES: [Duration; 2] = [Duration::from_secs(15), Duration::from_mins(2)];

/// How a controller is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespaces to look after; all if empty.
    pub namespaces: Vec<String>,
    /// Rounds at the same time.
    pub concurrency: u16,
    /// Seed of the jitter between tries.
    pub seed: u64,
}

/// What the reconcile function gets.
struct Shared {
    ctx: Arc<Context>,
    failures: Failures,
    /// Rounds at the same time, over all namespaces.
    permits: Semaphore,
}

impl Shared {
    /// Forgets a cluster that is gone or goes.
    fn forget(&self, name: &str, namespace: Option<&str>) {
        let key = ClusterKey { namespace: namespace.unwrap_or_default().to_owned(), name: name.to_owned() };
        self.ctx.forget(&key);
        self.failures.forget(&format!("{}/{}", key.namespace, key.name));
    }
}

/// Fills the caches, waits for its turn to lead, and runs until it is told to stop; rounds under
/// way are finished. A process that waits for its turn has its caches warm.
pub async fn run(ctx: Arc<Context>, settings: Settings, turn: impl Future<Output = ()>, stop: CancellationToken) {
    let (touched, queue) = mpsc::unbounded();
    let mut watches = JoinSet::new();
    follow_everything(&ctx, &settings, &touched, &mut watches);
    let ready = async {
        wait_for_caches(&ctx).await;
        turn.await;
    };
    tokio::select! {
        () = ready => {}
        () = stop.cancelled() => return,
    }
    let renewing = ctx.clone();
    watches.spawn(async move {
        loop {
            tokio::time::sleep(OPERATION_LEASE / 3).await;
            renewing.operations.renew_all().await;
        }
    });
    let permits = Semaphore::new(settings.concurrency.into());
    let limit = settings.concurrency;
    let shared = Arc::new(Shared { ctx: ctx.clone(), failures: Failures::new(settings.seed), permits });
    // Ends the watches of clusters also when this future is dropped.
    let ending = stop.child_token();
    let _ends = ending.clone().drop_guard();
    let mut queues = Queues::default();
    let controllers: Vec<_> =
        places(&settings).into_iter().map(|place| control(&shared, (place, limit), queues.open(place), ending.clone())).collect();
    let initializers = initializer::Loop::new(ctx.clone(), limit, settings.seed);
    let initializers: Vec<_> = places(&settings).into_iter().map(|place| initializers.run(place, ending.clone())).collect();
    tokio::select! {
        _ = futures::future::join(futures::future::join_all(controllers), futures::future::join_all(initializers)) => {}
        () = queues.sort(queue) => {}
    }
    watches.shutdown().await;
}

/// The namespaces to look after; `None` is all of them.
fn places(settings: &Settings) -> Vec<Option<&str>> {
    if settings.namespaces.is_empty() {
        return vec![None];
    }
    settings.namespaces.iter().map(|namespace| Some(namespace.as_str())).collect()
}

/// Where the clusters that are touched are queued: a controller for each namespace, or one for all.
#[derive(Default)]
struct Queues(Vec<(Option<String>, mpsc::UnboundedSender<ClusterKey>)>);

impl Queues {
    fn open(&mut self, place: Option<&str>) -> mpsc::UnboundedReceiver<ClusterKey> {
        let (sender, receiver) = mpsc::unbounded();
        self.0.push((place.map(str::to_owned), sender));
        receiver
    }

    /// Hands every cluster to the controller of its namespace.
    async fn sort(&self, mut touched: mpsc::UnboundedReceiver<ClusterKey>) {
        while let Some(key) = touched.next().await {
            for (place, sender) in &self.0 {
                if place.as_ref().is_none_or(|place| *place == key.namespace) {
                    // A controller ends only when the process does.
                    let _ = sender.unbounded_send(key.clone());
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

/// Works on the clusters of one namespace, or of all. The cluster kind is watched like every other:
/// kube's own watch would pause the queue whenever it fails.
fn control(
    shared: &Arc<Shared>,
    (place, concurrency): (Option<&str>, u16),
    queue: mpsc::UnboundedReceiver<ClusterKey>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let ctx = &shared.ctx;
    let name = WatchName::new("dorisclusters", place);
    let (store, clusters) = kit::watch_main(name, api::<DorisCluster>(ctx, place), kit::config(), ctx.watches.clone(), stop.clone());
    let shared = shared.clone();
    let for_gone = shared.clone();
    Controller::for_stream(clusters, store)
        .reconcile_on(requests(queue))
        .with_config(kube::runtime::controller::Config::default().concurrency(concurrency).debounce(Duration::from_millis(100)))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, |_, error, _| Action::requeue(error.again_in), shared)
        .for_each(move |result| {
            match result {
                Ok(_) => {}
                Err(kube::runtime::controller::Error::ObjectNotFound(gone)) => for_gone.forget(&gone.name, gone.namespace.as_deref()),
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "a round ended early"),
            }
            std::future::ready(())
        })
}

fn requests(queue: mpsc::UnboundedReceiver<ClusterKey>) -> impl Stream<Item = ObjectRef<DorisCluster>> {
    queue.map(|key| ObjectRef::new(&key.name).within(&key.namespace))
}

/// One watch a kind and namespace, each in a task of its own.
fn follow_everything(ctx: &Context, settings: &Settings, touched: &mpsc::UnboundedSender<ClusterKey>, watches: &mut JoinSet<()>) {
    let caches = &ctx.caches;
    for place in places(settings) {
        let touch = || touched.clone();
        let watch = |what| (WatchName::new(what, place), ctx.watches.clone());
        watches.spawn(following(watch("pods"), api::<Pod>(ctx, place), &caches.pods, touch(), cache::slim_pod));
        let claims = api::<PersistentVolumeClaim>(ctx, place);
        watches.spawn(following(watch("persistentvolumeclaims"), claims, &caches.claims, touch(), cache::slim_claim));
        let sets = api::<StatefulSet>(ctx, place);
        watches.spawn(following(watch("statefulsets"), sets, &caches.sets, touch(), |set| SetView::of(&set)));
        watches.spawn(stamps::<Service>(ctx, place, watch("services"), &caches.services, touch()));
        watches.spawn(stamps::<ConfigMap>(ctx, place, watch("configmaps"), &caches.config_maps, touch()));
        watches.spawn(stamps::<Secret>(ctx, place, watch("secrets"), &caches.secrets, touch()));
        let budgets = watch("poddisruptionbudgets");
        if build::budget_api_version(ctx.kubernetes_minor) == "policy/v1" {
            watches.spawn(stamps::<PodDisruptionBudget>(ctx, place, budgets, &caches.budgets, touch()));
        } else {
            watches.spawn(stamps::<build::OldBudget>(ctx, place, budgets, &caches.budgets, touch()));
        }
        watches.spawn(stamps::<NetworkPolicy>(ctx, place, watch("networkpolicies"), &caches.policies, touch()));
    }
}

fn api<K>(ctx: &Context, place: Option<&str>) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    place.map_or_else(|| Api::all(ctx.client.clone()), |namespace| Api::namespaced(ctx.client.clone(), namespace))
}

/// Tells the index at once, before anybody can take it for complete, that one more list comes.
fn following<K, T>(
    watch: (WatchName, WatchHealth),
    api: Api<K>,
    index: &Arc<Index<T>>,
    touched: mpsc::UnboundedSender<ClusterKey>,
    keep: fn(K) -> T,
) -> impl Future<Output = ()> + use<K, T>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    T: Send + Sync + 'static,
{
    index.expect_list();
    cache::follow(watch, api, index.clone(), touched, keep)
}

/// Follows the metadata of a kind: of objects that we only write, the version is enough.
fn stamps<K>(
    ctx: &Context,
    place: Option<&str>,
    watch: (WatchName, WatchHealth),
    index: &Arc<Index<Stamp>>,
    touched: mpsc::UnboundedSender<ClusterKey>,
) -> impl Future<Output = ()> + use<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
{
    let api: Api<PartialObjectMeta<K>> = api(ctx, place);
    following(watch, api, index, touched, |object| Stamp::of(&object))
}

/// A decision on a half-filled cache would take what is there for missing.
async fn wait_for_caches(ctx: &Context) {
    let caches = &ctx.caches;
    tokio::join!(caches.pods.synced(), caches.claims.synced(), caches.sets.synced());
    tokio::join!(
        caches.services.synced(),
        caches.config_maps.synced(),
        caches.secrets.synced(),
        caches.budgets.synced(),
        caches.policies.synced()
    );
}

/// A round that failed, and when the next one is due.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Failed {
    text: String,
    again_in: Duration,
}

async fn reconcile(cluster: Arc<DorisCluster>, shared: Arc<Shared>) -> Result<Action, Failed> {
    let key = ClusterKey::of(cluster.as_ref());
    let name = format!("{}/{}", key.namespace, key.name);
    if cluster.metadata.deletion_timestamp.is_some() {
        // What goes is owned and goes by itself; identity and volumes stay.
        shared.forget(&key.name, Some(&key.namespace));
        return Ok(Action::await_change());
    }
    let fail = |error: &Error| Failed { text: full_text(error), again_in: shared.failures.after_error(&name, error.retry()) };
    // Never closed: a round without a permit would only be one more at the same time.
    let _permit = shared.permits.acquire().await.ok();
    let began = shared.ctx.clock.instant();
    let (facts, outcome) = round(&shared.ctx, &cluster, &key).await;
    // A process that just began has not watched the master yet: what is known of a ready cluster stays.
    let reported = if facts.is_undecided && is_well(&cluster) { Ok(()) } else { write_status(&shared.ctx, &cluster, &key, &facts).await };
    tell(&shared.ctx, &cluster, &key, &facts).await;
    shared.ctx.metrics.reconciled(NAME, shared.ctx.clock.instant().duration_since(began));
    if let Err(error) = outcome.and(reported) {
        shared.ctx.metrics.failed(NAME, error.reason());
        tracing::warn!(cluster = name, error = full_text(&error), "a round failed");
        return Err(fail(&error));
    }
    shared.failures.after_success(&name);
    let is_settled = facts.waits.is_empty() && facts.stalls.is_empty() && facts.is_fresh;
    Ok(Action::requeue(facts.next_look.unwrap_or(if is_settled { IDLE } else { BUSY })))
}

/// Runs one round under its deadline. The facts tell of its failure, too.
async fn round(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey) -> (Facts, Result<(), Error>) {
    let memory = ctx.memory(key);
    let mut memory = memory.lock().await;
    let mut round = Round::new(ctx, cluster, key, &mut memory);
    let outcome = if let Ok(outcome) = tokio::time::timeout(ROUND_LIMIT, Box::pin(round.run())).await {
        outcome
    } else {
        let message = format!("a look at the cluster took longer than {} s", ROUND_LIMIT.as_secs());
        round.facts.waits.push(Finding::new(reason::UNKNOWN, message));
        Ok(())
    };
    let mut facts = std::mem::take(&mut round.facts);
    if let Err(error) = &outcome {
        let finding = Finding::new(error.reason(), full_text(error));
        if error.needs_a_person() {
            facts.stalls.insert(0, finding);
        } else if !matches!(error.retry(), controller_kit::report::Retry::Short | controller_kit::report::Retry::OnChange) {
            facts.waits.insert(0, finding);
        } else if !is_well(cluster) {
            // What would have been waited for was not reached: nobody becomes Ready by a round that failed.
            facts.waits.push(finding);
        }
    }
    (facts, outcome)
}

/// Ready at its present generation, by its own status.
pub(crate) fn is_well(cluster: &DorisCluster) -> bool {
    let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| {
        condition.type_ == READY && condition.status == "True" && condition.observed_generation == cluster.metadata.generation
    })
}

/// Writes the status if it differs. A step on the way waits until the last write is a few seconds
/// old: people see progress, and a cluster that comes up costs few writes.
async fn write_status(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey, facts: &Facts) -> Result<(), Error> {
    let failed = |source| Error::Apply { object: format!("the status of DorisCluster {}", cluster.name_any()), source };
    let status = report::status(cluster, facts, ctx.clock.now());
    let memory = ctx.memory(key);
    let mut memory = memory.lock().await;
    let now = ctx.clock.instant();
    let pace = pace(cluster, memory.reports);
    let is_recent = memory.reported_at.is_some_and(|at| now.duration_since(at) < pace);
    if is_recent && !is_turn(cluster.status.as_ref(), &status) {
        return Ok(());
    }
    let status = serde_json::to_value(&status).map_err(|error| Error::Build(format!("the status is no JSON: {error}")))?;
    let written = match ctx.applier.apply_status(cluster, &status).await {
        // The cache is behind: what is coming wakes us with the newer version.
        Err(ApplyError::Race { .. }) => return Ok(()),
        other => other.map_err(failed)?,
    };
    if written != StatusWrite::Unchanged {
        memory.reported_at = Some(now);
        memory.reports = memory.reports.saturating_add(1);
    }
    if let StatusWrite::TakenBack { from } = written {
        tracing::warn!(cluster = cluster.name_any(), managers = from.join(", "), "somebody else had written our status; it was taken back");
    }
    Ok(())
}

/// How old the last of so many writes has to be before another one only tells how far the work is.
fn pace(cluster: &DorisCluster, reports: u32) -> Duration {
    let was_ready = cluster.status.as_ref().is_some_and(|status| status.version.is_some());
    match (was_ready, reports) {
        (true, _) => STATUS_PACE,
        (false, 0 | 1) => BIRTH_PACES[0],
        (false, _) => BIRTH_PACES[1],
    }
}

/// Whether a status tells something that nobody should wait for: another readiness, a new spec
/// taken notice of, or work that stands still.
fn is_turn(old: Option<&DorisClusterStatus>, new: &DorisClusterStatus) -> bool {
    let truth = |status: &DorisClusterStatus, type_: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .map(|condition| (condition.status.clone(), condition.reason.clone()))
    };
    let Some(old) = old else { return true };
    let holds = |status: &DorisClusterStatus, type_: &str| truth(status, type_).map(|(holds, _)| holds);
    let under_work = |status: &DorisClusterStatus| {
        let operation = status.operation.as_ref()?;
        Some((operation.kind.clone(), operation.target.clone(), operation.member.clone()))
    };
    under_work(old) != under_work(new)
        || old.overrides != new.overrides
        || old.observed_generation != new.observed_generation
        || holds(old, READY) != holds(new, READY)
        || truth(old, STALLED) != truth(new, STALLED) && holds(new, STALLED).as_deref() == Some("True")
        || holds(old, STALLED) != holds(new, STALLED)
}

/// Records an Event when something new needs a person.
async fn tell(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey, facts: &Facts) {
    let memory = ctx.memory(key);
    let mut memory = memory.lock().await;
    let Some(stall) = facts.stalls.first() else {
        memory.told = None;
        return;
    };
    if memory.told.as_ref() == Some(stall) {
        return;
    }
    memory.told = Some(stall.clone());
    let happening = Happening {
        severity: Severity::Warning,
        reason: stall.reason.to_owned(),
        action: "Reconcile".to_owned(),
        note: stall.message.clone(),
    };
    ctx.recorder.record(&cluster.object_ref(&()), &happening).await;
}
