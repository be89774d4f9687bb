//! The Lease of a cluster that whoever is about to do something disruptive holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, ResourceExt as _};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::record::{self, Annotations, Record, RequestError, Watched, Written};
use crate::clock::Clock;
use crate::leadership::{NotLeader, WriteGate};
use crate::report::{Category, ReconcileError, Retry};

const KIND: &str = "doris-operator.dev/operation-kind";
const TARGET: &str = "doris-operator.dev/operation-target";
const START: &str = "doris-operator.dev/operation-start";

/// What a Lease is held for, so that a successor can finish or undo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// A word, for example `Restart`.
    pub kind: String,
    /// What it is done to, for example a pod.
    pub target: String,
    /// When it began.
    pub started: Timestamp,
}

/// Changes whenever the Lease changes hands, also when it was deleted and made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The Lease's uid.
    pub uid: String,
    /// How often it changed hands.
    pub transitions: i32,
}

/// Whose a cluster's Lease is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Ours.
    Ours {
        /// To be checked just before each act.
        fence: Fence,
        /// What a former holder (maybe this controller before a restart) left unfinished.
        left_behind: Option<Operation>,
    },
    /// Somebody else's.
    Busy {
        /// Who.
        holder: String,
        /// What for, as far as it says.
        operation: Option<Operation>,
    },
}

/// A cluster's Lease as the server has it, beside what we know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Who we are to it.
    pub identity: String,
    /// Who holds it.
    pub holder: Option<String>,
    /// What for.
    pub operation: Option<Operation>,
    /// Its fence now.
    pub now: Option<Fence>,
    /// The fence under which we took it.
    pub taken: Option<Fence>,
    /// Time since our last renewal, by the monotonic clock; without end if we do not hold it.
    pub renewed_ago: Duration,
    /// How long a holder may be silent.
    pub duration: Duration,
}

/// Why a Lease could not be taken or an act may not be done.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// We may not write at all.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The Lease is not ours (any more).
    #[error("the operation Lease of {cluster} is not held any more")]
    Lost {
        /// The cluster.
        cluster: String,
    },
    /// Others were faster each time.
    #[error("the operation Lease of {cluster} changes all the time")]
    Contended {
        /// The cluster.
        cluster: String,
    },
    /// The namespace is being deleted: nothing can be held in it, and deletion needs no Lease.
    #[error("the namespace of {cluster} is being deleted")]
    Terminating {
        /// The cluster.
        cluster: String,
    },
    /// The server did not answer, or refused.
    #[error("the operation Lease of {cluster}: {message}")]
    Api {
        /// The cluster.
        cluster: String,
        /// What happened.
        message: String,
    },
}

impl ReconcileError for LeaseError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NotLeader(_) => "NotLeader",
            Self::Lost { .. } => "OperationLeaseLost",
            Self::Contended { .. } => "OperationLeaseContended",
            Self::Terminating { .. } => "NamespaceTerminating",
            Self::Api { .. } => "ApiServerError",
        }
    }

    fn category(&self) -> Category {
        match self {
            Self::Api { .. } => Category::Environment,
            _ => Category::Race,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Terminating { .. } => Retry::OnChange,
            Self::NotLeader(_) | Self::Lost { .. } | Self::Contended { .. } => Retry::Short,
            Self::Api { .. } => Retry::Backoff,
        }
    }
}

/// Where a cluster's Lease is.
type Key = (String, String);

#[derive(Clone, Debug)]
struct Held {
    fence: Fence,
    operation: Operation,
    renewed: Instant,
    left_behind: Option<Operation>,
}

#[derive(Clone, Debug, Default)]
struct Cluster {
    watched: Watched,
    held: Option<Held>,
}

/// The operation Leases of all clusters, as this process sees and holds them.
pub struct OperationLeases {
    client: Client,
    identity: String,
    length: Duration,
    clock: Arc<dyn Clock>,
    gate: Arc<dyn WriteGate>,
    clusters: StdMutex<BTreeMap<Key, Arc<Mutex<Cluster>>>>,
}

impl OperationLeases {
    /// `identity` names this process; `length` is how long a holder may be silent.
    pub fn new(client: Client, identity: String, length: Duration, clock: Arc<dyn Clock>, gate: Arc<dyn WriteGate>) -> Self {
        Self { client, identity, length, clock, gate, clusters: StdMutex::default() }
    }

