//! The start script's course, from configuration to the end of Doris.

use std::sync::Arc;
use std::time::Duration;

use doris_api::member::{
    BE_STORAGE_DIR, GATE_DIR, GATE_FRESH, GATE_HAD_DATA, GATE_LEFT, Marker, POD_INFO_DIR, ROOT_HASH_DIR, Ticket, env, exit,
};
use doris_sim::{BeSpec, BrokerSpec, FeSpec, NodeRole, ProcessHandle, ProcessState, Signal, StorageRoot, VolumeDir};
use tokio::time::{Instant, sleep, timeout};

use super::process::Shared;
use super::{Doris, config, volume};
use crate::engine::{Exit, Launch};
use crate::gate::{Decision, Member, Start, gate};

/// What the script starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    Fe,
    Be,
    Broker,
}

/// The script in one container.
pub(super) struct Script {
    pub(super) engine: Doris,
    pub(super) launch: Launch,
    pub(super) component: Component,
    pub(super) shared: Arc<Shared>,
}

/// Between two looks of the watchdog.
const WATCH: Duration = Duration::from_secs(5);
/// How long a failed start may stay before it is ended.
const HANG: Duration = Duration::from_secs(30);

/// The last line of a backend's start script of 2.1 on a node that is not set up for it.
const UNPREPARED: &str =
    "Set kernel parameter 'vm.max_map_count' to a value greater than 2000000, example: 'sysctl -w vm.max_map_count=2000000'";

fn ended(code: i32, message: impl Into<String>) -> Exit {
    Exit { code, message: format!("{}\n", message.into()) }
}

impl Script {
    /// Runs to the end of the container's process.
    pub(super) async fn run(self) -> Exit {
        let result = match self.component {
            Component::Fe => self.frontend().await,
            Component::Be => self.backend().await,
            Component::Broker => self.broker().await,
        };
        result.unwrap_or_else(|exit| exit)
    }

    fn variable(&self, name: &str) -> String {
        self.launch.env.get(name).cloned().unwrap_or_default()
    }

    fn line(&self, path: &str) -> String {
        self.launch.files.read(path).and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
    }

    fn ticket(&self) -> String {
        self.line(&format!("{POD_INFO_DIR}/ticket"))
    }

    fn member(&self) -> Member {
        let fqdn = self.variable(env::MEMBER_FQDN);
        let left = self.launch.files.read(&format!("{GATE_DIR}/{GATE_LEFT}")).unwrap_or_default();
        let own = |line: &str| line.split_once(' ').filter(|(host, _)| *host == fqdn).map(|(_, name)| name.to_owned());
        Member {
            left: left.lines().filter_map(own).collect(),
            pod_uid: self.variable(env::POD_UID),
            fqdn: self.variable(env::MEMBER_FQDN),
            identity: self.variable(env::IDENTITY),
            role: self.variable(env::ROLE),
            epoch: self.line(&format!("{GATE_DIR}/epoch")).parse().unwrap_or(0),
            cluster_id: Some(self.line(&format!("{GATE_DIR}/cluster-id"))).filter(|id| !id.is_empty()),
        }
    }

    fn marker(member: &Member, incarnation: String) -> Marker {
        Marker { identity: member.identity.clone(), fqdn: member.fqdn.clone(), role: member.role.clone(), incarnation, epoch: member.epoch }
    }

    /// Own name to own address and back, within two minutes.
    async fn wait_for_name(&self) -> Result<(), Exit> {
        let name = self.variable(env::MEMBER_FQDN);
        for _ in 0..120 {
            if self.engine.resolves(&name, self.launch.address) {
                return Ok(());
            }
            self.shared.wait_for(&format!("the name {name} does not resolve to {} and back yet", self.launch.address));
            sleep(Duration::from_secs(1)).await;
        }
        Err(ended(exit::NAME_UNRESOLVED, format!("the name {name} and the address {} do not resolve to each other", self.launch.address)))
    }

