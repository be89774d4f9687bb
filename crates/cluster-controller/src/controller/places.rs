//! Where the controller works: its watches and loops in every namespace that is ours, as long as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use controller_kit::scope::Place;
use controller_kit::watch::{self as kit, WatchName};
use doris_api::{DorisCluster, labels};
use futures::channel::mpsc;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Crew, Settings, Shared, reconcile};
use crate::build;
use crate::cache::{self, ClusterKey, Index, Stamp};
use crate::context::{Context, SetView};
use crate::initializer;

/// Works in every place that is ours, as long as it is.
#[derive(Clone)]
pub(super) struct Places {
    shared: Arc<Shared>,
    initializers: Arc<initializer::Loop>,
    settings: Arc<Settings>,
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
}

/// A place that is worked in.
struct Live {
    leave: CancellationToken,
    /// Ends when the place is left or the process is to stop; aborted when dropped.
    task: JoinSet<()>,
}

impl Places {
    pub fn new(shared: Arc<Shared>, settings: Settings, leads: watch::Receiver<bool>, stop: CancellationToken) -> Self {
        let initializers = initializer::Loop::new(shared.crew.clone(), &settings, stop.clone());
        Self { shared, initializers: Arc::new(initializers), settings: Arc::new(settings), leads, stop }
    }

    /// Begins in places that come, leaves those that go, until it is told to stop and the rounds under way are finished.
    pub async fn work(self, mut reach: watch::Receiver<Option<BTreeSet<Place>>>) {
        let mut live: BTreeMap<Place, Live> = BTreeMap::new();
        loop {
            let wanted = reach.borrow_and_update().clone();
            if let Some(wanted) = wanted {
                self.shared.crew.any().caches.places_known();
                for place in live.keys().filter(|place| !wanted.contains(*place)).cloned().collect::<Vec<_>>() {
                    if let (Some(gone), Some(namespace)) = (live.remove(&place), &place) {
                        self.leave(gone, namespace).await;
                    }
                }
                for place in wanted {
                    live.entry(place.clone()).or_insert_with(|| self.begin(place));
                }
            }
            tokio::select! {
                // The other end lives as long as the process.
                changed = reach.changed() => if changed.is_err() { return },
                () = self.stop.cancelled() => break,
            }
        }
        for mut place in live.into_values() {
            while place.task.join_next().await.is_some() {}
        }
    }

    fn begin(&self, place: Place) -> Live {
        if let Some(namespace) = &place {
            tracing::info!(namespace, "works in a namespace");
        }
        let leave = CancellationToken::new();
        let mut task = JoinSet::new();
        let stay = Stay { all: self.clone(), place };
        // Expected before anybody can take the caches for complete.
        stay.expect_lists();
        task.spawn(stay.live(leave.clone()));
        Live { leave, task }
    }

    /// Ends watches and rounds at once, for they may outlive our rights; any round may break off anywhere. What was known is forgotten.
    async fn leave(&self, mut gone: Live, namespace: &str) {
        gone.leave.cancel();
        while gone.task.join_next().await.is_some() {}
        for ctx in self.shared.crew.all() {
            ctx.leave(namespace);
        }
        tracing::info!(namespace, "leaves a namespace: it is gone, or its labels do not choose it any more");
    }
}

/// The work in one place.
struct Stay {
    all: Places,
    place: Place,
}

impl Stay {
    fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    fn ctx(&self) -> &Context {
        self.all.shared.crew.any()
    }

    fn expect_lists(&self) {
        for index in self.ctx().caches.lists() {
            index.expect_list(self.place());
        }
    }

    async fn live(mut self, leave: CancellationToken) {
        // Ends the watches of clusters also when this future is dropped.
        let ending = self.all.stop.child_token();
        let _ends = ending.clone().drop_guard();
        let mut watches = JoinSet::new();
        tokio::select! {
            () = self.work(&mut watches, &ending) => {}
            () = leave.cancelled() => {}
        }
        watches.shutdown().await;
    }

    async fn work(&mut self, watches: &mut JoinSet<()>, stop: &CancellationToken) {
        let (touched, queue) = mpsc::unbounded();
        self.follow_everything(&touched, watches);
        // A decision on a half-filled cache would take what is there for missing.
        let ready = async {
            for index in self.all.shared.crew.any().caches.lists() {
                index.synced(self.place.as_deref()).await;
            }
            // An error means that the process ends.
            let _ = self.all.leads.wait_for(|leads| *leads).await;
        };
        tokio::select! {
            () = ready => {}
            () = stop.cancelled() => return,
        }
        let initializers = self.all.initializers.run(self.place(), self.config(), stop.clone());
        let (store, clusters) = self.control(queue, stop.clone());
        let opened = touch_at_openings(&self.all.shared.crew, &store, &touched);
        tokio::select! {
            _ = futures::future::join(clusters, initializers) => {}
            () = opened => {}
        }
    }

    /// How kinds are watched here: of all namespaces, nothing comes from those that are denied.
    fn config(&self) -> watcher::Config {
        let mut config = kit::config();
        config.field_selector = self.all.settings.reach.field_selector();
        config
    }

