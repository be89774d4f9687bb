//! What a rule sees. Every part is read afresh for the step that it decides on; a part that was
//! not read is `None`, and a rule that needs it refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::DorisVersion;
use doris_api::cluster::Medium;
use jiff::Timestamp;

use crate::step::{FrontendRole, NodeRole};
use crate::tablets::{Allocation, TabletMap};
use crate::text;

/// Everything that rules look at.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Frontends and their master.
    pub frontends: Option<Frontends>,
    /// Backends and compute nodes, with flags and disks.
    pub backends: Option<Vec<Backend>>,
    /// Tables, partitions and where their tablets lie.
    pub tablets: Option<TabletMap>,
    /// Tablets that are not healthy.
    pub health: Option<Health>,
    /// Unhealthy tablets when the operation began; `None` while none is under way.
    pub baseline: Option<BTreeSet<u64>>,
    /// Jobs of Doris.
    pub jobs: Option<Jobs>,
    /// Colocation groups.
    pub colocate_groups: Option<Vec<ColocateGroup>>,
    /// The scheduler's switches in the memory of the master.
    pub switches: Option<Switches>,
    /// What wrote the metadata.
    pub metadata: Option<Metadata>,
    /// The operation Lease.
    pub lease: Option<Lease>,
    /// Whether caches show our own writes.
    pub cache: Option<CacheLag>,
}

/// The registered frontends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontends {
    /// One entry for each row.
    pub members: Vec<Frontend>,
    /// The proven master, or why there is none.
    pub master: Result<Master, String>,
}

/// The one frontend that proved to be the master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Master {
    /// Its host.
    pub host: String,
    /// Its newest journal entry, read **before** the other frontends' own.
    pub journal: u64,
    /// Voting members of its replication group, itself included.
    pub group: BTreeSet<String>,
}

/// A registered frontend.
#[expect(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Host that it is registered with.
    pub host: String,
    /// Role.
    pub role: FrontendRole,
    /// Whether it ever joined the metadata group.
    pub joined: bool,
    /// Whether it answered a probe of ours just now.
    pub alive: bool,
    /// Whether Kubernetes says that its process does not run (no pod, no running container, or it
    /// waits at the gate). Not the same as not alive: an answer can be lost on its way to us.
    pub stopped: bool,
    /// Its newest journal entry by its own metrics.
    pub journal: Option<u64>,
    /// Whether the operation under way has nothing more to do to it.
    pub done: bool,
    /// Time since it was last seen to start or to join.
    pub steady_for: Option<Duration>,
    /// Journal id of its last metadata image.
    pub checkpoint: Option<u64>,
    /// Whether a copy of the metadata from before the upgrade is kept on its volume.
    pub has_metadata_copy: bool,
}

impl Frontends {
    /// The frontend with this host.
    pub fn find(&self, host: &str) -> Option<&Frontend> {
        self.members.iter().find(|member| member.host == host)
    }

    /// Frontends with a vote.
    pub fn followers(&self) -> impl Iterator<Item = &Frontend> {
        self.members.iter().filter(|member| member.role == FrontendRole::Follower)
    }

    /// Whether a frontend has all that the master had just before.
    pub fn is_caught_up(&self, member: &Frontend) -> bool {
        let Ok(master) = &self.master else { return false };
        member.alive && member.joined && member.journal.is_some_and(|journal| journal >= master.journal)
    }
}

/// A registered backend or compute node.
#[expect(clippy::struct_excessive_bools, reason = "each is an observation of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Doris' id.
    pub id: u64,
    /// Host that it is registered with.
    pub host: String,
    /// What it does; Doris does not tell of a dead one, so the last known.
    pub role: Option<NodeRole>,
    /// Whether it is alive by a fresh heartbeat.
    pub alive: bool,
    /// Whether it is being emptied.
    pub decommissioning: bool,
    /// Whether queries are kept away.
    pub query_disabled: bool,
    /// Whether loads are kept away from it as coordinator.
    pub load_disabled: bool,
    /// Resource group, `tag.location`.
    pub location: String,
    /// Replicas on it, as the master counts them.
    pub tablets: u64,
    /// Its storage paths.
    pub disks: Vec<Disk>,
}

