//! One loop that feeds all controllers: changes in, work out, one step at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::api::{Api, ApiError, Change};
use crate::index::{Index, Key};
use crate::queue::{Queue, Work};
use crate::recorder::{Recorder, Severity};

/// What a controller works with during one step.
pub(crate) struct Context<'a> {
    pub(crate) api: &'a dyn Api,
    pub(crate) index: &'a Index,
    recorder: &'a Recorder,
    /// Name under which the controller writes.
    pub(crate) manager: &'static str,
    pub(crate) options: &'a Options,
}

impl Context<'_> {
    pub(crate) fn now(&self) -> Timestamp {
        self.api.now()
    }

    pub(crate) fn minor(&self) -> u32 {
        self.api.minor_version()
    }

    pub(crate) fn normal(&self, about: &Value, reason: &str, message: &str) {
        self.recorder.say(self.api, self.manager, about, Severity::Normal, reason, message);
    }

    pub(crate) fn warning(&self, about: &Value, reason: &str, message: &str) {
        self.recorder.say(self.api, self.manager, about, Severity::Warning, reason, message);
    }

    /// Replaces the status where it differs. The version keeps a decision on old data from landing.
    pub(crate) fn write_status(&self, object: &Value, status: Value) -> Result<(), ApiError> {
        if object.get("status") == Some(&status) {
            return Ok(());
        }
        let mut changed = object.clone();
        changed["status"] = status;
        self.api.update_status(self.manager, changed).map(drop)
    }

    /// Deletes one object, only as it is now by uid; one that is gone already is fine.
    pub(crate) fn delete(&self, object: &Value, propagation: Option<&str>) -> Result<(), ApiError> {
        self.delete_with(
            object,
            &crate::api::DeleteOptions {
                uid: Some(crate::value::uid(object).to_owned()),
                propagation: propagation.map(str::to_owned),
                ..crate::api::DeleteOptions::default()
            },
        )
    }

    pub(crate) fn delete_with(&self, object: &Value, options: &crate::api::DeleteOptions) -> Result<(), ApiError> {
        let key = Key::of(object);
        let answer = self.api.delete(self.manager, &key.group, &key.kind, &key.namespace, &key.name, options);
        answer.or_else(|error| if error.code == 404 { Ok(()) } else { Err(error) })
    }
}

/// When to look again: not before something changes, or after this time.
pub(crate) type Next = Option<Duration>;

/// A controller: which objects a change concerns, and one idempotent step for such an object.
pub(crate) trait Controller: Send {
    /// Name under which it writes, for example `statefulset-controller`.
    fn name(&self) -> &'static str;
    /// Whether it never waits for the backlog of others.
    fn is_urgent(&self) -> bool {
        false
    }
    /// Keys of what has to be looked at after a change. `old` is the object before it.
    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key>;
    /// Brings one object closer to what it should be.
    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError>;
}

/// How the controllers behave.
#[derive(Clone, Debug)]
pub struct Options {
    /// A node whose lease was not renewed for this long is not ready.
    pub node_grace_period: Duration,
    /// Time between two nodes whose pods are evicted.
    pub node_eviction_interval: Duration,
    /// How long pods of a node object that is gone are left alone.
    pub gone_node_quarantine: Duration,
    /// Provisioner whose volumes are made here.
    pub provisioner: String,
    /// Certificate that `kube-root-ca.crt` publishes.
    pub root_certificate: String,
    /// Names of controllers that are left out, for example `default-scheduler` where a test binds pods itself.
    pub without: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node_grace_period: Duration::from_secs(40),
            node_eviction_interval: Duration::from_secs(10),
            gone_node_quarantine: Duration::from_secs(40),
            provisioner: "kube-sim.local/hostpath".into(),
            root_certificate: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".into(),
            without: Vec::new(),
        }
    }
}

/// Ends the controllers when dropped.
#[derive(Debug)]
pub struct Guard {
    task: JoinHandle<()>,
}

impl Guard {
    /// Ends the controllers and waits until they have stopped.
    pub async fn stop(mut self) {
        self.task.abort();
        // The only outcome of an aborted task is its cancellation.
        let _ = (&mut self.task).await;
    }

