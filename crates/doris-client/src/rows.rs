//! What the `SHOW` statements tell, as types.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;
use crate::literal::MemberAddress;
use crate::table::{Row, Table};

/// Role of a frontend in the metadata group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendRole {
    /// Votes and can become master.
    Follower,
    /// Follows the journal without a vote.
    Observer,
}

/// One row of `SHOW FRONTENDS`.
#[expect(clippy::struct_excessive_bools, reason = "they are columns of the server, each a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Name that Doris gave it; a new one at every registration.
    pub name: String,
    /// Registered host.
    pub host: String,
    /// Registered port of the edit log.
    pub edit_log_port: u16,
    /// Query port, unknown until the frontend was seen.
    pub query_port: Option<u16>,
    /// Role.
    pub role: FrontendRole,
    /// Whether the executing frontend takes this one for the leader of the metadata group.
    pub is_master: bool,
    /// Doris' cluster id.
    pub cluster_id: Option<i64>,
    /// Whether it ever joined the metadata group; says nothing about being alive.
    pub joined: bool,
    /// Whether its last heartbeat succeeded.
    pub alive: bool,
    /// Journal id as of its last heartbeat.
    pub replayed_journal_id: Option<i64>,
    /// Start of its process; absent before 2.1.
    pub last_start_time: Option<String>,
    /// Time of its last heartbeat.
    pub last_heartbeat: Option<String>,
    /// Why the heartbeat failed, else empty.
    pub error: String,
    /// Version text, not to be relied upon.
    pub version: Option<String>,
    /// Whether this is the frontend that we are connected to.
    pub current_connected: bool,
}

impl Frontend {
    pub(crate) fn read(table: &Table) -> Result<Vec<Self>, Error> {
        table.read(Self::from_row)
    }

    fn from_row(row: Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            name: row.required("Name")?.to_owned(),
            host: row.required("Host")?.to_owned(),
            edit_log_port: row.required_number("EditLogPort")?,
            query_port: row.port("QueryPort")?,
            role: frontend_role(row)?,
            is_master: row.flag("IsMaster")?,
            cluster_id: row.number("ClusterId")?,
            joined: row.flag("Join")?,
            alive: row.flag("Alive")?,
            replayed_journal_id: row.number("ReplayedJournalId")?,
            last_start_time: row.text("LastStartTime").map(str::to_owned),
            last_heartbeat: row.text("LastHeartbeat").map(str::to_owned),
            error: row.text("ErrMsg").unwrap_or_default().to_owned(),
            version: row.text("Version").map(str::to_owned),
            // A server that does not say so is not believed to be the one we talk to.
            current_connected: row.optional_flag("CurrentConnected")?.unwrap_or(false),
        })
    }

    /// The address it is registered under.
    pub fn address(&self) -> MemberAddress {
        MemberAddress::new(self.host.clone(), self.edit_log_port)
    }
}

fn frontend_role(row: Row<'_>) -> Result<FrontendRole, Error> {
    match row.required("Role")? {
        // The master writes itself as MASTER in some older answers.
        "FOLLOWER" | "MASTER" => Ok(FrontendRole::Follower),
        "OBSERVER" => Ok(FrontendRole::Observer),
        other => Err(row.malformed(format!("{other:?} is not a role"))),
    }
}

/// What a backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// Stores tablets and computes.
    Mix,
    /// Only computes.
    Computation,
}

/// The JSON object in the `Status` column of `SHOW BACKENDS`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendStatus {
    /// Time of the last complete tablet report, `N/A` before the first.
    pub last_success_report_tablets_time: Option<String>,
    /// Queries are kept away.
    pub is_query_disabled: bool,
    /// Loads are kept away.
    pub is_load_disabled: bool,
    /// Shuts down; only newer servers say so.
    pub is_shutdown: Option<bool>,
    /// Running fragments; from 3.0.
    pub current_fragment_num: Option<i64>,
}

impl BackendStatus {
    /// When the tablets were last reported, if ever.
    pub fn last_report(&self) -> Option<&str> {
        self.last_success_report_tablets_time.as_deref().filter(|text| *text != "N/A")
    }
}