    async fn frontend(&self) -> Result<Exit, Exit> {
        let Some(dir) = volume::frontend(&self.engine, &self.launch) else {
            return Err(ended(exit::VOLUME_MISSING, "volume missing: the metadata directory is not a mount"));
        };
        let mut conf = config::read(&self.launch, "fe.conf");
        if let Some(refusal) = config::refusal(&conf, config::refused_keys(true), "fe.conf") {
            return Err(refusal);
        }
        conf.insert("enable_fqdn_mode".into(), "true".into());
        let mut named = false;
        let (aside, how) = loop {
            match gate(&volume::inspect(&dir), &self.ticket(), &self.member()) {
                Decision::Exit(code, reason) => return Err(ended(code, reason)),
                Decision::Wait(reason) => {
                    self.shared.wait_for(&reason);
                    self.shared.files.notified().await;
                }
                Decision::Start { aside, how } if named => break (aside, how),
                Decision::Start { .. } => {
                    self.wait_for_name().await?;
                    named = true;
                }
            }
        };
        self.prepare(&dir, aside, &how)?;
        volume::write_build(&dir, &self.launch);
        let hash = self.line(&format!("{ROOT_HASH_DIR}/initial-root-password"));
        if matches!(how, Start::Found(_)) {
            if hash.is_empty() {
                let reason = "the hash of the initial root password is not there: no cluster is founded with an empty root";
                return Err(ended(exit::CONFIG_REFUSED, reason));
            }
            if !config::is_password_hash(&hash) {
                return Err(ended(exit::CONFIG_REFUSED, "the initial root password is not a star and 40 hexadecimal digits"));
            }
            conf.insert("initial_root_password".into(), hash);
        }
        let helpers = if let Start::Join { helpers, .. } = how { helpers } else { Vec::new() };
        let spec = FeSpec {
            fqdn: self.variable(env::MEMBER_FQDN),
            ip: self.launch.address.into(),
            version: config::version(&self.launch),
            meta: dir,
            conf,
            helpers,
            recovery: false,
        };
        let handle = self.engine.world.start_fe(spec);
        Ok(self.supervise(handle, true).await)
    }

    /// Moves old metadata away and writes the marker, before Doris starts.
    fn prepare(&self, dir: &VolumeDir, aside: bool, how: &Start) -> Result<(), Exit> {
        if aside {
            volume::move_aside(dir, self.engine.world.now_ms() / 1000);
        }
        let member = self.member();
        let incarnation = match how {
            Start::Found(attempt) => format!("found-{attempt}"),
            Start::Join { incarnation, .. } => incarnation.clone(),
            Start::Metadata if volume::marker(dir).is_some() => return Ok(()),
            Start::Metadata => "adopted".into(),
        };
        let written = volume::write_marker(dir, &Self::marker(&member, incarnation));
        if written { Ok(()) } else { Err(ended(exit::DORIS_FAILED, "the marker could not be written to the volume")) }
    }

    async fn backend(&self) -> Result<Exit, Exit> {
        let conf = config::read(&self.launch, "be.conf");
        let mut roots = Vec::new();
        let paths = self.variable(env::STORAGE_ROOTS);
        for path in paths.split(';').filter(|path| !path.is_empty()) {
            let Some((dir, mount)) = volume::at(&self.engine, &self.launch, path) else {
                return Err(ended(exit::VOLUME_MISSING, format!("volume missing: {path} is not a mount")));
            };
            let size = mount.capacity.map(k8s_openapi::apimachinery::pkg::api::resource::Quantity);
            let size = size.map(|size| crate::storage::whole_bytes(&size));
            if dir.volume.capacity().is_none() && size.is_some() {
                // The disk itself says how large it is: it may grow while the process runs.
                dir.volume.set_capacity(size);
            }
            let capacity = if size.is_some() { u64::MAX / 4 } else { 1_000_000_000_000 };
            roots.push(StorageRoot { path: path.to_owned(), dir, medium: config::medium(&conf, path), capacity });
        }
        if let Some(refusal) = config::refusal(&conf, config::refused_keys(false), "be.conf") {
            return Err(refusal);
        }
        let mut named = false;
        loop {
            if let Some(reason) = self.backend_waits(&roots)? {
                self.shared.wait_for(&reason);
                self.shared.files.notified().await;
            } else if named {
                break;
            } else {
                self.wait_for_name().await?;
                named = true;
            }
        }
        let member = self.member();
        for root in roots.iter().filter(|root| volume::marker(&root.dir).is_none()) {
            if !volume::write_marker(&root.dir, &Self::marker(&member, String::new())) {
                return Err(ended(exit::DORIS_FAILED, format!("the marker could not be written to {}", root.path)));
            }
        }
        if !self.engine.is_prepared(&self.launch.node, &self.launch.pod) {
            return Err(ended(1, format!("Doris ended with status 1: {UNPREPARED}")));
        }
        let computes = member.role == "computation" || conf.get("be_node_role").is_some_and(|role| role == "computation");
        let spec = BeSpec {
            fqdn: member.fqdn,
            ip: self.launch.address.into(),
            version: config::version(&self.launch),
            storage: roots,
            conf,
            role: if computes { NodeRole::Computation } else { NodeRole::Mix },
        };
        let handle = self.engine.world.start_be(spec);
        Ok(self.supervise(handle, false).await)
    }

