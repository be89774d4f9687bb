//! The parts that clusters are divided into, and which of them are ours now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use controller_kit::leadership::WriteGate;
use controller_kit::lease::{SHARDS, ShardWork, shard_of};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

use crate::cache::ClusterKey;
use crate::context::Context;

/// A context for each part of the clusters: one, or one a shard.
pub struct Crew {
    parts: Vec<Part>,
    /// Counts the parts that were opened.
    opened: watch::Sender<u64>,
}

struct Part {
    ctx: Arc<Context>,
    /// Rounds read it as long as they last, so whoever closes it waits for them.
    is_open: Arc<RwLock<bool>>,
    /// Statements of people may take hours: they are waited for while rounds go on.
    statements: Arc<RwLock<()>>,
    is_closing: AtomicBool,
}

/// Work may go on in this part as long as this is held.
pub(crate) struct Seat<T> {
    pub ctx: Arc<Context>,
    _open: OwnedRwLockReadGuard<T>,
}

impl Crew {
    /// One process works on everything.
    pub fn undivided(ctx: Arc<Context>) -> Self {
        Self::of(vec![ctx])
    }

    /// One part a shard, each with a gate of its own.
    pub fn divided(ctx: &Arc<Context>, gates: Vec<Arc<dyn WriteGate>>) -> Self {
        Self::of(gates.into_iter().map(|gate| Arc::new(ctx.beside(gate))).collect())
    }

    fn of(contexts: Vec<Arc<Context>>) -> Self {
        let parts = contexts
            .into_iter()
            .map(|ctx| Part { ctx, is_open: Arc::default(), statements: Arc::default(), is_closing: AtomicBool::new(false) })
            .collect();
        Self { parts, opened: watch::Sender::new(0) }
    }

    /// Any of the contexts, for what they share: clients, caches, numbers.
    pub(crate) fn any(&self) -> &Arc<Context> {
        &self.parts[0].ctx
    }

    /// All contexts.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Context>> {
        self.parts.iter().map(|part| &part.ctx)
    }

    fn part(&self, cluster: &ClusterKey) -> &Part {
        let index = if self.parts.len() == SHARDS { shard_of(&cluster.namespace, &cluster.name) } else { 0 };
        &self.parts[index]
    }

    /// The context of a cluster, whether or not it is ours now.
    pub(super) fn ctx(&self, cluster: &ClusterKey) -> &Arc<Context> {
        &self.part(cluster).ctx
    }

    /// A seat for a round, if the cluster is ours now.
    pub(crate) async fn seat(&self, cluster: &ClusterKey) -> Option<Seat<bool>> {
        let part = self.part(cluster);
        let open = part.is_open.clone().read_owned().await;
        open.then(|| Seat { ctx: part.ctx.clone(), _open: open })
    }

    /// The same for statements that people want to be run, which may take hours.
    pub(crate) async fn seat_for_statements(&self, cluster: &ClusterKey) -> Option<Seat<()>> {
        let part = self.part(cluster);
        if part.is_closing.load(Ordering::SeqCst) {
            return None;
        }
        let statements = part.statements.clone().read_owned().await;
        let is_open = *part.is_open.read().await;
        is_open.then(|| Seat { ctx: part.ctx.clone(), _open: statements })
    }

    /// Tells whenever a part is opened: its clusters have to be looked at.
    pub(crate) fn openings(&self) -> watch::Receiver<u64> {
        self.opened.subscribe()
    }

    /// A part is ours from now on.
    pub async fn open(&self, part: usize) {
        self.parts[part].is_closing.store(false, Ordering::SeqCst);
        *self.parts[part].is_open.write().await = true;
        self.parts[part].ctx.metrics.leads(true);
        self.opened.send_modify(|count| *count += 1);
    }

    /// Waits for the statements and rounds under way in a part, lets none begin, and forgets what was known of its clusters.
    pub async fn close(&self, part: usize) {
        self.parts[part].is_closing.store(true, Ordering::SeqCst);
        drop(self.parts[part].statements.write().await);
        *self.parts[part].is_open.write().await = false;
        self.parts[part].ctx.forget_all();
        let is_any_open = futures::future::join_all(self.parts.iter().map(async |part| *part.is_open.read().await)).await;
        self.parts[part].ctx.metrics.leads(is_any_open.contains(&true));
    }
}

impl ShardWork for Crew {
    async fn begin(&self, shard: usize) {
        tracing::info!(shard, "works on a shard");
        self.open(shard).await;
    }

    async fn end(&self, shard: usize) {
        self.close(shard).await;
        tracing::info!(shard, "hands a shard over");
    }
}
