//! Moments that decide whether somebody was careful.

use super::tablets::{TabletFacts, facts, owners};
use super::{authority, cluster_of, clusters};
use crate::bdb::Entry;
use crate::catalog::Op;
use crate::facts::MemberKind;
use crate::fe::Fe;
use crate::process::{ProcessId, Signal};
use crate::state::{Body, State};
use crate::version::DorisVersion;
use crate::world::World;

/// A backend or compute node that was told to end.
#[derive(Clone, Debug)]
pub struct BackendStop {
    /// The process.
    pub process: ProcessId,
    /// Host.
    pub fqdn: String,
    /// When, in the world's milliseconds since 1970.
    pub at_ms: i64,
    /// Cluster; 0 if it belonged to none yet.
    pub cluster_id: u32,
    /// How.
    pub signal: Signal,
    /// Whether every running frontend of the cluster had both drain flags set.
    pub drained: bool,
    /// Whether every one of them had at least the flag that keeps loads away.
    pub loads_drained: bool,
    /// Parts of queries that ran on it.
    pub queries: usize,
    /// Loads that it led.
    pub loads: usize,
    /// Backups and restores, by label, that it had work to do for.
    pub snapshots: Vec<String>,
    /// Other backends with data that did not run at that moment, or had been told to end.
    pub others_down: Vec<String>,
    /// Whether the master's tablet scheduler was held.
    pub scheduler_held: bool,
    /// Tables of which some tablet could not be read without it.
    pub unreadable: Vec<String>,
    /// Tables of which some tablet had no majority of running, whole replicas without it.
    pub unloadable: Vec<String>,
}

/// A frontend that was told to end.
#[derive(Clone, Debug)]
pub struct FrontendStop {
    /// The process.
    pub process: ProcessId,
    /// Host.
    pub fqdn: String,
    /// When, in the world's milliseconds since 1970.
    pub at_ms: i64,
    /// Cluster; 0 if it belonged to none yet.
    pub cluster_id: u32,
    /// How.
    pub signal: Signal,
    /// Whether it was the master.
    pub master: bool,
    /// Connections with a statement under way.
    pub busy: usize,
    /// Connections.
    pub connections: usize,
    /// Registered followers.
    pub followers: usize,
    /// Followers but for this one that are ready and stay.
    pub followers_left: usize,
    /// Other registered frontends that do not run, or have been told to end.
    pub others_down: Vec<String>,
}

/// A backend that was dropped.
#[derive(Clone, Debug)]
pub struct BackendDrop {
    /// Host.
    pub host: String,
    /// When, in the world's milliseconds since 1970.
    pub at_ms: i64,
    /// Cluster.
    pub cluster_id: u32,
    /// Whether it was being emptied.
    pub decommissioned: bool,
    /// Replicas that it was known to hold.
    pub replicas: usize,
    /// Tablets whose last whole replica went with it.
    pub destroyed: Vec<TabletFacts>,
}

/// A master that raised the metadata's version: older frontends cannot read on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Host of the master.
    pub fqdn: String,
    /// When, in the world's milliseconds since 1970.
    pub at_ms: i64,
    /// Cluster.
    pub cluster_id: u32,
    /// Version before.
    pub from: u32,
    /// Version from then on.
    pub to: u32,
}

/// A setting that was changed while a process ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// The process.
    pub process: ProcessId,
    /// Host.
    pub fqdn: String,
    /// When, in the world's milliseconds since 1970.
    pub at_ms: i64,
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
    /// Whether it was to be written to the container's own configuration file too.
    pub persisted: bool,
}

/// A running process' setting that is not what it was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSetting {
    /// The process.
    pub process: ProcessId,
    /// Host.
    pub fqdn: String,
    /// Cluster.
    pub cluster_id: u32,
    /// Key.
    pub key: String,
    /// Value now.
    pub value: String,
    /// Value that a restart brings back.
    pub at_start: String,
}

/// Version of a running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessVersion {
    /// Kind.
    pub kind: MemberKind,
    /// Host.
    pub fqdn: String,
    /// Cluster.
    pub cluster_id: u32,
    /// Version.
    pub version: DorisVersion,
}

