//! Members, one by one and counted.

use std::collections::BTreeMap;

use doris_api::cluster::{ComponentStatus, MemberStatus};
use doris_api::{Component, DorisCluster};

use crate::view::MemberPod;

/// A member as Doris knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Role in Doris' words.
    pub role: Option<String>,
    /// It answered the last heartbeat.
    pub alive: bool,
    /// Id of a backend.
    pub backend_id: Option<i64>,
    /// Doris' complaint about it.
    pub error: String,
}

/// Pods by component, and what Doris knows by FQDN.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Pods by component, ordered by ordinal.
    pub pods: BTreeMap<Component, Vec<MemberPod>>,
    /// Registered members by FQDN.
    pub known: BTreeMap<String, Known>,
}

impl Seen {
    /// Takes members that nothing is known of from a former status.
    pub fn remember(&mut self, former: &[MemberStatus]) {
        for pod in self.pods.values().flatten() {
            let Some(member) = former.iter().find(|member| member.name == pod.name && member.registered) else { continue };
            let known = Known { role: member.role.clone(), alive: member.alive, backend_id: member.backend_id, error: String::new() };
            self.known.entry(pod.fqdn.clone()).or_insert(known);
        }
    }

    /// Pods of a component.
    pub fn of(&self, component: Component) -> &[MemberPod] {
        self.pods.get(&component).map_or(&[], Vec::as_slice)
    }
}

/// A component's members, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Wanted by the spec.
    pub desired: i32,
    /// Registered in Doris.
    pub registered: i32,
    /// Alive in Doris.
    pub alive: i32,
    /// Ready in Kubernetes.
    pub ready: i32,
    /// Pods there are.
    pub pods: i32,
}

impl Counted {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            desired: self.desired + other.desired,
            registered: self.registered + other.registered,
            alive: self.alive + other.alive,
            ready: self.ready + other.ready,
            pods: self.pods + other.pods,
        }
    }

    /// All wanted members are registered, alive and ready, and there are no others.
    pub fn is_complete(self) -> bool {
        [self.registered, self.alive, self.ready, self.pods].into_iter().all(|number| number == self.desired)
    }

    /// The form in the status.
    pub fn into_status(self) -> ComponentStatus {
        ComponentStatus {
            desired: self.desired,
            registered: self.registered,
            alive: self.alive,
            ready: self.ready,
            summary: format!("{}/{}", self.alive, self.desired),
        }
    }
}

/// Counts a component.
pub fn count(cluster: &DorisCluster, component: Component, seen: &Seen) -> Counted {
    let pods = seen.of(component);
    let number = |matches: &dyn Fn(&MemberPod) -> bool| i32::try_from(pods.iter().filter(|pod| matches(pod)).count()).unwrap_or(i32::MAX);
    Counted {
        desired: cluster.spec.replicas(component),
        registered: number(&|pod| seen.known.contains_key(&pod.fqdn)),
        alive: number(&|pod| seen.known.get(&pod.fqdn).is_some_and(|known| known.alive)),
        ready: number(&|pod| pod.ready && !pod.deleting),
        pods: number(&|_| true),
    }
}

/// Every member with a pod.
pub fn list(cluster: &DorisCluster, seen: &Seen) -> Vec<MemberStatus> {
    Component::ALL
        .into_iter()
        .filter(|component| cluster.spec.member(*component).is_some())
        .flat_map(|component| seen.of(component).iter().map(move |pod| member(component, pod, seen)))
        .collect()
}

fn member(component: Component, pod: &MemberPod, seen: &Seen) -> MemberStatus {
    let known = seen.known.get(&pod.fqdn);
    let complaint = known.map(|known| known.error.clone()).filter(|error| !error.is_empty());
    MemberStatus {
        name: pod.name.clone(),
        component: component.name().to_owned(),
        role: known.and_then(|known| known.role.clone()),
        registered: known.is_some(),
        alive: known.is_some_and(|known| known.alive),
        ready: pod.ready,
        pod_uid: Some(pod.uid.clone()),
        journal_id: None,
        backend_id: known.and_then(|known| known.backend_id),
        message: if pod.ready { complaint } else { pod.waiting.clone().or(complaint) },
    }
}
