//! `DorisCluster`: an Apache Doris cluster.

mod member;
mod policy;
mod status;
mod storage;

use k8s_openapi::api::core::v1::{HostAlias, LocalObjectReference, SecretKeySelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use member::{
    ConfigValue, ExternalTrafficPolicy, MemberSettings, NamedContainer, NodePort, Preserved, ProbeSettings, Probes, PullPolicy,
    ServiceSettings, ServiceType,
};
pub use policy::{
    FailoverMode, FailoverPolicy, NetworkPolicySettings, PodDisruptionBudgetSettings, PodSecurity, PodSecurityLevel, ScaleInPolicy,
    UnavailableTables, UpdatePolicy, UpdateStrategy, UpdateTimeouts, VolumePolicy,
};
pub use status::{
    BlockedBy, ComponentStatus, ConfigKeyStatus, ConfigState, DorisClusterStatus, Endpoints, FailoverIncident, FailoverStatus,
    IdentityStatus, MemberStatus, MemberUnderWork, NoReturnStatus, OperationRequest, OperationStatus, OverrideStatus, ScaleTargetStatus,
    UnknownMember, UpgradeFinding, UpgradeStatus,
};
pub use storage::{Disk, Medium, MetadataStorage};

/// An Apache Doris cluster: frontends, backends, and what helps them.
#[allow(clippy::duplicated_attributes, reason = "columns may have one type")]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "doris-operator.dev",
    version = "v1beta1",
    kind = "DorisCluster",
    plural = "dorisclusters",
    namespaced,
    status = "DorisClusterStatus",
    derive = "PartialEq",
    shortname = "dcr",
    category = "doris",
    scale(
        spec_replicas_path = ".spec.cn.replicas",
        status_replicas_path = ".status.cn.replicas",
        label_selector_path = ".status.cn.selector"
    ),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "Version that the cluster runs"),
    printcolumn(name = "FE", type_ = "string", json_path = ".status.fe.summary", description = "Frontends alive and wanted"),
    printcolumn(name = "BE", type_ = "string", json_path = ".status.be.summary", description = "Backends alive and wanted"),
    printcolumn(name = "CN", type_ = "string", json_path = ".status.cn.summary", description = "Compute nodes alive and wanted"),
    printcolumn(name = "Master", type_ = "string", json_path = ".status.master", description = "Frontend that is master"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.summary", description = "What the cluster is doing"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DorisClusterSpec {
    /// Version of Doris to run, such as `2.1.7`; chooses the image tags and the upgrade path.
    #[schemars(length(max = 32))]
    pub version: String,
    /// Where images come from, unless a component names its own.
    #[serde(default)]
    pub image: ImageSettings,
    /// Frontends: they plan queries and hold the metadata.
    pub fe: FrontendSpec,
    /// Backends: they store tablets and execute queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub be: Option<BackendSpec>,
    /// Compute nodes: backends without tablets, for queries on external data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cn: Option<Box<ComputeSpec>>,
    /// Brokers: processes that read and write remote storage for loads and backups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<Box<BrokerSpec>>,
    /// Access to Hadoop clusters, for every frontend, backend, compute node and broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hadoop: Option<HadoopSpec>,
    /// Kerberos settings, mounted into every member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kerberos: Option<KerberosSpec>,
    /// Passwords of Doris' own administrators.
    #[serde(default, skip_serializing_if = "AuthSpec::is_empty")]
    pub auth: AuthSpec,
    /// DNS domain of the Kubernetes cluster; part of every member's name, so it can't change.
    #[serde(default = "default_cluster_domain")]
    #[schemars(length(max = 253))]
    pub cluster_domain: String,
    /// How members are restarted for changes that need it.
    #[serde(default)]
    pub update: UpdatePolicy,
    /// How members are removed.
    #[serde(default)]
    pub scale_in: ScaleInPolicy,
    /// What happens when members fail.
    #[serde(default)]
    pub failover: FailoverPolicy,
    /// Who may connect to the cluster's ports.
    #[serde(default)]
    pub network_policy: NetworkPolicySettings,
    /// How many members a node drain may take at once.
    #[serde(default)]
    pub pod_disruption_budget: PodDisruptionBudgetSettings,
    /// What the pods may do on their node.
    #[serde(default)]
    pub pod_security: PodSecurity,
    /// Stop all members and keep all data.
    #[serde(default)]
    pub suspend: bool,
}

/// Where images come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageSettings {
    /// Repository; the tags are `fe-<version>`, `be-<version>` and `broker-<version>`.
    #[serde(default = "default_repository")]
    #[schemars(length(max = 512))]
    pub repository: String,
    /// When nodes pull an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Secrets that the registry asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub pull_secrets: Vec<LocalObjectReference>,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { repository: default_repository(), pull_policy: None, pull_secrets: Vec::new() }
    }
}

/// Frontends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrontendSpec {
    /// Number of FOLLOWERs, which elect the master: odd.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 7))]
    pub replicas: i32,
    /// Number of OBSERVERs, which answer queries and do not vote.
    #[serde(default)]
    #[schemars(range(min = 0, max = 50))]
    pub observers: i32,
    /// Volume of the metadata, one for each frontend.
    pub storage: MetadataStorage,
    /// Settings that every component has.
    #[serde(flatten)]
    pub member: MemberSettings,
}