    /// The controllers have ended, which without a stop is a defect.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts all built-in controllers on the current runtime.
pub fn spawn(api: Arc<dyn Api>, options: Options) -> Guard {
    let changes = api.changes();
    let mut driver = Driver::new(api, changes, options);
    Guard { task: tokio::spawn(async move { driver.run().await }) }
}

pub(crate) struct Driver {
    api: Arc<dyn Api>,
    changes: Receiver<Change>,
    controllers: Vec<Box<dyn Controller>>,
    index: Index,
    queue: Queue,
    recorder: Recorder,
    options: Options,
}

impl Driver {
    pub(crate) fn new(api: Arc<dyn Api>, changes: Receiver<Change>, options: Options) -> Self {
        let mut controllers = crate::all_controllers(&options);
        controllers.retain(|controller| !options.without.iter().any(|name| name == controller.name()));
        let mut driver =
            Self { api, changes, controllers, index: Index::default(), queue: Queue::default(), recorder: Recorder::default(), options };
        driver.look_at_everything();
        driver
    }

    async fn run(&mut self) {
        loop {
            while self.step() {
                // Others take their turn between two steps, as they do between a real controller's requests.
                tokio::task::yield_now().await;
            }
            let timer = self.queue.next_timer();
            let received = match timer {
                Some(at) => tokio::select! {
                    received = self.changes.recv() => Some(received),
                    () = tokio::time::sleep_until(at) => None,
                },
                None => Some(self.changes.recv().await),
            };
            match received {
                Some(Ok(change)) => self.take(&change),
                Some(Err(RecvError::Lagged(_))) => self.look_at_everything(),
                // The server is gone: nothing is left to control.
                Some(Err(RecvError::Closed)) => return,
                None => {}
            }
        }
    }

    /// Takes all changes in and does one piece of work. False when there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.drain();
        self.queue.ripen(Instant::now());
        let Some(work) = self.queue.pop() else { return false };
        self.work(work);
        true
    }

    fn work(&mut self, work: Work) {
        let Some(controller) = self.controllers.get_mut(work.0) else { return };
        let context =
            Context { api: &*self.api, index: &self.index, recorder: &self.recorder, manager: controller.name(), options: &self.options };
        match controller.sync(&context, &work.1) {
            Ok(next) => {
                self.queue.succeed(&work);
                if let Some(delay) = next {
                    self.queue.push_at(work, Instant::now() + delay);
                }
            }
            Err(error) => {
                let delay = self.queue.back_off(&work);
                tracing::debug!(controller = controller.name(), object = ?work.1, %error, ?delay, "step failed");
                self.queue.push_at(work, Instant::now() + delay);
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.take(&change),
                Err(TryRecvError::Lagged(_)) => self.look_at_everything(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn take(&mut self, change: &Change) {
        let old = self.index.take(change);
        for (number, controller) in self.controllers.iter_mut().enumerate() {
            let is_urgent = controller.is_urgent();
            for key in controller.concerns(&self.index, change, old.as_deref()) {
                if is_urgent {
                    self.queue.push_urgent((number, key));
                } else {
                    self.queue.push((number, key));
                }
            }
        }
    }

    /// Reads all objects anew, at the start and after changes were missed. What vanished meanwhile is treated as deleted.
    fn look_at_everything(&mut self) {
        // Changes from here on are announced again; older ones are part of what is read.
        self.changes = self.changes.resubscribe();
        let mut gone: std::collections::BTreeMap<Key, Arc<Value>> =
            self.index.keys().into_iter().filter_map(|key| self.index.at(&key).cloned().map(|object| (key, object))).collect();
        let mut present = Vec::new();
        for (group, _, kind, _) in self.api.served() {
            if kind == "Event" {
                continue;
            }
            for object in self.api.list_dynamic(&group, &kind, None) {
                let key = Key { group: group.clone(), kind: kind.clone(), ..Key::of(&object) };
                gone.remove(&key);
                present.push((key, object));
            }
        }
        for (key, object) in gone {
            self.take(&Change { group: key.group, kind: key.kind, namespace: key.namespace, name: key.name, object, deleted: true });
        }
        for (key, object) in present {
            self.take(&Change { group: key.group, kind: key.kind, namespace: key.namespace, name: key.name, object, deleted: false });
        }
    }
}
