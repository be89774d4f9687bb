//! The safety rules as this controller meets them: what a person said about them, and numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use controller_kit::clock::whole_seconds;
use controller_kit::lease::LeaseView;
use controller_kit::metrics::Metrics;
use doris_api::DorisCluster;
use doris_api::cluster::{OverrideStatus, UnavailableTables};
use doris_api::rules::SafetyRule;
use doris_safety::{Lease, Override, OverrideUse, Terms, Token, overrides_of};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::cache::ClusterKey;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRule {
    rule: &'static str,
}

/// Numbers about refusals and overrides.
#[derive(Default)]
pub struct SafetyMetrics {
    refusals: Family<ByRule, Counter>,
    overrides: Family<ByRule, Counter>,
    blocked: Family<ByRule, Gauge>,
    clusters: Mutex<BTreeMap<ClusterKey, BTreeSet<SafetyRule>>>,
}

impl SafetyMetrics {
    /// Numbers that the metrics server tells.
    pub fn register(metrics: &Metrics) -> Self {
        let numbers = Self::default();
        metrics.register(|registry| {
            registry.register("safety_refusals", "Steps that a safety rule refused, by rule", numbers.refusals.clone());
            registry.register("safety_overrides", "Refusals that a person's annotation overrode, by rule", numbers.overrides.clone());
            registry.register("safety_blocked_clusters", "Clusters whose next step a safety rule refuses now", numbers.blocked.clone());
        });
        numbers
    }

    /// A step was looked at and refused by these rules.
    pub fn refused(&self, rules: &BTreeSet<SafetyRule>) {
        for rule in rules {
            self.refusals.get_or_create(&ByRule { rule: rule.name() }).inc();
        }
    }

    /// A refusal was overridden.
    pub fn overridden(&self, rule: SafetyRule) {
        self.overrides.get_or_create(&ByRule { rule: rule.name() }).inc();
    }

    /// These rules keep a cluster from its next step now; none if nothing does.
    pub fn blocked(&self, cluster: &ClusterKey, rules: &BTreeSet<SafetyRule>) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if rules.is_empty() { clusters.remove(cluster) } else { clusters.insert(cluster.clone(), rules.clone()) };
        let before = before.unwrap_or_default();
        for rule in before.symmetric_difference(rules) {
            let number = clusters.values().filter(|rules| rules.contains(rule)).count();
            self.blocked.get_or_create(&ByRule { rule: rule.name() }).set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}

/// What a person has said about the rules of one cluster.
#[derive(Clone, Debug)]
pub struct Said {
    operation: String,
    unavailable_tables: UnavailableTables,
    overrides: Vec<Override>,
    used: Vec<OverrideUse>,
    now: Timestamp,
    /// Annotations that were meant to override something and do not, with the reason.
    pub mistaken: Vec<String>,
}

impl Said {
    /// Reads spec and annotations. The operation is named with its start: the same step of another one is another step.
    pub fn of(cluster: &DorisCluster, operation: String, now: Timestamp) -> Self {
        let (overrides, mistaken) = overrides_of(cluster.annotations(), now);
        let used = cluster.status.iter().flat_map(|status| &status.overrides);
        Self {
            operation,
            unavailable_tables: cluster.spec.update.unavailable_tables,
            overrides,
            used: used.filter_map(used_before).collect(),
            now,
            mistaken: mistaken.iter().map(ToString::to_string).collect(),
        }
    }

    /// As the rules take it.
    pub fn terms(&self) -> Terms<'_> {
        Terms {
            operation: &self.operation,
            unavailable_tables: self.unavailable_tables,
            overrides: &self.overrides,
            used: &self.used,
            now: self.now,
        }
    }
}

fn used_before(record: &OverrideStatus) -> Option<OverrideUse> {
    Some(OverrideUse {
        rule: record.rule.parse().ok()?,
        value: record.value.clone(),
        step: record.step.clone(),
        at: record.at.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0),
    })
}

