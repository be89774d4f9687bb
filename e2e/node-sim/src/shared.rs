//! What all parts of the simulated nodes share.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::addresses::Addresses;
use crate::cache::{Cache, Touched};
use crate::engine::Engine;
use crate::faults::Faults;
use crate::options::Options;
use crate::tokens::Tokens;

/// The caches of all watched kinds.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) config_maps: Arc<Cache<ConfigMap>>,
    pub(crate) secrets: Arc<Cache<Secret>>,
    pub(crate) claims: Arc<Cache<PersistentVolumeClaim>>,
    pub(crate) volumes: Arc<Cache<PersistentVolume>>,
    pub(crate) services: Arc<Cache<Service>>,
    pub(crate) classes: Arc<Cache<StorageClass>>,
}

/// A pod that a kubelet runs, as the name service and the faults see it.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) ready: bool,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) options: Options,
    pub(crate) caches: Caches,
    pub(crate) notes: UnboundedSender<Touched>,
    pub(crate) addresses: Mutex<Addresses>,
    pub(crate) faults: Mutex<Faults>,
    /// By namespace and name.
    pub(crate) running: Mutex<BTreeMap<(String, String), Running>>,
    pub(crate) tokens: Mutex<Tokens>,
    /// Woken to look at the pod again, by uid.
    pub(crate) wakers: Mutex<BTreeMap<String, Arc<Notify>>>,
}

impl Shared {
    pub(crate) fn now(&self) -> Time {
        Time((self.options.clock)())
    }

    pub(crate) fn wake(&self, uid: &str) {
        if let Some(waker) = lock(&self.wakers).get(uid) {
            waker.notify_one();
        }
    }

    /// Notes that something changed that no watch tells.
    pub(crate) fn touch(&self, touched: Touched) {
        if self.notes.send(touched).is_err() {
            tracing::debug!("the dispatcher has ended");
        }
    }
}

/// Locks; a panic elsewhere must not hide behind a second one here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
