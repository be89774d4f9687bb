//! Rules about Doris' processes, their volumes and what they have registered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_sim::{BackendFacts, FeStart, Founding, FrontendFacts, MemberFacts, MemberKind, ProcessId};
use tokio::time::Instant;

use super::ClusterName;

/// A master may be lost between its proof and the statement that the proof was for.
const BETWEEN_PROOF_AND_ACT: Duration = Duration::from_secs(2);

/// A start that made, or could make, a cluster of its own.
#[derive(Clone, Debug)]
pub(super) struct FoundingStart {
    pub cluster: ClusterName,
    pub fqdn: String,
    pub at: Instant,
}

/// What was seen of the model so far.
#[derive(Debug, Default)]
pub(super) struct Model {
    broken: BTreeSet<String>,
    /// Frontend processes whose start was judged.
    judged: usize,
    foundings: Vec<FoundingStart>,
    /// Every host ever registered.
    registered: BTreeSet<(ClusterName, String)>,
    /// Followers that are voters by the master's list and by their own word.
    settled: BTreeSet<(ClusterName, String)>,
    /// How often a host was registered anew, and whether it is now.
    registrations: BTreeMap<(ClusterName, String), (u32, bool)>,
    /// The registration under which a blank frontend once became a member.
    used: BTreeMap<(ClusterName, String), u32>,
    /// Clusters in which a master served, and those which somebody joined.
    led: BTreeSet<ClusterName>,
    joined: BTreeSet<ClusterName>,
    accepted: BTreeMap<String, BTreeSet<u32>>,
    /// Masters that no majority follows, and since when.
    alone: BTreeMap<ProcessId, Instant>,
    /// Voters of each master as it had them last.
    voters: BTreeMap<ProcessId, BTreeSet<String>>,
}

/// Whether a statement changes who belongs to the cluster.
fn changes_members(statement: &str) -> bool {
    let words: Vec<String> = statement.split_whitespace().take(3).map(str::to_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words.as_slice(), ["ALTER", "SYSTEM", _] | ["CANCEL", "DECOMMISSION", _])
}

/// The cluster that a member's own name belongs to.
pub(super) fn cluster_of(fqdn: &str) -> Option<ClusterName> {
    let mut labels = fqdn.split('.');
    let (_, service, namespace) = (labels.next()?, labels.next()?, labels.next()?);
    let set = service.strip_suffix("-members")?;
    let set = set.strip_suffix("-ob").unwrap_or(set);
    let (cluster, _) = set.rsplit_once('-')?;
    Some((namespace.to_owned(), cluster.to_owned()))
}

impl Model {
    pub fn broken(&self) -> &BTreeSet<String> {
        &self.broken
    }

    pub fn break_rule(&mut self, sentence: String) {
        self.broken.insert(sentence);
    }

    pub fn registered(&self) -> &BTreeSet<(ClusterName, String)> {
        &self.registered
    }

    pub fn foundings(&self) -> &[FoundingStart] {
        &self.foundings
    }

    /// Takes a look at every process there ever was; tells who was registered since the last one. While somebody else takes members
    /// away, what was decided just before is not judged by who is there.
    pub fn look(&mut self, members: &[MemberFacts], is_disturbed: bool) -> Vec<(ClusterName, String)> {
        let frontends: Vec<&FrontendFacts> = members.iter().filter_map(MemberFacts::frontend).collect();
        let backends: Vec<&BackendFacts> = members.iter().filter_map(MemberFacts::backend).collect();
        let running: Vec<&FrontendFacts> = members.iter().filter(|member| member.is_running()).filter_map(MemberFacts::frontend).collect();
        let fresh = self.lists(&running);
        for facts in frontends.iter().skip(self.judged) {
            self.start(&facts.start, &running);
        }
        self.judged = frontends.len();
        self.journals(&frontends);
        self.lone_masters(&running);
        self.drops(&running, is_disturbed);
        self.cluster_ids(&running);
        self.backends(&backends);
        fresh
    }

