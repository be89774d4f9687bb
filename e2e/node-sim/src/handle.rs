//! Starting the simulated nodes, and the faults that a test can cause.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;

use crate::addresses::Addresses;
use crate::cache::{Key, Touched, follow};
use crate::engine::Engine;
use crate::faults::{Faults, NodeLoss, Order};
use crate::names::NameService;
use crate::options::Options;
use crate::shared::{Caches, Shared, lock};
use crate::{kubelet, nodes, storage};

/// Running simulated nodes; everything stops when this is dropped.
pub struct NodeSim {
    shared: Arc<Shared>,
    names: Arc<NameService>,
    _tasks: JoinSet<()>,
}

impl NodeSim {
    /// Starts nodes, provisioner and kubelets as tasks of the current runtime. Returns at once; an
    /// API server that is not reachable yet is tried again.
    pub fn start(client: &Client, engine: Arc<dyn Engine>, options: Options) -> Self {
        let (notes, received) = mpsc::unbounded_channel();
        let (storage_notes, storage_received) = mpsc::unbounded_channel();
        let faults = Faults { missing_images: options.missing_images.clone(), ..Faults::default() };
        let shared = Arc::new(Shared {
            client: client.clone(),
            engine,
            addresses: Mutex::new(Addresses::new(options.pod_network, options.pod_network_size)),
            options,
            caches: Caches::default(),
            notes: notes.clone(),
            faults: Mutex::new(faults),
            running: Mutex::new(BTreeMap::new()),
            tokens: Mutex::new(BTreeMap::new()),
            wakers: Mutex::new(BTreeMap::new()),
        });
        let names = Arc::new(NameService::default());
        let mut tasks = JoinSet::new();
        for node in shared.options.nodes.clone() {
            tasks.spawn(nodes::keep(shared.clone(), node));
        }
        let caches = &shared.caches;
        tasks.spawn(follow(Api::all(client.clone()), caches.classes.clone(), notes.clone(), Touched::Class));
        tasks.spawn(follow(Api::all(client.clone()), caches.volumes.clone(), notes.clone(), Touched::Volume));
        tasks.spawn(follow(everywhere(client), caches.claims.clone(), notes.clone(), Touched::Claim));
        tasks.spawn(follow(everywhere(client), caches.config_maps.clone(), notes.clone(), Touched::ConfigMap));
        tasks.spawn(follow(everywhere(client), caches.secrets.clone(), notes.clone(), Touched::Secret));
        tasks.spawn(follow(everywhere(client), caches.services.clone(), notes.clone(), Touched::Service));
        tasks.spawn(follow(everywhere(client), caches.pods.clone(), notes, Touched::Pod));
        tasks.spawn(kubelet::dispatch(shared.clone(), names.clone(), storage_notes, received));
        tasks.spawn(provision(shared.clone(), storage_received));
        Self { shared, names, _tasks: tasks }
    }

    /// What names resolve to.
    pub fn names(&self) -> Arc<NameService> {
        self.names.clone()
    }

    /// Address of a running pod.
    pub fn address(&self, namespace: &str, pod: &str) -> Option<Ipv4Addr> {
        lock(&self.shared.running).get(&(namespace.to_owned(), pod.to_owned())).map(|running| running.address)
    }

    /// Node of a running pod.
    pub fn node_of(&self, namespace: &str, pod: &str) -> Option<String> {
        lock(&self.shared.running).get(&(namespace.to_owned(), pod.to_owned())).map(|running| running.node.clone())
    }

    /// Ends processes of a pod with SIGKILL; all its containers when none is named.
    pub fn kill(&self, namespace: &str, pod: &str, container: Option<&str>) -> bool {
        self.order(namespace, pod, container, Order::Kill)
    }

    /// Stops processes of a pod without ending them, or lets them go on.
    pub fn freeze(&self, namespace: &str, pod: &str, container: Option<&str>, frozen: bool) -> bool {
        self.order(namespace, pod, container, Order::Freeze(frozen))
    }

    fn order(&self, namespace: &str, pod: &str, container: Option<&str>, order: Order) -> bool {
        let key = (namespace.to_owned(), pod.to_owned());
        let Some(uid) = lock(&self.shared.running).get(&key).map(|running| running.uid.clone()) else { return false };
        lock(&self.shared.faults).orders.entry(uid.clone()).or_default().push((container.map(str::to_owned), order));
        self.shared.wake(&uid);
        true
    }

