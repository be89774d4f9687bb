//! A backend or compute node, and what the master does with them.

mod conf;
mod health;
mod http;
mod reports;
mod stop;
mod store;
mod tablets;
mod work;

use std::collections::BTreeSet;
use std::net::IpAddr;

use conf::Conf;
pub(crate) use health::{TabletCount, tablet_health};
pub(crate) use http::respond as http;
pub(crate) use stop::stop;
pub(crate) use store::Stored;
pub(crate) use tablets::{NewTable, build_table, create_on_backends, internal_schema, process_of};
use work::Work;
pub(crate) use work::{Fragment, Piece};

use crate::catalog::{Backend, BackendBeat};
use crate::process::ProcessId;
use crate::spec::{BeSpec, NodeRole, StorageRoot};
use crate::state::{Reach, State};
use crate::version::DorisVersion;
use crate::world::World;

/// Bytes of memory that a modelled machine has.
const MEMORY: u64 = 16 << 30;

/// Whom a backend obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obeyed {
    pub host: String,
    pub rpc_port: u16,
    epoch: u64,
    token: String,
    /// Name that the master calls this backend by.
    pub own_host: String,
}

/// A backend process.
#[derive(Debug)]
pub(crate) struct Be {
    pub fqdn: String,
    pub ip: IpAddr,
    pub version: DorisVersion,
    pub storage: Vec<StorageRoot>,
    pub conf: Conf,
    pub role: NodeRole,
    pub obeyed: Option<Obeyed>,
    /// No storage path named a cluster at the start.
    pub blank_start: bool,
    /// Clusters whose heartbeat was accepted.
    pub accepted: BTreeSet<u32>,
    pub work: Work,
}

impl Be {
    pub fn new(spec: BeSpec) -> Self {
        let role = match spec.conf.get("be_node_role").map(String::as_str) {
            Some("computation") => NodeRole::Computation,
            Some("mix") => NodeRole::Mix,
            _ => spec.role,
        };
        let version = DorisVersion::parse(&spec.version);
        let mut be = Self {
            fqdn: spec.fqdn,
            ip: spec.ip,
            version,
            storage: spec.storage,
            conf: Conf::new(version, &spec.conf),
            role,
            obeyed: None,
            blank_start: false,
            accepted: BTreeSet::new(),
            work: Work::default(),
        };
        be.blank_start = be.stored_cluster_id().is_none();
        be
    }

    /// Cluster id that its storage paths name.
    pub fn stored_cluster_id(&self) -> Option<u32> {
        self.storage.iter().find_map(|root| root.dir.read_text("cluster_id")?.trim().parse().ok())
    }

    fn port(&self, key: &str) -> u16 {
        self.conf.get(key).parse().unwrap_or(0)
    }

    pub fn number(&self, key: &str) -> u64 {
        self.conf.get(key).parse().unwrap_or(0)
    }

    fn be_port(&self) -> u16 {
        self.port("be_port")
    }

    pub fn http_port(&self) -> u16 {
        self.port("webserver_port")
    }

    /// Checks the cluster id on every storage root and leaves it where there is none.
    fn check_cluster(&self, cluster_id: u32) -> Result<(), String> {
        for root in &self.storage {
            let file = root.dir.join("cluster_id");
            match root.dir.volume.read_text(&file) {
                Some(found) if found.trim() == cluster_id.to_string() => {}
                Some(found) => {
                    return Err(format!(
                        "invalid cluster id. ignore. Record cluster id ={}, record frontend info {}. Invalid cluster_id={cluster_id}, invalid frontend info {}",
                        found.trim(),
                        self.obeyed.as_ref().map_or("", |master| &master.host),
                        cluster_id
                    ));
                }
                None => root.dir.volume.write(&file, cluster_id.to_string()).map_err(|error| error.to_string())?,
            }
        }
        Ok(())
    }

