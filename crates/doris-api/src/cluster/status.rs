//! What is so, as far as the controllers know.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is so. Each field has one writer; see the contract in the documentation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DorisClusterStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the cluster is doing, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Version that the cluster runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Pod of the frontend that is master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// Frontends, followers and observers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fe: Option<ComponentStatus>,
    /// Backends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub be: Option<ComponentStatus>,
    /// Compute nodes, as the scale subresource wants them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cn: Option<ScaleTargetStatus>,
    /// Brokers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<ComponentStatus>,
    /// Every member of the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2048), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub members: Vec<MemberStatus>,
    /// Members that Doris knows and nobody asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub unknown_members: Vec<UnknownMember>,
    /// Where clients connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// Copy of the identity that the Secret `<cluster>-identity` holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityStatus>,
    /// The disruptive operation under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationStatus>,
    /// Overrides of safety rules that were used; each is used once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub overrides: Vec<OverrideStatus>,
    /// How far each key of the configuration is in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub config: Vec<ConfigKeyStatus>,
    /// The change of version that is wanted or under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
    /// What the failover-watcher sees and does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverStatus>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Members of a component, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentStatus {
    /// Members wanted.
    pub desired: i32,
    /// Members that Doris knows.
    pub registered: i32,
    /// Members that Doris says are alive.
    pub alive: i32,
    /// Pods that Kubernetes says are ready.
    pub ready: i32,
    /// Alive and wanted, as `3/3`.
    pub summary: String,
}

/// Compute nodes, counted; with the fields that the scale subresource reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleTargetStatus {
    /// Members wanted.
    pub desired: i32,
    /// Members that Doris knows.
    pub registered: i32,
    /// Members that Doris says are alive.
    pub alive: i32,
    /// Pods that Kubernetes says are ready.
    pub ready: i32,
    /// Alive and wanted, as `3/3`.
    pub summary: String,
    /// Pods there are.
    pub replicas: i32,
    /// Selects the pods.
    pub selector: String,
}

/// A member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct MemberStatus {
    /// Name of the pod.
    pub name: String,
    /// `fe`, `fe-ob`, `be`, `cn` or `broker`.
    pub component: String,
    /// `FOLLOWER`, `OBSERVER`, `mix`, `computation` or `broker`, as Doris says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether Doris knows it.
    pub registered: bool,
    /// Whether Doris says that it is alive.
    pub alive: bool,
    /// Whether Kubernetes says that it is ready.
    pub ready: bool,
    /// Uid of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Journal id that a frontend has reached. Only kept while it is of use: it moves all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_id: Option<i64>,
    /// Id that Doris gave a backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_id: Option<i64>,
    /// What is wrong with it, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A member that Doris knows and nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnknownMember {
    /// `fe`, `be` or `broker`.
    pub component: String,
    /// Host that it is registered with.
    pub host: String,
    /// Port that it is registered with.
    pub port: i32,
    /// Whether Doris says that it is alive.
    pub alive: bool,
}

/// Where clients connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// MySQL protocol, `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// HTTP of the frontends, `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// HTTP of the backends, `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_http: Option<String>,
}

/// Who this cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IdentityStatus {
    /// Id that the operator gave it.
    pub id: String,
    /// `Unfounded`, `Founding` or `Founded`.
    pub phase: String,
    /// Id that Doris gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Raised by each recovery of the metadata.
    pub epoch: i64,
}

/// A disruptive operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationStatus {
    /// What it does, such as `Upgrade`.
    pub kind: String,
    /// What it is done to.
    pub target: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// The step that it is at.
    pub step: String,
    /// The member that is worked on; written down before anything is done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberUnderWork>,
    /// Tablets that were not healthy when it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_tablets: Option<i64>,
    /// Their ids, each as the distance from the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Members done; while backends are emptied, tablets moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<i32>,
    /// Members, or tablets, in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i32>,
    /// When it will be done, by what is known now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_completion: Option<Time>,
    /// Safety rules that refuse the next step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub blocked_by: Vec<BlockedBy>,
}

/// A change of version that is wanted or under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeStatus {
    /// Version before.
    pub from: String,
    /// Version after.
    pub to: String,
    /// `PreFlight`, the component whose turn it is, or `Finishing`.
    pub phase: String,
    /// Whether a frontend of the new metadata version has been master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point_of_no_return: Option<NoReturnStatus>,
    /// What was looked at before the first step, and what the operator does not do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub findings: Vec<UpgradeFinding>,
}

/// The moment after which older frontends do not start any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NoReturnStatus {
    /// Whether it has passed.
    pub crossed: bool,
    /// What that means.
    pub message: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeFinding {
    /// What it is about.
    pub check: String,
    /// `ok`, `warning` or `blocker`.
    pub result: String,
    /// What is so, and what would end it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The member that an operation works on, as it was before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberUnderWork {
    /// Name of its pod.
    pub pod: String,
    /// Uid of the pod that is to go.
    pub uid: String,
    /// When the work on it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Start of its process in Doris' words: a later one tells that it came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_start: Option<String>,
    /// Why it is its turn.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Queries reach it until it stops, for nobody else serves some table.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keeps_queries: bool,
    /// It is stopped although work of others still runs on it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
    /// How often it was restarted so that another frontend becomes master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<i32>,
}

/// An override of a safety rule that was used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OverrideStatus {
    /// The rule.
    pub rule: String,
    /// The annotation's value.
    pub value: String,
    /// The step that it was used for.
    pub step: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A key of the configuration, and who does not have it yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigKeyStatus {
    /// `fe`, `be`, `cn` or `broker`.
    pub component: String,
    /// The key.
    pub key: String,
    /// How it comes into force.
    pub state: ConfigState,
    /// Pods of members that still have another value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2048))]
    pub members: Vec<String>,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a key of the configuration comes into force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ConfigState {
    /// In force, on every member but those that are named.
    #[default]
    Live,
    /// The named members take it when they are restarted.
    WaitsForRestart,
    /// Doris does not take it, as the message says.
    Refused,
}

/// A refusal by a safety rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockedBy {
    /// The rule.
    pub rule: String,
    /// The object that it is about.
    pub object: String,
    /// Why, in a sentence.
    pub message: String,
}

/// What the failover-watcher sees and does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailoverStatus {
    /// Generation of the spec that it read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The operation Lease is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<OperationRequest>,
    /// Failures that are open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["member"]))]
    pub incidents: Vec<FailoverIncident>,
}

/// A request for the operation Lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationRequest {
    /// What it is asked for.
    pub kind: String,
    /// What it is to be done to.
    pub target: String,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A failure that is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["member"]))]
pub struct FailoverIncident {
    /// Pod that failed.
    pub member: String,
    /// What is the matter.
    pub reason: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What is done about it.
    pub step: String,
}
