//! The contract between the controller, the start script inside a member's pod and those that
//! play that script: paths, environment, tickets, markers, exit codes.
//!
//! A frontend without metadata starts only with a *ticket*, an annotation on its pod that names
//! the pod's uid; one with complete metadata needs none. The script decides from the volume and
//! the ticket alone, so the rule holds while every controller is down.

use std::fmt;
use std::str::FromStr;

/// Pod annotation that carries the ticket; the pod reads it through a downward-API file.
pub const TICKET_ANNOTATION: &str = "doris-operator.dev/ticket";
/// Directory with `start.sh`, `probe.sh` and `stop.sh` (a ConfigMap).
pub const SCRIPT_DIR: &str = "/opt/doris-operator/bin";
/// Directory with the rendered configuration files (a ConfigMap named by hash).
pub const CONFIG_DIR: &str = "/opt/doris-operator/conf";
/// Directory with files `epoch` and `cluster-id`: what a member's metadata is expected to be (a
/// small ConfigMap, optional; an absent file sets no expectation).
pub const GATE_DIR: &str = "/opt/doris-operator/gate";
/// File in [`GATE_DIR`]: pods of backends whose volumes are known to hold data, one name a line. An
/// empty volume of one of them needs a ticket.
pub const GATE_HAD_DATA: &str = "had-data";
/// File in [`GATE_DIR`]: storage roots that were added and never used, one `pod path` a line. They
/// may be empty although the pod's other volumes hold data.
pub const GATE_FRESH: &str = "fresh";
/// File in [`GATE_DIR`]: frontends that left the group, one `FQDN node-name` a line. Their metadata is started on no
/// more: several of them together could elect a master of their own.
pub const GATE_LEFT: &str = "left";
/// Directory of the downward-API volume: file `ticket`.
pub const POD_INFO_DIR: &str = "/opt/doris-operator/pod";
/// Directory with file `initial-root-password` (`*` and 40 hex digits), only in followers.
pub const ROOT_HASH_DIR: &str = "/opt/doris-operator/root";
/// A writable directory (emptyDir) for the `waiting` file and the assembled configuration.
pub const RUN_DIR: &str = "/opt/doris-operator/run";
/// File below [`RUN_DIR`] that exists while the gate waits; the probes take it for alive.
pub const WAITING_FILE: &str = "waiting";
/// File below a member's metadata directory or storage root that says whose it is.
pub const MARKER_FILE: &str = ".operator/member";
/// File below a frontend's metadata directory: image and version that it was last started with, lines `image=` and `version=`.
pub const BUILD_FILE: &str = ".operator/build";
/// Directories below a frontend's metadata directory: copies of `image/` and `bdb/` as the version that follows left them.
pub const COPY_PREFIX: &str = ".pre-upgrade-";
/// Where frontends keep metadata in the official image.
pub const FE_META_DIR: &str = "/opt/apache-doris/fe/doris-meta";
/// Where the storage roots of backends are mounted, one directory a volume name.
pub const BE_STORAGE_DIR: &str = "/opt/apache-doris/be/storage";
/// Installation directory of a component in the official images: `fe`, `be`, `apache_hdfs_broker`.
pub const DORIS_HOME: &str = "/opt/apache-doris";

/// Environment variables that the pod template sets for the script.
pub mod env {
    /// Name of the pod.
    pub const POD_NAME: &str = "POD_NAME";
    /// Uid of the pod; a ticket for another uid is refused.
    pub const POD_UID: &str = "POD_UID";
    /// Address of the pod.
    pub const POD_IP: &str = "POD_IP";
    /// The member's own name, `<pod>.<headless>.<namespace>.svc.<domain>`.
    pub const MEMBER_FQDN: &str = "MEMBER_FQDN";
    /// Identity id of the cluster (Secret `<cluster>-identity`), written into markers.
    pub const IDENTITY: &str = "DORIS_IDENTITY";
    /// FE: `FOLLOWER` or `OBSERVER`. BE: `mix` or `computation`.
    pub const ROLE: &str = "MEMBER_ROLE";
    /// FE edit log port, for the probes.
    pub const EDIT_LOG_PORT: &str = "EDIT_LOG_PORT";
    /// FE or BE HTTP port, for the probes.
    pub const HTTP_PORT: &str = "HTTP_PORT";
    /// BE heartbeat port or broker port, for the probes.
    pub const HEARTBEAT_PORT: &str = "HEARTBEAT_PORT";
    /// FE: version that the image brings, as the controller knows it.
    pub const VERSION: &str = "DORIS_VERSION";
    /// FE: the image; a start with another one than the last copies the metadata first.
    pub const IMAGE: &str = "DORIS_IMAGE";
    /// BE: storage roots that must be mount points, separated by `;`.
    pub const STORAGE_ROOTS: &str = "STORAGE_ROOTS";
    /// CPU limit in whole cores, rounded up; the BE's `num_cores`. Absent without a limit.
    pub const CPU_LIMIT: &str = "CPU_LIMIT";
}

