//! A backend or compute node, and what the master does with them.

mod health;
mod http;
mod tablets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub(crate) use health::{TabletCount, tablet_health};
pub(crate) use http::respond as http;
pub(crate) use tablets::{build_table, create_on_backends, decommission, internal_schema, schedule};

use crate::catalog::{Backend, BackendBeat, Disk};
use crate::process::ProcessId;
use crate::spec::{BeSpec, Medium, NodeRole, StorageRoot};
use crate::state::{Reach, State};
use crate::version::DorisVersion;
use crate::world::World;

/// Bytes of memory that a modelled machine has.
const MEMORY: u64 = 16 << 30;

/// Bytes that a tablet takes on a disk.
const TABLET_BYTES: u64 = 1024;

/// Whom a backend obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Obeyed {
    host: String,
    rpc_port: u16,
    epoch: u64,
    token: String,
    /// Name that the master calls this backend by.
    own_host: String,
}

/// A backend process.
#[derive(Debug)]
pub(crate) struct Be {
    pub fqdn: String,
    pub ip: IpAddr,
    pub version: DorisVersion,
    pub storage: Vec<StorageRoot>,
    conf: BTreeMap<String, String>,
    role: NodeRole,
    obeyed: Option<Obeyed>,
    /// No storage path named a cluster at the start.
    pub blank_start: bool,
    /// Clusters whose heartbeat was accepted.
    pub accepted: BTreeSet<u32>,
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
            conf: spec.conf,
            role,
            obeyed: None,
            blank_start: false,
            accepted: BTreeSet::new(),
        };
        be.blank_start = be.stored_cluster_id().is_none();
        be
    }

    /// Cluster id that its storage paths name.
    pub fn stored_cluster_id(&self) -> Option<u32> {
        self.storage.iter().find_map(|root| root.dir.read_text("cluster_id")?.trim().parse().ok())
    }

    fn port(&self, key: &str, default: u16) -> u16 {
        self.conf.get(key).and_then(|port| port.parse().ok()).unwrap_or(default)
    }

    /// Changes a setting of this process; what it opened or decided at its start cannot be changed.
    pub fn set_config(&mut self, key: &str, value: &str) -> Result<(), String> {
        if key.ends_with("_port") || ["be_node_role", "storage_root_path", "priority_networks"].contains(&key) {
            return Err(format!("[NOT_IMPLEMENTED_ERROR]'{key}' is not support to modify"));
        }
        self.conf.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn be_port(&self) -> u16 {
        self.port("be_port", 9060)
    }

    pub fn http_port(&self) -> u16 {
        self.port("webserver_port", 8040)
    }

    /// Tablets on its disks.
    pub fn tablets(&self) -> Vec<u64> {
        let files = self.storage.iter().flat_map(|root| root.dir.volume.files(&root.dir.join("data")));
        files.filter_map(|path| path.rsplit_once('/')?.1.parse().ok()).collect()
    }

    /// Puts a tablet on the disk with the most room; whether there was one.
    pub fn create_tablet(&self, tablet: u64) -> bool {
        let fullest_last = self.storage.iter().max_by_key(|root| root.capacity.saturating_sub(root.dir.volume.used()));
        fullest_last.is_some_and(|root| root.dir.volume.write(&root.dir.join(&format!("data/{tablet}")), tablet.to_string()).is_ok())
    }

    pub fn delete_tablet(&self, tablet: u64) {
        for root in &self.storage {
            root.dir.volume.remove(&root.dir.join(&format!("data/{tablet}")));
        }
    }

    fn disks(&self) -> Vec<Disk> {
        let disk = |(index, root): (usize, &StorageRoot)| {
            let total = root.dir.volume.capacity().map_or(root.capacity, |capacity| capacity.min(root.capacity));
            let tablets = root.dir.volume.files(&root.dir.join("data")).len() as u64;
            Disk {
                path: root.path.clone(),
                hash: 7700 + index as u64,
                ssd: root.medium == Medium::Ssd,
                online: root.dir.volume.read(&root.dir.join("cluster_id")).is_ok(),
                data_used: tablets * TABLET_BYTES,
                available: total.saturating_sub(root.dir.volume.used()),
                total,
                trash: 0,
            }
        };
        self.storage.iter().enumerate().map(disk).collect()
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
        let ports = [be.port("heartbeat_service_port", 9050), be.be_port(), be.http_port(), be.port("brpc_port", 8060)];
        let taken = |port: &u16| state.procs.values().any(|proc| proc.ip == be.ip && proc.is_running() && proc.ports.contains(port));
        if ports.iter().any(taken) {
            state.exit(id, 1);
            return;
        }
        for port in ports {
            state.open_port(id, port);
        }
    }
    let mut changes = world.changes();
    // The first report follows the first heartbeat, not the clock.
    while world.state().be(id).is_some_and(|be| be.obeyed.is_none()) {
        if changes.changed().await.is_err() {
            return;
        }
    }
    loop {
        tablets::report(&world, id);
        world.sleep(id, period).await;
    }
}

/// A heartbeat from a master to a registered backend.
pub(crate) fn ask(state: &mut State, master: ProcessId, row: &Backend) -> Result<(BackendBeat, u64), String> {
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
        brpc_port: i32::from(be.port("brpc_port", 8060)),
        arrow_port: be.version.arrow_port().map_or(-1, |port| if port > 0 { 8050 } else { -1 }),
        version: be.version.build(),
        role: if be.role == NodeRole::Computation { "computation" } else { "mix" }.to_owned(),
        start_ms: started,
        beat_ms: now,
    };
    if first {
        state.bump();
    }
    Ok((beat, MEMORY))
}
