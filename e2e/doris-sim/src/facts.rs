//! What is true of a world, for those who judge a run. Nothing here is what a client could be told.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::bdb;
use crate::be::Be;
use crate::catalog::FeRole;
use crate::fe::Fe;
use crate::process::{ProcessId, ProcessState};
use crate::spec::FeSpec;
use crate::state::{Body, Proc, State};
use crate::version::DorisVersion;
use crate::volume::VolumeDir;
use crate::world::World;

/// Which parts of its metadata a frontend found when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataFound {
    /// `image/ROLE`, with content.
    pub role: bool,
    /// `image/VERSION`, with content.
    pub version: bool,
    /// A log file in `bdb/`.
    pub bdb: bool,
}

impl MetadataFound {
    pub(crate) fn of(meta: &VolumeDir) -> Self {
        let has_content = |file| meta.read_text(file).is_some_and(|text| !text.is_empty());
        let logs = meta.volume.files(&meta.join("bdb"));
        Self {
            role: has_content("image/ROLE"),
            version: has_content("image/VERSION"),
            bdb: logs.iter().any(|path| std::path::Path::new(path).extension().is_some_and(|extension| extension == "jdb")),
        }
    }

    /// Nothing at all: an empty volume, or a lost one.
    pub fn is_blank(self) -> bool {
        !self.role && !self.version && !self.bdb
    }

    /// Everything that a member needs to come back as who it was.
    pub fn is_complete(self) -> bool {
        self.role && self.version && self.bdb
    }
}

/// How a frontend process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeStart {
    /// The process.
    pub process: ProcessId,
    /// Its host name.
    pub fqdn: String,
    /// Its address.
    pub ip: IpAddr,
    /// Its version.
    pub version: DorisVersion,
    /// When it started.
    pub at: Instant,
    /// The same in the world's milliseconds since 1970.
    pub at_ms: i64,
    /// What its volume held.
    pub metadata: MetadataFound,
    /// `clusterId` that its volume held.
    pub stored_cluster_id: Option<u32>,
    /// `--helper`.
    pub helpers: Vec<String>,
    /// `--metadata_failure_recovery`.
    pub recovery: bool,
}

impl FeStart {
    pub(crate) fn new(process: ProcessId, spec: &FeSpec, at_ms: i64) -> Self {
        let version = spec.meta.read_text("image/VERSION").unwrap_or_default();
        Self {
            process,
            fqdn: spec.fqdn.clone(),
            ip: spec.ip,
            version: DorisVersion::parse(&spec.version),
            at: Instant::now(),
            at_ms,
            metadata: MetadataFound::of(&spec.meta),
            stored_cluster_id: version.lines().find_map(|line| line.strip_prefix("clusterId=")?.parse().ok()),
            helpers: spec.helpers.clone(),
            recovery: spec.recovery,
        }
    }

    /// Whether such a start makes a cluster of its own: no identity, and nobody to ask for one.
    pub fn founds(&self) -> bool {
        !self.metadata.role && !self.metadata.version && self.helpers.is_empty()
    }
}

/// Kind of a registered member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberKind {
    /// Frontend with a vote.
    Follower,
    /// Frontend without a vote.
    Observer,
    /// Backend or compute node.
    Backend,
    /// Broker.
    Broker,
}

/// A member as one frontend has it registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredMember {
    /// Kind.
    pub kind: MemberKind,
    /// Host it is registered with.
    pub host: String,
    /// Which membership it is: a frontend's name, a backend's id; brokers have none.
    pub id: String,
    /// Edit log, heartbeat or broker port.
    pub port: u16,
    /// Whether it counts as alive there.
    pub alive: bool,
    /// Whether it is being emptied; backends only.
    pub decommissioned: bool,
    /// Whether queries or loads are kept away; backends only.
    pub kept_away: bool,
}

/// What a frontend made new when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Founding {
    /// A cluster with an id of its own.
    Cluster,
    /// An empty journal under the old cluster id: its `bdb/` was gone and it had no helper.
    Journal,
    /// A group of one around the old journal, as the recovery flag says.
    Recovery,
}

/// A statement that a frontend is at work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningStatement {
    /// Its text.
    pub text: String,
    /// How long it has been running.
    pub for_so_long: Duration,
}

/// A frontend process, running or ended.
#[derive(Clone, Debug)]
pub struct FrontendFacts {
    /// How it began.
    pub start: FeStart,
    /// Whether it runs, or how it ended.
    pub state: ProcessState,
    /// Cluster id that it has (or had); 0 while it does not know one.
    pub cluster_id: u32,
    /// What this process made new, if it did not go on with what there was.
    pub founded: Option<Founding>,
    /// Whether it would say now that it is the master.
    pub says_master: bool,
    /// Whether, as a master, it reaches all the members that a write needs.
    pub has_majority: bool,
    /// Statements that it has not answered yet.
    pub running: Vec<RunningStatement>,
    /// Whether it serves.
    pub ready: bool,
    /// Last journal id in its catalog.
    pub journal_id: u64,
    /// Who is registered, as it sees it.
    pub registered: Vec<RegisteredMember>,
}