/// How the start script ends when it will not start Doris.
pub mod exit {
    /// The metadata or storage path is not a mount point.
    pub const VOLUME_MISSING: i32 = 64;
    /// The volume's cluster id or identity is not the expected one.
    pub const WRONG_CLUSTER: i32 = 65;
    /// The marker's epoch is older than the wanted one: parked.
    pub const PARKED: i32 = 66;
    /// ROLE and VERSION are there and no `bdb/*.jdb`: it would become a second master.
    pub const BDB_LOST: i32 = 67;
    /// The pod's own name does not resolve to its address, forward and reverse.
    pub const NAME_UNRESOLVED: i32 = 68;
    /// The configuration sets a key that the operator owns (`cluster_id`, `auth_token`, `meta_dir`).
    pub const CONFIG_REFUSED: i32 = 69;
    /// Doris ended with status 0, which is always a failed start; or hung and was ended.
    pub const DORIS_FAILED: i32 = 70;
}

/// Leave to start on an empty volume, for one pod alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// `found:<podUID>:<attempt>`: start without helper and found the cluster.
    Found {
        /// Pod it is for.
        pod_uid: String,
        /// Counts founding attempts; half-founded files of a lower one are moved aside.
        attempt: u32,
    },
    /// `join:<podUID>:<incarnation>:<role>:<h1:9010,h2:9010>`: start with these helpers.
    Join {
        /// Pod it is for.
        pod_uid: String,
        /// Chosen anew at each ADD; metadata of another incarnation is moved aside.
        incarnation: String,
        /// `FOLLOWER` or `OBSERVER`.
        role: String,
        /// Frontends to ask, `host:edit_log_port`, never the pod itself.
        helpers: Vec<String>,
    },
    /// `blank-ok:<podUID>`: a backend whose claim held data may start on empty roots.
    BlankOk {
        /// Pod it is for.
        pod_uid: String,
    },
}

/// A ticket that does not have one of the known forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a ticket: {0:?}")]
pub struct TicketError(String);

