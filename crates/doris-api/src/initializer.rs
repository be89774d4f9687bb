//! `DorisInitializer`: SQL that is run in a cluster once, or whenever it changes.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, SecretKeySelector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// SQL that is run in a cluster once it is ready: databases, tables, accounts, settings.
#[allow(clippy::duplicated_attributes, reason = "columns may have one type")]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "doris-operator.dev",
    version = "v1beta1",
    kind = "DorisInitializer",
    plural = "dorisinitializers",
    namespaced,
    status = "DorisInitializerStatus",
    derive = "PartialEq",
    shortname = "dri",
    category = "doris",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterRef.name", description = "Cluster that the SQL runs in"),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "Waiting, Running, Retrying, Failed or Succeeded"
    ),
    printcolumn(name = "Done", type_ = "string", json_path = ".status.progress", description = "Statements done and all of them"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.summary", description = "What is going on"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DorisInitializerSpec {
    /// The cluster, in the same namespace.
    pub cluster_ref: ClusterRef,
    /// Where the statements are, in the order in which they run.
    #[schemars(length(min = 1, max = 32))]
    pub sql: Vec<SqlSource>,
    /// `Once`: never again after they all succeeded. `OnChange`: all of them again whenever they change.
    #[serde(default)]
    pub run: RunPolicy,
    /// Database that each session begins in; it has to be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub database: Option<String>,
    /// Doris account that runs them. Without it the operator's own, which may do everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<RunAs>,
    /// What happens after a statement that failed.
    #[serde(default)]
    pub retries: Retries,
    /// Longest time for one statement, in seconds. One that takes longer counts as failed, though Doris may go on with it.
    #[serde(default = "default_statement_timeout")]
    #[schemars(range(min = 1, max = 86400))]
    pub statement_timeout_seconds: i32,
}

/// A cluster of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// Name of the `DorisCluster`.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// Statements, separated by `;`. Exactly one of `text`, `configMap` and `secret`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlSource {
    /// What the status calls these statements.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// The statements themselves. Nothing secret belongs here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub text: Option<String>,
    /// Key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKeySelector>,
    /// Key of a Secret; none of its text is ever shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretKeySelector>,
}

/// When statements run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunPolicy {
    /// Until they all succeeded, and never again.
    #[default]
    Once,
    /// Again whenever they change.
    OnChange,
}

/// A Doris account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunAs {
    /// Its name.
    #[schemars(length(max = 64))]
    pub name: String,
    /// Its password.
    pub password: SecretKeySelector,
}

/// How often and how quickly failed statements are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Retries {
    /// Tries after the first one; then the object waits for a change.
    #[schemars(range(min = 0, max = 100))]
    pub limit: i32,
    /// Time before the first of them, in seconds; it doubles with each.
    #[schemars(range(min = 1, max = 3600))]
    pub delay_seconds: i32,
    /// Longest time between two tries, in seconds.
    #[schemars(range(min = 1, max = 86400))]
    pub max_delay_seconds: i32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { limit: 5, delay_seconds: 10, max_delay_seconds: 600 }
    }
}

fn default_statement_timeout() -> i32 {
    300
}

/// What is so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DorisInitializerStatus {
    /// Generation of the spec that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What is going on, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Statements done and all of them, as `3/7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Digest of all the statements that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Digest of those that are done: a run goes on after them as long as they do not change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_digest: Option<String>,
    /// Statements done.
    pub done: i32,
    /// All statements.
    pub total: i32,
    /// Tries that failed since a statement last succeeded.
    pub failures: i32,
    /// When the next try is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Time>,
    /// When this run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When its last statement succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The statement under work, or the one that failed, and those before it; the oldest are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["number"]))]
    pub statements: Vec<StatementStatus>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where an initializer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// For the cluster, or for something that the spec names.
    Waiting,
    /// A statement is under work.
    Running,
    /// A statement failed and is tried again.
    Retrying,
    /// No further try is made before something changes.
    Failed,
    /// All statements succeeded.
    Succeeded,
}

/// Where a statement stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StatementState {
    /// It was sent, or is about to be.
    #[default]
    Running,
    /// Doris did it.
    Succeeded,
    /// Doris refused it, or did not answer in time.
    Failed,
}

/// A statement, without anything that may be secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatementStatus {
    /// Its place among all, from 1.
    pub number: i32,
    /// The source it is from, and its line there.
    pub place: String,
    /// Digest of its text.
    pub digest: String,
    /// Where it stands.
    pub state: StatementState,
    /// Its text without literals and comments, cut off; nothing if it is from a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Rows that it changed or returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i64>,
    /// Doris' words about a failure, unless they may show something secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<i64>,
}
