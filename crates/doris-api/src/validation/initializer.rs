//! Rules about `DorisInitializer`.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, SecretKeySelector};

use super::rule::{Nodes, Rule, Table};
use super::text;
use crate::DorisInitializer;
use crate::initializer::{ClusterRef, DorisInitializerSpec, Retries, RunAs, SqlSource};

const DOMAIN: &str = "'^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'";

/// `spec`.
pub(super) static SPEC: Table<DorisInitializerSpec, DorisInitializer> = Table {
    places: &["spec"],
    rules: || {
        vec![
            Rule::change(
                ".clusterRef",
                "clusterRef can't change: what was done was done in that cluster; make another DorisInitializer",
                "self.clusterRef.name == oldSelf.clusterRef.name",
                |new: &DorisInitializerSpec, old| new.cluster_ref == old.cluster_ref,
            ),
            Rule::state(
                ".database",
                "database must be a name without quotes, blanks and dots",
                "!has(self.database) || self.database.matches('^[^ .`\"\\']+$')",
                |spec: &DorisInitializerSpec| {
                    spec.database.as_ref().is_none_or(|name| !name.is_empty() && !name.contains([' ', '.', '`', '"', '\'']))
                },
            ),
        ]
    },
    nodes: |initializer| vec![("spec".to_owned(), &initializer.spec)],
};

/// `spec.clusterRef`.
pub(super) static CLUSTER: Table<ClusterRef, DorisInitializer> = Table {
    places: &["spec.clusterRef"],
    rules: || {
        vec![Rule {
            cel: format!("self.name.matches({DOMAIN})").into(),
            ..Rule::state(".name", "{at}.name must be the name of a DorisCluster", "", |cluster: &ClusterRef| {
                text::is_domain(&cluster.name)
            })
        }]
    },
    nodes: |initializer| vec![("spec.clusterRef".to_owned(), &initializer.spec.cluster_ref)],
};

/// `spec.sql`.
pub(super) static SOURCES: Table<SqlSource, DorisInitializer> = Table {
    places: &["spec.sql[]"],
    rules: || {
        vec![Rule::state(
            "",
            "{at}: each source must have exactly one of text, configMap and secret",
            "(has(self.text) ? 1 : 0) + (has(self.configMap) ? 1 : 0) + (has(self.secret) ? 1 : 0) == 1",
            |source: &SqlSource| {
                [source.text.is_some(), source.config_map.is_some(), source.secret.is_some()].into_iter().filter(|is_set| *is_set).count()
                    == 1
            },
        )]
    },
    nodes: |initializer| each_source(initializer, |source| Some(source)),
};

fn each_source<T>(initializer: &DorisInitializer, part: fn(&SqlSource) -> Option<&T>) -> Nodes<'_, T> {
    let parts = initializer.spec.sql.iter().enumerate();
    parts.filter_map(|(index, source)| Some((format!("spec.sql[{index}]"), part(source)?))).collect()
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

const KEY: &str = "self.key.matches('^[-._a-zA-Z0-9]+$')";

/// Keys of Secrets.
pub(super) static SECRETS: Table<SecretKeySelector, DorisInitializer> = Table {
    places: &["spec.sql[].secret", "spec.user.password"],
    rules: || {
        vec![
            Rule {
                cel: format!("has(self.name) && self.name.matches({DOMAIN})").into(),
                ..Rule::state(".name", "{at}.name must be the name of a Secret", "", |key: &SecretKeySelector| text::is_domain(&key.name))
            },
            Rule::state(".key", "{at}.key must be a key of the Secret", KEY, |key: &SecretKeySelector| is_key(&key.key)),
        ]
    },
    nodes: |initializer| {
        let mut nodes: Nodes<'_, SecretKeySelector> = each_source(initializer, |source| source.secret.as_ref());
        for (path, _) in &mut nodes {
            path.push_str(".secret");
        }
        nodes.extend(initializer.spec.user.as_ref().map(|user| ("spec.user.password".to_owned(), &user.password)));
        nodes
    },
};

/// Keys of ConfigMaps.
pub(super) static CONFIG_MAPS: Table<ConfigMapKeySelector, DorisInitializer> = Table {
    places: &["spec.sql[].configMap"],
    rules: || {
        vec![
            Rule {
                cel: format!("has(self.name) && self.name.matches({DOMAIN})").into(),
                ..Rule::state(".name", "{at}.name must be the name of a ConfigMap", "", |key: &ConfigMapKeySelector| {
                    text::is_domain(&key.name)
                })
            },
            Rule::state(".key", "{at}.key must be a key of the ConfigMap", KEY, |key: &ConfigMapKeySelector| is_key(&key.key)),
        ]
    },
    nodes: |initializer| {
        let mut nodes: Nodes<'_, ConfigMapKeySelector> = each_source(initializer, |source| source.config_map.as_ref());
        for (path, _) in &mut nodes {
            path.push_str(".configMap");
        }
        nodes
    },
};

/// `spec.user`.
pub(super) static USER: Table<RunAs, DorisInitializer> = Table {
    places: &["spec.user"],
    rules: || {
        vec![Rule::state(".name", "user.name must name a Doris account", "self.name.matches('^[^ ]+$')", |user: &RunAs| {
            !user.name.is_empty() && !user.name.contains(' ')
        })]
    },
    nodes: |initializer| initializer.spec.user.as_ref().map(|user| ("spec.user".to_owned(), user)).into_iter().collect(),
};

/// `spec.retries`.
pub(super) static RETRIES: Table<Retries, DorisInitializer> = Table {
    places: &["spec.retries"],
    rules: || {
        vec![Rule::state(
            ".maxDelaySeconds",
            "retries.maxDelaySeconds can't be less than retries.delaySeconds",
            "self.maxDelaySeconds >= self.delaySeconds",
            |retries: &Retries| retries.max_delay_seconds >= retries.delay_seconds,
        )]
    },
    nodes: |initializer| vec![("spec.retries".to_owned(), &initializer.spec.retries)],
};
