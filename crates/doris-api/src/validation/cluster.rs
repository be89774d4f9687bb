//! Rules about the cluster as a whole and its components.

use k8s_openapi::api::core::v1::SecretKeySelector;

use super::rule::{Nodes, Rule, Table};
use super::text;
use crate::DorisCluster;
use crate::cluster::{
    BackendSpec, BrokerSpec, ComputeSpec, ConfigMapRef, Disk, DorisClusterSpec, FrontendSpec, ImageSettings, KerberosSpec, NodeTuning,
    PodSecurity, PodSecurityLevel, SecretRef,
};
use crate::names::MAX_CLUSTER_NAME;
use crate::version::{DorisVersion, Line};

/// The name, of which every other name is made.
pub(super) static METADATA: Table<DorisCluster> = Table {
    places: &[""],
    rules: || {
        vec![
            Rule::state(
                "",
                "metadata.name must have at most 40 characters: the names of pods and Services are made from it",
                "self.metadata.name.size() <= 40",
                |cluster: &DorisCluster| name(cluster).len() <= MAX_CLUSTER_NAME,
            ),
            Rule::state(
                "",
                "metadata.name must be lower-case letters, digits and hyphens, start with a letter and end with a letter or digit",
                "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                |cluster: &DorisCluster| {
                    text::is_label(name(cluster)) && name(cluster).starts_with(|first: char| first.is_ascii_lowercase())
                },
            ),
        ]
    },
    nodes: |cluster| vec![(String::new(), cluster)],
};

fn name(cluster: &DorisCluster) -> &str {
    cluster.metadata.name.as_deref().unwrap_or_default()
}

/// `spec`.
pub(super) static SPEC: Table<DorisClusterSpec> = Table {
    places: &["spec"],
    rules: || {
        vec![
            Rule::state(
                ".version",
                "version must be a version of Doris from 2.0 on, such as 2.1.7",
                "self.version.matches('^([2-9]|[1-9][0-9])[.](0|[1-9][0-9]?)[.](0|[1-9][0-9]{0,2})(-[0-9A-Za-z.]{1,16})?$')",
                |spec: &DorisClusterSpec| is_version(&spec.version),
            ),
            Rule::state(
                ".cn",
                "cn needs be: compute nodes keep no tablets, so a cluster without backends can store nothing",
                "!has(self.cn) || has(self.be)",
                |spec: &DorisClusterSpec| spec.cn.is_none() || spec.be.is_some(),
            ),
            Rule::change(
                ".be",
                "be can't be removed: its backends hold the data; delete the cluster or drop the data first",
                "has(self.be) || !has(oldSelf.be)",
                |new: &DorisClusterSpec, old| new.be.is_some() || old.be.is_none(),
            ),
            Rule::state(
                ".clusterDomain",
                "clusterDomain must be a DNS domain such as cluster.local",
                "self.clusterDomain.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
                |spec: &DorisClusterSpec| text::is_domain(&spec.cluster_domain),
            ),
            Rule::change(
                ".clusterDomain",
                "clusterDomain can't change: members are registered under names in it",
                "self.clusterDomain == oldSelf.clusterDomain",
                |new: &DorisClusterSpec, old| new.cluster_domain == old.cluster_domain,
            ),
            Rule::state(
                ".podSecurity",
                "podSecurity.level Restricted excludes nodeTuning InitContainer, which needs a privileged container",
                "self.podSecurity.level != 'Restricted' || ((!has(self.be) || self.be.nodeTuning != 'InitContainer') && (!has(self.cn) || self.cn.nodeTuning != 'InitContainer'))",
                |spec: &DorisClusterSpec| {
                    let tunes = |tuning: Option<NodeTuning>| tuning == Some(NodeTuning::InitContainer);
                    spec.pod_security.level != PodSecurityLevel::Restricted
                        || !tunes(spec.be.as_ref().map(|be| be.node_tuning)) && !tunes(spec.cn.as_ref().map(|cn| cn.node_tuning))
                },
            ),
        ]
    },
    nodes: |cluster| vec![("spec".to_owned(), &cluster.spec)],
};

fn is_version(text: &str) -> bool {
    let Ok(version) = text.parse::<DorisVersion>() else { return false };
    let suffix = version.suffix.len() <= 16 && !version.suffix.contains('-');
    // Written as it is read: no leading zeros.
    version.line() >= Line::V2_0 && version.major < 100 && version.minor < 100 && suffix && version.to_string() == text
}