    /// `found-once`, `no-bdb`, `added-before`: how a frontend began.
    fn start(&mut self, start: &FeStart, running: &[&FrontendFacts]) {
        let Some(cluster) = cluster_of(&start.fqdn) else { return };
        let (found, name) = (start.metadata, &start.fqdn);
        if found.role && found.version && !found.bdb {
            self.break_rule(format!("no-bdb: {name} started on ROLE and VERSION without a journal"));
        }
        if start.founds() {
            if self.joined.contains(&cluster) {
                self.break_rule(format!("found-once: {name} founded a cluster although members had joined one before"));
            }
            self.foundings.push(FoundingStart { cluster, fqdn: name.clone(), at: start.at });
        } else if found.is_blank() {
            let is_registered = running.iter().any(|fe| fe.registered.iter().any(|row| row.host == *name));
            if !is_registered {
                self.break_rule(format!("added-before: {name} started without metadata and nobody had registered it"));
            }
            let key = (cluster, name.clone());
            let registration = self.registrations.get(&key).map_or(0, |(count, _)| *count);
            if self.used.get(&key) == Some(&registration) {
                self.break_rule(format!("added-before: {name} came back without metadata under the registration that it had before"));
            }
        }
    }

    /// `one-follower`: what the masters have registered.
    fn lists(&mut self, running: &[&FrontendFacts]) -> Vec<(ClusterName, String)> {
        let mut fresh = Vec::new();
        for master in running.iter().filter(|fe| fe.says_master && fe.ready) {
            let Some(cluster) = cluster_of(&master.start.fqdn) else { continue };
            self.led.insert(cluster.clone());
            let hosts: BTreeSet<&str> = master.registered.iter().map(|row| row.host.as_str()).collect();
            for ((of, host), (_, there)) in &mut self.registrations {
                *there = *there && (*of != cluster || hosts.contains(host.as_str()));
            }
            self.settled.retain(|(of, host)| *of != cluster || hosts.contains(host.as_str()));
            for host in hosts {
                let key = (cluster.clone(), host.to_owned());
                let (count, there) = self.registrations.entry(key.clone()).or_default();
                *count += u32::from(!*there);
                fresh.extend((!*there).then(|| key.clone()));
                *there = true;
                self.registered.insert(key);
            }
            self.followers(&cluster, master, running);
        }
        fresh
    }

    fn followers(&mut self, cluster: &ClusterName, master: &FrontendFacts, running: &[&FrontendFacts]) {
        let mut waiting = Vec::new();
        for row in master.registered.iter().filter(|row| row.kind == MemberKind::Follower) {
            let key = (cluster.clone(), row.host.clone());
            let own = running.iter().find(|fe| fe.start.fqdn == row.host);
            let is_member = own.is_some_and(|fe| fe.ready && fe.cluster_id == master.cluster_id);
            if is_member && (row.alive || row.host == master.start.fqdn) {
                if row.host != master.start.fqdn {
                    self.joined.insert(cluster.clone());
                }
                let registration = self.registrations.get(&key).map_or(0, |(count, _)| *count);
                self.used.insert(key.clone(), registration);
                self.settled.insert(key);
            } else if !self.settled.contains(&key) {
                waiting.push(row.host.as_str());
            }
        }
        if waiting.len() > 1 {
            self.break_rule(format!("one-follower: {} were registered and had not joined, at the same time", waiting.join(" and ")));
        }
    }

    /// `no-bdb`: nobody makes a new journal under an old id.
    fn journals(&mut self, frontends: &[&FrontendFacts]) {
        for fe in frontends.iter().filter(|fe| fe.founded == Some(Founding::Journal)) {
            self.break_rule(format!("no-bdb: {} began an empty journal under the old cluster id", fe.start.fqdn));
        }
    }

    /// `led-by-majority`: a master that no majority follows is not told to change members. It would keep what it is told to
    /// itself, or do it once it is found again.
    fn lone_masters(&mut self, running: &[&FrontendFacts]) {
        let now = Instant::now();
        self.alone.retain(|process, _| running.iter().any(|fe| fe.start.process == *process && fe.says_master && !fe.has_majority));
        for fe in running.iter().filter(|fe| fe.says_master && fe.ready && !fe.has_majority) {
            let since = *self.alone.entry(fe.start.process).or_insert(now);
            let told = fe.running.iter().filter(|statement| changes_members(&statement.text));
            for statement in told.filter(|statement| now - statement.for_so_long > since + BETWEEN_PROOF_AND_ACT) {
                let text = statement.text.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
                self.broken.insert(format!("led-by-majority: {} got {text} although no majority followed it", fe.start.fqdn));
            }
        }
    }

