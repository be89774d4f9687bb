//! `DaemonSets`: one pod on each node that takes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::claiming::claim;
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{DAEMON_SET, NODE, POD};
use crate::owner::controller_reference;
use crate::pods::{from_template, is_available, is_finished, is_ready, until_available};
use crate::quantity::int_or_percent;
use crate::replicaset::{create_pod, delete_pod};
use crate::revisions;
use crate::scheduler::matches_node;
use crate::selector::Selector;
use crate::statefulset::{delay, managers_of};
use crate::taints::untolerated;
use crate::value::{is_deleting, items, label, name, namespace, number, set, text};

pub(crate) struct DaemonSets;

/// Taints that each pod of a `DaemonSet` tolerates.
const TOLERATED: [(&str, &str); 7] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ("node.kubernetes.io/network-unavailable", "NoSchedule"),
];

impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        "daemonset-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(DAEMON_SET) {
            return vec![change.key()];
        }
        if change.is(POD) {
            return managers_of(DAEMON_SET, change, old);
        }
        let is_node = change.is(NODE)
            && old.is_none_or(|old| {
                ["/spec", "/metadata/labels"].iter().any(|field| old.pointer(field) != change.object.pointer(field)) || change.deleted
            });
        if is_node { index.list(DAEMON_SET).map(|set| Key::of(set)).collect() } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(daemons) = context.index.at(key).cloned() else { return Ok(None) };
        let selector = Selector::of(daemons.pointer("/spec/selector"));
        let mut history = revisions::list(context, &daemons, &selector)?;
        if is_deleting(&daemons) {
            return Ok(None);
        }
        let mut collisions = number(&daemons, "/status/collisionCount").unwrap_or(0);
        let revision = revisions::of_template(context, &daemons, &mut history, &mut collisions)?;
        let hash = label(&revision, "controller.kubernetes.io/hash").unwrap_or_default().to_owned();
        let pods = claim(context, POD, &daemons, &selector, |_| true)?;
        let fleet = Fleet::new(context, &daemons, &hash, &pods);
        fleet.manage()?;
        fleet.roll()?;
        fleet.write_status(collisions)?;
        let used: Vec<String> = pods.iter().map(|pod| format!("{}-{}", name(&daemons), revisions::of_pod(pod))).collect();
        let mut live: Vec<&str> = used.iter().map(String::as_str).collect();
        live.push(name(&revision));
        revisions::truncate(context, &history, &live, number(&daemons, "/spec/revisionHistoryLimit").unwrap_or(10))?;
        let min_ready = number(&daemons, "/spec/minReadySeconds").unwrap_or(0);
        let lefts = pods.iter().filter_map(|pod| until_available(pod, min_ready, context.now()));
        Ok(lefts.filter(|left| !left.is_zero()).min().map(delay))
    }
}

struct Fleet<'a> {
    context: &'a Context<'a>,
    daemons: &'a Value,
    hash: &'a str,
    template: Value,
    by_node: BTreeMap<String, Vec<Arc<Value>>>,
}

