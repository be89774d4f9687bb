//! Rules about the parts of pods that users add.

use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};

use super::member::members;
use super::rule::{Nodes, Rule, Table};
use super::text;
use crate::DorisCluster;
use crate::cluster::{MemberSettings, NamedContainer};
use crate::names::OWN_VOLUME_PREFIX;

/// Variables that the start script reads.
const OWN_ENV: [&str; 12] = [
    "POD_NAME",
    "POD_UID",
    "POD_IP",
    "MEMBER_FQDN",
    "DORIS_IDENTITY",
    "MEMBER_ROLE",
    "EDIT_LOG_PORT",
    "HTTP_PORT",
    "HEARTBEAT_PORT",
    "STORAGE_ROOTS",
    "HAD_DATA",
    "CPU_LIMIT",
];
/// Containers that the operator makes.
const OWN_CONTAINERS: [&str; 5] = ["fe", "be", "broker", "inspect", "tune-node"];
/// Directories that a mount would hide from Doris.
const OWN_PATHS: [&str; 10] = [
    "/",
    "/opt",
    "/opt/apache-doris",
    "/opt/apache-doris/fe",
    "/opt/apache-doris/fe/doris-meta",
    "/opt/apache-doris/be",
    "/opt/apache-doris/be/storage",
    "/opt/apache-doris/apache_hdfs_broker",
    "/opt/doris-operator",
    "/etc",
];
/// Directories that nothing may be mounted below.
const OWN_TREES: [&str; 3] = ["/opt/doris-operator/", "/opt/apache-doris/fe/doris-meta/", "/opt/apache-doris/be/storage/"];

/// Environment variables.
pub(super) static ENV: Table<EnvVar> = Table {
    places: &["spec.fe.env[]", "spec.be.env[]", "spec.cn.env[]", "spec.broker.env[]"],
    rules: || {
        vec![
            Rule::state(
                ".name",
                "{at}: the name of a variable must be letters, digits, '_', '.' and '-', and start with a letter or '_'",
                "self.name.matches('^[A-Za-z_][A-Za-z0-9_.-]*$')",
                |env: &EnvVar| text::is_key(&env.name),
            ),
            Rule::state(
                ".name",
                "{at}: POD_NAME, POD_UID, POD_IP, MEMBER_FQDN, DORIS_IDENTITY, MEMBER_ROLE, EDIT_LOG_PORT, HTTP_PORT, HEARTBEAT_PORT, STORAGE_ROOTS, HAD_DATA and CPU_LIMIT are set by the operator",
                "!(self.name in ['POD_NAME', 'POD_UID', 'POD_IP', 'MEMBER_FQDN', 'DORIS_IDENTITY', 'MEMBER_ROLE', 'EDIT_LOG_PORT', 'HTTP_PORT', 'HEARTBEAT_PORT', 'STORAGE_ROOTS', 'HAD_DATA', 'CPU_LIMIT'])",
                |env: &EnvVar| !OWN_ENV.contains(&env.name.as_str()),
            ),
            Rule::state(
                ".value",
                "{at}: a variable has either a value or valueFrom",
                "!has(self.valueFrom) || !has(self.value) || self.value == ''",
                |env: &EnvVar| env.value_from.is_none() || env.value.as_deref().unwrap_or_default().is_empty(),
            ),
        ]
    },
    nodes: |cluster| list(cluster, "env", |member| &member.env, |env| &env.name),
};

/// Environment variables of backends.
pub(super) static BACKEND_ENV: Table<EnvVar> = Table {
    places: &["spec.be.env[]", "spec.cn.env[]"],
    rules: || {
        vec![Rule::state(
            ".name",
            "{at}: a backend does not start while a proxy is set (http_proxy, https_proxy)",
            "!(self.name in ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'])",
            |env: &EnvVar| !matches!(env.name.as_str(), "http_proxy" | "https_proxy" | "HTTP_PROXY" | "HTTPS_PROXY"),
        )]
    },
    nodes: |cluster| {
        let mut nodes = list(cluster, "env", |member| &member.env, |env| &env.name);
        nodes.retain(|(path, _)| path.starts_with("spec.be.") || path.starts_with("spec.cn."));
        nodes
    },
};