    /// Takes the Lease of a cluster or keeps it, for an operation. Call it at every reconcile of the operation.
    pub async fn hold(&self, namespace: &str, cluster: &str, operation: &Operation) -> Result<Holding, LeaseError> {
        let entry = self.entry(namespace, cluster);
        let mut entry = entry.lock().await;
        let now = self.clock.instant();
        if let Some(held) = &entry.held
            && held.operation == *operation
            && now.duration_since(held.renewed) < self.length / 3
        {
            return Ok(Holding::Ours { fence: held.fence.clone(), left_behind: held.left_behind.clone() });
        }
        self.take(namespace, cluster, operation, &mut entry).await
    }

    /// Makes sure, by reading, that the Lease is still ours under this fence, and freshly renewed.
    /// Call it just before each act: an act after this returns late by one round trip at most.
    pub async fn check_just_before_act(&self, namespace: &str, cluster: &str, fence: &Fence) -> Result<(), LeaseError> {
        let entry = self.entry(namespace, cluster);
        let mut entry = entry.lock().await;
        let lost = || LeaseError::Lost { cluster: cluster.to_owned() };
        let held = entry.held.clone().filter(|held| held.fence == *fence).ok_or_else(lost)?;
        if self.clock.instant().duration_since(held.renewed) >= self.length / 3 {
            // Renewing reads first, and fails if anything changed.
            let renewed = self.take(namespace, cluster, &held.operation, &mut entry).await?;
            return if matches!(&renewed, Holding::Ours { fence: now, .. } if now == fence) { Ok(()) } else { Err(lost()) };
        }
        self.gate.check()?;
        let read = self.record(namespace, cluster).get().await.map_err(|error| api_error(cluster, &error))?;
        if read.as_ref().is_some_and(|read| record::holder(read) == Some(&self.identity) && fence_of(read) == *fence) {
            return Ok(());
        }
        entry.held = None;
        Err(lost())
    }

    /// Reads the Lease, for whoever judges a step by it.
    pub async fn look(&self, namespace: &str, cluster: &str) -> Result<LeaseView, LeaseError> {
        let entry = self.entry(namespace, cluster);
        let entry = entry.lock().await;
        let read = self.record(namespace, cluster).get().await.map_err(|error| api_error(cluster, &error))?;
        let now = self.clock.instant();
        Ok(LeaseView {
            identity: self.identity.clone(),
            holder: read.as_ref().and_then(record::holder).map(str::to_owned),
            operation: read.as_ref().and_then(operation_of),
            now: read.as_ref().map(fence_of),
            taken: entry.held.as_ref().map(|held| held.fence.clone()),
            renewed_ago: entry.held.as_ref().map_or(Duration::MAX, |held| now.duration_since(held.renewed)),
            duration: self.length,
        })
    }

    /// Whether the Lease was renewed so lately that a statement that cannot be fenced may be sent now.
    pub async fn is_fresh(&self, namespace: &str, cluster: &str, fence: &Fence) -> bool {
        let entry = self.entry(namespace, cluster);
        let entry = entry.lock().await;
        entry.held.as_ref().is_some_and(|held| {
            held.fence == *fence && self.clock.instant().duration_since(held.renewed) < self.length / 3 && self.gate.check().is_ok()
        })
    }