    /// Why a backend must not start yet, or not at all.
    fn backend_waits(&self, roots: &[StorageRoot]) -> Result<Option<String>, Exit> {
        let member = self.member();
        let mut blank = Vec::new();
        let pod = self.variable(env::POD_NAME);
        let lists = |file: &str, line: &str| {
            self.launch.files.read(&format!("{GATE_DIR}/{file}")).is_some_and(|text| text.lines().any(|listed| listed == line))
        };
        for root in roots {
            let name = root.path.trim_start_matches(BE_STORAGE_DIR);
            let wrong = |reason: String| Err(ended(exit::WRONG_CLUSTER, format!("wrong volume: {name} {reason}")));
            let marker = volume::marker(&root.dir).unwrap_or_default();
            let found: String = root.dir.read_text("cluster_id").unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
            if !marker.identity.is_empty() && marker.identity != member.identity {
                return wrong(format!("belongs to cluster identity {}, not to {}", marker.identity, member.identity));
            }
            if !marker.fqdn.is_empty() && marker.fqdn != member.fqdn {
                return wrong(format!("belongs to {}", marker.fqdn));
            }
            if let Some(wanted) = member.cluster_id.as_ref().filter(|wanted| !found.is_empty() && **wanted != found) {
                return wrong(format!("holds data of cluster id {found}, not of {wanted}"));
            }
            let is_empty = root.dir.read_text("cluster_id").is_none_or(|text| text.is_empty());
            if is_empty && !lists(GATE_FRESH, &format!("{pod} {}", root.path)) {
                blank.push(root.path.as_str());
            }
        }
        let allowed = matches!(self.ticket().parse(), Ok(Ticket::BlankOk { pod_uid }) if pod_uid == member.pod_uid);
        let held = lists(GATE_HAD_DATA, &pod) && !blank.is_empty() && !allowed;
        Ok(held.then(|| format!("a volume that held data is empty: {}", blank.join(" "))))
    }

    async fn broker(&self) -> Result<Exit, Exit> {
        self.wait_for_name().await?;
        let port = config::port(&self.launch, env::HEARTBEAT_PORT, 8000);
        let spec = BrokerSpec { fqdn: self.variable(env::MEMBER_FQDN), ip: self.launch.address.into(), port };
        let handle = self.engine.world.start_broker(spec);
        Ok(self.supervise(handle, false).await)
    }

    /// Waits for the end of Doris and says why it came; ends a frontend that hangs.
    async fn supervise(&self, handle: ProcessHandle, frontend: bool) -> Exit {
        self.shared.runs(handle.clone());
        let code = if frontend {
            match self.watch(&handle).await {
                Ok(code) => code,
                Err(exit) => return exit,
            }
        } else {
            handle.wait().await
        };
        if self.shared.stop_asked() {
            return Exit { code, message: String::new() };
        }
        let words = last_words(&handle);
        match code {
            0 => ended(exit::DORIS_FAILED, format!("Doris ended by itself: {words}")),
            _ => ended(code, format!("Doris ended with status {code}: {words}")),
        }
    }

    /// Looks for a failed start until the edit log port is open, then only waits.
    async fn watch(&self, handle: &ProcessHandle) -> Result<i32, Exit> {
        let port = config::port(&self.launch, env::EDIT_LOG_PORT, 9010);
        let address = self.launch.address.into();
        let mut failed: Option<Instant> = None;
        while !self.engine.world.port_open(address, address, port) {
            if let Ok(code) = timeout(WATCH, handle.wait()).await {
                return Ok(code);
            }
            let Some(exception) = start_exception(handle) else { continue };
            let since = *failed.get_or_insert_with(Instant::now);
            if since.elapsed() >= HANG && handle.state() == ProcessState::Running {
                handle.signal(Signal::Kill);
                return Err(ended(exit::DORIS_FAILED, format!("Doris failed to start but its process hung and was ended: {exception}")));
            }
        }
        Ok(handle.wait().await)
    }
}

/// The exception that a start which failed was ended by: the line after the warning of the start.
fn start_exception(handle: &ProcessHandle) -> Option<String> {
    let text: Vec<String> = handle.logs().into_iter().flat_map(|line| line.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let warning = text.iter().rposition(|line| line.contains(" WARN ") && line.contains("[DorisFE.start("))?;
    text[warning + 1..].iter().find(|line| !line.starts_with([' ', '\t'])).cloned()
}

/// The sentence that tells best why Doris ended.
fn last_words(handle: &ProcessHandle) -> String {
    let logs = handle.logs();
    let error =
        || logs.iter().rev().find(|line| line.text.contains(" ERROR ") || line.text.contains(" FATAL ")).map(|line| line.text.clone());
    let last = || logs.iter().rev().find(|line| !line.text.starts_with([' ', '\t'])).map(|line| line.text.clone());
    start_exception(handle).or_else(error).or_else(last).unwrap_or_else(|| "no message".into())
}
