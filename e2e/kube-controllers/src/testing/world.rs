//! A server, its controllers and a kubelet, stepped by hand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, DeleteOptions, Kind};
use crate::driver::{Driver, Options};
use crate::kinds::{EVENT, LEASE, NODE, POD};
use crate::testing::server::Server;
use crate::value::{annotation, is_deleting, name, namespace, set, text, uid};

/// More steps than any of these tests may need: a loop that never settles is found by it.
const MOST_STEPS: usize = 5_000;

pub(crate) struct World {
    pub(crate) server: Arc<Server>,
    driver: Driver,
    /// Nodes whose kubelets do nothing.
    pub(crate) silent: BTreeSet<String>,
    /// Names of pods in the order in which they were seen to come (`+`) and go (`-`).
    pub(crate) order: Vec<String>,
}

impl World {
    /// A server of a minor version with three ready nodes.
    pub(crate) fn new(minor: u32) -> Self {
        let server = Arc::new(Server::new(minor));
        let api: Arc<dyn Api> = Arc::clone(&server) as Arc<dyn Api>;
        let changes = api.changes();
        let mut world = Self { driver: Driver::new(api, changes, Options::default()), server, silent: BTreeSet::new(), order: Vec::new() };
        for node in ["n1", "n2", "n3"] {
            world.create(json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node, "labels": {"kubernetes.io/hostname": node, "topology.kubernetes.io/zone": format!("z{node}")}},
                "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]},
            }));
        }
        world.renew_leases();
        world
    }

    pub(crate) fn create(&mut self, object: Value) -> Arc<Value> {
        self.server.create("test", object).expect("the object is new")
    }

    pub(crate) fn get(&self, kind: Kind, object: &str) -> Option<Arc<Value>> {
        self.server.get(
            kind,
            if kind == NODE || kind == crate::kinds::VOLUME || kind == crate::kinds::NAMESPACE { "" } else { "ns" },
            object,
        )
    }

    pub(crate) fn must(&self, kind: Kind, object: &str) -> Arc<Value> {
        self.get(kind, object).unwrap_or_else(|| panic!("{} {object} is not there", kind.kind))
    }

    pub(crate) fn edit(&mut self, kind: Kind, object: &str, change: impl FnOnce(&mut Value)) {
        let mut changed = (*self.must(kind, object)).clone();
        change(&mut changed);
        self.server.update("test", changed).expect("the change is allowed");
    }

    pub(crate) fn delete(&mut self, kind: Kind, object: &str, propagation: Option<&str>) {
        let space = namespace(&self.must(kind, object)).to_owned();
        let options = DeleteOptions { propagation: propagation.map(str::to_owned), ..DeleteOptions::default() };
        self.server.delete("test", kind.group, kind.kind, &space, object, &options).expect("the object is there");
    }

    pub(crate) fn list(&self, kind: Kind) -> Vec<Arc<Value>> {
        self.server.list(kind, None)
    }

    pub(crate) fn names(&self, kind: Kind) -> Vec<String> {
        self.list(kind).iter().map(|object| name(object).to_owned()).collect()
    }

    /// Reasons and messages of events about an object.
    pub(crate) fn events(&self, about: &str) -> Vec<String> {
        let events = self.list(EVENT);
        let about = events.iter().filter(|event| text(event, "/involvedObject/name") == about);
        about.map(|event| format!("{} {}", text(event, "/reason"), text(event, "/message"))).collect()
    }

    /// Runs controllers alone until they rest.
    pub(crate) fn rest(&mut self) {
        for _ in 0..MOST_STEPS {
            if !self.driver.step() {
                return;
            }
        }
        panic!("the controllers do not come to rest");
    }

    /// Runs controllers and kubelets until nothing happens at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..MOST_STEPS {
            self.rest();
            self.note_order();
            if !self.kubelets() {
                return;
            }
        }
        panic!("the world does not settle");
    }

    pub(crate) async fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            self.renew_leases();
            self.settle();
        }
    }

    fn note_order(&mut self) {
        let present: BTreeSet<String> = self.names(POD).into_iter().collect();
        let mut known = BTreeSet::new();
        for entry in &self.order {
            let (sign, pod) = entry.split_at(1);
            if sign == "+" {
                known.insert(pod.to_owned())
            } else {
                known.remove(pod)
            };
        }
        self.order.extend(known.difference(&present).map(|pod| format!("-{pod}")));
        self.order.extend(present.difference(&known).map(|pod| format!("+{pod}")));
    }

    fn renew_leases(&mut self) {
        for node in ["n1", "n2", "n3"] {
            if self.silent.contains(node) {
                continue;
            }
            let spec = json!({"holderIdentity": node, "renewTime": crate::pods::micros(self.server.now())});
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node, "namespace": "kube-node-lease"}, "spec": spec});
            if let Some(old) = self.server.get(LEASE, "kube-node-lease", node) {
                let mut renewed = (*old).clone();
                renewed["spec"] = lease["spec"].clone();
                self.server.update("test", renewed).expect("the lease is there");
            } else {
                self.create(lease);
            }
        }
    }

    /// One thing that a kubelet does: run a pod, end it, or let it go. False when there is none.
    fn kubelets(&mut self) -> bool {
        for pod in self.list(POD) {
            let node = text(&pod, "/spec/nodeName");
            if node.is_empty() || self.silent.contains(node) || self.get(NODE, node).is_none() {
                continue;
            }
            if is_deleting(&pod) {
                let grace = DeleteOptions { grace_period_seconds: Some(0), uid: Some(uid(&pod).into()), ..DeleteOptions::default() };
                if crate::value::number(&pod, "/metadata/deletionGracePeriodSeconds") == Some(0) {
                    continue;
                }
                self.server.delete("kubelet", "", "Pod", namespace(&pod), name(&pod), &grace).expect("the pod is there");
                return true;
            }
            if text(&pod, "/status/phase") == "Pending" && !self.waits_for_claims(&pod) {
                let ends = annotation(&pod, "exit").map(str::to_owned);
                let ready = if annotation(&pod, "ready") == Some("false") || ends.is_some() { "False" } else { "True" };
                let phase = ends.map_or("Running", |code| if code == "0" { "Succeeded" } else { "Failed" });
                let since = crate::pods::seconds(self.server.now());
                let mut running = (*pod).clone();
                set(&mut running, &["status", "phase"], phase);
                set(&mut running, &["status", "podIP"], "10.0.0.7");
                set(&mut running, &["status", "conditions"], json!([{"type": "Ready", "status": ready, "lastTransitionTime": since}]));
                self.server.update_status("kubelet", running).expect("the pod is there");
                return true;
            }
        }
        false
    }

    fn waits_for_claims(&self, pod: &Value) -> bool {
        crate::index::claims_of(pod).any(|claim| self.server.get(crate::kinds::CLAIM, namespace(pod), claim).is_none())
    }
}
