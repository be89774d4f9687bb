//! Everything in a world, behind its lock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::be::Be;
use crate::clock::Clock;
use crate::facts::FeStart;
use crate::fe::Fe;
use crate::net::{Cut, Link, Network};
use crate::process::{LogFile, LogLine, ProcessId, ProcessState};
use crate::snapshot::Stores;
use crate::timing::Timing;
use crate::truth::Ledger;

/// What a process is.
#[derive(Debug)]
pub(crate) enum Body {
    Fe(Box<Fe>),
    Be(Box<Be>),
    Broker,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Proc {
    pub ip: IpAddr,
    pub body: Body,
    pub state: watch::Sender<ProcessState>,
    pub frozen: bool,
    pub ports: BTreeSet<u16>,
    pub logs: Vec<LogLine>,
    pub started: Instant,
    pub started_ms: i64,
    pub cancel: CancellationToken,
}

/// What happens to a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Open(ProcessId),
    Refused,
    NoRoute,
    UnknownHost,
    Silent,
}

impl Reach {
    /// As a Java exception says it.
    pub fn java(self, host: &str) -> String {
        match self {
            Self::Open(_) => String::new(),
            Self::Refused => "java.net.ConnectException: Connection refused".to_owned(),
            Self::NoRoute => "java.net.NoRouteToHostException: No route to host".to_owned(),
            Self::UnknownHost => format!("java.net.UnknownHostException: {host}"),
            Self::Silent => "java.net.SocketTimeoutException: connect timed out".to_owned(),
        }
    }
}

/// A world's state.
#[derive(Debug)]
pub(crate) struct State {
    pub clock: Clock,
    pub rng: fastrand::Rng,
    pub net: Network,
    pub timing: Timing,
    pub procs: BTreeMap<ProcessId, Proc>,
    pub changes: watch::Sender<u64>,
    pub fe_starts: Vec<FeStart>,
    pub ledger: Ledger,
    /// Outside of every cluster.
    pub stores: Stores,
    next_process: u64,
    term: u64,
}

impl State {
    pub fn new(seed: u64, epoch_ms: i64, timing: Timing) -> Self {
        Self {
            clock: Clock::new(epoch_ms),
            rng: fastrand::Rng::with_seed(seed),
            net: Network::default(),
            timing,
            procs: BTreeMap::new(),
            changes: watch::Sender::new(0),
            fe_starts: Vec::new(),
            ledger: Ledger::default(),
            stores: Stores::default(),
            next_process: 1,
            term: 0,
        }
    }

    /// Tells everyone who waits for a change that there was one.
    pub fn bump(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// A term that no election used before.
    pub fn next_term(&mut self) -> u64 {
        self.term += 1;
        self.term
    }

    /// A random UUID.
    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.rng.u64(..), self.rng.u64(..));
        let version = (a & 0xffff_ffff_ffff_0fff) | 0x4000;
        let variant = (b & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let (high, middle, low) = (version >> 32, (version >> 16) & 0xffff, version & 0xffff);
        format!("{high:08x}-{middle:04x}-{low:04x}-{:04x}-{:012x}", variant >> 48, variant & 0xffff_ffff_ffff)
    }

    pub fn add_process(&mut self, ip: IpAddr, body: Body) -> (ProcessId, CancellationToken, watch::Receiver<ProcessState>) {
        let id = ProcessId(self.next_process);
        self.next_process += 1;
        self.net.add_host(ip);
        let (sender, receiver) = watch::channel(ProcessState::Running);
        let cancel = CancellationToken::new();
        let proc = Proc {
            ip,
            body,
            state: sender,
            frozen: false,
            ports: BTreeSet::new(),
            logs: Vec::new(),
            started: Instant::now(),
            started_ms: self.clock.now_ms(),
            cancel: cancel.clone(),
        };
        self.procs.insert(id, proc);
        self.bump();
        (id, cancel, receiver)
    }

    pub fn is_running(&self, id: ProcessId) -> bool {
        self.procs.get(&id).is_some_and(Proc::is_running)
    }

    /// Ends a process.
    pub fn exit(&mut self, id: ProcessId, code: i32) {
        let Some(proc) = self.procs.get_mut(&id).filter(|proc| proc.is_running()) else { return };
        proc.ports.clear();
        if let Body::Fe(fe) = &mut proc.body {
            fe.bdb = None;
            fe.sessions.clear();
        }
        proc.state.send_replace(ProcessState::Exited(code));
        proc.cancel.cancel();
        self.bump();
    }

