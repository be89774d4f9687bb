//! What a spec must fulfil: one table, from which the CRD gets its rules and which is applied
//! here as well.
//!
//! Each rule exists twice, as CEL text for the API server and as a Rust function for servers that
//! do not know CEL (or the function that a rule needs) and for objects that were stored before a
//! rule was made. A test holds one against the other.

mod cluster;
mod config;
mod initializer;
mod member;
mod pod;
mod rule;
mod storage;
mod text;

use serde_json::Value;

use crate::{DorisCluster, DorisInitializer};
pub use rule::Violation;
use rule::{AnyTable, Nodes};

/// Every table, outermost nodes first.
fn tables() -> [&'static dyn AnyTable; 26] {
    [
        &cluster::METADATA,
        &cluster::SPEC,
        &cluster::IMAGE,
        &cluster::POD_SECURITY,
        &cluster::KERBEROS,
        &cluster::CONFIG_MAPS,
        &cluster::SECRETS,
        &cluster::SECRET_KEYS,
        &cluster::FRONTENDS,
        &cluster::BACKENDS,
        &cluster::COMPUTE_NODES,
        &cluster::BROKERS,
        &config::FRONTEND,
        &config::BACKEND,
        &config::BROKER,
        &member::MEMBERS,
        &member::RESOURCES,
        &member::PROBES,
        &member::SERVICES,
        &pod::ENV,
        &pod::BACKEND_ENV,
        &pod::VOLUMES,
        &pod::MOUNTS,
        &pod::CONTAINERS,
        &storage::METADATA,
        &storage::DISKS,
    ]
}

/// Everything that is wrong with a cluster by itself.
pub fn validate(cluster: &DorisCluster) -> Vec<Violation> {
    tables().into_iter().flat_map(|table| table.check(cluster, None)).chain(template_violations(cluster)).collect()
}

/// Everything that is wrong with a cluster, and with the step to it from what it was.
pub fn validate_update(cluster: &DorisCluster, old: &DorisCluster) -> Vec<Violation> {
    tables().into_iter().flat_map(|table| table.check(cluster, Some(old))).chain(template_violations(cluster)).collect()
}

/// Every table about initializers.
fn initializer_tables() -> [&'static dyn AnyTable<DorisInitializer>; 7] {
    [
        &initializer::SPEC,
        &initializer::CLUSTER,
        &initializer::SOURCES,
        &initializer::SECRETS,
        &initializer::CONFIG_MAPS,
        &initializer::USER,
        &initializer::RETRIES,
    ]
}

/// Everything that is wrong with an initializer by itself.
pub fn validate_initializer(initializer: &DorisInitializer) -> Vec<Violation> {
    initializer_tables().into_iter().flat_map(|table| table.check(initializer, None)).collect()
}

/// Everything that is wrong with an initializer, and with the step to it from what it was.
pub fn validate_initializer_update(initializer: &DorisInitializer, old: &DorisInitializer) -> Vec<Violation> {
    initializer_tables().into_iter().flat_map(|table| table.check(initializer, Some(old))).collect()
}

/// Writes the rules that a server of this minor version understands into the schema of `DorisCluster`.
pub(crate) fn attach(schema: &mut Value, kubernetes_minor: u32) {
    for table in tables() {
        table.attach(schema, kubernetes_minor);
    }
}

/// Writes the rules that a server of this minor version understands into the schema of `DorisInitializer`.
pub(crate) fn attach_to_initializer(schema: &mut Value, kubernetes_minor: u32) {
    for table in initializer_tables() {
        table.attach(schema, kubernetes_minor);
    }
}

/// `podTemplate` is out of reach of CEL: the little that can be said of it is said here, the rest
/// by the API server when the merged pod is tried.
fn template_violations(cluster: &DorisCluster) -> Vec<Violation> {
    let members: Nodes<'_, crate::cluster::MemberSettings> = member::members(cluster);
    members
        .into_iter()
        .filter_map(|(path, member)| {
            let stranger =
                member.pod_template.0.iter().find(|(key, value)| !matches!(key.as_str(), "metadata" | "spec") || !value.is_object());
            stranger.map(|(key, _)| Violation {
                path: format!("{path}.podTemplate.{key}"),
                message: format!("{}.podTemplate may hold the objects metadata and spec and nothing else", text::place(&path)),
            })
        })
        .collect()
}
