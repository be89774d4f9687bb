//! The status: what is so, since when, what is waited for, and what would end the wait.

mod conditions;
mod members;

use std::time::Duration;

use doris_api::cluster::{
    ConfigKeyStatus, Endpoints, IdentityStatus, OperationStatus, OverrideStatus, ScaleTargetStatus, UnknownMember, UpgradeStatus,
};
use doris_api::{Component, DorisCluster, DorisClusterStatus, labels, names, ports};
use jiff::Timestamp;

use crate::identity::{Identity, Phase};

pub use conditions::is_ready;
pub use members::{Counted, Known, Seen, count, list};

/// Something that is waited for, or that keeps the work from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Reason of the condition, in `CamelCase`.
    pub reason: &'static str,
    /// A sentence that names the object and what would end the wait.
    pub message: String,
}

impl Finding {
    /// A reason and its sentence.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// All that a status is made of.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What the work waits for, most important first.
    pub waits: Vec<Finding>,
    /// What a person has to mend, most important first.
    pub stalls: Vec<Finding>,
    /// The identity, once there is one.
    pub identity: Option<Identity>,
    /// Members by component.
    pub seen: Seen,
    /// The accepted master's pod.
    pub master: Option<String>,
    /// Members that Doris knows and nobody asked for.
    pub unknown: Vec<UnknownMember>,
    /// The members could be asked: counts of registered and alive ones are from now.
    pub is_fresh: bool,
    /// Something is under way that a look tells of within moments: when to take the next one.
    pub next_look: Option<Duration>,
    /// The master was not watched long enough to be believed; the next look tells. After a restart
    /// of the controller that is no news about the cluster.
    pub is_undecided: bool,
    /// The operation under way.
    pub operation: Option<OperationStatus>,
    /// Overrides of safety rules that were used.
    pub overrides: Vec<OverrideStatus>,
    /// How far the configuration is in force, if that could be told.
    pub config: Option<Vec<ConfigKeyStatus>>,
    /// The change of version that is wanted or under way.
    pub upgrade: Option<UpgradeStatus>,
    /// The spec suspends the cluster: whether every member is stopped.
    pub suspended: Option<bool>,
}

/// The whole part of the status that the cluster-controller owns.
pub fn status(cluster: &DorisCluster, facts: &Facts, now: Timestamp) -> DorisClusterStatus {
    let empty = DorisClusterStatus::default();
    let old = cluster.status.as_ref().unwrap_or(&empty);
    // What cannot be asked now is told as it was known last, not as lost.
    let mut facts = facts.clone();
    if !facts.is_fresh {
        facts.seen.remember(&old.members);
    }
    let facts = &facts;
    let counted = |component: Component| cluster.spec.member(component).is_some().then(|| count(cluster, component, &facts.seen));
    let is_ready = conditions::is_ready(cluster, facts);
    let mut status = DorisClusterStatus {
        observed_generation: cluster.metadata.generation,
        version: Some(version(cluster, facts, is_ready, old)),
        master: facts.master.clone(),
        fe: counted(Component::Fe).map(|voters| voters.plus(count(cluster, Component::FeObserver, &facts.seen)).into_status()),
        be: counted(Component::Be).map(Counted::into_status),
        cn: Some(scale_target(cluster, count(cluster, Component::Cn, &facts.seen))),
        broker: counted(Component::Broker).map(Counted::into_status),
        members: list(cluster, &facts.seen),
        unknown_members: facts.unknown.clone(),
        endpoints: facts.identity.as_ref().and_then(Identity::cluster_id).map(|_| endpoints(cluster)),
        // A copy that is lost together with the Secret would be no copy.
        identity: facts.identity.as_ref().map(identity_status).or_else(|| old.identity.clone()),
        operation: facts.operation.clone(),
        overrides: facts.overrides.clone(),
        config: facts.config.clone().unwrap_or_else(|| old.config.clone()),
        upgrade: if facts.is_fresh { facts.upgrade.clone() } else { old.upgrade.clone() },
        ..DorisClusterStatus::default()
    };
    status.conditions = conditions::all(cluster, facts, &old.conditions, now);
    status.summary = Some(conditions::summary(is_ready, facts));
    status
}

/// What runs by all that is known; before the cluster is founded nothing runs, and the wanted version is told.
fn version(cluster: &DorisCluster, facts: &Facts, is_ready: bool, old: &DorisClusterStatus) -> String {
    let is_founded = facts.identity.as_ref().and_then(Identity::cluster_id).is_some();
    if let Some(running) = facts.identity.as_ref().and_then(|identity| identity.release.as_ref()?.running()) {
        return running.to_string();
    }
    let known = old.version.as_ref().filter(|_| is_founded && !is_ready);
    known.unwrap_or(&cluster.spec.version).clone()
}

fn scale_target(cluster: &DorisCluster, counted: Counted) -> ScaleTargetStatus {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let pods = counted.pods;
    let status = counted.into_status();
    ScaleTargetStatus {
        desired: status.desired,
        registered: status.registered,
        alive: status.alive,
        ready: status.ready,
        summary: status.summary,
        replicas: pods,
        selector: labels::selector_text(&labels::selector(name, Component::Cn)),
    }
}

fn endpoints(cluster: &DorisCluster) -> Endpoints {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
    let address = |component: Component, port: &ports::Port| {
        cluster.spec.member(component)?;
        let service = names::access_service(name, component)?;
        Some(format!("{service}.{namespace}.svc.{}:{}", cluster.spec.cluster_domain, cluster.spec.port(component, port)))
    };
    Endpoints {
        query: address(Component::Fe, &ports::FE_QUERY),
        http: address(Component::Fe, &ports::FE_HTTP),
        backend_http: address(Component::Be, &ports::BE_HTTP),
    }
}

fn identity_status(identity: &Identity) -> IdentityStatus {
    let phase = match identity.phase {
        Phase::Unfounded => "Unfounded",
        Phase::Founding { .. } => "Founding",
        Phase::Founded { .. } => "Founded",
    };
    IdentityStatus {
        id: identity.id.clone(),
        phase: phase.to_owned(),
        cluster_id: identity.cluster_id().map(str::to_owned),
        epoch: i64::try_from(identity.epoch).unwrap_or(i64::MAX),
    }
}
