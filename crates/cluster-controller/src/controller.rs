//! The controller: watches, the queue of clusters, and what happens around a round.

mod crew;
mod first;
mod places;
mod told;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller_kit::report::{Failures, ReconcileError as _, full_text};
use controller_kit::scope::{self, Reach};
use controller_kit::turns::{Kind, Turns};
use doris_api::DorisCluster;
use doris_api::conditions::{READY, reason};
use kube::runtime::controller::Action;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cache::ClusterKey;
use crate::context::{Context, OPERATION_LEASE};
use crate::error::Error;
use crate::program::NAME;
use crate::report::{Facts, Finding};
use crate::round::Round;
pub use crew::Crew;
use places::Places;
use told::{tell, write_status};

/// Until the next look at a cluster that is on its way.
const BUSY: Duration = Duration::from_secs(2);
/// Until the next look at a cluster that is as it should be.
const IDLE: Duration = Duration::from_secs(30);

/// A round of this length waits for somebody who does not answer: the next one of this cluster leaves room for others.
const SLOW: Duration = Duration::from_secs(4);

/// How a controller is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespaces to look after.
    pub reach: Reach,
    /// Name of this installation, where there are several.
    pub installation: Option<String>,
    /// Rounds at the same time, over all namespaces.
    pub concurrency: u16,
    /// A round that takes longer is given up: one slow cluster delays no other for ever.
    pub round_limit: Duration,
    /// Seed of the jitter between tries.
    pub seed: u64,
}

/// What the reconcile function gets.
struct Shared {
    crew: Arc<Crew>,
    failures: Failures,
    /// Places for rounds, shared by all namespaces.
    turns: Turns,
    round_limit: Duration,
    /// Clusters whose last round took long.
    slow: Mutex<BTreeSet<ClusterKey>>,
    /// The process is to end.
    stop: CancellationToken,
}

impl Shared {
    fn is_slow(&self, key: &ClusterKey) -> bool {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// What is known of the next round of a cluster.
    fn kind(&self, cluster: &DorisCluster, key: &ClusterKey) -> Kind {
        let ctx = self.crew.ctx(key);
        if self.is_slow(key) {
            Kind::Slow
        } else if !ctx.remembers(key) && first::is_in_need(ctx, cluster, key) {
            Kind::Urgent
        } else {
            Kind::Usual
        }
    }

    fn took(&self, key: &ClusterKey, time: Duration) {
        let mut slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if time >= SLOW {
            slow.insert(key.clone());
        } else {
            slow.remove(key);
        }
    }

    /// Forgets a cluster that is gone or goes.
    fn forget(&self, name: &str, namespace: Option<&str>) {
        let key = ClusterKey { namespace: namespace.unwrap_or_default().to_owned(), name: name.to_owned() };
        self.crew.ctx(&key).forget(&key);
        self.failures.forget(&format!("{}/{}", key.namespace, key.name));
        self.took(&key, Duration::ZERO);
    }
}

/// Fills the caches, waits for its turn, and works on what is ours until it is told to stop; rounds under way are finished. A process
/// that waits for its turn has its caches warm. Which parts of the clusters are ours is told to the crew by whoever holds their Leases.
pub async fn run(crew: Arc<Crew>, settings: Settings, turn: impl Future<Output = ()>, stop: CancellationToken) {
    let ctx = crew.any().clone();
    let (reach, keeping) = scope::follow(ctx.client.clone(), settings.reach.clone(), ctx.watches.clone());
    let (leading, leads) = watch::channel(false);
    let beside = async {
        turn.await;
        leading.send_replace(true);
        loop {
            tokio::time::sleep(OPERATION_LEASE / 3).await;
            futures::future::join_all(crew.all().map(|ctx| ctx.operations.renew_all())).await;
        }
    };
    let shared = Shared {
        crew: crew.clone(),
        failures: Failures::new(settings.seed),
        turns: Turns::new(settings.concurrency),
        round_limit: settings.round_limit,
        slow: Mutex::default(),
        stop: stop.clone(),
    };
    let work = Places::new(Arc::new(shared), settings, leads, stop).work(reach);
    tokio::select! {
        () = work => {}
        _ = futures::future::join(keeping, beside) => {}
    }
}

/// Runs a process that works on everything once it has its turn.
pub async fn run_undivided(ctx: Arc<Context>, settings: Settings, turn: impl Future<Output = ()>, stop: CancellationToken) {
    let crew = Arc::new(Crew::undivided(ctx));
    let opened = crew.clone();
    let turn = async move {
        turn.await;
        opened.open(0).await;
    };
    run(crew, settings, turn, stop).await;
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
        // What goes is owned and goes by itself; identity and volumes stay. A Lease that cannot be given up runs out.
        if let Err(error) = shared.crew.ctx(&key).operations.release(&key.namespace, &key.name).await {
            tracing::debug!(cluster = name, error = %error, "the operation Lease of a cluster that goes is left to run out");
        }
        shared.forget(&key.name, Some(&key.namespace));
        return Ok(Action::await_change());
    }
    let _turn = tokio::select! {
        biased;
        // Whose round has not begun is the next process' business: a thousand that wait for their turn hold no end up.
        () = shared.stop.cancelled() => return Ok(Action::await_change()),
        turn = shared.turns.take(&key.namespace, shared.kind(&cluster, &key)) => turn,
    };
    // Another process works on it; when it is ours, it is looked at.
    let Some(seat) = shared.crew.seat(&key).await else { return Ok(Action::await_change()) };
    // In a box: a thousand clusters that wait for their turn have no room of a round each.
    Box::pin(look(&seat.ctx, &shared, &cluster, (&key, &name))).await
}