/// `spec.image`.
pub(super) static IMAGE: Table<ImageSettings> = Table {
    places: &["spec.image"],
    rules: || {
        vec![Rule::state(
            ".repository",
            "image.repository must name a repository such as apache/doris",
            "self.repository.matches('^[^ \\t\\r\\n]+$')",
            |image: &ImageSettings| text::is_one_word(&image.repository),
        )]
    },
    nodes: |cluster| vec![("spec.image".to_owned(), &cluster.spec.image)],
};

/// `spec.podSecurity`.
pub(super) static POD_SECURITY: Table<PodSecurity> = Table {
    places: &["spec.podSecurity"],
    rules: || {
        vec![Rule::state(
            ".runAsUser",
            "podSecurity.runAsUser can't be 0, which is root, at level Restricted",
            "self.level != 'Restricted' || !has(self.runAsUser) || self.runAsUser > 0",
            |security: &PodSecurity| security.level != PodSecurityLevel::Restricted || security.run_as_user.is_none_or(|user| user > 0),
        )]
    },
    nodes: |cluster| vec![("spec.podSecurity".to_owned(), &cluster.spec.pod_security)],
};

/// `spec.kerberos`.
pub(super) static KERBEROS: Table<KerberosSpec> = Table {
    places: &["spec.kerberos"],
    rules: || {
        vec![Rule::state(
            ".keytabPath",
            "kerberos.keytabPath must begin with '/' and have no ':'",
            "self.keytabPath.startsWith('/') && self.keytabPath != '/' && !self.keytabPath.contains(':')",
            |kerberos: &KerberosSpec| {
                kerberos.keytab_path.starts_with('/') && kerberos.keytab_path != "/" && !kerberos.keytab_path.contains(':')
            },
        )]
    },
    nodes: |cluster| cluster.spec.kerberos.iter().map(|kerberos| ("spec.kerberos".to_owned(), kerberos)).collect(),
};

const NAME: &str = "self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')";

/// Names of `ConfigMaps`.
pub(super) static CONFIG_MAPS: Table<ConfigMapRef> = Table {
    places: &[
        "spec.fe.configFiles",
        "spec.be.configFiles",
        "spec.cn.configFiles",
        "spec.broker.configFiles",
        "spec.hadoop.config",
        "spec.kerberos.krb5",
    ],
    rules: || {
        vec![Rule::state(".name", "{at}.name must be the name of a ConfigMap", NAME, |config: &ConfigMapRef| text::is_domain(&config.name))]
    },
    nodes: config_maps,
};

fn config_maps(cluster: &DorisCluster) -> Nodes<'_, ConfigMapRef> {
    let spec = &cluster.spec;
    let members = super::member::members(cluster).into_iter();
    let of_members = members.filter_map(|(path, member)| member.config_files.as_ref().map(|files| (format!("{path}.configFiles"), files)));
    let hadoop = spec.hadoop.as_ref().and_then(|hadoop| hadoop.config.as_ref()).map(|config| ("spec.hadoop.config".to_owned(), config));
    let kerberos = spec.kerberos.as_ref().map(|kerberos| ("spec.kerberos.krb5".to_owned(), &kerberos.krb5));
    of_members.chain(hadoop).chain(kerberos).collect()
}

/// Names of Secrets.
pub(super) static SECRETS: Table<SecretRef> = Table {
    places: &["spec.kerberos.keytab"],
    rules: || {
        vec![Rule::state(".name", "{at}.name must be the name of a Secret", NAME, |secret: &SecretRef| text::is_domain(&secret.name))]
    },
    nodes: |cluster| cluster.spec.kerberos.iter().map(|kerberos| ("spec.kerberos.keytab".to_owned(), &kerberos.keytab)).collect(),
};

/// Keys in Secrets.
pub(super) static SECRET_KEYS: Table<SecretKeySelector> = Table {
    places: &["spec.auth.rootPassword", "spec.auth.adminPassword"],
    rules: || {
        vec![
            Rule::state(
                ".name",
                "{at}.name must be the name of a Secret",
                "has(self.name) && self.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
                |key: &SecretKeySelector| text::is_domain(&key.name),
            ),
            Rule::state(
                ".key",
                "{at}.key must be a key of the Secret",
                "self.key.matches('^[-._a-zA-Z0-9]+$')",
                |key: &SecretKeySelector| {
                    !key.key.is_empty() && key.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
                },
            ),
        ]
    },
    nodes: |cluster| {
        let auth = &cluster.spec.auth;
        let root = auth.root_password.as_ref().map(|key| ("spec.auth.rootPassword".to_owned(), key));
        root.into_iter().chain(auth.admin_password.as_ref().map(|key| ("spec.auth.adminPassword".to_owned(), key))).collect()
    },
};