impl fmt::Display for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { pod_uid, attempt } => write!(formatter, "found:{pod_uid}:{attempt}"),
            Self::Join { pod_uid, incarnation, role, helpers } => {
                write!(formatter, "join:{pod_uid}:{incarnation}:{role}:{}", helpers.join(","))
            }
            Self::BlankOk { pod_uid } => write!(formatter, "blank-ok:{pod_uid}"),
        }
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || TicketError(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(error)?;
        match kind {
            "found" => {
                let (pod_uid, attempt) = rest.split_once(':').ok_or_else(error)?;
                let attempt = attempt.parse().map_err(|_| error())?;
                non_empty(pod_uid).map(|pod_uid| Self::Found { pod_uid, attempt }).ok_or_else(error)
            }
            "join" => {
                let mut parts = rest.splitn(4, ':');
                let mut part = || parts.next().and_then(non_empty).ok_or_else(error);
                let (pod_uid, incarnation, role, helpers) = (part()?, part()?, part()?, part()?);
                let helpers = helpers.split(',').map(str::to_owned).collect();
                Ok(Self::Join { pod_uid, incarnation, role, helpers })
            }
            "blank-ok" => non_empty(rest).map(|pod_uid| Self::BlankOk { pod_uid }).ok_or_else(error),
            _ => Err(error()),
        }
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What the script wrote on the volume before it started Doris: lines `key=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// Identity id of the cluster.
    pub identity: String,
    /// The member's own name.
    pub fqdn: String,
    /// `FOLLOWER`, `OBSERVER`, `mix` or `computation`.
    pub role: String,
    /// `found-<attempt>` or the incarnation of the join ticket; `adopted` when metadata was there
    /// before the marker; empty for backends.
    pub incarnation: String,
    /// Epoch that the member last started in.
    pub epoch: u64,
}

impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "identity={}", self.identity)?;
        writeln!(formatter, "fqdn={}", self.fqdn)?;
        writeln!(formatter, "role={}", self.role)?;
        writeln!(formatter, "incarnation={}", self.incarnation)?;
        writeln!(formatter, "epoch={}", self.epoch)
    }
}

impl Marker {
    /// Reads a marker; unknown lines are skipped, missing ones stay empty.
    pub fn parse(text: &str) -> Self {
        let mut marker = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "identity" => value.clone_into(&mut marker.identity),
                "fqdn" => value.clone_into(&mut marker.fqdn),
                "role" => value.clone_into(&mut marker.role),
                "incarnation" => value.clone_into(&mut marker.incarnation),
                "epoch" => marker.epoch = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        marker
    }
}

/// What the `inspect` init container saw on a frontend's volume, or on a backend's; its termination
/// message, one line `key=value` each. This is how the controller sees a volume; the decision to
/// start is the start script's alone.
#[allow(clippy::struct_excessive_bools, reason = "each is one line of the message")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The path is a mount point.
    pub mounted: bool,
    /// `image/ROLE` is there and not empty.
    pub role: bool,
    /// `image/VERSION` is there and not empty.
    pub version: bool,
    /// A file `bdb/*.jdb` is there.
    pub bdb: bool,
    /// `clusterId` of VERSION, empty if there is none.
    pub cluster_id: String,
    /// Incarnation in the marker, empty without a marker.
    pub incarnation: String,
    /// Identity in the marker, empty without a marker.
    pub identity: String,
    /// Epoch in the marker.
    pub epoch: u64,
    /// Frontends: version whose metadata is kept in a copy, empty without one.
    pub copy: String,
    /// Frontends: what became of the copy that a start with another image makes, empty if none was due.
    pub copy_note: String,
    /// Backends: storage roots that name no cluster, so never held data or lost it.
    pub blank_roots: Vec<String>,
}

impl fmt::Display for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "mounted={}", self.mounted)?;
        writeln!(formatter, "role={}", self.role)?;
        writeln!(formatter, "version={}", self.version)?;
        writeln!(formatter, "bdb={}", self.bdb)?;
        writeln!(formatter, "cluster-id={}", self.cluster_id)?;
        writeln!(formatter, "incarnation={}", self.incarnation)?;
        writeln!(formatter, "identity={}", self.identity)?;
        writeln!(formatter, "epoch={}", self.epoch)?;
        writeln!(formatter, "copy={}", self.copy)?;
        writeln!(formatter, "copy-note={}", self.copy_note)?;
        self.blank_roots.iter().try_for_each(|root| writeln!(formatter, "blank={root}"))
    }
}

impl Inspection {
    /// Reads a termination message; unknown lines are skipped.
    pub fn parse(text: &str) -> Self {
        let mut seen = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "mounted" => seen.mounted = value == "true",
                "role" => seen.role = value == "true",
                "version" => seen.version = value == "true",
                "bdb" => seen.bdb = value == "true",
                "cluster-id" => value.clone_into(&mut seen.cluster_id),
                "incarnation" => value.clone_into(&mut seen.incarnation),
                "identity" => value.clone_into(&mut seen.identity),
                "epoch" => seen.epoch = value.parse().unwrap_or(0),
                "copy" => value.clone_into(&mut seen.copy),
                "copy-note" => value.clone_into(&mut seen.copy_note),
                "blank" => seen.blank_roots.push(value.to_owned()),
                _ => {}
            }
        }
        seen
    }

    /// Nothing of Doris is there.
    pub fn is_empty(&self) -> bool {
        self.mounted && !self.role && !self.version && !self.bdb
    }

    /// Metadata that a frontend can start on.
    pub fn is_complete(&self) -> bool {
        self.mounted && self.role && self.version && self.bdb
    }
}

#[cfg(test)]
mod tests {
    use super::{Inspection, Marker, Ticket};

    #[test]
    fn tickets_read_back_as_they_were_written() {
        let tickets = [
            Ticket::Found { pod_uid: "u-1".into(), attempt: 2 },
            Ticket::Join {
                pod_uid: "u-2".into(),
                incarnation: "i7".into(),
                role: "FOLLOWER".into(),
                helpers: vec!["a.b.c:9010".into(), "d.e.f:9010".into()],
            },
            Ticket::BlankOk { pod_uid: "u-3".into() },
        ];
        for ticket in tickets {
            assert_eq!(ticket.to_string().parse::<Ticket>(), Ok(ticket));
        }
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        for text in ["", "found", "found:u", "found::1", "found:u:x", "join:u:i:FOLLOWER", "join:u:i:FOLLOWER:", "blank-ok:", "other:u"] {
            assert!(text.parse::<Ticket>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn markers_and_inspections_read_back_as_they_were_written() {
        let marker = Marker { identity: "id".into(), fqdn: "a.b".into(), role: "OBSERVER".into(), incarnation: "i7".into(), epoch: 3 };
        assert_eq!(Marker::parse(&marker.to_string()), marker);
        let seen = Inspection {
            mounted: true,
            role: true,
            version: true,
            bdb: false,
            cluster_id: "17".into(),
            incarnation: "i7".into(),
            identity: "id".into(),
            epoch: 3,
            copy: "2.1.7".into(),
            copy_note: "made".into(),
            blank_roots: vec!["/data".into(), "/more".into()],
        };
        assert_eq!(Inspection::parse(&seen.to_string()), seen);
        assert!(!seen.is_complete() && !seen.is_empty());
    }
}
