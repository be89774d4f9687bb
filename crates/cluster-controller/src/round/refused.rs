//! Pods and claims that the API server refuses to a StatefulSet: quotas, limit ranges, pod security, admission webhooks.
//!
//! Kubernetes tells of them only in Events of the set, so these are read while a set lacks pods for longer than a pod takes to be made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::conditions::reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use tokio::time::Instant;

use super::Round;
use crate::report::Finding;

/// A set makes its pods at once; this long it may take to notice.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the Events.
const PACE: Duration = Duration::from_secs(20);
/// A set that is refused tries again after at most a thousand seconds.
const TOLD_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_mins(20);
/// A request that is not answered is tried again at the next look.
const DEADLINE: Duration = Duration::from_secs(5);
/// More than this is not told of one set: all say the same.
const MOST: u32 = 100;

/// What is remembered of pods that are missing.
#[derive(Default)]
pub struct RefusedMemory {
    /// Since when each set lacks pods.
    missing: BTreeMap<String, Instant>,
    /// When Events were read last.
    asked: Option<Instant>,
    /// What they said.
    told: Vec<Finding>,
}

impl Round<'_> {
    /// Says why pods are not even made.
    pub(super) async fn tell_of_refused_pods(&mut self) {
        let now = self.ctx.clock.instant();
        let missing = self.missing_pods();
        let known = &mut self.memory.refused;
        known.missing.retain(|set, _| missing.contains_key(set));
        for set in missing.keys() {
            known.missing.entry(set.clone()).or_insert(now);
        }
        let is_long = |set: &String| known.missing.get(set).is_some_and(|since| now.duration_since(*since) >= PATIENCE);
        let long: Vec<(&String, &(String, BTreeSet<String>))> = missing.iter().filter(|(set, _)| is_long(set)).collect();
        if long.is_empty() {
            self.memory.refused.told.clear();
            self.memory.refused.asked = None;
            return;
        }
        if self.memory.refused.asked.is_none_or(|asked| now.duration_since(asked) >= PACE) {
            let mut told = Vec::new();
            for (set, (uid, pods)) in long {
                match self.events(uid).await {
                    Ok(events) => told.extend(refusal(&events, pods, self.ctx.clock.now())),
                    Err(message) => {
                        self.wait(reason::WAITING_FOR_PODS, format!("why StatefulSet {set} makes no pods is not known: {message}"));
                    }
                }
            }
            self.memory.refused.asked = Some(now);
            self.memory.refused.told = told;
        }
        self.facts.stalls.extend(self.memory.refused.told.iter().cloned());
    }

    /// Pods that each set is to have and that are not there, beside the uid of the set.
    fn missing_pods(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let there: BTreeSet<&String> = self.facts.seen.pods.values().flatten().map(|pod| &pod.name).collect();
        let sets = self.ctx.caches.sets.of(self.key);
        let missing = sets.iter().filter(|(_, set)| !set.leaving).map(|(name, set)| {
            let pods = (0..set.replicas).map(|ordinal| format!("{name}-{ordinal}")).filter(|pod| !there.contains(pod)).collect();
            (name.clone(), (set.stamp.uid.to_string(), pods))
        });
        missing.filter(|(_, (_, pods)): &(String, (String, BTreeSet<String>))| !pods.is_empty()).collect()
    }

    async fn events(&self, uid: &str) -> Result<Vec<Event>, String> {
        let events: Api<Event> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let of_set = ListParams::default().fields(&format!("involvedObject.uid={uid},reason=FailedCreate")).limit(MOST);
        match tokio::time::timeout(DEADLINE, events.list(&of_set)).await {
            Ok(Ok(list)) => Ok(list.items),
            Ok(Err(error)) => Err(format!("its Events cannot be read: {error}")),
            Err(_) => Err("its Events were not told in time".to_owned()),
        }
    }
}

/// The latest refusal that is about one of these pods, in words for a person. The others are refused for the same reason.
fn refusal(events: &[Event], pods: &BTreeSet<String>, now: Timestamp) -> Option<Finding> {
    let about = |event: &&Event| event.message.as_deref().and_then(pod_of).is_some_and(|pod| pods.contains(pod));
    let recent = events.iter().filter(about).filter_map(|event| Some((seen(event)?, event)));
    let (_, event) = recent.filter(|(at, _)| now.duration_since(*at) < TOLD_WITHIN).max_by_key(|(at, _)| *at)?;
    let message = event.message.as_deref()?;
    let cause = message.split_once(" failed error: ").map_or(message, |(_, cause)| cause);
    let (what, cause) = cause.split_once(" is forbidden: ").unwrap_or((cause, ""));
    let pod = pod_of(message)?;
    let (reason, way_out) = kind_of(message);
    let claim = what.split_once("persistentvolumeclaims \"").and_then(|(_, rest)| rest.split_once('"')).map(|(claim, _)| claim);
    let object = claim.map_or_else(|| "it is refused".to_owned(), |claim| format!("its claim {claim} is refused"));
    let cause = if cause.is_empty() { what } else { cause };
    Some(Finding::new(reason, format!("pod {pod} is not made, {object}: {cause}. {way_out}")))
}

