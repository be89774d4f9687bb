//! Rules about processes that come back: under their name, on their volume.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use doris_api::{Component, names};
use doris_sim::{BackendFacts, FrontendFacts, MemberFacts, MemberKind, ProcessId};
use tokio::time::Instant;

use super::ClusterName;
use super::model::cluster_of;

/// A pod that is there already when its frontend is dropped may start for so long before it knows: a kubelet brings a changed
/// `ConfigMap` to it within a minute.
const UNTIL_KNOWN: Duration = Duration::from_mins(1);

/// A backend that started on empty disks although Doris had it registered with data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlankStart {
    pub namespace: String,
    pub pod: String,
    ip: IpAddr,
}

/// A member under its name in Doris.
#[derive(Clone, Debug, Default)]
struct Membership {
    /// How often it was registered anew, and whether it is now.
    registration: u32,
    is_there: bool,
    /// When it was dropped last.
    dropped: Option<Instant>,
    /// The registration under which it last worked, and the address that it had then.
    worked: Option<(u32, IpAddr)>,
    /// It told of tablets under that registration.
    had_data: bool,
}

/// What was seen of starts so far.
#[derive(Debug, Default)]
pub(super) struct Starts {
    broken: BTreeSet<String>,
    members: BTreeMap<String, Membership>,
    judged: BTreeSet<ProcessId>,
    blank: BTreeSet<BlankStart>,
    /// Frontends by name and address of their pod that joined anew there: what they start on afterwards is their own.
    joined: BTreeSet<(String, IpAddr)>,
}

impl Starts {
    pub fn broken(&self) -> &BTreeSet<String> {
        &self.broken
    }

    /// Backends that needed leave to start empty.
    pub fn blank(&self) -> &BTreeSet<BlankStart> {
        &self.blank
    }

    /// Takes a look at every process there ever was.
    pub fn look(&mut self, members: &[MemberFacts]) {
        let running: Vec<&MemberFacts> = members.iter().filter(|member| member.is_running()).collect();
        let frontends: Vec<&FrontendFacts> = running.iter().filter_map(|member| member.frontend()).collect();
        for facts in members {
            match facts {
                MemberFacts::Frontend(fe) if self.judged.insert(fe.start.process) => self.frontend(fe),
                MemberFacts::Backend(be) if self.judged.insert(be.process) => self.backend(be),
                _ => {}
            }
        }
        self.one_process(&running);
        for master in frontends.iter().filter(|fe| fe.says_master && fe.ready && fe.has_majority) {
            self.rows(master, &running);
        }
    }

    /// `one-process`: no two processes run under one name: Doris tells them apart by nothing else.
    fn one_process(&mut self, running: &[&MemberFacts]) {
        let mut seen = BTreeSet::new();
        for member in running.iter().filter(|member| cluster_of(member.fqdn()).is_some()) {
            if !seen.insert(member.fqdn()) {
                self.broken.insert(format!("one-process: two processes of {} run at the same time", member.fqdn()));
            }
        }
    }

    /// `dropped-stays-out`: metadata of a frontend that was dropped is never started on in another pod.
    fn frontend(&mut self, fe: &FrontendFacts) {
        let start = &fe.start;
        let pod = (start.fqdn.clone(), start.ip);
        if !start.metadata.is_complete() {
            self.joined.insert(pod);
            return;
        }
        if self.joined.contains(&pod) {
            return;
        }
        let Some(member) = self.members.get(&start.fqdn) else { return };
        let Some((registration, ip)) = member.worked else { return };
        let was_dropped = !member.is_there || registration != member.registration;
        let is_known = member.dropped.is_some_and(|at| start.at >= at + UNTIL_KNOWN);
        if was_dropped && is_known && ip != start.ip {
            self.broken.insert(format!("dropped-stays-out: {} was dropped, and a new pod starts on its metadata", start.fqdn));
        }
    }

    fn backend(&mut self, be: &BackendFacts) {
        let Some(member) = self.members.get(&be.fqdn).filter(|member| be.blank_start && member.is_there && member.had_data) else { return };
        if member.worked.is_none_or(|(registration, _)| registration != member.registration) {
            return;
        }
        let Some((namespace, name)) = cluster_of(&be.fqdn) else { return };
        let Some(pod) = be.fqdn.split('.').next() else { return };
        if names::parse_pod(&name, pod).is_some_and(|(component, _)| component == Component::Be) {
            self.blank.insert(BlankStart { namespace, pod: pod.to_owned(), ip: be.ip });
        }
    }

    fn rows(&mut self, master: &FrontendFacts, running: &[&MemberFacts]) {
        let Some(cluster) = cluster_of(&master.start.fqdn) else { return };
        let hosts: BTreeSet<&str> = master.registered.iter().map(|row| row.host.as_str()).collect();
        for (host, member) in &mut self.members {
            let stays = hosts.contains(host.as_str()) || !is_of(host, &cluster);
            if member.is_there && !stays {
                (member.is_there, member.dropped) = (false, Some(Instant::now()));
            }
        }
        for row in master.registered.iter().filter(|row| row.kind != MemberKind::Broker) {
            let member = self.members.entry(row.host.clone()).or_default();
            member.registration += u32::from(!member.is_there);
            member.had_data &= member.is_there;
            member.is_there = true;
            let own = running.iter().find(|member| member.fqdn() == row.host);
            match own {
                Some(MemberFacts::Frontend(fe)) if fe.ready && fe.cluster_id == master.cluster_id => {
                    member.worked = Some((member.registration, fe.start.ip));
                }
                Some(MemberFacts::Backend(be)) if row.alive && be.tablets > 0 => {
                    member.worked = Some((member.registration, be.ip));
                    member.had_data = true;
                }
                _ => {}
            }
        }
    }
}

fn is_of(host: &str, cluster: &ClusterName) -> bool {
    cluster_of(host).as_ref() == Some(cluster)
}
