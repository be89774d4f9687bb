//! What there is to tell of a cluster that comes to life: one line a change.

use std::collections::{BTreeMap, BTreeSet};

use doris_api::DorisCluster;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;

/// Lines about clusters, with what was said already.
#[derive(Debug, Default)]
pub struct Progress {
    said: BTreeMap<String, String>,
    events: BTreeSet<String>,
}

impl Progress {
    /// The line about a cluster that changed, if it says anything new.
    pub fn of_cluster(&mut self, cluster: &DorisCluster) -> Option<String> {
        let name = cluster.name_any();
        let line = line(cluster)?;
        (self.said.insert(name.clone(), line.clone()).as_ref() != Some(&line)).then(|| format!("{name}: {line}"))
    }

    /// The line about a cluster that is gone.
    pub fn of_gone(&mut self, cluster: &DorisCluster) -> String {
        self.said.remove(&cluster.name_any());
        format!("{}: deleted", cluster.name_any())
    }

    /// The line about an Event, if people should see it: those about clusters, and warnings about anything else but a probe,
    /// which fails of every member that starts.
    pub fn of_event(&mut self, event: &Event) -> Option<String> {
        let about = &event.involved_object;
        let kind = about.kind.as_deref().unwrap_or_default();
        let reason = event.reason.as_deref().unwrap_or_default();
        let is_warning = event.type_.as_deref() == Some("Warning");
        if kind != "DorisCluster" && (!is_warning || reason == "Unhealthy") {
            return None;
        }
        let severity = if is_warning { "Warning" } else { "Event" };
        let note = event.message.as_deref().unwrap_or_default();
        let text = format!("{severity} {reason} about {kind} {}: {note}", about.name.as_deref().unwrap_or_default());
        self.events.insert(text.clone()).then_some(text)
    }
}

/// Whether the cluster is as its present spec asks.
pub fn is_ready(cluster: &DorisCluster) -> bool {
    conditions(cluster).any(|condition| {
        condition.type_ == "Ready" && condition.status == "True" && condition.observed_generation == cluster.metadata.generation
    })
}

/// Why the cluster is not Ready, as its conditions tell.
pub fn why_not_ready(cluster: &DorisCluster) -> String {
    let named = |name: &str| conditions(cluster).find(|condition| condition.type_ == name && condition.status == "True");
    let reason = named("Stalled").or_else(|| named("Reconciling")).map(|condition| format!("{}: {}", condition.reason, condition.message));
    reason.unwrap_or_else(|| "no controller has written a status yet".to_owned())
}

fn conditions(cluster: &DorisCluster) -> impl Iterator<Item = &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    cluster.status.iter().flat_map(|status| &status.conditions)
}

fn line(cluster: &DorisCluster) -> Option<String> {
    if cluster.metadata.deletion_timestamp.is_some() {
        return Some("is being deleted".to_owned());
    }
    let status = cluster.status.as_ref()?;
    let cn = status.cn.as_ref().map(|cn| cn.summary.clone());
    let counts = [
        ("FE", status.fe.as_ref().map(|fe| fe.summary.clone())),
        ("BE", status.be.as_ref().map(|be| be.summary.clone())),
        ("CN", cn),
        ("broker", status.broker.as_ref().map(|broker| broker.summary.clone())),
    ];
    let counts: Vec<String> = counts.into_iter().filter_map(|(name, summary)| summary.map(|summary| format!("{name} {summary}"))).collect();
    let now = if is_ready(cluster) { "Ready".to_owned() } else { why_not_ready(cluster) };
    Some(format!("{}  {now}", counts.join("  ")))
}

#[cfg(test)]
mod tests {
    use super::{Progress, is_ready, why_not_ready};
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "callers make the status in place")]
    fn cluster(status: serde_json::Value) -> doris_api::DorisCluster {
        serde_json::from_value(json!({
            "apiVersion": "doris-operator.dev/v1beta1",
            "kind": "DorisCluster",
            "metadata": {"name": "demo", "generation": 2},
            "spec": {"version": "2.1.7", "fe": {"replicas": 1, "storage": {"size": "1Gi"}}},
            "status": status,
        }))
        .expect("a cluster")
    }

    fn condition(kind: &str, generation: i64) -> serde_json::Value {
        json!({"type": kind, "status": "True", "reason": kind, "message": "why", "lastTransitionTime": "2026-01-01T00:00:00Z",
               "observedGeneration": generation})
    }

    #[test]
    fn a_change_is_told_once() {
        let mut progress = Progress::default();
        let starting = cluster(json!({"conditions": [condition("Reconciling", 2)], "fe": {"summary": "0/1"}}));
        assert_eq!(progress.of_cluster(&starting).as_deref(), Some("demo: FE 0/1  Reconciling: why"));
        assert_eq!(progress.of_cluster(&starting), None);
        let ready = cluster(json!({"conditions": [condition("Ready", 2)], "fe": {"summary": "1/1"}}));
        assert_eq!(progress.of_cluster(&ready).as_deref(), Some("demo: FE 1/1  Ready"));
    }

    #[test]
    fn a_condition_about_an_older_spec_does_not_count() {
        assert!(is_ready(&cluster(json!({"conditions": [condition("Ready", 2)]}))));
        assert!(!is_ready(&cluster(json!({"conditions": [condition("Ready", 1)]}))));
    }

    #[test]
    fn what_a_person_has_to_mend_comes_before_what_is_waited_for() {
        let stuck = cluster(json!({"conditions": [condition("Reconciling", 2), condition("Stalled", 2)]}));
        assert_eq!(why_not_ready(&stuck), "Stalled: why");
        assert_eq!(why_not_ready(&cluster(json!({}))), "no controller has written a status yet");
    }

    #[test]
    fn probes_of_starting_members_are_not_told_and_other_warnings_are() {
        let event = |kind: &str, severity: &str, reason: &str| {
            serde_json::from_value(json!({
                "metadata": {}, "involvedObject": {"kind": kind, "name": "x"}, "type": severity, "reason": reason, "message": "m",
            }))
            .expect("an event")
        };
        let mut progress = Progress::default();
        assert_eq!(progress.of_event(&event("Pod", "Warning", "Unhealthy")), None);
        assert_eq!(progress.of_event(&event("Pod", "Normal", "Started")), None);
        assert_eq!(progress.of_event(&event("Pod", "Warning", "Failed")).as_deref(), Some("Warning Failed about Pod x: m"));
        assert_eq!(progress.of_event(&event("DorisCluster", "Normal", "Ready")).as_deref(), Some("Event Ready about DorisCluster x: m"));
    }
}