    fn check_master(&self, new: &Obeyed) -> Result<(), String> {
        let Some(old) = &self.obeyed else { return Ok(()) };
        if old.token != new.token {
            return Err("invalid token. ignore".to_owned());
        }
        if old.host != new.host && new.epoch <= old.epoch {
            return Err(format!(
                "epoch is not greater than local. ignore heartbeat. host: {}, port: {}, local epoch: {}, received epoch: {}",
                old.host, old.rpc_port, old.epoch, new.epoch
            ));
        }
        Ok(())
    }
}

/// Runs a backend: its ports, then a report now and then.
pub(crate) async fn start(world: World, id: ProcessId) {
    let (wait, period) = {
        let state = world.state();
        (state.timing.backend_start, state.timing.report)
    };
    world.sleep(id, wait).await;
    {
        let mut state = world.state();
        let Some(be) = state.be(id) else { return };
        if be.conf.unreadable().is_some() {
            // "error read config file."
            state.exit(id, 255);
            return;
        }
        let ports = [be.port("heartbeat_service_port"), be.be_port(), be.http_port(), be.port("brpc_port")];
        let taken = |port: &u16| state.procs.values().any(|proc| proc.ip == be.ip && proc.is_running() && proc.ports.contains(port));
        if ports.iter().any(taken) {
            state.exit(id, 1);
            return;
        }
        for port in ports {
            state.open_port(id, port);
        }
    }
    crate::load::replay(&world, id);
    let mut changes = world.changes();
    // The first report follows the first heartbeat, not the clock.
    while world.state().be(id).is_some_and(|be| be.obeyed.is_none()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
    loop {
        reports::report(&world, id);
        world.sleep(id, period).await;
    }
}

/// What a heartbeat's answer tells beside what is journalled.
pub(crate) struct Told {
    pub memory: u64,
    pub fragments: u64,
    pub last_load_ms: Option<i64>,
}

/// A heartbeat from a master to a registered backend.
pub(crate) fn ask(state: &mut State, master: ProcessId, row: &Backend) -> Result<(BackendBeat, Told), String> {
    let reach = state.reach_host(master, &row.host, row.heartbeat_port);
    let Reach::Open(peer) = reach else { return Err(reach.java(&row.host)) };
    let own = state.fe(master).ok_or("gone")?;
    let (cluster_id, epoch) = (own.cluster_id, own.bdb.as_ref().map_or(0, |bdb| bdb.log.epoch()));
    let new = Obeyed { host: own.host.clone(), rpc_port: own.rpc_port, epoch, token: own.token.clone(), own_host: row.host.clone() };
    let resolved = state.net.resolve(&row.host);
    let started = state.procs.get(&peer).map_or(0, |proc| proc.started_ms);
    let now = state.clock.now_ms();
    let be = state.be_mut(peer).ok_or("java.net.ConnectException: Connection refused")?;
    if resolved != Some(be.ip) {
        return Err(format!(
            "the host recorded in master is {}, but we cannot found the local ip that mapped to that host. backend={}",
            row.host, be.ip
        ));
    }
    be.check_master(&new)?;
    be.check_cluster(cluster_id)?;
    let first = be.obeyed.as_ref() != Some(&new);
    be.obeyed = Some(new);
    be.accepted.insert(cluster_id);
    let beat = BackendBeat {
        id: row.id,
        alive: true,
        be_port: i32::from(be.be_port()),
        http_port: i32::from(be.http_port()),
        brpc_port: i32::from(be.port("brpc_port")),
        arrow_port: be.version.arrow_port().map_or(-1, |port| if port > 0 { 8050 } else { -1 }),
        version: be.version.build(),
        role: if be.role == NodeRole::Computation { "computation" } else { "mix" }.to_owned(),
        start_ms: started,
        beat_ms: now,
        stopping: be.work.stopping && be.version.from_line(2, 1),
    };
    let told = Told { memory: MEMORY, fragments: be.work.fragments.len() as u64, last_load_ms: be.work.last_load_ms };
    if first {
        state.bump();
    }
    Ok((beat, told))
}