/// `spec.fe`.
pub(super) static FRONTENDS: Table<FrontendSpec> = Table {
    places: &["spec.fe"],
    rules: || {
        vec![Rule::state(
            ".replicas",
            "fe.replicas counts FOLLOWERs, which vote, and must be odd: 1, 3, 5 or 7; more readers are fe.observers",
            "self.replicas % 2 == 1",
            |fe: &FrontendSpec| fe.replicas % 2 == 1,
        )]
    },
    nodes: |cluster| vec![("spec.fe".to_owned(), &cluster.spec.fe)],
};

const TAGS_MESSAGE: &str =
    "{at}.tags: a tag is lower-case letters, digits and '_', its value letters, digits and '_', both starting with a letter";
const TAGS: &str = "!has(self.tags) || self.tags.all(k, k.matches('^[a-z][a-z0-9_]*$') && self.tags[k].matches('^[A-Za-z][A-Za-z0-9_]*$'))";

fn are_tags(tags: &std::collections::BTreeMap<String, String>) -> bool {
    tags.iter()
        .all(|(key, value)| text::is_word(key) && !key.contains(|character: char| character.is_ascii_uppercase()) && text::is_word(value))
}

fn keeps(new: &[Disk], old: &[Disk]) -> bool {
    old.iter().all(|old| new.iter().any(|new| new.name == old.name))
}

/// `spec.be`.
pub(super) static BACKENDS: Table<BackendSpec> = Table {
    places: &["spec.be"],
    rules: || {
        vec![
            Rule::state(
                ".storage",
                "be.storage must name at least one disk, such as {name: data, size: 100Gi}",
                "self.storage.size() > 0",
                |be: &BackendSpec| !be.storage.is_empty(),
            ),
            Rule::change(
                ".storage",
                "be.storage: a disk can't be removed or renamed in place, since it holds data: remove the backends that have it",
                "oldSelf.storage.all(o, self.storage.exists(n, n.name == o.name))",
                |new: &BackendSpec, old| keeps(&new.storage, &old.storage),
            ),
            Rule::state(
                ".storage",
                "be: a disk and a volume can't have the same name",
                "!has(self.volumes) || self.volumes.all(v, self.storage.all(d, d.name != v.name))",
                |be: &BackendSpec| be.member.volumes.iter().all(|volume| be.storage.iter().all(|disk| disk.name != volume.name)),
            ),
            Rule::state(".tags", TAGS_MESSAGE, TAGS, |be: &BackendSpec| are_tags(&be.tags)),
        ]
    },
    nodes: |cluster| cluster.spec.be.iter().map(|be| ("spec.be".to_owned(), be)).collect(),
};

/// `spec.cn`.
pub(super) static COMPUTE_NODES: Table<ComputeSpec> = Table {
    places: &["spec.cn"],
    rules: || {
        vec![
            Rule::state(
                ".storage",
                "cn: a disk and a volume can't have the same name",
                "!has(self.volumes) || !has(self.storage) || self.volumes.all(v, self.storage.all(d, d.name != v.name))",
                |cn: &ComputeSpec| cn.member.volumes.iter().all(|volume| cn.storage.iter().all(|disk| disk.name != volume.name)),
            ),
            Rule::state(".tags", TAGS_MESSAGE, TAGS, |cn: &ComputeSpec| are_tags(&cn.tags)),
        ]
    },
    nodes: |cluster| cluster.spec.cn.as_deref().into_iter().map(|cn| ("spec.cn".to_owned(), cn)).collect(),
};

/// `spec.broker`.
pub(super) static BROKERS: Table<BrokerSpec> = Table {
    places: &["spec.broker"],
    rules: || {
        vec![
            Rule::state(
                ".name",
                "broker.name must be letters, digits and '_', and start with a letter",
                "self.name.matches('^[A-Za-z][A-Za-z0-9_]*$')",
                |broker: &BrokerSpec| text::is_word(&broker.name),
            ),
            Rule::change(
                ".name",
                "broker.name can't change: loads and repositories call the brokers by it",
                "self.name == oldSelf.name",
                |new: &BrokerSpec, old| new.name == old.name,
            ),
        ]
    },
    nodes: |cluster| cluster.spec.broker.as_deref().into_iter().map(|broker| ("spec.broker".to_owned(), broker)).collect(),
};