/// A round and what it leads to.
async fn look(ctx: &Context, shared: &Shared, cluster: &DorisCluster, (key, name): (&ClusterKey, &str)) -> Result<Action, Failed> {
    let began = ctx.clock.instant();
    let (facts, outcome) = round(ctx, cluster, key, shared.round_limit).await;
    // A process that just began has not watched the master yet: what is known of a ready cluster stays.
    let reported = if facts.is_undecided && is_well(cluster) { Ok(()) } else { write_status(ctx, cluster, key, &facts).await };
    tell(ctx, cluster, key, &facts).await;
    let took = ctx.clock.instant().duration_since(began);
    shared.took(key, took);
    ctx.metrics.reconciled(NAME, took);
    if let Err(error) = outcome.and(reported) {
        ctx.metrics.failed(NAME, error.reason());
        tracing::warn!(cluster = name, error = full_text(&error), "a round failed");
        return Err(Failed { text: full_text(&error), again_in: shared.failures.after_error(name, error.retry()) });
    }
    shared.failures.after_success(name);
    let is_settled = facts.waits.is_empty() && facts.stalls.is_empty() && facts.is_fresh;
    Ok(Action::requeue(facts.next_look.unwrap_or(if is_settled { IDLE } else { BUSY })))
}

/// Runs one round under its deadline. The facts tell of its failure, too.
async fn round(ctx: &Context, cluster: &DorisCluster, key: &ClusterKey, limit: Duration) -> (Facts, Result<(), Error>) {
    let memory = ctx.memory(key);
    let mut memory = memory.lock().await;
    let mut round = Round::new(ctx, cluster, key, &mut memory);
    let outcome = if let Ok(outcome) = tokio::time::timeout(limit, Box::pin(round.run())).await {
        outcome
    } else {
        let message = format!("a look at the cluster took longer than {} s", limit.as_secs());
        round.facts.waits.push(Finding::new(reason::UNKNOWN, message));
        Ok(())
    };
    let mut facts = std::mem::take(&mut round.facts);
    drop(round);
    memory.config.end_round();
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