/// One row of `SHOW BACKENDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Doris' id; a new one at every registration.
    pub id: u64,
    /// Registered host.
    pub host: String,
    /// Registered heartbeat port.
    pub heartbeat_port: u16,
    /// Its HTTP port, unknown until it was seen.
    pub http_port: Option<u16>,
    /// Start of its process.
    pub last_start_time: Option<String>,
    /// Time of its last heartbeat.
    pub last_heartbeat: Option<String>,
    /// Whether the frontend takes it for alive.
    pub alive: bool,
    /// Whether it is being emptied.
    pub decommissioned: bool,
    /// Number of tablets it holds, as the frontend knows.
    pub tablets: u64,
    /// Bytes used by data.
    pub data_used: Option<u64>,
    /// Bytes free.
    pub available: Option<u64>,
    /// Bytes in all.
    pub total: Option<u64>,
    /// Its tags, for example `location`.
    pub tags: BTreeMap<String, String>,
    /// Why the heartbeat failed, else empty.
    pub error: String,
    /// Version text, not to be relied upon.
    pub version: Option<String>,
    /// Switches and reports.
    pub status: BackendStatus,
    /// Heartbeats that failed in a row.
    pub heartbeat_failures: Option<u64>,
    /// What it does; unknown while it is not alive.
    pub role: Option<NodeRole>,
    /// Queries it works on; only from 4.0.
    pub running_tasks: Option<u64>,
}

impl Backend {
    /// Whether it has reported its tablets since it started. Both times are written by the same clock in the same form: the later one
    /// is the greater text.
    pub fn has_reported_since_start(&self) -> bool {
        matches!((self.status.last_report(), self.last_start_time.as_deref()), (Some(report), Some(start)) if report >= start)
    }

    pub(crate) fn read(table: &Table) -> Result<Vec<Self>, Error> {
        table.read(Self::from_row)
    }

    fn from_row(row: Row<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: row.required_number("BackendId")?,
            host: row.required("Host")?.to_owned(),
            heartbeat_port: row.required_number("HeartbeatPort")?,
            http_port: row.port("HttpPort")?,
            last_start_time: row.text("LastStartTime").map(str::to_owned),
            last_heartbeat: row.text("LastHeartbeat").map(str::to_owned),
            alive: row.flag("Alive")?,
            decommissioned: row.flag("SystemDecommissioned")?,
            tablets: row.number("TabletNum")?.unwrap_or(0),
            data_used: row.size("DataUsedCapacity")?,
            available: row.size("AvailCapacity")?,
            total: row.size("TotalCapacity")?,
            tags: json_cell(row, "Tag")?.unwrap_or_default(),
            error: row.text("ErrMsg").unwrap_or_default().to_owned(),
            version: row.text("Version").filter(|text| !text.is_empty()).map(str::to_owned),
            status: json_cell(row, "Status")?.unwrap_or_default(),
            heartbeat_failures: row.number("HeartbeatFailureCounter")?,
            role: node_role(row)?,
            running_tasks: row.number("RunningTasks")?,
        })
    }

    /// The address it is registered under.
    pub fn address(&self) -> MemberAddress {
        MemberAddress::new(self.host.clone(), self.heartbeat_port)
    }
}

fn json_cell<T: for<'a> Deserialize<'a>>(row: Row<'_>, column: &'static str) -> Result<Option<T>, Error> {
    match row.text(column).map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|error| row.malformed(format!("{column}: {error}"))),
    }
}

fn node_role(row: Row<'_>) -> Result<Option<NodeRole>, Error> {
    match row.text("NodeRole").unwrap_or_default() {
        "" => Ok(None),
        "mix" => Ok(Some(NodeRole::Mix)),
        "computation" => Ok(Some(NodeRole::Computation)),
        other => Err(row.malformed(format!("{other:?} is not a node role"))),
    }
}

/// One storage path of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendDisk {
    /// Path on the backend.
    pub root_path: String,
    /// Whether the frontend takes it for usable.
    pub online: bool,
    /// Bytes that tablets take.
    pub data_used: Option<u64>,
    /// Bytes free.
    pub available: Option<u64>,
    /// Bytes in all.
    pub total: Option<u64>,
    /// `SSD` or `HDD`; from 2.1.
    pub medium: Option<String>,
}

impl BackendDisk {
    pub(crate) fn read(table: &Table) -> Result<Vec<Self>, Error> {
        table.read(|row| {
            Ok(Self {
                root_path: row.required("RootPath")?.to_owned(),
                online: row.required("State")?.eq_ignore_ascii_case("ONLINE"),
                data_used: row.size("DataUsedCapacity")?,
                available: row.size("AvailCapacity")?,
                total: row.size("TotalCapacity")?,
                medium: row.text("StorageMedium").map(str::to_owned),
            })
        })
    }
}

