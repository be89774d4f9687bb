//! Rules about claims, StatefulSets that are made anew, and the order in which members stop.

use std::collections::{BTreeMap, BTreeSet};

use cluster_controller::build::bytes;
use doris_api::{Component, DorisClusterSpec, labels, names};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::ClusterName;

/// What was seen of them so far.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    broken: BTreeSet<String>,
    /// Largest size that each claim asked for.
    sizes: BTreeMap<(String, String), i128>,
    /// Pods that each set had when it was there last, and whether it is.
    sets: BTreeMap<(ClusterName, String), (i64, bool)>,
    /// Uid of the cluster that each set was made for.
    owners: BTreeMap<(ClusterName, String), String>,
    /// Sets that the spec asks for no more: they go for good.
    unwanted: BTreeSet<(ClusterName, String)>,
    /// Frontends' pods that are there.
    frontends: BTreeMap<ClusterName, BTreeSet<String>>,
    /// Uids of a set's pods that are there and not on their way out.
    pods: BTreeMap<(ClusterName, String), BTreeMap<String, String>>,
    /// The same at the moment when a set was taken away.
    orphans: BTreeMap<(ClusterName, String), BTreeMap<String, String>>,
}

impl Volumes {
    pub fn broken(&self) -> &BTreeSet<String> {
        &self.broken
    }

    /// `claims-grow`: no claim ever asks for less.
    pub fn claim(&mut self, key: &(String, String), claim: &DynamicObject) {
        let size = claim.data.pointer("/spec/resources/requests/storage").and_then(Value::as_str);
        let Some(size) = size.map(|size| bytes(&Quantity(size.to_owned()))) else { return };
        let largest = self.sizes.entry(key.clone()).or_insert(size);
        if size < *largest {
            self.broken.insert(format!("claims-grow: claim {} asks for less than before", key.1));
        }
        *largest = size.max(*largest);
    }

    pub fn pod(&mut self, cluster: ClusterName, pod: &DynamicObject, deleted: bool) {
        self.member(&cluster, pod, deleted);
        if pod.labels().get(labels::PROCESS).is_none_or(|process| process != "fe") {
            return;
        }
        let pods = self.frontends.entry(cluster).or_default();
        if deleted {
            pods.remove(&pod.name_any());
        } else {
            pods.insert(pod.name_any());
        }
    }

    fn member(&mut self, cluster: &ClusterName, pod: &DynamicObject, deleted: bool) {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        let Some((set, _)) = name.rsplit_once('-') else { return };
        let pods = self.pods.entry((cluster.clone(), set.to_owned())).or_default();
        if deleted || pod.metadata.deletion_timestamp.is_some() {
            pods.retain(|_, known| *known != uid);
        } else {
            pods.insert(name, uid);
        }
    }

    /// `same-pods`: a set is made anew around its pods, and takes none of them along when it goes. Of the components that no cluster is
    /// without: a set whose members have all left goes with their pods, and comes back with others.
    fn orphaned(&mut self, key: &(ClusterName, String), set: &DynamicObject, deleted: bool) {
        if !set.labels().get(labels::COMPONENT).is_some_and(|component| ["fe", "be"].contains(&component.as_str())) {
            return;
        }
        let pods = self.pods.get(key).cloned().unwrap_or_default();
        if deleted {
            self.orphans.insert(key.clone(), pods);
        } else if let Some(before) = self.orphans.remove(key)
            && before.len() > 1
            && before.iter().all(|(name, uid)| pods.get(name) != Some(uid))
        {
            self.broken.insert(format!("same-pods: {} was made anew, and so were all its pods", key.1));
        }
    }

