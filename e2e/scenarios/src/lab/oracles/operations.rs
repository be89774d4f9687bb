//! Rules about operations, by what the status says of them: what is switched while none is under way, and who may be a member of a
//! cluster that is suspended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_sim::{LiveSetting, MemberFacts};
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use super::model::cluster_of;
use super::{ClusterName, Verdicts};

/// Whoever ends an operation has taken everything back by then; so has a successor that finds something left.
const TAKEN_BACK: Duration = Duration::from_mins(3);

/// What a cluster's status says.
#[derive(Clone, Debug)]
struct Told {
    /// Kind of the operation under way.
    operation: Option<String>,
    /// Since when it is this one, or none.
    since: Instant,
    /// Keys that the user's configuration sets.
    specified: BTreeSet<String>,
    /// It is to run and is ready: somebody looks after it.
    is_ready: bool,
}

/// What was seen of operations so far.
#[derive(Debug, Default)]
pub(super) struct Operations {
    clusters: BTreeMap<ClusterName, Told>,
    /// Who is registered, by host, and under which name or id.
    registered: BTreeMap<ClusterName, BTreeMap<String, String>>,
    /// The same when a cluster began to be suspended.
    suspended: BTreeMap<ClusterName, BTreeMap<String, String>>,
}

/// Whether all members stop, or start again.
fn rests(operation: Option<&str>) -> bool {
    operation.is_some_and(|kind| ["Suspend", "Resume"].contains(&kind))
}

/// Whether a setting is one that operations switch; other keys of that form are the user's to change while processes run.
pub(crate) fn is_switch(key: &str) -> bool {
    key.starts_with("disable_") && (key.ends_with("balance") || key.ends_with("scheduler"))
}

impl Operations {
    /// Takes a version of a cluster.
    pub fn see(&mut self, cluster: &ClusterName, object: &DynamicObject, deleted: bool) {
        if deleted {
            self.clusters.remove(cluster);
            self.suspended.remove(cluster);
            return;
        }
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let operation = text("/status/operation/kind").filter(|kind| !kind.is_empty());
        let config = object.data.pointer("/spec/fe/config").and_then(Value::as_object);
        let specified = config.into_iter().flat_map(|keys| keys.keys().cloned()).collect();
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        let is_ready = conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
        let upgrades = object.data.pointer("/status/upgrade").is_some();
        if rests(operation.as_deref()) && !self.suspended.contains_key(cluster) {
            self.suspended.extend(self.registered.get(cluster).map(|members| (cluster.clone(), members.clone())));
        }
        let told = self.clusters.get(cluster);
        let is_same = told.is_some_and(|told| told.operation == operation && told.is_ready == is_ready && !upgrades);
        let since = told.filter(|_| is_same).map_or_else(Instant::now, |told| told.since);
        self.clusters.insert(cluster.clone(), Told { operation, since, specified, is_ready });
    }

    /// `switches-with-operation`: what operations switch is off while none is under way.
    pub fn switches(&self, settings: &[LiveSetting], members: &[MemberFacts]) -> Verdicts {
        let mut broken = Verdicts::new();
        let at_rest = |told: &&Told| told.operation.is_none() && told.is_ready && told.since.elapsed() >= TAKEN_BACK;
        for setting in settings.iter().filter(|setting| is_switch(&setting.key)) {
            let told = cluster_of(&setting.fqdn).and_then(|cluster| self.clusters.get(&cluster)).filter(at_rest);
            if told.is_some_and(|told| !told.specified.contains(&setting.key)) {
                broken.push(format!(
                    "switches-with-operation: {} is {} on {}, and no operation is under way",
                    setting.key, setting.value, setting.fqdn
                ));
            }
        }
        let running = members.iter().filter(|member| member.is_running()).filter_map(MemberFacts::frontend);
        for master in running.filter(|fe| fe.says_master && fe.ready) {
            let is_idle = cluster_of(&master.start.fqdn).and_then(|cluster| self.clusters.get(&cluster)).is_some_and(|told| at_rest(&told));
            let kept_away = master.registered.iter().filter(|row| is_idle && row.kept_away);
            broken.extend(
                kept_away.map(|row| format!("switches-with-operation: work is kept away from {}, and no operation is under way", row.host)),
            );
        }
        broken
    }

    /// `same-members`: whoever was a member before a cluster was suspended is the same one afterwards.
    pub fn members(&mut self, members: &[MemberFacts]) -> Verdicts {
        let mut broken = Verdicts::new();
        let running = members.iter().filter(|member| member.is_running()).filter_map(MemberFacts::frontend);
        for master in running.filter(|fe| fe.says_master && fe.ready && fe.has_majority) {
            let Some(cluster) = cluster_of(&master.start.fqdn) else { continue };
            let Some(told) = self.clusters.get(&cluster) else { continue };
            let now: BTreeMap<String, String> = master.registered.iter().map(|row| (row.host.clone(), row.id.clone())).collect();
            if told.is_ready
                && !rests(told.operation.as_deref())
                && let Some(before) = self.suspended.remove(&cluster)
            {
                let others = before.iter().filter_map(|(host, id)| Some((host, id, now.get(host)?))).filter(|(_, id, now)| id != now);
                broken.extend(others.map(|(host, id, now)| {
                    format!("same-members: {host} was {id} before its cluster was suspended and is {now} afterwards")
                }));
            }
            if !rests(told.operation.as_deref()) {
                self.registered.insert(cluster, now);
            }
        }
        broken
    }

    /// `suspended-as-it-was`: nobody becomes a member while all members stop or start again.
    pub fn registered(&self, cluster: &ClusterName, host: &str) -> Option<String> {
        let kind = self.clusters.get(cluster)?.operation.as_deref()?;
        ["Suspend", "Resume"].contains(&kind).then(|| format!("suspended-as-it-was: {host} was registered during {kind}"))
    }
}
