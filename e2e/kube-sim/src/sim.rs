//! The simulator as a library.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::http::service::{Identity, SimService};
use crate::status::ApiStatus;

/// How a simulated API server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kubernetes 1.`minor` is simulated.
    pub minor: u32,
    /// uids, generated names and tokens follow from it.
    pub seed: u64,
    /// Wall time.
    pub clock: Clock,
    /// Bearer token of the administrator; without one everybody is an administrator.
    pub admin_token: Option<String>,
    /// There is a default `StorageClass` whose claims the built-in controllers bind. Nodes may bring one of their own instead.
    pub storage_class: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { minor: 36, seed: 1, clock: Clock::system(), admin_token: None, storage_class: true }
    }
}

/// One answered request, for tests that look at what a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Name that the client was given, empty for clients over the network.
    pub client: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Type of the body that was sent.
    pub content_type: String,
    /// The body that was sent.
    pub body: Bytes,
    /// User.
    pub user: String,
    /// Verb, as access control names it.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// Plural and, after a slash, the subresource; empty for other paths.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// HTTP status; 0 when the connection was dropped.
    pub status: u16,
}

/// What is made of a request by a fault plan.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing: it is answered.
    Pass,
    /// It is answered after a while.
    Delay(Duration),
    /// It is refused without being looked at.
    Answer(ApiStatus),
    /// The connection breaks before the request arrives.
    DropBefore,
    /// The request is executed, and the connection breaks before the answer arrives.
    DropAfter,
}

pub(crate) type AuditHook = Arc<dyn Fn(&Audit) + Send + Sync>;
pub(crate) type FaultHook = Arc<dyn Fn(&Audit) -> Fault + Send + Sync>;

#[derive(Default)]
pub(crate) struct Hooks {
    pub audit: Vec<AuditHook>,
    pub fault: Option<FaultHook>,
}

/// What all clients of one simulator share.
pub(crate) struct Inner {
    cluster: Mutex<Cluster>,
    pub hooks: Mutex<Hooks>,
    pub options: Options,
    pub stopped: CancellationToken,
    controllers: Mutex<Option<kube_controllers::Guard>>,
}

impl Inner {
    /// The state of the cluster. A panic of another holder left whole objects behind: requests go on.
    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A simulated Kubernetes API server.
#[derive(Clone)]
pub struct KubeSim {
    pub(crate) inner: Arc<Inner>,
}

impl KubeSim {
    /// A server with the objects that every cluster begins with.
    pub fn new(options: Options) -> Self {
        let mut cluster = Cluster::new(options.minor, options.seed);
        crate::bootstrap::fill(&mut cluster, options.clock.now(), options.storage_class);
        let inner = Inner {
            cluster: Mutex::new(cluster),
            hooks: Mutex::default(),
            options,
            stopped: CancellationToken::new(),
            controllers: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A client's way in, without a network. `client` is what audits and fault plans know it by.
    pub fn service(&self, client: &str, identity: Identity) -> SimService {
        SimService::new(self.inner.clone(), client, identity)
    }

    /// Calls `hook` with every answered request, beside the hooks that are there.
    pub fn on_request(&self, hook: impl Fn(&Audit) + Send + Sync + 'static) {
        self.inner.hooks().audit.push(Arc::new(hook));
    }

    /// Asks `plan` what to make of every request, before it is looked at (`status` is 0).
    pub fn on_fault(&self, plan: impl Fn(&Audit) -> Fault + Send + Sync + 'static) {
        self.inner.hooks().fault = Some(Arc::new(plan));
    }

    /// Requests are answered without faults again.
    pub fn clear_faults(&self) {
        self.inner.hooks().fault = None;
    }

    /// Starts the built-in controllers on this runtime; they end with [`KubeSim::stop`].
    pub fn spawn_controllers(&self) {
        self.spawn_controllers_with(kube_controllers::Options::default());
    }

    /// Starts the built-in controllers with options of their own.
    pub fn spawn_controllers_with(&self, options: kube_controllers::Options) {
        let guard = kube_controllers::spawn(self.controller_api(), options);
        *self.inner.controllers.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
    }

    /// Ends watches, controllers and servers.
    pub fn stop(&self) {
        self.inner.stopped.cancel();
        self.inner.controllers.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The newest resource version.
    pub fn revision(&self) -> u64 {
        self.inner.cluster().store.revision()
    }

    /// Answers HTTP requests that come in on `listener` until [`KubeSim::stop`].
    pub fn serve(&self, listener: tokio::net::TcpListener) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        crate::http::server::serve(self.clone(), listener)
    }
}
