//! Pods as the API server tells of them: their addresses, what they mount, and images that a roll gave them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use doris_api::{Component, names};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use super::ClusterName;

/// Namespace and name.
type Key = (String, String);

/// A pod that was made anew with another image and has not been ready yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turned {
    pub cluster: ClusterName,
    pub component: Component,
    pub pod: String,
    pub image: String,
    /// When it was made.
    pub at: Instant,
}

/// What was seen of pods so far.
#[derive(Debug, Default)]
pub(super) struct Pods {
    /// Who had an address last.
    addresses: BTreeMap<IpAddr, String>,
    /// Paths where the newest pod of a name has a volume.
    mounts: BTreeMap<Key, BTreeSet<String>>,
    /// Uid and image of the newest pod of a name.
    images: BTreeMap<Key, (String, String)>,
    turned: BTreeMap<Key, Turned>,
    /// Claims whose file system grows only in a new pod.
    resizing: BTreeSet<Key>,
}

impl Pods {
    /// Takes a version of a pod.
    pub fn see(&mut self, cluster: &ClusterName, object: &DynamicObject, deleted: bool) {
        let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
        let key = (cluster.0.clone(), name.clone());
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if let Ok(address) = text("/status/podIP").parse() {
            self.addresses.insert(address, name.clone());
        }
        if deleted {
            self.turned.remove(&key);
            return;
        }
        let mounts = object.data.pointer("/spec/containers/0/volumeMounts").and_then(Value::as_array);
        let paths = mounts.into_iter().flatten().filter_map(|mount| mount["mountPath"].as_str()).map(without_slash);
        self.mounts.insert(key.clone(), paths.collect());
        let image = text("/spec/containers/0/image").to_owned();
        let before = self.images.insert(key.clone(), (uid.clone(), image.clone()));
        let Some((component, _)) = names::parse_pod(&cluster.1, &name) else { return };
        if before.is_some_and(|(former, old)| former != uid && old != image) {
            let turned = Turned { cluster: cluster.clone(), component, pod: name, image, at: Instant::now() };
            self.turned.insert(key.clone(), turned);
        }
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        if conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")) {
            self.turned.remove(&key);
        }
    }

    /// Takes a version of a claim.
    pub fn claim(&mut self, key: &Key, object: &DynamicObject) {
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        if conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "FileSystemResizePending" && one["status"] == "True")) {
            self.resizing.insert(key.clone());
        }
    }

    /// The pod that has an address, or had it last.
    pub fn at(&self, address: IpAddr) -> Option<&str> {
        self.addresses.get(&address).map(String::as_str)
    }

    /// Whether the newest pod of a name has a volume at this path; nothing if there was none.
    pub fn mounts(&self, namespace: &str, pod: &str, path: &str) -> Option<bool> {
        let mounts = self.mounts.get(&(namespace.to_owned(), pod.to_owned()))?;
        Some(mounts.contains(&without_slash(path)))
    }

    /// Pods that were made anew with another image and have not been ready yet.
    pub fn turned(&self) -> impl Iterator<Item = &Turned> {
        self.turned.values()
    }

    /// Whether a claim of this pod waited for another pod.
    pub fn waits_for_another(&self, namespace: &str, pod: &str) -> bool {
        self.resizing.iter().any(|(place, claim)| place == namespace && claim.ends_with(&format!("-{pod}")))
    }
}

fn without_slash(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::json;

    use super::Pods;

    fn pod(name: &str, uid: &str, image: &str, ready: &str) -> DynamicObject {
        let object = json!({
            "metadata": {"name": name, "uid": uid},
            "spec": {"containers": [{"name": "be", "image": image, "volumeMounts": [{"name": "data", "mountPath": "/data/one/"}]}]},
            "status": {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": ready}]},
        });
        serde_json::from_value(object).expect("an object")
    }

    #[test]
    fn a_pod_with_another_image_counts_until_it_was_ready_once() {
        let (mut pods, cluster) = (Pods::default(), ("ns".to_owned(), "demo".to_owned()));
        let turned = |pods: &Pods| pods.turned().map(|turned| turned.pod.clone()).collect::<Vec<_>>();
        pods.see(&cluster, &pod("demo-be-1", "a", "be:1", "False"), false);
        pods.see(&cluster, &pod("demo-be-1", "b", "be:1", "False"), false);
        assert_eq!(turned(&pods), [] as [&str; 0], "the first one, and the same image again");
        pods.see(&cluster, &pod("demo-be-1", "c", "be:2", "False"), false);
        assert_eq!(turned(&pods), ["demo-be-1"]);
        pods.see(&cluster, &pod("demo-be-1", "c", "be:2", "True"), false);
        pods.see(&cluster, &pod("demo-be-1", "c", "be:2", "False"), false);
        assert_eq!(turned(&pods), [] as [&str; 0], "it has worked");
    }

    #[test]
    fn what_a_pod_mounts_and_where_it_is_are_known() {
        let (mut pods, cluster) = (Pods::default(), ("ns".to_owned(), "demo".to_owned()));
        pods.see(&cluster, &pod("demo-be-1", "a", "be:1", "True"), false);
        assert_eq!(pods.mounts("ns", "demo-be-1", "/data/one"), Some(true));
        assert_eq!(pods.mounts("ns", "demo-be-1", "/data/two"), Some(false));
        assert_eq!(pods.mounts("ns", "demo-be-2", "/data/one"), None);
        assert_eq!(pods.at([10, 0, 0, 7].into()), Some("demo-be-1"));
    }
}