/// The record of a use, as the status keeps it.
pub fn record(used: &OverrideUse) -> OverrideStatus {
    OverrideStatus {
        rule: used.rule.name().to_owned(),
        value: used.value.clone(),
        step: used.step.clone(),
        at: Some(Time(whole_seconds(used.at))),
    }
}

/// Records that still mean something: an override whose time has passed overrides nothing more.
pub fn kept_records(cluster: &DorisCluster, now: Timestamp) -> Vec<OverrideStatus> {
    let all = cluster.status.iter().flat_map(|status| &status.overrides);
    let is_live = |record: &&OverrideStatus| record.value.trim().parse::<Timestamp>().is_ok_and(|until| now < until);
    all.filter(is_live).cloned().collect()
}

/// The operation Lease as the rules see it.
pub fn lease(seen: LeaseView) -> Lease {
    let token = |fence: controller_kit::lease::Fence| Token { uid: fence.uid, transitions: fence.transitions };
    Lease {
        identity: seen.identity,
        holder: seen.holder,
        operation: seen.operation.map(|operation| format!("{} of {}", operation.kind, operation.target)),
        token: seen.now.map(token),
        taken: seen.taken.map(token),
        renewed_ago: seen.renewed_ago,
        duration: seen.duration,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use controller_kit::metrics::Metrics;
    use doris_api::cluster::OverrideStatus;
    use doris_api::rules::SafetyRule;
    use doris_api::{DorisCluster, DorisClusterStatus};

    use super::{SafetyMetrics, Said, kept_records};
    use crate::cache::ClusterKey;

    #[test]
    fn clusters_that_are_blocked_are_counted_by_rule() {
        let metrics = Metrics::new("t");
        let numbers = SafetyMetrics::register(&metrics);
        let key = |name: &str| ClusterKey { namespace: "n".into(), name: name.into() };
        let rules = |rules: &[SafetyRule]| rules.iter().copied().collect::<BTreeSet<_>>();
        let blocked = |rule: &str| {
            let text = metrics.render().expect("text");
            text.lines().find_map(|line| line.strip_prefix(&format!("t_safety_blocked_clusters{{rule=\"{rule}\"}} ")).map(str::to_owned))
        };
        numbers.blocked(&key("a"), &rules(&[SafetyRule::ServeReplica, SafetyRule::BackupIdle]));
        numbers.blocked(&key("b"), &rules(&[SafetyRule::ServeReplica]));
        assert_eq!((blocked("ServeReplica").as_deref(), blocked("BackupIdle").as_deref()), (Some("2"), Some("1")));
        numbers.blocked(&key("a"), &rules(&[SafetyRule::BackupIdle]));
        numbers.blocked(&key("b"), &BTreeSet::new());
        assert_eq!((blocked("ServeReplica").as_deref(), blocked("BackupIdle").as_deref()), (Some("0"), Some("1")));
    }

    #[test]
    fn a_record_is_kept_as_long_as_its_annotation_could_override() {
        let record = |value: &str| OverrideStatus { rule: "BackupIdle".into(), value: value.into(), ..OverrideStatus::default() };
        let overrides = vec![record("2026-06-01T00:00:00Z"), record("2026-06-03T00:00:00Z"), record("x")];
        let status = DorisClusterStatus { overrides, ..DorisClusterStatus::default() };
        let mut cluster: DorisCluster = serde_json::from_value(serde_json::json!({
            "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisCluster",
            "metadata": {"name": "c", "annotations": {"override.doris-operator.dev/BackupIdle": "2026-06-03T00:00:00Z", "override.doris-operator.dev/X": "1"}},
            "spec": {"version": "2.1.7", "fe": {"storage": {"size": "1Gi"}}},
        }))
        .expect("a cluster");
        cluster.status = Some(status);
        let now = "2026-06-02T00:00:00Z".parse().expect("a time");
        assert_eq!(kept_records(&cluster, now), [record("2026-06-03T00:00:00Z")]);
        let said = Said::of(&cluster, "Test".into(), now);
        assert_eq!((said.terms().overrides.len(), said.terms().used.len(), said.mistaken.len()), (1, 3, 1));
    }
}