/// What is remembered of an entry until it is written.
pub(crate) enum Watched {
    Nothing,
    Drop(BackendDrop),
    Crossing(Crossing),
}

/// Looks at what an entry is about to do.
pub(crate) fn before(state: &State, id: ProcessId, entry: &Entry) -> Watched {
    let Entry::Journal { op, .. } = entry else { return Watched::Nothing };
    let (Some(fe), at_ms) = (state.fe(id), state.clock.now_ms()) else { return Watched::Nothing };
    match op {
        Op::MetaVersion(to) if *to > fe.catalog.meta_version && fe.catalog.meta_version > 0 => {
            let (fqdn, from) = (fe.fqdn.clone(), fe.catalog.meta_version);
            Watched::Crossing(Crossing { fqdn, at_ms, cluster_id: fe.cluster_id, from, to: *to })
        }
        Op::DropBackend { id: backend } => {
            let Some(row) = fe.catalog.backends.get(backend) else { return Watched::Nothing };
            let owners = owners(state);
            let here = fe.catalog.places().filter(|place| place.tablet.replicas.iter().any(|replica| replica.backend == *backend));
            let all: Vec<_> = here.map(|place| facts(fe.cluster_id, &fe.catalog, &place, &owners)).collect();
            let last =
                |tablet: &TabletFacts| tablet.replicas.iter().filter(|replica| replica.whole).all(|replica| replica.backend == *backend);
            Watched::Drop(BackendDrop {
                host: row.host.clone(),
                at_ms,
                cluster_id: fe.cluster_id,
                decommissioned: row.decommissioned,
                replicas: all.len(),
                destroyed: all.into_iter().filter(last).collect(),
            })
        }
        _ => Watched::Nothing,
    }
}

/// Notes it, now that it is done.
pub(crate) fn after(state: &mut State, watched: Watched) {
    match watched {
        Watched::Nothing => {}
        Watched::Drop(dropped) => state.ledger.drops.push(dropped),
        Watched::Crossing(crossing) => state.ledger.crossings.push(crossing),
    }
}

/// Notes a changed setting.
pub(crate) fn note_setting(state: &mut State, process: ProcessId, key: &str, value: &str, persisted: bool) {
    let fqdn = match state.procs.get(&process).map(|proc| &proc.body) {
        Some(Body::Fe(fe)) => fe.fqdn.clone(),
        Some(Body::Be(be)) => be.fqdn.clone(),
        _ => return,
    };
    let at_ms = state.clock.now_ms();
    state.ledger.settings.push(SettingChange { process, fqdn, at_ms, key: key.to_owned(), value: value.to_owned(), persisted });
}

/// Notes that a process is told to end, and who will miss it. A kill after a first signal is no new stop.
pub(crate) fn stopping(state: &mut State, process: ProcessId, signal: Signal) {
    let known = state.ledger.backend_stops.iter().any(|stop| stop.process == process)
        || state.ledger.frontend_stops.iter().any(|stop| stop.process == process);
    let Some(proc) = state.procs.get(&process).filter(|proc| proc.is_running() && !known) else { return };
    let (at_ms, cluster_id) = (state.clock.now_ms(), cluster_of(proc));
    match &proc.body {
        Body::Fe(fe) => {
            let mut stop = FrontendStop {
                process,
                fqdn: fe.fqdn.clone(),
                at_ms,
                cluster_id,
                signal,
                master: fe.is_master(),
                busy: fe.sessions.values().filter(|session| session.command != "Sleep").count(),
                connections: fe.sessions.len(),
                followers: 0,
                followers_left: 0,
                others_down: Vec::new(),
            };
            neighbours(state, &mut stop);
            state.ledger.frontend_stops.push(stop);
        }
        Body::Be(be) => {
            let mut stop = BackendStop {
                process,
                fqdn: be.fqdn.clone(),
                at_ms,
                cluster_id,
                signal,
                drained: false,
                loads_drained: false,
                queries: be.work.fragments.len(),
                loads: be.work.loads.len(),
                snapshots: Vec::new(),
                others_down: Vec::new(),
                scheduler_held: false,
                unreadable: Vec::new(),
                unloadable: Vec::new(),
            };
            consequences(state, &mut stop);
            state.ledger.backend_stops.push(stop);
        }
        Body::Broker => {}
    }
}