/// Backends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendSpec {
    /// Number of backends.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 999))]
    pub replicas: i32,
    /// Disks of each backend: they become volume claims and `storage_root_path`.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub storage: Vec<Disk>,
    /// Resource tags that the backends are registered with, such as `location: group_a`.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Who prepares the node (`vm.max_map_count`, swap) for a backend.
    #[serde(default)]
    pub node_tuning: NodeTuning,
    /// Settings that every component has.
    #[serde(flatten)]
    pub member: MemberSettings,
}

/// Compute nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComputeSpec {
    /// Number of compute nodes; only the fallback while a `DorisAutoscaler` decides it.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 999))]
    pub replicas: i32,
    /// Disks of each compute node, for caches and spilled data. Without any, a directory that
    /// lives as long as the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub storage: Vec<Disk>,
    /// Resource tags that the compute nodes are registered with.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Who prepares the node (`vm.max_map_count`, swap) for a compute node.
    #[serde(default)]
    pub node_tuning: NodeTuning,
    /// Settings that every component has.
    #[serde(flatten)]
    pub member: MemberSettings,
}

/// Brokers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerSpec {
    /// Number of brokers.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 99))]
    pub replicas: i32,
    /// Name that loads and repositories call the brokers by.
    #[serde(default = "default_broker_name")]
    #[schemars(length(max = 64))]
    pub name: String,
    /// Settings that every component has.
    #[serde(flatten)]
    pub member: MemberSettings,
}

/// Who prepares a node for backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeTuning {
    /// Nodes are prepared already; a backend that refuses its node says so in the conditions.
    #[default]
    Prepared,
    /// A privileged init container sets the kernel's limits. Needs a namespace that allows it.
    InitContainer,
}

/// Access to Hadoop clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HadoopSpec {
    /// Names of Hadoop's hosts that DNS does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub hosts: Vec<HostAlias>,
    /// ConfigMap with `core-site.xml`, `hdfs-site.xml`, `hive-site.xml` and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigMapRef>,
}

/// A ConfigMap in the cluster's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapRef {
    /// Name of the ConfigMap.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// A Secret in the cluster's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// Kerberos.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KerberosSpec {
    /// ConfigMap with the key `krb5.conf`.
    pub krb5: ConfigMapRef,
    /// Secret with keytabs; each key is a file in `keytabPath`.
    pub keytab: SecretRef,
    /// Directory that the keytabs are mounted at.
    #[serde(default = "default_keytab_path")]
    #[schemars(length(max = 512))]
    pub keytab_path: String,
}

/// Passwords of Doris' own administrators. Without them they are generated, and kept in the
/// Secret `<cluster>-identity`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthSpec {
    /// Password of `root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_password: Option<SecretKeySelector>,
    /// Password of `admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<SecretKeySelector>,
}

impl AuthSpec {
    fn is_empty(&self) -> bool {
        self.root_password.is_none() && self.admin_password.is_none()
    }
}

impl DorisClusterSpec {
    /// Settings of a component's members, if the cluster has that component.
    pub fn member(&self, component: crate::Component) -> Option<&MemberSettings> {
        use crate::Component;
        match component {
            Component::Fe | Component::FeObserver => Some(&self.fe.member),
            Component::Be => self.be.as_ref().map(|be| &be.member),
            Component::Cn => self.cn.as_ref().map(|cn| &cn.member),
            Component::Broker => self.broker.as_ref().map(|broker| &broker.member),
        }
    }

    /// Members that the spec asks for; none if the cluster lacks the component.
    pub fn replicas(&self, component: crate::Component) -> i32 {
        use crate::Component;
        match component {
            Component::Fe => self.fe.replicas,
            Component::FeObserver => self.fe.observers,
            Component::Be => self.be.as_ref().map_or(0, |be| be.replicas),
            Component::Cn => self.cn.as_ref().map_or(0, |cn| cn.replicas),
            Component::Broker => self.broker.as_ref().map_or(0, |broker| broker.replicas),
        }
    }

    /// Disks of a backend or compute node.
    pub fn disks(&self, component: crate::Component) -> &[Disk] {
        use crate::Component;
        match component {
            Component::Be => self.be.as_ref().map_or(&[], |be| &be.storage),
            Component::Cn => self.cn.as_ref().map_or(&[], |cn| &cn.storage),
            Component::Fe | Component::FeObserver | Component::Broker => &[],
        }
    }

    /// The number of a port of a component.
    pub fn port(&self, component: crate::Component, port: &crate::ports::Port) -> u16 {
        self.member(component).map_or(port.default, |member| port.number(|key| member.config.get(key).map(ConfigValue::as_str)))
    }
}

fn default_repository() -> String {
    "apache/doris".to_owned()
}

fn default_cluster_domain() -> String {
    "cluster.local".to_owned()
}

fn default_broker_name() -> String {
    "broker".to_owned()
}

fn default_keytab_path() -> String {
    "/etc/security/keytabs".to_owned()
}

const fn one() -> i32 {
    1
}

const fn three() -> i32 {
    3
}