/// Volumes.
pub(super) static VOLUMES: Table<Volume> = Table {
    places: &["spec.fe.volumes[]", "spec.be.volumes[]", "spec.cn.volumes[]", "spec.broker.volumes[]"],
    rules: || {
        vec![
            Rule::state(
                ".name",
                "{at}: the name of a volume must be lower-case letters, digits and hyphens, and start and end with a letter or digit",
                "self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                |volume: &Volume| text::is_label(&volume.name),
            ),
            Rule::state(
                ".name",
                "{at}: the names meta and operator-… belong to the operator",
                "self.name != 'meta' && !self.name.startsWith('operator-')",
                |volume: &Volume| volume.name != crate::names::FE_META_VOLUME && !volume.name.starts_with(OWN_VOLUME_PREFIX),
            ),
        ]
    },
    nodes: |cluster| list(cluster, "volumes", |member| &member.volumes, |volume| &volume.name),
};

/// Where volumes are mounted.
pub(super) static MOUNTS: Table<VolumeMount> = Table {
    places: &["spec.fe.volumeMounts[]", "spec.be.volumeMounts[]", "spec.cn.volumeMounts[]", "spec.broker.volumeMounts[]"],
    rules: || {
        vec![
            Rule::state(
                ".mountPath",
                "{at}: mountPath must begin with '/' and have no ':'",
                "self.mountPath.startsWith('/') && !self.mountPath.contains(':')",
                |mount: &VolumeMount| mount.mount_path.starts_with('/') && !mount.mount_path.contains(':'),
            ),
            Rule::state(
                ".mountPath",
                "{at}: nothing can be mounted over the directories of Doris, its data or the operator's scripts",
                "!(self.mountPath in ['/', '/opt', '/opt/apache-doris', '/opt/apache-doris/fe', '/opt/apache-doris/fe/doris-meta', '/opt/apache-doris/be', '/opt/apache-doris/be/storage', '/opt/apache-doris/apache_hdfs_broker', '/opt/doris-operator', '/etc']) && !self.mountPath.startsWith('/opt/doris-operator/') && !self.mountPath.startsWith('/opt/apache-doris/fe/doris-meta/') && !self.mountPath.startsWith('/opt/apache-doris/be/storage/')",
                |mount: &VolumeMount| {
                    !OWN_PATHS.contains(&mount.mount_path.as_str()) && !OWN_TREES.iter().any(|tree| mount.mount_path.starts_with(tree))
                },
            ),
        ]
    },
    nodes: |cluster| list(cluster, "volumeMounts", |member| &member.volume_mounts, |mount| &mount.mount_path),
};

/// Sidecars and init containers.
pub(super) static CONTAINERS: Table<NamedContainer> = Table {
    places: &[
        "spec.fe.sidecars[]",
        "spec.be.sidecars[]",
        "spec.cn.sidecars[]",
        "spec.broker.sidecars[]",
        "spec.fe.initContainers[]",
        "spec.be.initContainers[]",
        "spec.cn.initContainers[]",
        "spec.broker.initContainers[]",
    ],
    rules: || {
        vec![
            Rule::state(
                ".name",
                "{at}: the name of a container must be lower-case letters, digits and hyphens, and start and end with a letter or digit",
                "self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                |container: &NamedContainer| text::is_label(&container.name),
            ),
            Rule::state(
                ".name",
                "{at}: containers fe, be, broker, inspect and tune-node are the operator's; change them through podTemplate",
                "!(self.name in ['fe', 'be', 'broker', 'inspect', 'tune-node'])",
                |container: &NamedContainer| !OWN_CONTAINERS.contains(&container.name.as_str()),
            ),
        ]
    },
    nodes: |cluster| {
        let mut nodes = list(cluster, "sidecars", |member| &member.sidecars, |container| &container.name);
        nodes.extend(list(cluster, "initContainers", |member| &member.init_containers, |container| &container.name));
        nodes
    },
};

fn list<'a, T>(cluster: &'a DorisCluster, field: &str, items: fn(&MemberSettings) -> &Vec<T>, key: fn(&T) -> &String) -> Nodes<'a, T> {
    members(cluster)
        .into_iter()
        .flat_map(|(path, member)| items(member).iter().map(move |item| (format!("{path}.{field}[{}]", key(item)), item)))
        .collect()
}
