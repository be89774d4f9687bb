//! What people are told of members beside the work: pods that do not run, and members that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_kit::events::Severity;
use doris_api::Component;
use doris_api::conditions::reason;
use tokio::time::Instant;

use super::Round;
use crate::report::Finding;

/// What Doris' own start scripts say of a node that lacks what a backend needs, in any version.
const NODE_WORDS: [&str; 3] = ["vm.max_map_count", "swap memory", "ulimit -n"];
/// A row that is unknown for less is about to go, or to be somebody's.
const LASTING: Duration = Duration::from_mins(1);

/// Members that nobody asked for, by their hosts. Losing it costs an Event.
#[derive(Debug, Default)]
pub struct UnknownMemory {
    since: BTreeMap<String, Instant>,
    told: BTreeSet<String>,
}

impl UnknownMemory {
    /// Those that have been there for a while and were not told. What a former process left in the status is told.
    fn due(&mut self, hosts: &BTreeSet<String>, in_status: &BTreeSet<String>, now: Instant) -> Vec<String> {
        self.since.retain(|host, _| hosts.contains(host));
        self.told.retain(|host| hosts.contains(host));
        for host in hosts {
            if !self.since.contains_key(host) {
                self.since.insert(host.clone(), now);
                if in_status.contains(host) {
                    self.told.insert(host.clone());
                }
            }
        }
        let lasting = self.since.iter().filter(|(_, since)| now.duration_since(**since) >= LASTING).map(|(host, _)| host.clone());
        lasting.filter(|host| self.told.insert(host.clone())).collect()
    }
}

impl Round<'_> {
    /// Members whose pods do not run, in the words of whoever holds them up.
    pub(super) fn tell_of_pods(&mut self) {
        let (mut waits, mut stalls) = (Vec::new(), Vec::new());
        for (component, pod) in self.facts.seen.pods.iter().flat_map(|(component, pods)| pods.iter().map(move |pod| (*component, pod))) {
            let Some(trouble) = pod.waiting.as_ref().filter(|_| !pod.ready) else { continue };
            if lacks_a_prepared_node(component, trouble) {
                let message = format!(
                    "pod {} does not run, for its node is not prepared: {trouble}. Prepare the node, or let the pod do it (nodeTuning: InitContainer)",
                    pod.name
                );
                stalls.push(Finding::new(reason::NODE_UNTUNED, message));
            } else {
                waits.push(Finding::new(reason::WAITING_FOR_PODS, format!("pod {} does not run: {trouble}", pod.name)));
            }
        }
        self.facts.waits.extend(waits);
        self.facts.stalls.extend(stalls);
    }

    /// Members that nobody asked for stand in the status; that they came is told once.
    pub(super) async fn tell_of_unknown_members(&mut self) {
        if !self.facts.is_fresh {
            return;
        }
        let hosts = self.facts.unknown.iter().map(|member| member.host.clone()).collect();
        let status = self.cluster.status.as_ref();
        let in_status = status.into_iter().flat_map(|status| &status.unknown_members).map(|member| member.host.clone()).collect();
        let due = self.memory.unknown.due(&hosts, &in_status, self.ctx.clock.instant());
        if !due.is_empty() {
            let note = format!("{} registered in Doris, and nobody asked for them; they are left alone", due.join(", "));
            self.announce(Severity::Warning, reason::UNKNOWN_MEMBERS, "Observe", note).await;
        }
    }
}

fn lacks_a_prepared_node(component: Component, trouble: &str) -> bool {
    matches!(component, Component::Be | Component::Cn) && NODE_WORDS.iter().any(|words| trouble.contains(words))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use doris_api::Component;
    use tokio::time::Instant;

    use super::{UnknownMemory, lacks_a_prepared_node};

    fn set(hosts: &[&str]) -> BTreeSet<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_nobody_asked_for_is_told_once_when_it_stays() {
        let mut memory = UnknownMemory::default();
        let mut due = |hosts: &[&str], status: &[&str]| memory.due(&set(hosts), &set(status), Instant::now());
        assert!(due(&["a", "old"], &["old"]).is_empty(), "not at once");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(due(&["a", "b", "old"], &["a", "old"]).is_empty());
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(due(&["a", "b", "old"], &["a", "b", "old"]), ["a"], "what was in the status before is told already");
        tokio::time::sleep(Duration::from_mins(9)).await;
        assert!(due(&["a"], &["a"]).is_empty(), "b went");
        assert!(due(&["a", "b"], &[]).is_empty(), "b is new again");
        tokio::time::sleep(Duration::from_mins(9)).await;
        assert_eq!(due(&["a", "b"], &[]), ["b"]);
    }

    #[test]
    fn a_backend_that_misses_a_prepared_node_says_so_in_doris_words() {
        for words in [
            "Set kernel parameter 'vm.max_map_count' to a value greater than 2000000",
            "Disable swap memory before starting be",
            "and then run 'ulimit -n 655350' to take effect on current session.",
        ] {
            assert!(lacks_a_prepared_node(Component::Be, words) && !lacks_a_prepared_node(Component::Fe, words), "{words}");
        }
        assert!(!lacks_a_prepared_node(Component::Be, "it is not scheduled: no node fits"));
    }
}
