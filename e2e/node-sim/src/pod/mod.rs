//! The kubelet's work on one pod: a task that sleeps until something changed or is due.

pub(crate) mod container;
mod probes;
mod start;
mod status;
mod stop;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cache::Touched;
use crate::engine::Signal;
use crate::events::Recorder;
use crate::faults::Order;
use crate::shared::{Running as Listed, Shared, lock};
use crate::tokens;
use container::{Part, Slot};
use status::{Transitions, View};

/// What the dispatcher last told the pod's task.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    /// The pod as the API server shows it.
    Seen(Arc<Pod>),
    /// The pod is gone from the API server.
    Gone,
    /// The node lost power.
    PowerOff,
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) mail: Mutex<Mail>,
    pub(crate) notify: Arc<Notify>,
}

/// An Event to write once the state is computed.
struct Pending {
    warning: bool,
    container: Option<String>,
    reason: &'static str,
    message: String,
}

pub(crate) struct Kubelet {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    recorder: Recorder,
    pod: Arc<Pod>,
    uid: String,
    init: Vec<Slot>,
    main: Vec<Slot>,
    address: Option<Ipv4Addr>,
    volumes_ready: bool,
    problem: Option<String>,
    started: Option<Time>,
    start_at: Instant,
    refresh_at: Option<Instant>,
    terminating: Option<Instant>,
    transitions: Transitions,
    sent: Value,
    ready: bool,
    events: Vec<Pending>,
    wake: Option<Instant>,
}

/// Runs a pod until it is gone.
pub(crate) async fn run(shared: Arc<Shared>, mailbox: Arc<Mailbox>, pod: Arc<Pod>) {
    let start_at = Instant::now() + shared.options.start_delay;
    let slots = |init: bool| slots_of(&pod, init);
    let (init, main) = (slots(true), slots(false));
    let uid = pod.uid().unwrap_or_default();
    let mut kubelet = Kubelet {
        shared,
        mailbox,
        recorder: Recorder::default(),
        uid,
        init,
        main,
        pod,
        address: None,
        volumes_ready: false,
        problem: None,
        started: None,
        start_at,
        refresh_at: None,
        terminating: None,
        transitions: Transitions::new(),
        sent: Value::Null,
        ready: false,
        events: Vec::new(),
        wake: None,
    };
    kubelet.work().await;
}

fn slots_of(pod: &Pod, init: bool) -> Vec<Slot> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let status = pod.status.as_ref();
    let (containers, before) = if init {
        (spec.init_containers.clone().unwrap_or_default(), status.and_then(|status| status.init_container_statuses.clone()))
    } else {
        (spec.containers.clone(), status.and_then(|status| status.container_statuses.clone()))
    };
    let no_init = spec.init_containers.as_ref().is_none_or(Vec::is_empty);
    let slots = containers.into_iter().map(|container| {
        let part = match (init, container.restart_policy.as_deref()) {
            (false, _) => Part::Main,
            (true, Some("Always")) => Part::Sidecar,
            (true, _) => Part::Init,
        };
        // A kubelet that finds a pod which ran before (its node was off) counts on from there.
        let known = before.iter().flatten().find(|status| status.name == container.name);
        let ran = known.is_some_and(|status| status.container_id.is_some());
        let restarts = known.map_or(0, |status| status.restart_count) + i32::from(ran);
        Slot::new(container, part, init || no_init, restarts)
    });
    slots.collect()
}

impl Kubelet {
    async fn work(&mut self) {
        loop {
            self.wake = None;
            let mail = lock(&self.mailbox.mail).clone();
            match mail {
                Mail::Seen(pod) => self.pod = pod,
                Mail::Gone | Mail::PowerOff => return self.vanish(),
            }
            self.obey_orders();
            self.step(Instant::now()).await;
            self.report_events().await;
            self.publish().await;
            if self.may_delete() && self.delete().await {
                return self.vanish();
            }
            let notify = self.mailbox.notify.clone();
            if let Some(at) = self.wake {
                tokio::select! {
                    biased;
                    () = notify.notified() => self.unpark(),
                    () = tokio::time::sleep_until(at) => {}
                }
            } else {
                notify.notified().await;
                self.unpark();
            }
        }
    }

    /// One pass over everything that may be due.
    async fn step(&mut self, now: Instant) {
        self.reap(now);
        if self.pod.metadata.deletion_timestamp.is_some() {
            self.terminate(now);
        } else if !self.finished() {
            if let Some(at) = tokens::provide(&self.shared, &self.pod, now).await {
                self.wake_at(at);
            }
            self.bring_up(now);
            self.probe(now).await;
        }
        self.stop_due(now);
        self.refresh_files(now);
    }

    fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn event(&mut self, warning: bool, container: Option<&str>, reason: &'static str, message: String) {
        self.events.push(Pending { warning, container: container.map(str::to_owned), reason, message });
    }

    fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.init.iter_mut().chain(self.main.iter_mut())
    }

    fn slot_mut(&mut self, init: bool, index: usize) -> &mut Slot {
        if init { &mut self.init[index] } else { &mut self.main[index] }
    }

    fn finished(&self) -> bool {
        matches!(status::phase(&self.view()), "Succeeded" | "Failed")
    }

    fn restart_policy(&self) -> &str {
        self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
    }

    fn view(&self) -> View<'_> {
        let conditions = self.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let holds = |kind: &str| conditions.into_iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True");
        let gates = self.pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
        View {
            init: &self.init,
            main: &self.main,
            restart_policy: self.restart_policy(),
            address: self.address,
            started: self.started.as_ref(),
            generation: self.pod.metadata.generation,
            gates_open: gates.into_iter().all(|gate| holds(&gate.condition_type)),
            never_ready: self.pod.annotations().get("sim/ready").is_some_and(|ready| ready == "false"),
        }
    }

    fn reap(&mut self, now: Instant) {
        let wall = self.shared.now();
        for slot in self.slots_mut() {
            slot.reap(now, &wall);
        }
    }

    fn unpark(&mut self) {
        let now = Instant::now();
        for slot in self.slots_mut() {
            if let Some(running) = slot.running_mut() {
                for prober in [&mut running.startup, &mut running.liveness, &mut running.readiness].into_iter().flatten() {
                    prober.unpark(now);
                }
            }
        }
    }

    fn obey_orders(&mut self) {
        let orders = lock(&self.shared.faults).orders.remove(&self.uid).unwrap_or_default();
        for (container, order) in orders {
            for slot in self.slots_mut().filter(|slot| container.as_ref().is_none_or(|name| *name == slot.spec.name)) {
                let Some(running) = slot.running_mut() else { continue };
                match order {
                    Order::Kill => running.process.signal(Signal::Kill),
                    Order::Freeze(frozen) => running.process.freeze(frozen),
                }
            }
        }
    }

    async fn report_events(&mut self) {
        for event in std::mem::take(&mut self.events) {
            self.recorder.record(&self.shared, &self.pod, event.warning, event.container.as_deref(), event.reason, &event.message).await;
        }
    }

    /// Somebody else wrote that the pod is not ready, as is done for a node that is not heard of.
    fn is_contradicted(&self, status: &Value) -> bool {
        let told = self.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let told = told.into_iter().flatten().find(|condition| condition.type_ == "Ready").map(|condition| condition.status == "True");
        let is_ready = status["conditions"].as_array().into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True");
        is_ready && told == Some(false)
    }

    /// Nothing goes to or from a node that is lost.
    fn is_cut_off(&self) -> bool {
        let node = self.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        lock(&self.shared.faults).lost_nodes.contains_key(node)
    }

    /// Sends the status when it differs from what was sent last, or from what the server has by now.
    async fn publish(&mut self) {
        let now = self.shared.now();
        let mut transitions = std::mem::take(&mut self.transitions);
        let status = status::build(&self.view(), &mut transitions, &now);
        self.transitions = transitions;
        self.list(
            status["conditions"]
                .as_array()
                .is_some_and(|conditions| conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")),
        );
        if self.is_cut_off() || status == self.sent && !self.is_contradicted(&status) {
            return;
        }
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.pod.namespace().unwrap_or_default());
        let patch = json!({"metadata": {"uid": self.uid}, "status": status});
        match pods.patch_status(&self.pod.name_any(), &PatchParams::default(), &Patch::Strategic(&patch)).await {
            Ok(_) => self.sent = status,
            // Gone or replaced: the watch will say so.
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => {
                self.wake_at(Instant::now() + Duration::from_secs(1));
            }
            Err(error) => {
                tracing::warn!(%error, pod = self.pod.name_any(), "the pod's status is not reported");
                self.wake_at(Instant::now() + Duration::from_secs(1));
            }
        }
    }

    /// Makes the pod known to the name service, with its present readiness.
    fn list(&mut self, ready: bool) {
        let Some(address) = self.address else { return };
        let key = (self.pod.namespace().unwrap_or_default(), self.pod.name_any());
        let node = self.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        let mut running = lock(&self.shared.running);
        if running.get(&key).is_some_and(|listed| listed.uid == self.uid && listed.ready == ready && listed.address == address) {
            return;
        }
        running.insert(key.clone(), Listed { uid: self.uid.clone(), node, address, ready });
        drop(running);
        self.ready = ready;
        self.shared.touch(Touched::Pod(key));
    }

    /// Ends everything at once: the pod's object or the node's power is gone.
    fn vanish(&mut self) {
        for slot in self.slots_mut() {
            if let Some(running) = slot.running_mut() {
                running.process.signal(Signal::Kill);
            }
        }
        tokens::forget(&self.shared, &self.uid);
        if let Some(address) = self.address.take() {
            lock(&self.shared.addresses).give_back(address);
        }
        let key = (self.pod.namespace().unwrap_or_default(), self.pod.name_any());
        let mut running = lock(&self.shared.running);
        if running.get(&key).is_some_and(|listed| listed.uid == self.uid) {
            running.remove(&key);
            drop(running);
            self.shared.touch(Touched::Pod(key));
        }
    }

    /// All containers of a pod that is to be deleted have ended.
    fn may_delete(&self) -> bool {
        self.terminating.is_some() && self.init.iter().chain(&self.main).all(|slot| slot.running().is_none())
    }

    /// Removes the pod's object, as a kubelet does in the end; `true` when the task is done.
    async fn delete(&mut self) -> bool {
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), &self.pod.namespace().unwrap_or_default());
        let mut params = DeleteParams::default().grace_period(0);
        params.preconditions = Some(Preconditions { uid: Some(self.uid.clone()), resource_version: None });
        match pods.delete(&self.pod.name_any(), &params).await {
            Ok(_) => true,
            Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => true,
            Err(error) => {
                tracing::warn!(%error, pod = self.pod.name_any(), "the pod is not deleted yet");
                self.wake_at(Instant::now() + Duration::from_secs(1));
                false
            }
        }
    }
}