/// One row of `SHOW BROKER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Name of its group.
    pub name: String,
    /// Registered host.
    pub host: String,
    /// Registered port.
    pub port: u16,
    /// Whether the frontend takes it for alive.
    pub alive: bool,
    /// Why it is not, else empty.
    pub error: String,
}

impl Broker {
    pub(crate) fn read(table: &Table) -> Result<Vec<Self>, Error> {
        table.read(|row| {
            Ok(Self {
                name: row.required("Name")?.to_owned(),
                host: row.required("Host")?.to_owned(),
                port: row.required_number("Port")?,
                alive: row.flag("Alive")?,
                error: row.text("ErrMsg").unwrap_or_default().to_owned(),
            })
        })
    }
}

/// Health of the tablets of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseHealth {
    /// Doris' id of the database.
    pub database_id: i64,
    /// Its name.
    pub database: String,
    /// Tablets in all.
    pub tablets: u64,
    /// Healthy ones.
    pub healthy: u64,
    /// Tablets that no replica can serve.
    pub unrecoverable: u64,
    /// Every count by the name of its column; which ones there are differs between versions.
    pub counts: BTreeMap<String, u64>,
}

impl DatabaseHealth {
    pub(crate) fn read(table: &Table) -> Result<Vec<Self>, Error> {
        let rows = table.read(|row| {
            // The last row is the sum over all databases, with a word where the others have an id.
            if row.required("DbId")? == "Total" {
                return Ok(None);
            }
            Ok(Some(Self {
                database_id: row.required_number("DbId")?,
                database: crate::tablets::plain(row.required("DbName")?).to_owned(),
                tablets: row.required_number("TabletNum")?,
                healthy: row.required_number("HealthyNum")?,
                unrecoverable: row.number("UnrecoverableNum")?.unwrap_or(0),
                counts: row.counts().filter(|(name, _)| name.ends_with("Num")).map(|(name, count)| (name.to_owned(), count)).collect(),
            }))
        })?;
        Ok(rows.into_iter().flatten().collect())
    }
}

/// One setting of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendSetting {
    /// Its key.
    pub key: String,
    /// Its value in the memory of the frontend.
    pub value: String,
    /// Type of its values in Doris' words, such as `int` or `boolean`.
    pub kind: String,
    /// Whether it can be changed without a restart.
    pub mutable: bool,
    /// Whether only the master's value counts.
    pub master_only: bool,
}

impl FrontendSetting {
    pub(crate) fn read(table: &Table) -> Result<Vec<Self>, Error> {
        table.read(|row| {
            Ok(Self {
                key: row.required("Key")?.to_owned(),
                value: row.text("Value").unwrap_or_default().to_owned(),
                kind: row.text("Type").unwrap_or_default().to_owned(),
                mutable: row.flag("IsMutable")?,
                master_only: row.optional_flag("MasterOnly")?.unwrap_or(false),
            })
        })
    }
}

/// One setting of a backend or compute node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSetting {
    /// Its key.
    pub key: String,
    /// Its value in the memory of the process.
    pub value: String,
    /// Type of its values in Doris' words, such as `int32_t` or `bool`.
    pub kind: String,
    /// Whether it can be changed without a restart.
    pub mutable: bool,
}

/// The rights of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountGrants {
    /// The account, for example `'root'@'%'`.
    pub identity: String,
    /// Whether it has a password.
    pub has_password: bool,
    /// Rights on everything, for example `Node_priv`.
    pub global: Vec<String>,
}

impl AccountGrants {
    pub(crate) fn read(table: &Table) -> Result<Vec<Self>, Error> {
        table.read(|row| {
            let global = row.text("GlobalPrivs").unwrap_or_default();
            Ok(Self {
                identity: row.required("UserIdentity")?.to_owned(),
                has_password: row.optional_flag("Password")?.unwrap_or(false),
                global: global.split(',').map(str::trim).filter(|right| !right.is_empty()).map(str::to_owned).collect(),
            })
        })
    }

    /// Whether the account has a right on everything, for example `Node_priv`; case does not matter.
    pub fn holds(&self, right: &str) -> bool {
        self.global.iter().any(|held| held.eq_ignore_ascii_case(right))
    }
}