    /// `same-replicas`: a set that is made anew while its cluster stands has as many pods as before. `backends-stop-last`: backends
    /// are all stopped only when no frontend is left. Tells whether there was none just before.
    pub fn set(&mut self, cluster: &ClusterName, set: &DynamicObject, deleted: bool) -> bool {
        let Some(replicas) = set.data.pointer("/spec/replicas").and_then(Value::as_i64) else { return false };
        let key = (cluster.clone(), set.name_any());
        let owner = set.metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone()).next_back().unwrap_or_default();
        let former = self.owners.insert(key.clone(), owner.clone());
        if !deleted && former.is_some_and(|former| former != owner) && self.sets.get(&key).is_some_and(|(_, is_there)| !is_there) {
            // A cluster that is made again owes its former sets nothing.
            self.orphans.remove(&key);
            self.sets.remove(&key);
        }
        let before = self.sets.get(&key).copied();
        self.orphaned(&key, set, deleted);
        if !deleted && let Some((had, false)) = before.filter(|(had, _)| *had != replicas) {
            self.broken.insert(format!("same-replicas: {} had {had} pods and was made anew for {replicas}", key.1));
        }
        let is_of_backends = set.labels().get(labels::COMPONENT).is_some_and(|component| component == "be");
        let left = self.frontends.get(cluster).map_or(0, BTreeSet::len);
        if is_of_backends && !deleted && replicas == 0 && before.is_some_and(|(had, _)| had > 0) && left > 0 {
            self.broken.insert(format!("backends-stop-last: all backends of {} were stopped while {left} frontends were there", cluster.1));
        }
        if deleted && self.unwanted.contains(&key) {
            self.sets.remove(&key);
        } else {
            self.sets.insert(key, (replicas, !deleted));
        }
        !deleted && before.is_none_or(|(_, is_there)| !is_there)
    }

    /// Takes a version of a cluster.
    pub fn spec(&mut self, cluster: &ClusterName, object: &DynamicObject) {
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let Ok(spec) = serde_json::from_value::<DorisClusterSpec>(spec) else { return };
        self.unwanted.retain(|(of, _)| of != cluster);
        let none = Component::ALL.into_iter().filter(|component| spec.replicas(*component) == 0);
        self.unwanted.extend(none.map(|component| (cluster.clone(), names::set(&cluster.1, component))));
    }

    /// A cluster that is gone owes its former sets nothing.
    pub fn forget(&mut self, cluster: &ClusterName) {
        self.sets.retain(|(of, _), _| of != cluster);
        self.orphans.retain(|(of, _), _| of != cluster);
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::Volumes;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).expect("an object")
    }

    fn set(component: &str, replicas: i64) -> DynamicObject {
        object(json!({
            "metadata": {"name": format!("demo-{component}"), "labels": {"doris-operator.dev/component": component}},
            "spec": {"replicas": replicas},
        }))
    }

    fn cluster() -> (String, String) {
        ("default".to_owned(), "demo".to_owned())
    }

    #[test]
    fn a_set_that_is_made_anew_for_others_is_told_and_one_that_is_scaled_is_not() {
        let mut seen = Volumes::default();
        seen.set(&cluster(), &set("cn", 3), false);
        seen.set(&cluster(), &set("cn", 2), false);
        seen.set(&cluster(), &set("cn", 2), true);
        seen.set(&cluster(), &set("cn", 2), false);
        assert!(seen.broken().is_empty());
        seen.set(&cluster(), &set("cn", 2), true);
        seen.set(&cluster(), &set("cn", 1), false);
        assert_eq!(seen.broken().len(), 1, "{:?}", seen.broken());
    }

    #[test]
    fn a_set_that_the_spec_took_away_may_come_back_with_others() {
        let mut seen = Volumes::default();
        seen.set(&cluster(), &set("cn", 2), false);
        seen.spec(&cluster(), &object(json!({"spec": {"version": "2.1.7", "fe": {"storage": {"size": "1Gi"}}}})));
        seen.set(&cluster(), &set("cn", 2), true);
        seen.set(&cluster(), &set("cn", 1), false);
        assert!(seen.broken().is_empty(), "{:?}", seen.broken());
    }

    #[test]
    fn a_claim_that_asks_for_less_is_told() {
        let claim = |size: &str| object(json!({"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": size}}}}));
        let (mut seen, key) = (Volumes::default(), ("default".to_owned(), "c".to_owned()));
        for size in ["1Gi", "2Gi", "2048Mi"] {
            seen.claim(&key, &claim(size));
        }
        assert!(seen.broken().is_empty());
        seen.claim(&key, &claim("1Gi"));
        assert_eq!(seen.broken().len(), 1);
    }
}
