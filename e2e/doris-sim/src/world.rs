//! A network of hosts with Doris processes on them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::answer::{HttpError, SqlError};
use crate::be::{self, Be};
use crate::facts::FeStart;
use crate::fe::{self, Fe};
use crate::load;
use crate::net::Cut;
use crate::process::{LogLine, ProcessHandle, ProcessId, ProcessState, Signal};
use crate::session::Session;
use crate::spec::{BeSpec, BrokerSpec, FeSpec};
use crate::state::{Body, Reach, State};
use crate::timing::Timing;
use crate::truth;
use crate::wire;

/// How a world is made.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Source of all randomness: ids, names, tokens.
    pub seed: u64,
    /// How long things take.
    pub timing: Timing,
    /// Wall time at the beginning, in milliseconds since 1970.
    pub epoch_ms: i64,
    /// Whether processes listen on real sockets of their (loopback) addresses as well.
    pub wire: bool,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self { seed: 1, timing: Timing::real(), epoch_ms: 1_795_392_000_000, wire: false }
    }
}

struct Inner {
    state: Mutex<State>,
    wire: bool,
}

/// A world; clones are the same one.
#[derive(Clone)]
pub struct World(Arc<Inner>);

impl World {
    /// An empty world. Must be made inside a tokio runtime.
    pub fn new(options: WorldOptions) -> Self {
        let state = State::new(options.seed, options.epoch_ms, options.timing);
        Self(Arc::new(Inner { state: Mutex::new(state), wire: options.wire }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Network ---------------------------------------------------------------------------------

    /// Lets a name resolve to an address, and the address to the name.
    pub fn set_name(&self, name: &str, ip: IpAddr) {
        let mut state = self.state();
        state.net.set_name(name, ip);
        state.bump();
    }

    /// Makes a name unknown.
    pub fn remove_name(&self, name: &str) {
        let mut state = self.state();
        state.net.remove_name(name);
        state.bump();
    }

    /// Address of a name.
    pub fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.state().net.resolve(name)
    }

    /// Lets every look-up of a name by a process at this address fail, or succeed again.
    pub fn fail_lookups(&self, at: IpAddr, fail: bool) {
        let mut state = self.state();
        state.net.fail_lookups(at, fail);
        state.bump();
    }

    /// Cuts the link between two addresses.
    pub fn cut(&self, a: IpAddr, b: IpAddr, cut: Cut) {
        let mut state = self.state();
        state.net.cut(a, b, cut);
        state.bump();
    }

    /// Restores the link between two addresses.
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        let mut state = self.state();
        state.net.heal(a, b);
        state.bump();
    }

    /// Cuts an address off from all others.
    pub fn isolate(&self, ip: IpAddr, cut: Cut) {
        let mut state = self.state();
        state.net.isolate(ip, cut);
        state.bump();
    }

    /// Ends [`World::isolate`].
    pub fn rejoin(&self, ip: IpAddr) {
        let mut state = self.state();
        state.net.rejoin(ip);
        state.bump();
    }

    // Processes -------------------------------------------------------------------------------

    /// Starts a frontend.
    #[expect(clippy::needless_pass_by_value, reason = "a process owns what it was started with")]
    pub fn start_fe(&self, spec: FeSpec) -> ProcessHandle {
        let handle = self.add(spec.ip, Body::Fe(Box::new(Fe::new(spec.clone()))));
        {
            let mut state = self.state();
            let start = FeStart::new(handle.id, &spec, state.clock.now_ms());
            state.fe_starts.push(start);
        }
        self.spawn(handle.id, fe::start(self.clone(), handle.id));
        handle
    }

    /// Starts a backend or compute node.
    pub fn start_be(&self, spec: BeSpec) -> ProcessHandle {
        let ip = spec.ip;
        let handle = self.add(ip, Body::Be(Box::new(Be::new(spec))));
        self.spawn(handle.id, be::start(self.clone(), handle.id));
        handle
    }

    /// Starts a broker.
    #[expect(clippy::needless_pass_by_value, reason = "a process owns what it was started with")]
    pub fn start_broker(&self, spec: BrokerSpec) -> ProcessHandle {
        let handle = self.add(spec.ip, Body::Broker);
        let (world, id) = (self.clone(), handle.id);
        self.spawn(handle.id, async move {
            let wait = world.state().timing.backend_start;
            world.sleep(id, wait).await;
            world.state().open_port(id, spec.port);
        });
        handle
    }

    fn add(&self, ip: IpAddr, body: Body) -> ProcessHandle {
        let (id, _, receiver) = self.state().add_process(ip, body);
        if self.0.wire {
            wire::serve(self, id);
        }
        ProcessHandle { world: self.clone(), id, state: receiver }
    }

    /// The running process of an address, if there is one.
    pub fn process_at(&self, ip: IpAddr) -> Option<ProcessHandle> {
        let state = self.state();
        let (id, proc) = state.procs.iter().find(|(_, proc)| proc.ip == ip && proc.is_running())?;
        Some(ProcessHandle { world: self.clone(), id: *id, state: proc.state.subscribe() })
    }

    pub(crate) fn signal(&self, id: ProcessId, signal: Signal) {
        let mut state = self.state();
        let wait = state.timing.terminate;
        if matches!(signal, Signal::Kill | Signal::Term) {
            truth::stopping(&mut state, id, signal);
        }
        match signal {
            Signal::Kill => state.exit(id, 137),
            Signal::Stop | Signal::Cont => {
                if let Some(proc) = state.procs.get_mut(&id) {
                    proc.frozen = signal == Signal::Stop;
                }
                state.bump();
            }
            Signal::Term if state.be(id).is_some() => {
                drop(state);
                self.spawn(id, be::stop(self.clone(), id));
            }
            Signal::Term => {
                drop(state);
                let world = self.clone();
                self.spawn(id, async move {
                    world.sleep(id, wait).await;
                    world.state().exit(id, 143);
                });
            }
        }
    }

    pub(crate) fn logs(&self, id: ProcessId, from: usize) -> Vec<LogLine> {
        self.state().procs.get(&id).map(|proc| proc.logs.iter().skip(from).cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn started_at(&self, id: ProcessId) -> Instant {
        self.state().procs.get(&id).map_or_else(Instant::now, |proc| proc.started)
    }

    /// Runs something as part of a process: it ends with the process.
    pub(crate) fn spawn(&self, id: ProcessId, work: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.state().procs.get(&id).map(|proc| proc.cancel.clone());
        let Some(cancel) = cancel else { return };
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Waits as part of a process, which may be frozen meanwhile.
    pub(crate) async fn sleep(&self, id: ProcessId, time: Duration) {
        sleep(time).await;
        self.awake(id).await;
    }

    /// Waits while a process is frozen.
    pub(crate) async fn awake(&self, id: ProcessId) {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            if !self.state().procs.get(&id).is_some_and(|proc| proc.frozen) {
                return;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.state().changes.subscribe()
    }

    /// Waits until something changed: a process, a port, a role, a link.
    pub async fn changed(&self) {
        let mut changes = self.changes();
        // The sender lives in this world, so there is nothing to tell when it is gone.
        drop(changes.changed().await);
    }

    /// The end of a process, waited for by its clients.
    pub(crate) async fn ended(&self, id: ProcessId) {
        let receiver = self.state().procs.get(&id).map(|proc| proc.state.subscribe());
        let Some(mut receiver) = receiver else { return };
        while *receiver.borrow_and_update() == ProcessState::Running {
            if receiver.changed().await.is_err() {
                return;
            }
        }
    }

    /// Milliseconds since 1970 in this world.
    pub fn now_ms(&self) -> i64 {
        self.state().clock.now_ms()
    }

    // Clients ---------------------------------------------------------------------------------

    /// Whether a TCP connection would be accepted now.
    pub fn port_open(&self, from: IpAddr, to: IpAddr, port: u16) -> bool {
        matches!(self.state().reach(from, to, port), Reach::Open(_))
    }

    /// Logs in at a frontend's MySQL port. Waits for ever while the way there is silently cut.
    pub async fn connect(&self, from: IpAddr, to: IpAddr, port: u16, user: &str, password: &str) -> Result<Session, SqlError> {
        let id = self.dial(from, to, port).await.map_err(|failure| match failure {
            Reach::NoRoute => SqlError::NoRoute,
            _ => SqlError::Refused,
        })?;
        Session::login(self, id, from, user, password)
    }

    /// Whether a running frontend would let an account in; `None` if none runs there that serves. Nobody connects and
    /// nothing is counted: a question of whoever watches the model.
    pub fn would_log_in(&self, from: IpAddr, fe: IpAddr, user: &str, password: &str) -> Option<bool> {
        let state = self.state();
        let (_, fe) = state.frontends().find(|(_, peer)| peer.ip == fe && peer.ready)?;
        Some(Session::would_log_in(fe, from, user, password))
    }

    /// Sends an HTTP request to a frontend or backend.
    pub async fn http(
        &self,
        from: IpAddr,
        to: IpAddr,
        port: u16,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let id = self.dial(from, to, port).await.map_err(|failure| match failure {
            Reach::NoRoute => HttpError::NoRoute,
            _ => HttpError::Refused,
        })?;
        tokio::select! {
            () = self.ended(id) => Err(HttpError::Lost),
            response = self.respond(id, from, request) => Ok(response),
        }
    }

    pub(crate) async fn respond(&self, id: ProcessId, from: IpAddr, request: http::Request<Bytes>) -> http::Response<Bytes> {
        self.awake(id).await;
        if let Some(response) = load::respond(self, id, from, &request).await {
            return response;
        }
        let backend = self.state().be(id).is_some();
        if backend { be::http(self, id, &request) } else { fe::http(self, id, from, request).await }
    }

    /// The process that listens there; waits while nothing answers at all.
    pub(crate) async fn dial(&self, from: IpAddr, to: IpAddr, port: u16) -> Result<ProcessId, Reach> {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            let reach = self.state().reach(from, to, port);
            match reach {
                Reach::Open(id) => return Ok(id),
                Reach::Silent => {}
                failure => return Err(failure),
            }
            if changes.changed().await.is_err() {
                return Err(Reach::Refused);
            }
        }
    }
}