    /// Loses a node: its lease is no longer renewed, its kubelet does nothing.
    pub fn lose_node(&self, node: &str, loss: NodeLoss) {
        lock(&self.shared.faults).lost_nodes.insert(node.to_owned(), loss);
        self.shared.touch(Touched::Fault);
    }

    /// Brings a lost node back.
    pub fn restore_node(&self, node: &str) {
        lock(&self.shared.faults).lost_nodes.remove(node);
        self.shared.touch(Touched::Fault);
    }

    /// Cuts the link between two pods' addresses, or mends it.
    pub fn cut_link(&self, from: Ipv4Addr, to: Ipv4Addr, cut: bool) {
        self.shared.engine.link(from, to, cut);
    }

    /// Empties the volume behind a claim, as a replaced disk would be; `false` if it has none.
    pub fn lose_volume(&self, namespace: &str, claim: &str) -> bool {
        self.volume_of(namespace, claim).map(|volume| self.shared.engine.volume_lost(&volume)).is_some()
    }

    /// Fills the volume behind a claim, or makes room again.
    pub fn fill_volume(&self, namespace: &str, claim: &str, full: bool) -> bool {
        self.volume_of(namespace, claim).map(|volume| self.shared.engine.volume_full(&volume, full)).is_some()
    }

    /// Lets no volume grow any more, for this reason of the driver, or lets them grow again.
    pub fn fail_growth(&self, error: Option<&str>) {
        lock(&self.shared.faults).resize_error = error.map(str::to_owned);
        for claim in self.shared.caches.claims.all() {
            self.shared.touch(Touched::Claim(key(claim.as_ref())));
        }
    }

    fn volume_of(&self, namespace: &str, claim: &str) -> Option<String> {
        self.shared.caches.claims.get(namespace, claim)?.spec.as_ref()?.volume_name.clone()
    }

    /// Replaces the set of images that no registry has.
    pub fn miss_images(&self, images: BTreeSet<String>) {
        lock(&self.shared.faults).missing_images = images;
        let wakers: Vec<_> = lock(&self.shared.wakers).values().cloned().collect();
        for waker in wakers {
            waker.notify_one();
        }
    }

    /// Lets a registry give another image for this name from now on, as when a tag is pushed anew; the same one ends that.
    pub fn move_tag(&self, image: &str, to: &str) {
        lock(&self.shared.faults).moved_tags.insert(image.to_owned(), to.to_owned());
    }

    /// Lets mounted files change only after this time; `None` is the configured one.
    pub fn delay_sync(&self, delay: Option<Duration>) {
        lock(&self.shared.faults).sync_delay = delay;
    }
}

/// A namespaced kind in all namespaces.
fn everywhere<K>(client: &Client) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::all(client.clone())
}

/// Registers the class, then serves claims and volumes one after the other; what failed is tried
/// again a second later.
async fn provision(shared: Arc<Shared>, mut notes: UnboundedReceiver<Touched>) {
    while let Err(error) = storage::register(&shared).await {
        tracing::warn!(%error, "the StorageClass is not registered yet");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut waiting: BTreeSet<Touched> = BTreeSet::new();
    let mut batch = Vec::new();
    loop {
        if waiting.is_empty() {
            if notes.recv_many(&mut batch, 1024).await == 0 {
                return;
            }
        } else if let Ok(0) = tokio::time::timeout(Duration::from_secs(1), notes.recv_many(&mut batch, 1024)).await {
            return;
        }
        let mut work = std::mem::take(&mut waiting);
        work.extend(batch.drain(..));
        if work.iter().any(|note| matches!(note, Touched::Class(_))) {
            work.extend(shared.caches.claims.all().iter().map(|claim| Touched::Claim(key(claim.as_ref()))));
        }
        for note in work {
            let result = match &note {
                Touched::Claim(key) => storage::serve_claim(&shared, key).await,
                Touched::Volume(key) => reclaim(&shared, key).await,
                _ => Ok(()),
            };
            if let Err(error) = result {
                tracing::warn!(%error, ?note, "storage is tried again");
                waiting.insert(note);
            }
        }
    }
}

async fn reclaim(shared: &Shared, key: &Key) -> Result<(), kube::Error> {
    if let Some(gone) = storage::reclaim(shared, key).await? {
        shared.engine.volume_lost(&gone);
    }
    Ok(())
}

fn key<K: Resource>(object: &K) -> Key {
    use kube::ResourceExt;
    (object.namespace().unwrap_or_default(), object.name_any())
}
