//! What the operator may do, and when.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How members are restarted for changes that need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePolicy {
    /// Who restarts members.
    #[serde(default)]
    pub strategy: UpdateStrategy,
    /// Stop before the next restart. An upgrade should not rest half done for long.
    #[serde(default)]
    pub paused: bool,
    /// Members with a lower ordinal keep what they run, and components that come later wait. 0 lets all be restarted.
    #[serde(default)]
    #[schemars(range(min = 0, max = 999))]
    pub partition: i32,
    /// Whether a restart may make tables unreadable or refuse loads for its duration.
    #[serde(default)]
    pub unavailable_tables: UnavailableTables,
    /// How long the steps of a restart may take.
    #[serde(default)]
    pub timeouts: UpdateTimeouts,
}

/// Who restarts members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateStrategy {
    /// The operator, one by one, under its safety rules.
    #[default]
    Rolling,
    /// A person deletes the pods.
    OnDelete,
}

/// What becomes of tables that a restart makes unavailable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnavailableTables {
    /// The restart waits, and the tables are named.
    #[default]
    Refuse,
    /// The restart goes on; the tables are unavailable meanwhile.
    Allow,
}

/// How long the steps of a restart may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateTimeouts {
    /// Seconds that running queries get to finish.
    #[schemars(range(min = 0, max = 86400))]
    pub drain_seconds: i32,
    /// Seconds until a frontend must be back.
    #[schemars(range(min = 30, max = 86400))]
    pub frontend_seconds: i32,
    /// Seconds until a backend must be back.
    #[schemars(range(min = 30, max = 86400))]
    pub backend_seconds: i32,
}

impl Default for UpdateTimeouts {
    fn default() -> Self {
        Self { drain_seconds: 120, frontend_seconds: 1800, backend_seconds: 900 }
    }
}

/// How members are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleInPolicy {
    /// Seconds after which a removal that does not come to its end is reported.
    #[schemars(range(min = 60, max = 2_592_000))]
    pub timeout_seconds: i32,
    /// What becomes of the volumes of removed members.
    pub volumes: VolumePolicy,
}

impl Default for ScaleInPolicy {
    fn default() -> Self {
        Self { timeout_seconds: 86400, volumes: VolumePolicy::default() }
    }
}

/// What becomes of volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumePolicy {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted once the member's data is elsewhere.
    Delete,
}

/// What happens when members fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailoverPolicy {
    /// Who acts.
    pub mode: FailoverMode,
    /// Seconds without an answer after which a frontend counts as failed.
    #[schemars(range(min = 5, max = 3600))]
    pub frontend_failure_seconds: i32,
    /// Seconds without a heartbeat after which a backend counts as failed.
    #[schemars(range(min = 5, max = 3600))]
    pub backend_failure_seconds: i32,
    /// Seconds that a lost member may take to come back before it is replaced.
    #[schemars(range(min = 60, max = 86400))]
    pub replacement_seconds: i32,
    /// Seconds that pods stay on an unreachable or unready node.
    #[schemars(range(min = 0, max = 86400))]
    pub node_toleration_seconds: i32,
}

impl Default for FailoverPolicy {
    fn default() -> Self {
        Self {
            mode: FailoverMode::default(),
            frontend_failure_seconds: 30,
            backend_failure_seconds: 30,
            replacement_seconds: 900,
            node_toleration_seconds: 300,
        }
    }
}

/// Who acts on a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailoverMode {
    /// The failover-watcher replaces what is lost.
    #[default]
    Automatic,
    /// The failover-watcher only reports.
    Observe,
    /// Nobody looks.
    Disabled,
}

/// Who may connect to the cluster's ports. Ports that Doris' processes use among themselves are
/// open to this cluster's pods and to the operator only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySettings {
    /// Whether policies are made. Off, anyone who reaches port 9010 may join the frontends.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Who may use the client ports (8030, 8040, 9030); everyone if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub clients: Vec<NetworkPolicyPeer>,
    /// Who may use the internal ports beside this cluster's pods and the operator's controllers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub internal: Vec<NetworkPolicyPeer>,
}

impl Default for NetworkPolicySettings {
    fn default() -> Self {
        Self { enabled: true, clients: Vec::new(), internal: Vec::new() }
    }
}

/// How many members a node drain may take at once. Frontends keep their majority in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodDisruptionBudgetSettings {
    /// Whether budgets are made.
    pub enabled: bool,
    /// Backends that may be away at once; 2 of 3 replicas must stay for loads.
    #[schemars(range(min = 0, max = 999))]
    pub backends_away: i32,
    /// Compute nodes that may be away at once.
    #[schemars(range(min = 0, max = 999))]
    pub compute_nodes_away: i32,
}

impl Default for PodDisruptionBudgetSettings {
    fn default() -> Self {
        Self { enabled: true, backends_away: 1, compute_nodes_away: 1 }
    }
}

/// What the pods may do on their node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    /// Pod security standard that the pods fulfil.
    #[serde(default)]
    pub level: PodSecurityLevel,
    /// User id of every container. The official images run as root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,
    /// Group id of every container.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,
    /// Group that owns the volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub fs_group: Option<i64>,
}

/// A pod security standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodSecurityLevel {
    /// What the official images run under: root without privileges.
    #[default]
    Baseline,
    /// Not root, no capabilities. Needs an image whose files `runAsUser` may write.
    Restricted,
}

const fn yes() -> bool {
    true
}
