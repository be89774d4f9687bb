//! Names of pods and Services: a stand-in for the cluster's name service and for kube-proxy.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;

use crate::shared::{Running, Shared, lock};

/// Full name to addresses, in one namespace.
type Names = BTreeMap<String, Vec<Ipv4Addr>>;

/// What every name in the cluster resolves to: a headless Service to its pods, any other Service
/// to the ready pods behind it (there is no virtual address).
#[derive(Debug, Default)]
pub struct NameService(Mutex<BTreeMap<String, Names>>);

impl NameService {
    /// Addresses of a full name such as `db-0.db.shop.svc.cluster.local`; empty if unknown.
    pub fn resolve(&self, name: &str) -> Vec<Ipv4Addr> {
        lock(&self.0).values().find_map(|names| names.get(name)).cloned().unwrap_or_default()
    }

    /// Full pod names of an address, for reverse look-ups.
    pub fn reverse(&self, address: Ipv4Addr) -> Vec<String> {
        let spaces = lock(&self.0);
        let all = spaces.values().flatten();
        // Five labels and a domain: a pod below its headless Service, not the Service itself.
        let pods = all.filter(|(name, addresses)| name.split('.').nth(3) == Some("svc") && addresses.contains(&address));
        pods.map(|(name, _)| name.clone()).collect()
    }

    /// All names of one namespace.
    pub fn namespace(&self, namespace: &str) -> BTreeMap<String, Vec<Ipv4Addr>> {
        lock(&self.0).get(namespace).cloned().unwrap_or_default()
    }

    /// Computes the names of a namespace again; tells whether any changed.
    pub(crate) fn refresh(&self, shared: &Shared, namespace: &str) -> bool {
        let names = compute(shared, namespace, &running_in(shared, namespace));
        let mut spaces = lock(&self.0);
        if spaces.get(namespace) == Some(&names) || (names.is_empty() && !spaces.contains_key(namespace)) {
            return false;
        }
        spaces.insert(namespace.to_owned(), names);
        true
    }
}

/// The running pods of a namespace, by name.
fn running_in(shared: &Shared, namespace: &str) -> BTreeMap<String, Running> {
    let start = (namespace.to_owned(), String::new());
    let running = lock(&shared.running);
    let inside = running.range(start..).take_while(|((found, _), _)| found == namespace);
    inside.map(|((_, name), run)| (name.clone(), run.clone())).collect()
}

fn compute(shared: &Shared, namespace: &str, running: &BTreeMap<String, Running>) -> Names {
    let mut names = Names::new();
    let pods = shared.caches.pods.in_namespace(namespace);
    for service in shared.caches.services.in_namespace(namespace) {
        let Some(spec) = &service.spec else { continue };
        let headless = spec.cluster_ip.as_deref() == Some("None");
        let suffix = format!("{}.{namespace}.svc.{}", service.name_any(), shared.options.cluster_domain);
        for pod in pods.iter().filter(|pod| selects(&service, pod)) {
            let Some(run) = running.get(&pod.name_any()).filter(|run| Some(&run.uid) == pod.metadata.uid.as_ref()) else { continue };
            let published = headless && spec.publish_not_ready_addresses == Some(true);
            if !(run.ready && pod.metadata.deletion_timestamp.is_none() || published) {
                continue;
            }
            names.entry(suffix.clone()).or_default().push(run.address);
            let host = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
            let subdomain = pod.spec.as_ref().and_then(|spec| spec.subdomain.clone());
            if let (true, Some(host), true) = (headless, host, subdomain == service.metadata.name) {
                names.entry(format!("{host}.{suffix}")).or_default().push(run.address);
            }
        }
    }
    names
}

/// Whether a Service's selector matches a pod; one without a selector matches none.
fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).filter(|selector| !selector.is_empty());
    selector.is_some_and(|selector| selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value)))
}
