//! A frontend process.

mod beats;
mod duties;
mod files;
mod http;
pub(crate) mod journal;
mod master;
mod metrics;
mod settings;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

pub(crate) use http::respond as http;
pub(crate) use master::{decode as decode_password, take_over};
pub(crate) use settings::Settings;
pub(crate) use start::start;

use crate::bdb::{Bdb, Member};
use crate::catalog::{Catalog, FeRole, Identity, Op};
use crate::clone::Scheduler;
use crate::facts::Founding;
use crate::process::ProcessId;
use crate::query::Workload;
use crate::snapshot::Tasks;
use crate::spec::FeSpec;
use crate::state::State;
use crate::version::DorisVersion;
use crate::volume::VolumeDir;

/// What the process is in its group at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeType {
    Init,
    Unknown,
    Follower,
    Observer,
    Master,
}

impl FeType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Unknown => "UNKNOWN",
            Self::Follower => "FOLLOWER",
            Self::Observer => "OBSERVER",
            Self::Master => "MASTER",
        }
    }
}

/// What the last heartbeats told this process, beside what was journalled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub start_ms: i64,
    pub beat_ms: i64,
    pub version: Option<String>,
    pub error: String,
    pub failures: u64,
    pub report_ms: i64,
    pub memory: u64,
    /// Parts of queries that ran there at the last heartbeat, and when their number changed.
    pub fragments: u64,
    pub fragments_ms: i64,
    pub last_load_ms: Option<i64>,
    /// A connection was left open by the last good heartbeat.
    pub connected: bool,
}

/// A client's connection as the process list shows it.
#[derive(Clone, Debug)]
pub(crate) struct SessionInfo {
    pub user: Identity,
    pub client: String,
    pub login_ms: i64,
    pub database: String,
    pub command: &'static str,
    pub since_ms: i64,
    pub state: &'static str,
    pub query_id: String,
    pub info: String,
}

/// A frontend.
#[expect(clippy::struct_excessive_bools, reason = "a process has that many independent conditions")]
#[derive(Debug)]
pub(crate) struct Fe {
    pub fqdn: String,
    pub ip: IpAddr,
    pub version: DorisVersion,
    pub meta: VolumeDir,
    pub helpers: Vec<String>,
    pub recovery: bool,
    pub settings: Settings,
    /// Name or address that this member is known by.
    pub host: String,
    pub edit_log_port: u16,
    pub http_port: u16,
    pub rpc_port: u16,
    pub query_port: u16,
    pub name: String,
    pub role: FeRole,
    pub cluster_id: u32,
    pub token: String,
    pub first_start: bool,
    /// What it made new at its start.
    pub founded: Option<Founding>,
    pub debug: bool,
    pub bdb: Option<Bdb>,
    pub catalog: Catalog,
    /// Last journal id in the catalog.
    pub applied: u64,
    /// Last journal id that was replayed as a non-master.
    pub replayed: u64,
    pub kind: FeType,
    pub ready: bool,
    pub lost_at: Option<Instant>,
    pub progress: &'static str,
    pub dropped: bool,
    pub checkpoint: (u64, i64),
    /// Held by whoever writes to the journal.
    pub journal: Arc<Mutex<()>>,
    pub frontends_seen: BTreeMap<String, Seen>,
    pub backends_seen: BTreeMap<u64, Seen>,
    pub brokers_seen: BTreeMap<(String, String, u16), Seen>,
    pub unready: BTreeSet<String>,
    pub sessions: BTreeMap<u32, SessionInfo>,
    pub next_connection: u32,
    /// Logins that failed in a row, and until when the account is locked here.
    pub failed_logins: BTreeMap<String, (u32, i64)>,
    /// Process at the other end of the pooled connection to the master.
    pub master_client: Option<ProcessId>,
    pub queries: u64,
    pub workload: Workload,
    pub scheduler: Scheduler,
    /// What backends do for backups and restores, by job.
    pub snapshots: BTreeMap<u64, Tasks>,
    /// When changes of tables will have been written, by job.
    pub alters: BTreeMap<u64, Instant>,
    /// A replayed entry raised the metadata to a version that this frontend cannot read.
    pub foreign_version: Option<u32>,
}

