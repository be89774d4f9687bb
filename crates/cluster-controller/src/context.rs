//! What every reconcile works with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller_kit::apply::Applier;
use controller_kit::clock::Clock;
use controller_kit::discovery::ServerAbilities;
use controller_kit::events::Recorder;
use controller_kit::leadership::WriteGate;
use controller_kit::lease::OperationLeases;
use controller_kit::metrics::Metrics;
use controller_kit::scope::Place;
use controller_kit::server::Endpoints;
use controller_kit::watch::WatchHealth;
use doris_api::{DorisCluster, labels, names};
use doris_client::{Journals, Password, Transport, generate_password};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, Volume};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Client, Resource as _};
use tokio::time::Instant;

use crate::act::identity::Remembered;
use crate::build::{ClaimShape, OldBudget, claims_of};
use crate::cache::{ClusterKey, Index, Lists, Packed, Stamp};
use crate::report::Finding;
use crate::round::{
    AccountsMemory, ConfigMemory, GrowthMemory, OperationMemory, RefusedMemory, RollMemory, ScaleMemory, SuspensionMemory, UpgradeMemory,
};
use crate::safety::SafetyMetrics;

/// Field managers of our other controllers: a conflict with one of them is a breach of the contract.
pub const SIBLINGS: &[&str] = &["doris-scaler", "doris-failover-watcher", "doris-monitoring-provisioner", "doris-backup-scheduler"];

/// How long the holder of an operation Lease may be silent before another one takes it.
pub const OPERATION_LEASE: Duration = Duration::from_secs(30);

/// The watch caches.
#[derive(Default)]
pub struct Caches {
    /// Members' pods.
    pub pods: Arc<Index<Packed<Pod>>>,
    /// Members' claims.
    pub claims: Arc<Index<Packed<PersistentVolumeClaim>>>,
    /// StatefulSets: what is there and how many members it has.
    pub sets: Arc<Index<SetView>>,
    /// Services.
    pub services: Arc<Index<Stamp>>,
    /// ConfigMaps.
    pub config_maps: Arc<Index<Stamp>>,
    /// Secrets.
    pub secrets: Arc<Index<Stamp>>,
    /// PodDisruptionBudgets.
    pub budgets: Arc<Index<Stamp>>,
    /// NetworkPolicies.
    pub policies: Arc<Index<Stamp>>,
    places_known: AtomicBool,
}

impl Caches {
    /// All indexes, as far as their lists go.
    pub fn lists(&self) -> [&dyn Lists; 8] {
        let Self { pods, claims, sets, services, config_maps, secrets, budgets, policies, .. } = self;
        [&**pods, &**claims, &**sets, &**services, &**config_maps, &**secrets, &**budgets, &**policies]
    }

    /// The places to work in are known now.
    pub fn places_known(&self) {
        self.places_known.store(true, Ordering::Relaxed);
    }

    /// Whether every first list is complete. A namespace that cannot be watched (a tenant that gave no rights) is not waited for.
    pub fn are_filled(&self, watches: &WatchHealth) -> bool {
        let is_failing = |namespace: &str| watches.is_failing_in(namespace);
        let fills = |place: &Place| place.as_deref().is_none_or(|namespace| !is_failing(namespace));
        self.places_known.load(Ordering::Relaxed) && !self.lists().iter().any(|index| index.incomplete().iter().any(fills))
    }
}

/// What is kept of a StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetView {
    /// Which version it is.
    pub stamp: Stamp,
    /// Members it is to have.
    pub replicas: i32,
    /// Revision that pods are made from now; unknown until the set's controller has seen the latest template.
    pub revision: Option<String>,
    /// Requests to restart that its template carries.
    pub restarts: BTreeMap<String, String>,
    /// ConfigMaps that pods are made with as configuration now.
    pub configs: Vec<String>,
    /// Image that members are made with now.
    pub image: Option<String>,
    /// Image that its template was made with, as far as that is ours.
    pub build: Option<String>,
    /// Its claim templates.
    pub claims: Vec<ClaimShape>,
    /// It is being deleted.
    pub leaving: bool,
}