/// Whether a host's process was told to end and has not ended yet: nobody can count on it any more.
fn is_ending(state: &State, fqdn: &str) -> bool {
    let ledger = &state.ledger;
    let backends = ledger.backend_stops.iter().map(|stop| (stop.process, &stop.fqdn));
    let told = backends.chain(ledger.frontend_stops.iter().map(|stop| (stop.process, &stop.fqdn)));
    told.filter(|(_, host)| *host == fqdn).any(|(process, _)| state.procs.get(&process).is_some_and(crate::state::Proc::is_running))
}

/// How the other frontends of the cluster are.
fn neighbours(state: &State, stop: &mut FrontendStop) {
    let Some((_, fe)) = authority(state, stop.cluster_id) else { return };
    let running = |host: &str| {
        let own = |peer: &Fe| peer.cluster_id == stop.cluster_id && peer.fqdn == host;
        state.frontends().find(|(_, peer)| own(peer) && !is_ending(state, host))
    };
    let others = || fe.catalog.frontends.iter().filter(|row| row.host != stop.fqdn);
    let is_follower = |row: &&crate::catalog::Frontend| row.role == crate::catalog::FeRole::Follower;
    stop.followers = fe.catalog.frontends.iter().filter(is_follower).count();
    stop.followers_left = others().filter(is_follower).filter(|row| running(&row.host).is_some_and(|(_, peer)| peer.is_ready())).count();
    stop.others_down = others().filter(|row| running(&row.host).is_none()).map(|row| row.host.clone()).collect();
}

fn consequences(state: &State, stop: &mut BackendStop) {
    let Some((_, fe)) = authority(state, stop.cluster_id) else { return };
    let flagged = |fe: &crate::fe::Fe| {
        fe.catalog.backends.values().find(|row| row.host == stop.fqdn).is_some_and(|row| row.query_disabled && row.load_disabled)
    };
    let no_loads = |fe: &crate::fe::Fe| fe.catalog.backends.values().any(|row| row.host == stop.fqdn && row.load_disabled);
    stop.loads_drained = state.frontends().filter(|(_, peer)| peer.cluster_id == stop.cluster_id).all(|(_, peer)| no_loads(peer));
    stop.drained = state.frontends().filter(|(_, peer)| peer.cluster_id == stop.cluster_id).all(|(_, peer)| flagged(peer));
    stop.snapshots = super::jobs::on_process(fe, stop.process);
    stop.scheduler_held = fe.settings.flag("disable_tablet_scheduler");
    let owners = owners(state);
    let running = |host: &str| owners.get(host).is_some_and(|(running, _)| *running);
    let is_down = |host: &str| !running(host) || is_ending(state, host);
    let others = fe.catalog.backends.values().filter(|row| row.stores() && row.host != stop.fqdn && is_down(&row.host));
    stop.others_down = others.map(|row| row.host.clone()).collect();
    for place in fe.catalog.places() {
        let tablet = facts(stop.cluster_id, &fe.catalog, &place, &owners);
        let concerned = tablet.replicas.iter().any(|replica| replica.host == stop.fqdn);
        let left = tablet.replicas.iter().filter(|replica| replica.readable() && replica.host != stop.fqdn).count();
        if concerned && left == 0 {
            stop.unreadable.push(tablet.table_name());
        }
        if concerned && left < tablet.wanted / 2 + 1 {
            stop.unloadable.push(tablet.table_name());
        }
    }
    for names in [&mut stop.unreadable, &mut stop.unloadable] {
        names.sort_unstable();
        names.dedup();
    }
}

impl World {
    /// Backends and compute nodes that were told to end, in order.
    pub fn backend_stops(&self) -> Vec<BackendStop> {
        self.state().ledger.backend_stops.clone()
    }