    /// Gives the Lease up: the operation is done, or yields at a safe point. Nothing is sent if it is not ours.
    pub async fn release(&self, namespace: &str, cluster: &str) -> Result<(), LeaseError> {
        let entry = self.entry(namespace, cluster);
        let mut entry = entry.lock().await;
        let Some(held) = entry.held.take() else { return Ok(()) };
        self.gate.check()?;
        let record = self.record(namespace, cluster);
        let failed = |error: RequestError| api_error(cluster, &error);
        let Some(read) = record.get().await.map_err(failed)? else { return Ok(()) };
        if record::holder(&read) == Some(&self.identity) && fence_of(&read) == held.fence {
            let cleared: Annotations = vec![(KIND, None), (TARGET, None), (START, None)];
            record.put(Some(&read), record::released(&read, self.clock.now()), cleared).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Renews every Lease that is held. Call it every third of the duration, whatever else goes on.
    pub async fn renew_all(&self) {
        let all: Vec<(Key, Arc<Mutex<Cluster>>)> = self.all().iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        let renewals = all.into_iter().map(|((namespace, cluster), entry)| async move {
            let mut entry = entry.lock().await;
            let Some(held) = entry.held.clone() else { return };
            if let Err(error) = self.take(&namespace, &cluster, &held.operation, &mut entry).await {
                tracing::warn!(namespace, cluster, error = %error, "the operation Lease cannot be renewed");
            }
        });
        futures::future::join_all(renewals).await;
    }

    /// Forgets a cluster that is gone, or somebody else's from now on: its Lease is renewed no more and runs out.
    pub fn forget(&self, namespace: &str, cluster: &str) {
        self.all().remove(&(namespace.to_owned(), cluster.to_owned()));
    }

    /// Forgets all clusters of a namespace.
    pub fn forget_namespace(&self, namespace: &str) {
        self.all().retain(|(of, _), _| of != namespace);
    }

    async fn take(&self, namespace: &str, cluster: &str, operation: &Operation, entry: &mut Cluster) -> Result<Holding, LeaseError> {
        let record = self.record(namespace, cluster);
        for _ in 0..3 {
            self.gate.check()?;
            let asked = self.clock.instant();
            let read = record.get().await.map_err(|error| api_error(cluster, &error))?;
            if let Some(read) = &read
                && let Some(busy) = self.busy(read, entry, asked)
            {
                entry.held = None;
                return Ok(busy);
            }
            // Held under the very fence that we remember: a renewal. Else it changes hands, also from
            // our former self, whose acts under the old fence end with this.
            let renewal =
                entry.held.clone().filter(|held| read.as_ref().is_some_and(|read| self.is_ours(read) && fence_of(read) == held.fence));
            let as_whom = if renewal.is_some() { read.clone() } else { read.clone().map(disowned) };
            let left_behind = match &renewal {
                Some(held) => held.left_behind.clone(),
                None => read.as_ref().and_then(operation_of),
            };
            let spec = record::held(as_whom.as_ref(), &self.identity, self.length, self.clock.now());
            if let Written::Done(lease) =
                record.put(read.as_ref(), spec, annotations(operation)).await.map_err(|error| api_error(cluster, &error))?
            {
                let fence = fence_of(&lease);
                entry.watched.note(&lease, asked);
                entry.held =
                    Some(Held { fence: fence.clone(), operation: operation.clone(), renewed: asked, left_behind: left_behind.clone() });
                return Ok(Holding::Ours { fence, left_behind });
            }
        }
        entry.held = None;
        Err(LeaseError::Contended { cluster: cluster.to_owned() })
    }

    /// Whether somebody else holds it and has been heard of lately.
    fn busy(&self, read: &Lease, entry: &mut Cluster, now: Instant) -> Option<Holding> {
        let holder = entry.watched.living_holder(read, self.length, now).filter(|holder| *holder != self.identity)?;
        Some(Holding::Busy { holder: holder.to_owned(), operation: operation_of(read) })
    }

    fn is_ours(&self, read: &Lease) -> bool {
        record::holder(read) == Some(&self.identity)
    }

    fn record(&self, namespace: &str, cluster: &str) -> Record {
        Record::new(self.client.clone(), namespace, &format!("{cluster}-operation"), (self.length / 3).min(Duration::from_secs(5)))
    }

    fn entry(&self, namespace: &str, cluster: &str) -> Arc<Mutex<Cluster>> {
        self.all().entry((namespace.to_owned(), cluster.to_owned())).or_default().clone()
    }

    /// Every change under the lock is a single call.
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Arc<Mutex<Cluster>>>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same Lease as if nobody held it, so that taking it counts as a change of hands.
fn disowned(mut lease: Lease) -> Lease {
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = None;
    }
    lease
}

fn fence_of(lease: &Lease) -> Fence {
    Fence { uid: lease.uid().unwrap_or_default(), transitions: record::transitions(lease) }
}

fn operation_of(lease: &Lease) -> Option<Operation> {
    let annotations = lease.annotations();
    Some(Operation {
        kind: annotations.get(KIND)?.clone(),
        target: annotations.get(TARGET).cloned().unwrap_or_default(),
        started: annotations.get(START)?.parse().ok()?,
    })
}

fn annotations(operation: &Operation) -> Annotations {
    vec![(KIND, Some(operation.kind.clone())), (TARGET, Some(operation.target.clone())), (START, Some(operation.started.to_string()))]
}

fn api_error(cluster: &str, error: &RequestError) -> LeaseError {
    if let RequestError::Api(kube::Error::Api(status)) = error
        && status.code == 403
        && status.details.as_ref().is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
    {
        return LeaseError::Terminating { cluster: cluster.to_owned() };
    }
    LeaseError::Api { cluster: cluster.to_owned(), message: error.to_string() }
}