/// A backend or compute node process, running or ended.
#[derive(Clone, Debug)]
pub struct BackendFacts {
    /// The process.
    pub process: ProcessId,
    /// Its host name.
    pub fqdn: String,
    /// Its address.
    pub ip: IpAddr,
    /// When it started.
    pub started_at: Instant,
    /// Whether it runs, or how it ended.
    pub state: ProcessState,
    /// Whether no storage path named a cluster when it started.
    pub blank_start: bool,
    /// Cluster id on its storage paths now.
    pub cluster_id_file: Option<u32>,
    /// Clusters whose heartbeat this process accepted.
    pub accepted_cluster_ids: BTreeSet<u32>,
    /// Its storage paths.
    pub storage_paths: Vec<String>,
    /// Tablets on its disks now.
    pub tablets: usize,
}

/// What is true of one process.
#[derive(Clone, Debug)]
pub enum MemberFacts {
    /// A frontend.
    Frontend(Box<FrontendFacts>),
    /// A backend or compute node.
    Backend(BackendFacts),
}

impl MemberFacts {
    /// Host name of the process.
    pub fn fqdn(&self) -> &str {
        match self {
            Self::Frontend(fe) => &fe.start.fqdn,
            Self::Backend(be) => &be.fqdn,
        }
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        let state = match self {
            Self::Frontend(fe) => fe.state,
            Self::Backend(be) => be.state,
        };
        state == ProcessState::Running
    }

    /// The frontend, if it is one.
    pub fn frontend(&self) -> Option<&FrontendFacts> {
        match self {
            Self::Frontend(fe) => Some(fe),
            Self::Backend(_) => None,
        }
    }

    /// The backend, if it is one.
    pub fn backend(&self) -> Option<&BackendFacts> {
        match self {
            Self::Backend(be) => Some(be),
            Self::Frontend(_) => None,
        }
    }
}

impl World {
    /// Every frontend and backend process there ever was, in the order of their starts.
    pub fn members(&self) -> Vec<MemberFacts> {
        let state = self.state();
        let starts = &state.fe_starts;
        let facts = |(id, proc): (&ProcessId, &Proc)| match &proc.body {
            Body::Fe(fe) => {
                let start = starts.iter().find(|start| start.process == *id)?.clone();
                Some(MemberFacts::Frontend(Box::new(frontend(&state, *id, proc, fe, start))))
            }
            Body::Be(be) => Some(MemberFacts::Backend(backend(*id, proc, be))),
            Body::Broker => None,
        };
        state.procs.iter().filter_map(facts).collect()
    }

    /// Every start of a frontend there ever was, in order.
    pub fn fe_starts(&self) -> Vec<FeStart> {
        self.state().fe_starts.clone()
    }
}

fn frontend(state: &State, id: ProcessId, proc: &Proc, fe: &Fe, start: FeStart) -> FrontendFacts {
    let says_master = proc.is_running() && fe.is_master();
    FrontendFacts {
        start,
        state: *proc.state.borrow(),
        cluster_id: fe.cluster_id,
        founded: fe.founded,
        says_master,
        has_majority: says_master && bdb::reaches_majority(state, id),
        running: running(fe, state.clock.now_ms()),
        ready: proc.is_running() && fe.is_ready(),
        journal_id: fe.applied,
        registered: registered(fe),
    }
}

fn running(fe: &Fe, now_ms: i64) -> Vec<RunningStatement> {
    let busy = fe.sessions.values().filter(|session| session.command == "Query");
    busy.map(|session| RunningStatement {
        text: session.info.clone(),
        for_so_long: Duration::from_millis(u64::try_from(now_ms - session.since_ms).unwrap_or_default()),
    })
    .collect()
}

fn registered(fe: &Fe) -> Vec<RegisteredMember> {
    let frontends = fe.catalog.frontends.iter().map(|row| RegisteredMember {
        kind: if row.role == FeRole::Follower { MemberKind::Follower } else { MemberKind::Observer },
        host: row.host.clone(),
        id: row.name.clone(),
        port: row.edit_log_port,
        alive: row.alive,
        decommissioned: false,
        kept_away: false,
    });
    let backends = fe.catalog.backends.values().map(|row| RegisteredMember {
        kind: MemberKind::Backend,
        host: row.host.clone(),
        id: row.id.to_string(),
        port: row.heartbeat_port,
        alive: row.alive,
        decommissioned: row.decommissioned,
        kept_away: row.query_disabled || row.load_disabled,
    });
    let brokers = fe.catalog.brokers.values().flatten().map(|row| RegisteredMember {
        kind: MemberKind::Broker,
        host: row.host.clone(),
        id: String::new(),
        port: row.port,
        alive: row.alive,
        decommissioned: false,
        kept_away: false,
    });
    frontends.chain(backends).chain(brokers).collect()
}

fn backend(process: ProcessId, proc: &Proc, be: &Be) -> BackendFacts {
    BackendFacts {
        process,
        fqdn: be.fqdn.clone(),
        ip: be.ip,
        started_at: proc.started,
        state: *proc.state.borrow(),
        blank_start: be.blank_start,
        cluster_id_file: be.stored_cluster_id(),
        accepted_cluster_ids: be.accepted.clone(),
        storage_paths: be.storage.iter().map(|root| root.path.clone()).collect(),
        tablets: be.tablets().len(),
    }
}