    /// Frontends that were told to end, in order.
    pub fn frontend_stops(&self) -> Vec<FrontendStop> {
        self.state().ledger.frontend_stops.clone()
    }

    /// Backends and frontends that were told to end, without the first so many of each.
    pub fn stops_after(&self, backends: usize, frontends: usize) -> (Vec<BackendStop>, Vec<FrontendStop>) {
        let state = self.state();
        let ledger = &state.ledger;
        (
            ledger.backend_stops.get(backends..).unwrap_or_default().to_vec(),
            ledger.frontend_stops.get(frontends..).unwrap_or_default().to_vec(),
        )
    }

    /// Backends that were dropped, in order.
    pub fn backend_drops(&self) -> Vec<BackendDrop> {
        self.state().ledger.drops.clone()
    }

    /// Points of no return, in order.
    pub fn crossings(&self) -> Vec<Crossing> {
        self.state().ledger.crossings.clone()
    }

    /// Every change of a setting while a process ran, in order.
    pub fn setting_changes(&self) -> Vec<SettingChange> {
        self.state().ledger.settings.clone()
    }

    /// What running processes do differently from what they were started with.
    pub fn live_settings(&self) -> Vec<LiveSetting> {
        let state = self.state();
        let mut all = Vec::new();
        for (process, proc) in state.procs.iter().filter(|(_, proc)| proc.is_running()) {
            let (fqdn, changed) = match &proc.body {
                Body::Fe(fe) => (&fe.fqdn, fe.settings.changed()),
                Body::Be(be) => (&be.fqdn, be.conf.changed()),
                Body::Broker => continue,
            };
            let cluster_id = cluster_of(proc);
            let setting = |(key, value, at_start)| LiveSetting { process: *process, fqdn: fqdn.clone(), cluster_id, key, value, at_start };
            all.extend(changed.into_iter().map(setting));
        }
        all
    }

    /// A setting of the running frontend or backend of this name: its value, and whether it can change while that runs.
    pub fn setting(&self, fqdn: &str, key: &str) -> Option<(String, bool)> {
        let state = self.state();
        let running = state.procs.values().filter(|proc| proc.is_running());
        running.map(|proc| &proc.body).find_map(|body| match body {
            Body::Fe(fe) if fe.fqdn == fqdn => fe.settings.key(key).map(|known| (fe.settings.get(key).to_owned(), known.mutable)),
            Body::Be(be) if be.fqdn == fqdn => {
                be.conf.shown().find(|shown| shown.name == key).map(|shown| (shown.value.to_owned(), shown.mutable))
            }
            _ => None,
        })
    }

    /// Makes a setting of a running process one that only a restart changes, as it is in another build.
    pub fn fix_setting(&self, fqdn: &str, key: &str) {
        for proc in self.state().procs.values_mut().filter(|proc| proc.is_running()) {
            match &mut proc.body {
                Body::Fe(fe) if fe.fqdn == fqdn => fe.settings.fix(key),
                Body::Be(be) if be.fqdn == fqdn => be.conf.fix(key),
                _ => {}
            }
        }
    }

    /// Versions of the running frontends and backends.
    pub fn versions(&self) -> Vec<ProcessVersion> {
        let state = self.state();
        let version = |proc: &crate::state::Proc| {
            let (kind, fqdn, version) = match &proc.body {
                Body::Fe(fe) if fe.role == crate::catalog::FeRole::Observer => (MemberKind::Observer, &fe.fqdn, fe.version),
                Body::Fe(fe) => (MemberKind::Follower, &fe.fqdn, fe.version),
                Body::Be(be) => (MemberKind::Backend, &be.fqdn, be.version),
                Body::Broker => return None,
            };
            Some(ProcessVersion { kind, fqdn: fqdn.clone(), cluster_id: cluster_of(proc), version })
        };
        state.procs.values().filter(|proc| proc.is_running()).filter_map(version).collect()
    }

    /// Ids of all clusters that this world has seen.
    pub fn clusters(&self) -> Vec<u32> {
        clusters(&self.state())
    }
}