impl Fe {
    pub fn new(spec: FeSpec) -> Self {
        let version = DorisVersion::parse(&spec.version);
        let settings = Settings::new(version, &spec.conf);
        let port = |key| settings.port(key);
        Self {
            edit_log_port: port("edit_log_port"),
            http_port: port("http_port"),
            rpc_port: port("rpc_port"),
            query_port: port("query_port"),
            debug: settings.flag("enable_bdbje_debug_mode"),
            host: spec.fqdn.clone(),
            fqdn: spec.fqdn,
            ip: spec.ip,
            version,
            meta: spec.meta,
            helpers: spec.helpers,
            recovery: spec.recovery,
            settings,
            name: String::new(),
            role: FeRole::Follower,
            cluster_id: 0,
            token: String::new(),
            first_start: false,
            founded: None,
            bdb: None,
            catalog: Catalog::default(),
            applied: 0,
            replayed: 0,
            kind: FeType::Init,
            ready: false,
            lost_at: None,
            progress: "",
            dropped: false,
            checkpoint: (0, 0),
            journal: Arc::default(),
            frontends_seen: BTreeMap::new(),
            backends_seen: BTreeMap::new(),
            brokers_seen: BTreeMap::new(),
            unready: BTreeSet::new(),
            sessions: BTreeMap::new(),
            next_connection: 1,
            failed_logins: BTreeMap::new(),
            master_client: None,
            queries: 0,
            workload: Workload::default(),
            scheduler: Scheduler::default(),
            snapshots: BTreeMap::new(),
            alters: BTreeMap::new(),
            foreign_version: None,
        }
    }

    /// This process as a member of the group.
    pub fn member(&self) -> Member {
        Member { name: self.name.clone(), host: self.host.clone(), port: self.edit_log_port, electable: self.role == FeRole::Follower }
    }

    /// Applies what the log holds beyond the catalog.
    pub fn replay(&mut self, _up_to: u64) {
        let Some(bdb) = &self.bdb else { return };
        for (id, op) in bdb.log.journals_after(self.applied) {
            if let Op::RemoveFrontend { name } = op {
                self.dropped |= *name == self.name;
                self.frontends_seen.remove(name);
            }
            if let Op::MetaVersion(version) = op
                && !(self.version.oldest_meta_version()..=self.version.meta_version()).contains(version)
            {
                self.foreign_version = Some(*version);
                break;
            }
            self.catalog.apply(op);
            self.applied = id;
        }
        if self.kind != FeType::Master {
            self.replayed = self.applied;
        }
    }

    /// Loads the catalog anew from the newest image and the log.
    pub fn rebuild(&mut self) {
        let (id, catalog) = self.load_image().unwrap_or_default();
        self.catalog = catalog;
        self.applied = id;
    }

    /// Whether a replayed entry took this member out of the cluster.
    pub fn is_dropped(&self) -> bool {
        self.dropped && self.kind != FeType::Master
    }

    /// What a frontend logs that meets metadata of a version which it cannot read.
    pub fn foreign(&self) -> Option<String> {
        let version = self.foreign_version?;
        let own = self.version.meta_version();
        Some(if version > own {
            format!("meta data version is out of date, image: {own}. journal: {version}. please update FeMetaVersion and restart.")
        } else {
            let oldest = self.version.oldest_meta_version();
            format!("Could not set meta version to {version} since it is lower than minimum required version {oldest}")
        })
    }

    pub fn is_master(&self) -> bool {
        self.kind == FeType::Master && self.ready
    }

    /// Whether the metadata is too old to be shown: no master for too long.
    fn out_of_date(&self) -> bool {
        let toleration = Duration::from_secs(self.settings.number("meta_delay_toleration_second"));
        self.lost_at.is_some_and(|lost| lost.elapsed() > toleration)
    }

    /// Whether it takes part: what `/api/bootstrap` tells.
    pub fn is_ready(&self) -> bool {
        self.ready && !self.out_of_date()
    }

    pub fn can_read(&self) -> bool {
        self.ready && (!self.out_of_date() || self.settings.flag("ignore_meta_check"))
    }

    /// The sentence for those who come while this process cannot serve.
    pub fn not_ready(&self) -> String {
        if !self.version.from_line(2, 1) {
            return "Node catalog is not ready, please wait for a while.".to_owned();
        }
        let mut text = "Node catalog is not ready, please wait for a while. To master progress: ".to_owned();
        text.push_str(if self.progress.is_empty() { "none" } else { self.progress });
        text.push_str(".\nFrontends: \n");
        for frontend in &self.catalog.frontends {
            text.push_str(&frontend.describe());
            text.push('\n');
        }
        text
    }
}

/// A member met its master and has its journal.
pub(crate) fn joined(state: &mut State, id: ProcessId) {
    let Some(fe) = state.fe_mut(id) else { return };
    let before = fe.kind;
    fe.kind = if fe.role == FeRole::Follower { FeType::Follower } else { FeType::Observer };
    fe.ready = true;
    fe.lost_at = None;
    let text = format!("finished to transfer FE type from {} to {}", before.name(), fe.kind.name());
    state.log(id, "INFO (stateListener|100) [Env$5.runOneCycle():2917] ", &text);
}

/// A member lost its master. It still shows what it has.
pub(crate) fn lost_master(state: &mut State, id: ProcessId) {
    let Some(fe) = state.fe_mut(id) else { return };
    if matches!(fe.kind, FeType::Follower | FeType::Observer) {
        fe.kind = FeType::Unknown;
        fe.lost_at = Some(Instant::now());
        state.log(id, "WARN (REPLICA|100) [Env.notifyNewFETypeTransfer():2807] ", "notify new FE type transfer: UNKNOWN");
    }
}