    /// `drop-leaves-majority`: when a follower is dropped, those that stay registered and serve are a majority of what stays. Before
    /// 3.0 it leaves the group first: a master that stays behind without a majority hangs at that statement, and its rows stay.
    fn drops(&mut self, running: &[&FrontendFacts], is_disturbed: bool) {
        self.voters.retain(|process, _| running.iter().any(|fe| fe.start.process == *process));
        for master in running.iter().filter(|fe| fe.says_master && fe.ready) {
            let voters: BTreeSet<String> =
                master.registered.iter().filter(|row| row.kind == MemberKind::Follower).map(|row| row.host.clone()).collect();
            let before = self.voters.insert(master.start.process, voters.clone()).unwrap_or_default();
            let dropped = before.difference(&voters).map(String::as_str).next().map(|host| (host, "was"));
            let in_doing = master.running.iter().filter_map(|statement| dropped_follower(&statement.text));
            for (host, is) in in_doing.filter(|host| voters.contains(*host)).map(|host| (host, "is being")).chain(dropped) {
                let stay: Vec<&String> = voters.iter().filter(|voter| *voter != host).collect();
                let serves = |voter: &&&String| running.iter().any(|fe| fe.ready && fe.start.fqdn == ***voter);
                let (serving, all) = (stay.iter().filter(serves).count(), stay.len());
                if serving * 2 <= all && !is_disturbed {
                    self.broken
                        .insert(format!("drop-leaves-majority: {host} {is} dropped, and {serving} of the {all} followers that stay serve"));
                }
            }
        }
    }

    /// `one-cluster-id`: all live frontends of a cluster have one.
    fn cluster_ids(&mut self, running: &[&FrontendFacts]) {
        let mut ids: BTreeMap<ClusterName, BTreeSet<u32>> = BTreeMap::new();
        for fe in running.iter().filter(|fe| fe.cluster_id != 0) {
            if let Some(cluster) = cluster_of(&fe.start.fqdn) {
                ids.entry(cluster).or_default().insert(fe.cluster_id);
            }
        }
        for ((_, cluster), ids) in ids.into_iter().filter(|(_, ids)| ids.len() > 1) {
            self.break_rule(format!("one-cluster-id: live frontends of {cluster} have the ids {ids:?}"));
        }
    }

    /// `one-heartbeat-source` and `workers-after-master`.
    fn backends(&mut self, backends: &[&BackendFacts]) {
        for be in backends {
            let Some(cluster) = cluster_of(&be.fqdn) else { continue };
            if !self.led.contains(&cluster) {
                self.break_rule(format!("workers-after-master: {} started before any master of its cluster served", be.fqdn));
            }
            if !be.accepted_cluster_ids.is_empty() {
                self.joined.insert(cluster);
            }
            let accepted = self.accepted.entry(be.fqdn.clone()).or_default();
            accepted.extend(&be.accepted_cluster_ids);
            if accepted.len() > 1 {
                let sentence = format!("one-heartbeat-source: {} took heartbeats of the clusters {accepted:?}", be.fqdn);
                self.break_rule(sentence);
            }
        }
    }
}

/// Host of the follower that a statement drops.
fn dropped_follower(text: &str) -> Option<&str> {
    let address = text.strip_prefix("ALTER SYSTEM DROP FOLLOWER \"")?.split('"').next()?;
    address.rsplit_once(':').map(|(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::{changes_members, cluster_of};

    #[test]
    fn statements_that_change_members_are_told_from_others() {
        for (statement, changes) in [
            ("ALTER SYSTEM ADD BACKEND \"h:1\"", true),
            ("alter system drop follower \"h:1\"", true),
            ("CANCEL DECOMMISSION BACKEND \"h:1\"", true),
            ("GRANT ADMIN_PRIV ON *.*.* TO 'a'", false),
            ("SHOW FRONTENDS", false),
        ] {
            assert_eq!(changes_members(statement), changes, "{statement}");
        }
    }

    #[test]
    fn a_members_name_tells_its_cluster() {
        for (fqdn, cluster) in [
            ("demo-fe-0.demo-fe-members.default.svc.cluster.local", Some(("default", "demo"))),
            ("my-fe-fe-ob-1.my-fe-fe-ob-members.ns.svc.x", Some(("ns", "my-fe"))),
            ("live-cn-3.live-cn-members.a.svc.cluster.local", Some(("a", "live"))),
            ("demo-fe.default.svc.cluster.local", None),
            ("localhost", None),
        ] {
            assert_eq!(cluster_of(fqdn), cluster.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())), "{fqdn}");
        }
    }
}