/// The pod that such an Event is about.
fn pod_of(message: &str) -> Option<&str> {
    message.split_whitespace().skip_while(|word| *word != "Pod").nth(1)
}

/// What stands in the way, and what a person can do.
fn kind_of(message: &str) -> (&'static str, &'static str) {
    if message.contains("exceeded quota") || message.contains("failed quota") {
        return (reason::QUOTA_EXCEEDED, "Raise the ResourceQuota of the namespace, or ask for less");
    }
    if message.contains("violates PodSecurity") {
        return (reason::POD_SECURITY, "Set spec.podSecurity to what the namespace enforces, or let the namespace enforce less");
    }
    if [" usage per ", "is not specified", "limit to request ratio"].iter().any(|of_a_limit_range| message.contains(of_a_limit_range)) {
        return (reason::REFUSED_BY_SERVER, "A LimitRange of the namespace says so: change it, or the resources of the component");
    }
    (reason::REFUSED_BY_SERVER, "It is tried again by itself, more and more rarely")
}

/// When an Event was last seen, whoever wrote it and in which of its forms.
fn seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0).or(event.metadata.creation_timestamp.as_ref().map(|time| time.0));
    [series, last, first].into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::core::v1::Event;
    use serde_json::json;

    use super::refusal;

    fn event(at: &str, message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": "e", "creationTimestamp": "2026-06-01T00:00:00Z"}, "involvedObject": {},
            "reason": "FailedCreate", "lastTimestamp": at, "message": message,
        }))
        .expect("an Event")
    }

    fn told(events: &[Event]) -> Option<(&'static str, String)> {
        let pods = BTreeSet::from(["demo-be-1".to_owned(), "demo-be-2".to_owned()]);
        let finding = refusal(events, &pods, "2026-06-01T01:00:00Z".parse().expect("a time"));
        finding.map(|finding| (finding.reason, finding.message))
    }

    #[test]
    fn the_server_s_reason_is_told_with_what_to_do() {
        let cases = [
            (
                "create Pod demo-be-2 in StatefulSet demo-be failed error: pods \"demo-be-2\" is forbidden: exceeded quota: q, requested: requests.cpu=4, used: requests.cpu=8, limited: requests.cpu=10",
                "QuotaExceeded",
                "pod demo-be-2 is not made, it is refused: exceeded quota: q, requested: requests.cpu=4, used: requests.cpu=8, limited: requests.cpu=10. Raise the ResourceQuota of the namespace, or ask for less",
            ),
            (
                "create Pod demo-be-1 in StatefulSet demo-be failed error: failed to create PVC data-demo-be-1: persistentvolumeclaims \"data-demo-be-1\" is forbidden: exceeded quota: q, requested: requests.storage=10Gi, used: requests.storage=0, limited: requests.storage=5Gi",
                "QuotaExceeded",
                "pod demo-be-1 is not made, its claim data-demo-be-1 is refused: exceeded quota: q, requested: requests.storage=10Gi, used: requests.storage=0, limited: requests.storage=5Gi. Raise the ResourceQuota of the namespace, or ask for less",
            ),
            (
                "create Pod demo-be-1 in StatefulSet demo-be failed error: pods \"demo-be-1\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
                "PodSecurity",
                "pod demo-be-1 is not made, it is refused: violates PodSecurity \"restricted:latest\": runAsNonRoot != true. Set spec.podSecurity to what the namespace enforces, or let the namespace enforce less",
            ),
            (
                "create Pod demo-be-1 in StatefulSet demo-be failed error: pods \"demo-be-1\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 4Gi",
                "RefusedByServer",
                "pod demo-be-1 is not made, it is refused: maximum memory usage per Container is 1Gi, but limit is 4Gi. A LimitRange of the namespace says so: change it, or the resources of the component",
            ),
            (
                "create Pod demo-be-1 in StatefulSet demo-be failed error: admission webhook \"w.example\" denied the request: no",
                "RefusedByServer",
                "pod demo-be-1 is not made, it is refused: admission webhook \"w.example\" denied the request: no. It is tried again by itself, more and more rarely",
            ),
        ];
        for (message, reason, expected) in cases {
            assert_eq!(told(&[event("2026-06-01T00:59:00Z", message)]), Some((reason, expected.to_owned())));
        }
    }

    #[test]
    fn the_latest_one_counts_and_old_ones_and_others_pods_do_not() {
        let refused =
            |pod: &str, why: &str| format!("create Pod {pod} in StatefulSet demo-be failed error: pods \"{pod}\" is forbidden: {why}");
        assert_eq!(told(&[event("2026-06-01T00:30:00Z", &refused("demo-be-1", "exceeded quota: q"))]), None, "half an hour ago");
        assert_eq!(told(&[event("2026-06-01T00:59:00Z", &refused("demo-be-0", "exceeded quota: q"))]), None, "its pod is there");
        assert_eq!(told(&[event("2026-06-01T00:59:00Z", "no words that are known")]), None);
        let two = [
            event("2026-06-01T00:58:00Z", &refused("demo-be-1", "exceeded quota: q")),
            event("2026-06-01T00:59:00Z", &refused("demo-be-1", "violates PodSecurity \"baseline:latest\": x")),
        ];
        assert_eq!(told(&two).map(|(reason, _)| reason), Some("PodSecurity"));
    }
}
