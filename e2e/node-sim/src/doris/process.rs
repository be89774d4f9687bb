//! A member's container as the kubelet sees it: signals, hooks, probes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use doris_api::member::env;
use doris_sim::{ProcessHandle, ProcessState, Signal as DorisSignal};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::Doris;
use super::config;
use super::script::{Component, Script};
use crate::engine::{Check, Exit, Launch, Process, Signal};
use crate::shared::lock;

/// How long a probe's HTTP request may take.
const HTTP_TIME: Duration = Duration::from_secs(5);
/// How long after the gate a closed port is a start under way.
const START_BUDGET: Duration = Duration::from_mins(30);

/// A container that ended at once.
pub(super) struct Ended(pub(super) Exit);

#[async_trait]
impl Process for Ended {
    fn exit(&mut self) -> Option<Exit> {
        Some(self.0.clone())
    }

    fn signal(&mut self, _signal: Signal) {}

    fn pre_stop(&mut self, _command: &[String]) {}

    async fn check(&mut self, _check: &Check) -> Result<(), String> {
        Err("the container ended".into())
    }

    fn freeze(&mut self, _frozen: bool) {}
}

#[derive(Default)]
struct Now {
    /// Why the gate waits; the waiting file.
    waiting: Option<String>,
    /// The gate was left after a wait, and the port has not been open since.
    starting: Option<Instant>,
    doris: Option<ProcessHandle>,
    stopping: bool,
    exit: Option<Exit>,
}

/// What the script and the container share.
#[derive(Default)]
pub(super) struct Shared {
    now: Mutex<Now>,
    /// Mounted files changed.
    pub(super) files: Notify,
}

impl Shared {
    pub(super) fn wait_for(&self, reason: &str) {
        lock(&self.now).waiting = Some(reason.to_owned());
    }

    pub(super) fn runs(&self, handle: ProcessHandle) {
        let mut now = lock(&self.now);
        if now.waiting.take().is_some() {
            now.starting = Some(Instant::now());
        }
        now.doris = Some(handle);
    }

    pub(super) fn stop_asked(&self) -> bool {
        lock(&self.now).stopping
    }
}

/// A container whose command is our start script.
pub(super) struct Member {
    engine: Doris,
    launch: Launch,
    component: Component,
    shared: Arc<Shared>,
    frozen: bool,
    script: AbortHandle,
}

impl Member {
    pub(super) fn start(engine: Doris, launch: Launch, component: Component) -> Box<dyn Process> {
        let shared = Arc::new(Shared::default());
        let script = Script { engine: engine.clone(), launch: launch.clone(), component, shared: shared.clone() };
        let (ended, changed) = (shared.clone(), launch.changed.clone());
        let task = tokio::spawn(async move {
            let exit = script.run().await;
            lock(&ended.now).exit.get_or_insert(exit);
            changed.notify_one();
        });
        Box::new(Self { engine, launch, component, shared, frozen: false, script: task.abort_handle() })
    }

    fn ask_to_stop(&self) {
        let doris = {
            let mut now = lock(&self.shared.now);
            now.stopping = true;
            now.doris.clone()
        };
        match doris {
            Some(doris) => doris.signal(DorisSignal::Term),
            None => self.end(143),
        }
    }

    fn end(&self, code: i32) {
        self.script.abort();
        lock(&self.shared.now).exit.get_or_insert(Exit { code, message: String::new() });
        self.launch.changed.notify_one();
    }

    fn listens(&self, port: u16) -> bool {
        let address = self.launch.address.into();
        self.engine.world().port_open(address, address, port)
    }

    /// The port whose being open means that the process lives.
    fn own_port(&self) -> u16 {
        match self.component {
            Component::Fe => config::port(&self.launch, env::EDIT_LOG_PORT, 9010),
            Component::Be => config::port(&self.launch, env::HEARTBEAT_PORT, 9050),
            Component::Broker => config::port(&self.launch, env::HEARTBEAT_PORT, 8000),
        }
    }

    fn alive(&self, starting_counts: bool) -> Result<(), String> {
        let open = self.listens(self.own_port());
        let mut now = lock(&self.shared.now);
        if open {
            now.starting = None;
        }
        let starting = starting_counts && now.starting.is_some_and(|since| since.elapsed() < START_BUDGET);
        if open || now.waiting.is_some() || starting { Ok(()) } else { Err("nothing listens".into()) }
    }

    async fn get(&self, port: u16, path: &str) -> Result<String, String> {
        let address = self.launch.address.into();
        let request = http::Request::get(path).body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = timeout(HTTP_TIME, self.engine.world().http(address, address, port, request)).await;
        let answer = answer.map_err(|_| "timeout: no answer")?.map_err(|error| error.to_string())?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        if answer.status().is_success() {
            Ok(body)
        } else {
            Err(format!("HTTP probe failed with statuscode: {}", answer.status().as_u16()))
        }
    }

    async fn ready(&self) -> Result<(), String> {
        match self.component {
            Component::Broker => self.alive(false),
            Component::Be => self.get(config::port(&self.launch, env::HTTP_PORT, 8040), "/api/health").await.map(drop),
            Component::Fe => {
                let body = self.get(config::port(&self.launch, env::HTTP_PORT, 8030), "/api/bootstrap").await?;
                let answer: serde_json::Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
                if answer["code"] == 0 { Ok(()) } else { Err(format!("not ready: {body}")) }
            }
        }
    }

    async fn script_probe(&self, command: &[String]) -> Result<(), String> {
        let position = command.iter().position(|word| word.ends_with("/probe.sh"));
        match position.and_then(|position| command.get(position + 1)).map(String::as_str) {
            Some("startup") => self.alive(false),
            Some("alive") => self.alive(true),
            Some("ready") => self.ready().await,
            _ => Err(format!("no such command: {command:?}")),
        }
    }
}

#[async_trait]
impl Process for Member {
    fn exit(&mut self) -> Option<Exit> {
        lock(&self.shared.now).exit.clone()
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Term => self.ask_to_stop(),
            Signal::Kill => {
                if let Some(doris) = lock(&self.shared.now).doris.clone() {
                    doris.signal(DorisSignal::Kill);
                }
                self.end(137);
            }
        }
    }

    fn pre_stop(&mut self, command: &[String]) {
        if command.iter().any(|word| word.ends_with("/stop.sh")) {
            self.ask_to_stop();
        }
    }

    async fn check(&mut self, check: &Check) -> Result<(), String> {
        if self.frozen {
            return Err("command timed out".into());
        }
        match check {
            Check::Exec(command) => self.script_probe(command).await,
            Check::Tcp(port) => {
                if self.listens(*port) {
                    Ok(())
                } else {
                    Err("connection refused".into())
                }
            }
            Check::Http { port, path } => self.get(*port, path).await.map(drop),
        }
    }

    fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        let doris = lock(&self.shared.now).doris.clone();
        if let Some(doris) = doris.filter(|doris| doris.state() == ProcessState::Running) {
            doris.signal(if frozen { DorisSignal::Stop } else { DorisSignal::Cont });
        }
    }

    fn files_changed(&mut self) {
        self.shared.files.notify_one();
    }
}