    /// The clusters of this installation.
    fn ours(&self) -> watcher::Config {
        let label = labels::INSTALLATION;
        let selector = self.all.settings.installation.as_ref().map_or_else(|| format!("!{label}"), |name| format!("{label}={name}"));
        self.config().labels(&selector)
    }

    /// Works on the clusters of this place. The cluster kind is watched like every other:
    /// kube's own watch would pause the queue whenever it fails.
    fn control(
        &self,
        queue: mpsc::UnboundedReceiver<ClusterKey>,
        stop: CancellationToken,
    ) -> (Store<DorisCluster>, impl Future<Output = ()> + use<>) {
        let name = WatchName::new("dorisclusters", self.place());
        let (store, clusters) = kit::watch_main(name, self.api::<DorisCluster>(), self.ours(), self.ctx().watches.clone(), stop.clone());
        let for_gone = self.all.shared.clone();
        // As many at the same time as there are, for each waits for its turn.
        let config = kube::runtime::controller::Config::default().concurrency(0).debounce(Duration::from_millis(100));
        let run = Controller::for_stream(clusters, store.clone())
            .reconcile_on(requests(queue))
            .with_config(config)
            .graceful_shutdown_on(stop.cancelled_owned())
            .run(reconcile, |_, error, _| Action::requeue(error.again_in), self.all.shared.clone())
            .for_each(move |result| {
                match result {
                    Ok(_) => {}
                    Err(kube::runtime::controller::Error::ObjectNotFound(gone)) => for_gone.forget(&gone.name, gone.namespace.as_deref()),
                    Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "a round ended early"),
                }
                std::future::ready(())
            });
        (store, run)
    }

    /// One watch a kind, each in a task of its own.
    fn follow_everything(&self, touched: &mpsc::UnboundedSender<ClusterKey>, watches: &mut JoinSet<()>) {
        let caches = &self.ctx().caches;
        watches.spawn(self.following("pods", &self.api::<Pod>(), &caches.pods, touched, cache::slim_pod));
        watches.spawn(self.following(
            "persistentvolumeclaims",
            &self.api::<PersistentVolumeClaim>(),
            &caches.claims,
            touched,
            cache::slim_claim,
        ));
        watches.spawn(self.following("statefulsets", &self.api::<StatefulSet>(), &caches.sets, touched, |set| SetView::of(&set)));
        watches.spawn(self.stamps::<Service>("services", &caches.services, touched));
        watches.spawn(self.stamps::<ConfigMap>("configmaps", &caches.config_maps, touched));
        watches.spawn(self.stamps::<Secret>("secrets", &caches.secrets, touched));
        if build::budget_api_version(self.ctx().kubernetes_minor) == "policy/v1" {
            watches.spawn(self.stamps::<PodDisruptionBudget>("poddisruptionbudgets", &caches.budgets, touched));
        } else {
            watches.spawn(self.stamps::<build::OldBudget>("poddisruptionbudgets", &caches.budgets, touched));
        }
        watches.spawn(self.stamps::<NetworkPolicy>("networkpolicies", &caches.policies, touched));
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        let client = self.ctx().client.clone();
        self.place().map_or_else(|| Api::all(client.clone()), |namespace| Api::namespaced(client.clone(), namespace))
    }

    fn following<K, T>(
        &self,
        what: &'static str,
        api: &Api<K>,
        index: &Arc<Index<T>>,
        touched: &mpsc::UnboundedSender<ClusterKey>,
        keep: fn(K) -> T,
    ) -> impl Future<Output = ()> + use<K, T>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
        T: Send + Sync + 'static,
    {
        let watch = (WatchName::new(what, self.place()), self.ctx().watches.clone());
        cache::follow(watch, (api.clone(), self.config()), index.clone(), touched.clone(), keep)
    }

    /// Follows the metadata of a kind: of objects that we only write, the version is enough.
    fn stamps<K>(
        &self,
        what: &'static str,
        index: &Arc<Index<Stamp>>,
        touched: &mpsc::UnboundedSender<ClusterKey>,
    ) -> impl Future<Output = ()> + use<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
    {
        self.following(what, &self.api::<PartialObjectMeta<K>>(), index, touched, |object| Stamp::of(&object))
    }
}

/// Has all clusters looked at whenever some more may be ours.
async fn touch_at_openings(crew: &Crew, store: &Store<DorisCluster>, touched: &mpsc::UnboundedSender<ClusterKey>) {
    let mut openings = crew.openings();
    // The sender lives as long as the crew.
    while openings.changed().await.is_ok() {
        for cluster in store.state() {
            // Nobody listens any more only when the place is left.
            let _ = touched.unbounded_send(ClusterKey::of(cluster.as_ref()));
        }
    }
}

fn requests(queue: mpsc::UnboundedReceiver<ClusterKey>) -> impl Stream<Item = ObjectRef<DorisCluster>> {
    queue.map(|key| ObjectRef::new(&key.name).within(&key.namespace))
}