/// The node that a pod is for: where it runs, or the one it is pinned to.
fn node_of(pod: &Value) -> String {
    let bound = text(pod, "/spec/nodeName");
    if !bound.is_empty() {
        return bound.to_owned();
    }
    let terms = items(pod, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    let field = terms.iter().flat_map(|term| items(term, "/matchFields")).find(|field| text(field, "/key") == "metadata.name");
    field.map_or_else(String::new, |field| text(field, "/values/0").to_owned())
}

impl<'a> Fleet<'a> {
    fn new(context: &'a Context<'a>, daemons: &'a Value, hash: &'a str, pods: &[Arc<Value>]) -> Self {
        let mut by_node: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
        for pod in pods {
            by_node.entry(node_of(pod)).or_default().push(Arc::clone(pod));
        }
        let mut template = daemons.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
        let mut tolerations = items(&template, "/spec/tolerations").to_vec();
        tolerations.extend(TOLERATED.iter().map(|(key, effect)| json!({"key": key, "operator": "Exists", "effect": effect})));
        set(&mut template, &["spec", "tolerations"], tolerations);
        Self { context, daemons, hash, template, by_node }
    }

    /// Whether the node should run a pod, and whether one that is there may stay.
    fn verdict(&self, node: &Value) -> (bool, bool) {
        let pod = json!({"spec": self.template["spec"]});
        let fits = matches_node(&pod, node);
        let runs = fits && untolerated(node, &pod, &["NoSchedule", "NoExecute"]).is_none();
        (runs, fits && untolerated(node, &pod, &["NoExecute"]).is_none())
    }

    fn nodes(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.context.index.list(NODE)
    }

    /// Creates what is missing, replaces what failed and deletes what should not be there.
    fn manage(&self) -> Result<(), ApiError> {
        let none = Vec::new();
        for node in self.nodes() {
            let pods = self.by_node.get(name(node)).unwrap_or(&none);
            let (should_run, may_stay) = self.verdict(node);
            if !may_stay {
                for pod in pods.iter().filter(|pod| !is_deleting(pod)) {
                    delete_pod(self.context, self.daemons, pod)?;
                }
                continue;
            }
            let mut live = pods.iter().filter(|pod| !is_finished(pod)).peekable();
            if live.peek().is_none() && should_run {
                self.replace_failed(node, pods)?;
                continue;
            }
            // Of several pods on one node the oldest stays.
            let mut live: Vec<_> = live.filter(|pod| !is_deleting(pod)).collect();
            live.sort_by_key(|pod| text(pod, "/metadata/creationTimestamp"));
            for pod in live.into_iter().skip(1) {
                delete_pod(self.context, self.daemons, pod)?;
            }
        }
        Ok(())
    }

    fn replace_failed(&self, node: &Value, pods: &[Arc<Value>]) -> Result<(), ApiError> {
        for pod in pods.iter().filter(|pod| !is_deleting(pod)) {
            let message = format!("Found failed daemon pod {}/{} on node {}, will try to kill it", namespace(pod), name(pod), name(node));
            self.context.warning(self.daemons, "FailedDaemonPod", &message);
            delete_pod(self.context, self.daemons, pod)?;
        }
        if pods.is_empty() { self.create(name(node)) } else { Ok(()) }
    }

    fn create(&self, node: &str) -> Result<(), ApiError> {
        let mut pod = from_template(
            &self.template,
            namespace(self.daemons),
            &controller_reference(self.daemons),
            &format!("{}-", name(self.daemons)),
        );
        set(&mut pod, &["metadata", "labels", "controller-revision-hash"], self.hash);
        set(
            &mut pod,
            &["metadata", "labels", "pod-template-generation"],
            number(self.daemons, "/metadata/generation").unwrap_or(1).to_string(),
        );
        let pin = json!({"key": "metadata.name", "operator": "In", "values": [node]});
        let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
        let terms = items(&pod, "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms").to_vec();
        let mut pinned = if terms.is_empty() { vec![json!({})] } else { terms };
        for term in &mut pinned {
            term["matchFields"] = json!([pin]);
        }
        set(&mut pod, &path, pinned);
        create_pod(self.context, self.daemons, pod).map(drop)
    }

    /// Deletes old pods, as many as may be unavailable.
    fn roll(&self) -> Result<(), ApiError> {
        if text(self.daemons, "/spec/updateStrategy/type") == "OnDelete" {
            return Ok(());
        }
        let counts = self.counts();
        let most = self
            .daemons
            .pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable")
            .map_or(1, |most| int_or_percent(most, counts.desired, true));
        let mut room = most - (counts.desired - counts.available);
        let mut old: Vec<_> = self
            .by_node
            .values()
            .flatten()
            .filter(|pod| revisions::of_pod(pod) != self.hash && !is_deleting(pod) && !is_finished(pod))
            .collect();
        old.sort_by_key(|pod| self.is_available(pod));
        for pod in old {
            if !self.is_available(pod) {
                delete_pod(self.context, self.daemons, pod)?;
            } else if room > 0 {
                room -= 1;
                delete_pod(self.context, self.daemons, pod)?;
            }
        }
        Ok(())
    }

    fn is_available(&self, pod: &Value) -> bool {
        is_available(pod, number(self.daemons, "/spec/minReadySeconds").unwrap_or(0), self.context.now())
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for node in self.nodes() {
            let pods = self.by_node.get(name(node));
            let pod = pods.and_then(|pods| {
                pods.iter().filter(|pod| !is_finished(pod) && !is_deleting(pod)).min_by_key(|pod| text(pod, "/metadata/creationTimestamp"))
            });
            let (should_run, _) = self.verdict(node);
            counts.desired += i64::from(should_run);
            let Some(pod) = pod else { continue };
            if !should_run {
                counts.misscheduled += 1;
                continue;
            }
            counts.current += 1;
            counts.ready += i64::from(is_ready(pod));
            counts.available += i64::from(self.is_available(pod));
            counts.updated += i64::from(revisions::of_pod(pod) == self.hash);
        }
        counts
    }

    fn write_status(&self, collisions: i64) -> Result<(), ApiError> {
        let counts = self.counts();
        let mut status = json!({
            "currentNumberScheduled": counts.current, "numberMisscheduled": counts.misscheduled,
            "desiredNumberScheduled": counts.desired, "numberReady": counts.ready,
            "observedGeneration": self.daemons["metadata"]["generation"],
        });
        let fields = [
            ("updatedNumberScheduled", counts.updated),
            ("numberAvailable", counts.available),
            ("numberUnavailable", counts.desired - counts.available),
        ];
        for (field, number) in fields.into_iter().filter(|(_, number)| *number > 0) {
            status[field] = number.into();
        }
        if collisions > 0 {
            status["collisionCount"] = collisions.into();
        }
        self.context.write_status(self.daemons, status)
    }
}

#[derive(Default)]
struct Counts {
    current: i64,
    misscheduled: i64,
    desired: i64,
    ready: i64,
    available: i64,
    updated: i64,
}