impl Backend {
    /// Its pod's name.
    pub fn name(&self) -> &str {
        text::short(&self.host)
    }
}

/// A storage path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Path on the backend.
    pub path: String,
    /// Medium; 2.0 does not tell.
    pub medium: Option<Medium>,
    /// Whether the master takes it for usable.
    pub online: bool,
    /// Bytes in all.
    pub total: u64,
    /// Bytes free.
    pub available: u64,
    /// Bytes that tablets take.
    pub data_used: u64,
}

impl Disk {
    /// Bytes taken by whatever.
    pub fn used(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }
}

/// Tablets that are not healthy, as the master's statistics say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Each with its database and status.
    pub unhealthy: Vec<Unhealthy>,
    /// Tablets in all.
    pub tablets: u64,
}

/// Tablets of one database with one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhealthy {
    /// Database.
    pub database: String,
    /// Status as Doris writes it, for example `ReplicaMissing`.
    pub status: String,
    /// Their ids.
    pub tablets: Vec<u64>,
}

/// Jobs that are not at their end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Backups and restores.
    pub backups: Vec<BackupJob>,
    /// Schema changes and rollups.
    pub alters: Vec<AlterJob>,
}

/// A backup or restore that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupJob {
    /// Whether it restores.
    pub is_restore: bool,
    /// Database.
    pub database: String,
    /// Label of the snapshot.
    pub label: String,
    /// State as Doris writes it.
    pub state: String,
}

/// A schema change or rollup that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterJob {
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
    /// State as Doris writes it.
    pub state: String,
    /// When it was made, if Doris' text could be read.
    pub created: Option<Timestamp>,
}

/// Tables that lie bucket by bucket on the same backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColocateGroup {
    /// Name.
    pub name: String,
    /// Replicas by tag.
    pub allocation: Allocation,
    /// Whether every bucket is where it should be.
    pub stable: bool,
}

/// Switches of the tablet scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// `disable_tablet_scheduler`.
    pub scheduler_off: bool,
    /// `disable_balance`.
    pub balance_off: bool,
    /// `disable_colocate_balance`.
    pub colocate_balance_off: bool,
}

impl Switches {
    /// Keeps Doris from copying tablets.
    pub const SCHEDULER: &'static str = "disable_tablet_scheduler";
    /// Keeps Doris from evening tablets out.
    pub const BALANCE: &'static str = "disable_balance";
    /// The same for tables that lie bucket by bucket on the same backends.
    pub const COLOCATE_BALANCE: &'static str = "disable_colocate_balance";
    /// Both balances.
    pub const OF_BALANCE: [&'static str; 2] = [Self::BALANCE, Self::COLOCATE_BALANCE];
    /// All of them.
    pub const ALL: [&'static str; 3] = [Self::SCHEDULER, Self::BALANCE, Self::COLOCATE_BALANCE];
}

/// What is known of the frontends' metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The newest version that was ever master, by its image and the identity; not by a version text.
    pub written_by: Option<DorisVersion>,
    /// Journal id at which that version's line became master, if it was not there from the beginning.
    pub written_since: Option<u64>,
    /// Version that an upgrade under way leads to.
    pub upgrading_to: Option<DorisVersion>,
}

/// Changes whenever the Lease changes hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The Lease's uid.
    pub uid: String,
    /// How often it changed hands.
    pub transitions: i32,
}

/// The operation Lease, just read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who we are to it.
    pub identity: String,
    /// Who holds it.
    pub holder: Option<String>,
    /// What for.
    pub operation: Option<String>,
    /// Its token now.
    pub token: Option<Token>,
    /// The token that we got when we took it.
    pub taken: Option<Token>,
    /// Time since our last renewal, by the monotonic clock.
    pub renewed_ago: Duration,
    /// How long a holder may be silent.
    pub duration: Duration,
}

/// Objects whose cached state is older than our own last write to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheLag {
    /// Kind and name of each, with the time since our write.
    pub behind: BTreeMap<String, Duration>,
}