    pub fn fe(&self, id: ProcessId) -> Option<&Fe> {
        match self.procs.get(&id).filter(|proc| proc.is_running())?.body {
            Body::Fe(ref fe) => Some(fe),
            _ => None,
        }
    }

    pub fn fe_mut(&mut self, id: ProcessId) -> Option<&mut Fe> {
        match self.procs.get_mut(&id).filter(|proc| proc.is_running())?.body {
            Body::Fe(ref mut fe) => Some(fe),
            _ => None,
        }
    }

    pub fn be(&self, id: ProcessId) -> Option<&Be> {
        match self.procs.get(&id).filter(|proc| proc.is_running())?.body {
            Body::Be(ref be) => Some(be),
            _ => None,
        }
    }

    pub fn be_mut(&mut self, id: ProcessId) -> Option<&mut Be> {
        match self.procs.get_mut(&id).filter(|proc| proc.is_running())?.body {
            Body::Be(ref mut be) => Some(be),
            _ => None,
        }
    }

    /// Running frontends in the order of their start.
    pub fn frontends(&self) -> impl Iterator<Item = (ProcessId, &Fe)> {
        let running = self.procs.iter().filter(|(_, proc)| proc.is_running());
        running.filter_map(|(id, proc)| match &proc.body {
            Body::Fe(fe) => Some((*id, &**fe)),
            _ => None,
        })
    }

    /// What an address answers on a port when asked from another one.
    pub fn reach(&self, from: IpAddr, to: IpAddr, port: u16) -> Reach {
        let to = if is_localhost(to) && !is_localhost(from) { from } else { to };
        match self.net.link(from, to) {
            Link::Cut(Cut::Silent) => return Reach::Silent,
            Link::Cut(Cut::Refused) => return Reach::NoRoute,
            Link::Up => {}
        }
        let listener = self.procs.iter().find(|(_, proc)| proc.ip == to && proc.is_running() && proc.ports.contains(&port));
        match listener {
            Some((_, proc)) if proc.frozen => Reach::Silent,
            Some((id, _)) => Reach::Open(*id),
            None if self.net.has_host(to) => Reach::Refused,
            None => Reach::NoRoute,
        }
    }

    /// The same for a host name, asked by a process.
    pub fn reach_host(&self, from: ProcessId, host: &str, port: u16) -> Reach {
        let Some(from) = self.procs.get(&from) else { return Reach::NoRoute };
        self.net.resolve_at(from.ip, host).map_or(Reach::UnknownHost, |ip| self.reach(from.ip, ip, port))
    }

    /// Whether two processes can exchange messages now.
    pub fn hears(&self, a: ProcessId, b: ProcessId) -> bool {
        let Some((a, b)) = self.procs.get(&a).zip(self.procs.get(&b)) else { return false };
        a.is_running() && b.is_running() && !a.frozen && !b.frozen && self.net.link(a.ip, b.ip) == Link::Up
    }

    /// Writes a line to a process' main log; `head` is level, thread and place.
    pub fn log(&mut self, id: ProcessId, head: &str, text: &str) {
        let line = format!("{} {head}{text}", self.clock.log_time());
        self.log_raw(id, &line);
    }

    /// Writes a line as it is, as the text of an exception stands in a log.
    pub fn log_raw(&mut self, id: ProcessId, line: &str) {
        self.write_log(id, LogFile::Log, line);
    }

    /// Writes a line to fe.out.
    pub fn out(&mut self, id: ProcessId, line: &str) {
        self.write_log(id, LogFile::Out, line);
    }

    fn write_log(&mut self, id: ProcessId, file: LogFile, line: &str) {
        if let Some(proc) = self.procs.get_mut(&id).filter(|proc| proc.is_running()) {
            proc.logs.push(LogLine { file, text: line.to_owned() });
        }
    }

    pub fn open_port(&mut self, id: ProcessId, port: u16) {
        if let Some(proc) = self.procs.get_mut(&id).filter(|proc| proc.is_running()) {
            proc.ports.insert(port);
        }
        self.bump();
    }
}

impl Proc {
    pub fn is_running(&self) -> bool {
        *self.state.borrow() == ProcessState::Running
    }
}

/// Only the one address that Doris takes for local; the rest of 127/8 are hosts of their own.
pub(crate) fn is_localhost(ip: IpAddr) -> bool {
    ip == IpAddr::from([127, 0, 0, 1])
}