impl SetView {
    /// The view of a set.
    pub fn of(set: &StatefulSet) -> Self {
        let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = set.status.as_ref().filter(|status| status.observed_generation == set.metadata.generation);
        let template = set.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
        let annotations = template.and_then(|metadata| metadata.annotations.as_ref()).into_iter().flatten();
        let is_request = |key: &str| key == labels::RESTART || key.starts_with(labels::RESTART_PREFIX);
        let pod = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        let process = set.metadata.labels.as_ref().and_then(|labels| labels.get(labels::PROCESS));
        let main = pod.and_then(|pod| pod.containers.iter().find(|container| Some(&container.name) == process));
        let build = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(labels::BUILD)).cloned();
        Self {
            stamp: Stamp::of(set),
            replicas,
            revision: status.and_then(|status| status.update_revision.clone()),
            restarts: annotations.filter(|(key, _)| is_request(key)).map(|(key, value)| (key.clone(), value.clone())).collect(),
            configs: pod.map(|pod| config_maps(pod.volumes.as_deref().unwrap_or_default())).unwrap_or_default(),
            image: main.and_then(|container| container.image.clone()),
            build,
            claims: claims_of(set),
            leaving: set.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// ConfigMaps that a pod's configuration is put together from.
pub fn config_maps(volumes: &[Volume]) -> Vec<String> {
    let sources = volumes
        .iter()
        .filter(|volume| volume.name == names::CONFIG_VOLUME)
        .filter_map(|volume| volume.projected.as_ref())
        .flat_map(|projected| projected.sources.iter().flatten());
    sources.filter_map(|source| source.config_map.as_ref()).map(|map| map.name.clone()).collect()
}

/// A kind that is cached by its stamp alone.
pub trait Stamped: kube::Resource {
    /// The cache of the kind.
    fn index(caches: &Caches) -> &Index<Stamp>;
}

macro_rules! stamped {
    ($($kind:ty => $field:ident),*) => {
        $(impl Stamped for $kind {
            fn index(caches: &Caches) -> &Index<Stamp> {
                &caches.$field
            }
        })*
    };
}

stamped!(Service => services, ConfigMap => config_maps, Secret => secrets, PodDisruptionBudget => budgets, OldBudget => budgets, NetworkPolicy => policies);

/// What is remembered of one cluster. All of it can be lost at any time: it only spares work.
#[derive(Default)]
pub struct Memory {
    /// The identity as we last read or wrote it.
    pub identity: Remembered,
    /// What was read of passwords, and refused.
    pub accounts: AccountsMemory,
    /// Journal ids of the frontends over time.
    pub journals: Journals,
    /// The master and its journal id in the round before.
    pub master_journal: Option<(String, u64)>,
    /// What was applied and is known to be in place.
    pub applied: crate::act::children::AppliedMemory,
    /// What was swept.
    pub swept: crate::act::sweep::SweepMemory,
    /// The last finding that an Event told.
    pub told: Option<Finding>,
    /// When the status was last written.
    pub reported_at: Option<Instant>,
    /// How often it was written.
    pub reports: u32,
    /// Since when looks follow each other quickly.
    pub quick_since: Option<Instant>,
    /// Masters that could not write.
    pub proof: crate::round::ProofMemory,
    /// Frontends that are being replaced.
    pub replacing: crate::round::ReplaceMemory,
    /// The disruptive operation under way.
    pub operation: OperationMemory,
    /// The roll under way.
    pub roll: RollMemory,
    /// What safety rules refused and was told.
    pub refusal: crate::round::RefusalMemory,
    /// Pods that the server refuses.
    pub refused: RefusedMemory,
    /// The scale in under way.
    pub scaling: ScaleMemory,
    /// Configurations as they were written, and what processes said of their keys.
    pub config: ConfigMemory,
    /// The change of version that is wanted or under way.
    pub upgrade: UpgradeMemory,
    /// What is remembered of a suspension.
    pub suspension: SuspensionMemory,
    /// Volumes that grow.
    pub growth: GrowthMemory,
    /// Members that nobody asked for.
    pub unknown: crate::round::UnknownMemory,
    /// Since when all frontends are there while other members are missing.
    pub frontends_since: Option<Instant>,
}

/// What a context is put together from.
pub struct Parts {
    /// Kubernetes.
    pub client: Client,
    /// Doris.
    pub transport: Arc<dyn Transport>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whether we may write.
    pub gate: Arc<dyn WriteGate>,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// Name of this process in Events.
    pub instance: String,
}

/// Everything a reconcile needs.
pub struct Context {
    /// Name of this process in Events and Leases.
    instance: String,
    has_events_v1: bool,
    /// Kubernetes.
    pub client: Client,
    /// Doris.
    pub transport: Arc<dyn Transport>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whether we may write.
    pub gate: Arc<dyn WriteGate>,
    /// Server-side apply.
    pub applier: Applier,
    /// The clusters' operation Leases.
    pub operations: OperationLeases,
    /// Watch caches.
    pub caches: Arc<Caches>,
    /// Minor version of the API server.
    pub kubernetes_minor: u32,
    /// Namespace that the controllers run in.
    pub operator_namespace: Option<String>,
    /// Events for people.
    pub recorder: Recorder,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// Numbers about the safety rules.
    pub safety: Arc<SafetyMetrics>,
    /// How the watches fare.
    pub watches: WatchHealth,
    /// Randomness for ids and passwords.
    random: Mutex<fastrand::Rng>,
    memories: Mutex<BTreeMap<ClusterKey, Arc<tokio::sync::Mutex<Memory>>>>,
}

/// What writes to the API server under one gate.
struct Writers {
    applier: Applier,
    operations: OperationLeases,
    recorder: Recorder,
}

impl Writers {
    /// `instance` is the name of this process, beside whether the server knows the newer form of Events.
    fn new(
        client: &Client,
        (instance, has_events_v1): (&str, bool),
        (clock, gate, metrics): (Arc<dyn Clock>, Arc<dyn WriteGate>, Arc<Metrics>),
    ) -> Self {
        let applier = Applier::new(client.clone(), labels::CLUSTER_CONTROLLER, SIBLINGS, gate.clone(), clock.clone());
        let operations = OperationLeases::new(client.clone(), instance.to_owned(), OPERATION_LEASE, clock.clone(), gate.clone());
        let shared = (clock, gate, metrics);
        let recorder = Recorder::new(client.clone(), labels::CLUSTER_CONTROLLER, instance.to_owned(), has_events_v1, shared);
        Self { applier, operations, recorder }
    }
}

impl Context {
    /// Puts a context together. `seed` makes ids and passwords of tests repeatable; programs pass none.
    pub fn new(parts: Parts, abilities: &ServerAbilities, seed: Option<u64>) -> Self {
        let Parts { client, transport, clock, gate, metrics, instance } = parts;
        let has_events_v1 = abilities.has_events_v1();
        let Writers { applier, operations, recorder } =
            Writers::new(&client, (&instance, has_events_v1), (clock.clone(), gate.clone(), metrics.clone()));
        let watches = WatchHealth::new(clock.clone(), metrics.clone());
        let safety = Arc::new(SafetyMetrics::register(&metrics));
        let random = Mutex::new(seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed));
        Self {
            instance,
            has_events_v1,
            client,
            transport,
            clock,
            gate,
            applier,
            operations,
            caches: Arc::default(),
            kubernetes_minor: abilities.version.1,
            operator_namespace: None,
            recorder,
            metrics,
            safety,
            watches,
            random,
            memories: Mutex::default(),
        }
    }

    /// A context for other clusters of this process, with a gate of its own: it shares what is read and counted, and remembers for itself.
    #[must_use]
    pub fn beside(&self, gate: Arc<dyn WriteGate>) -> Self {
        let shared = (self.clock.clone(), gate.clone(), self.metrics.clone());
        let Writers { applier, operations, recorder } = Writers::new(&self.client, (&self.instance, self.has_events_v1), shared);
        Self {
            instance: self.instance.clone(),
            has_events_v1: self.has_events_v1,
            client: self.client.clone(),
            transport: self.transport.clone(),
            clock: self.clock.clone(),
            gate,
            applier,
            operations,
            recorder,
            caches: self.caches.clone(),
            kubernetes_minor: self.kubernetes_minor,
            operator_namespace: self.operator_namespace.clone(),
            metrics: self.metrics.clone(),
            safety: self.safety.clone(),
            watches: self.watches.clone(),
            random: Mutex::new(self.random.lock().unwrap_or_else(PoisonError::into_inner).fork()),
            memories: Mutex::default(),
        }
    }

    /// What the health and metrics server tells.
    pub fn endpoints(self: &Arc<Self>) -> Endpoints {
        let ctx = self.clone();
        let ready =
            Arc::new(move || if ctx.caches.are_filled(&ctx.watches) { Ok(()) } else { Err("the caches are being filled".to_owned()) });
        Endpoints { metrics: self.metrics.clone(), watches: self.watches.clone(), ready }
    }

    /// What is remembered of a cluster.
    pub fn memory(&self, cluster: &ClusterKey) -> Arc<tokio::sync::Mutex<Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).entry(cluster.clone()).or_default().clone()
    }

    /// Whether this process has looked at a cluster before.
    pub fn remembers(&self, cluster: &ClusterKey) -> bool {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).contains_key(cluster)
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, cluster: &ClusterKey) {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
        self.operations.forget(&cluster.namespace, &cluster.name);
        self.safety.blocked(cluster, &std::collections::BTreeSet::new());
        self.applier.forget(&DorisCluster::kind(&()), &cluster.namespace, &cluster.name);
    }

    /// Forgets all clusters: they are somebody else's from now on.
    pub fn forget_all(&self) {
        self.forget_those(|_| true);
    }

    fn forget_those(&self, are_meant: impl Fn(&ClusterKey) -> bool) {
        let known: Vec<ClusterKey> = self.memories.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for cluster in known.iter().filter(|cluster| are_meant(cluster)) {
            self.forget(cluster);
        }
    }

    /// Forgets a namespace that is no longer ours.
    pub fn leave(&self, namespace: &str) {
        self.forget_those(|cluster| cluster.namespace == namespace);
        self.operations.forget_namespace(namespace);
        for index in self.caches.lists() {
            index.leave(namespace);
        }
        self.watches.forget(namespace);
    }

    /// A new password.
    pub fn new_password(&self) -> Password {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        generate_password(|| random.u64(..))
    }

    /// A new identity id.
    pub fn new_id(&self) -> String {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:016x}", random.u64(..))
    }
}
