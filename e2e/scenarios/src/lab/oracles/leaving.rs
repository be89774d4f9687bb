//! Rules about members that leave: what has to be so when a StatefulSet is lowered, a process is stopped for good or a
//! member is registered.

use std::collections::BTreeMap;

use doris_api::{Component, names};
use doris_sim::{FrontendFacts, MemberFacts, World};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{ClusterName, Verdicts};

/// Sizes of a cluster, as objects tell them.
#[derive(Clone, Debug, Default)]
struct Sizes {
    /// Pods that sets ask for.
    sets: BTreeMap<Component, u32>,
    /// The spec, and the one before: a statement may be on its way while it changes.
    wanted: [BTreeMap<Component, u32>; 2],
    /// Volumes of members that leave are deleted.
    deletes_volumes: bool,
    /// All members are to stop, and none leaves by it.
    suspended: bool,
}

/// A set that lost pods.
#[derive(Clone, Debug)]
struct Lowering {
    cluster: ClusterName,
    component: Component,
    from: u32,
    to: u32,
}

/// What was seen of clusters' sizes so far.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    clusters: BTreeMap<ClusterName, Sizes>,
    lowered: Vec<Lowering>,
    /// Stops and drops that were judged.
    stops: usize,
    drops: usize,
}

impl Leaving {
    /// Takes a version of a set.
    pub fn set(&mut self, cluster: ClusterName, object: &DynamicObject, deleted: bool) {
        let name = object.name_any();
        let component = name.strip_prefix(&format!("{}-", cluster.1)).and_then(Component::from_name);
        let Some(component) = component else { return };
        let is_asked_for = |sizes: &Sizes| sizes.wanted[0].get(&component).is_some_and(|wanted| *wanted > 0);
        if deleted && self.clusters.get(&cluster).is_some_and(is_asked_for) {
            // It is made anew around its pods.
            return;
        }
        let number = object.data.pointer("/spec/replicas").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        let to = if deleted { 0 } else { number.unwrap_or(1) };
        let is_gone = !self.clusters.contains_key(&cluster) || self.clusters[&cluster].wanted[0].is_empty();
        let sizes = self.clusters.entry(cluster.clone()).or_default();
        let from = sizes.sets.insert(component, to).unwrap_or(0);
        // With the cluster everything goes.
        if to < from && !is_gone && !sizes.suspended {
            self.lowered.push(Lowering { cluster, component, from, to });
        }
    }

    /// Takes a version of a cluster.
    pub fn spec(&mut self, cluster: ClusterName, object: &DynamicObject, deleted: bool) {
        let sizes = self.clusters.entry(cluster).or_default();
        let is_going = deleted || object.metadata.deletion_timestamp.is_some();
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        sizes.deletes_volumes |= spec.pointer("/scaleIn/volumes").and_then(Value::as_str) == Some("Delete");
        sizes.suspended = spec.get("suspend").and_then(Value::as_bool) == Some(true);
        let wanted = serde_json::from_value::<doris_api::DorisClusterSpec>(spec).ok().filter(|_| !is_going);
        let wanted = wanted.map_or_else(BTreeMap::new, |spec| {
            let size = |component: Component| (component, u32::try_from(spec.replicas(component)).unwrap_or(0));
            Component::ALL.into_iter().map(size).collect()
        });
        if sizes.wanted[0] != wanted {
            sizes.wanted.swap(0, 1);
            sizes.wanted[0] = wanted;
        }
    }

    /// Whether a claim that goes was to go.
    pub fn may_delete(&self, cluster: &ClusterName, claim: &DynamicObject) -> bool {
        let was_marked = claim.labels().contains_key(doris_api::labels::DISCARDED);
        was_marked && self.clusters.get(cluster).is_some_and(|sizes| sizes.deletes_volumes)
    }

    /// Judges what happened since the last look.
    pub fn look(&mut self, world: &World, members: &[MemberFacts]) -> Verdicts {
        let mut broken = Verdicts::new();
        for lowering in std::mem::take(&mut self.lowered) {
            broken.extend(lowering.judge(world, members));
        }
        broken.extend(self.stops(world));
        broken.extend(self.drops(world));
        broken
    }

    /// `asked-for`: nobody is registered whom the spec does not ask for.
    pub fn registered(&self, cluster: &ClusterName, host: &str) -> Option<String> {
        let pod = host.split('.').next()?;
        let (component, ordinal) = names::parse_pod(&cluster.1, pod)?;
        let sizes = self.clusters.get(cluster).filter(|sizes| !sizes.wanted[0].is_empty())?;
        let is_wanted = sizes.wanted.iter().any(|wanted| wanted.get(&component).is_some_and(|wanted| ordinal < *wanted));
        (!is_wanted).then(|| format!("asked-for: {pod} was registered, and the spec asks for fewer"))
    }

    /// Members that the spec asks for.
    pub fn wanted(&self, cluster: &ClusterName, component: Component) -> Option<u32> {
        self.clusters.get(cluster)?.wanted[0].get(&component).copied()
    }

    /// `drained-before-stop`: a compute node that goes for good got no more queries before.
    fn stops(&mut self, world: &World) -> Verdicts {
        let stops = world.backend_stops();
        let fresh = stops.get(self.stops..).unwrap_or_default().to_vec();
        self.stops = stops.len();
        let undrained = fresh.into_iter().filter(|stop| !stop.drained && self.goes_for_good(&stop.fqdn));
        undrained.map(|stop| format!("drained-before-stop: {} was stopped for good and still got queries", stop.fqdn)).collect()
    }

    fn goes_for_good(&self, fqdn: &str) -> bool {
        let Some(cluster) = super::model::cluster_of(fqdn) else { return false };
        let Some((component, ordinal)) = fqdn.split('.').next().and_then(|pod| names::parse_pod(&cluster.1, pod)) else { return false };
        let Some(sizes) = self.clusters.get(&cluster).filter(|sizes| !sizes.wanted[0].is_empty()) else { return false };
        let is_wanted = sizes.suspended || sizes.wanted[0].get(&component).is_some_and(|wanted| ordinal < *wanted);
        component == Component::Cn && !is_wanted && sizes.sets.get(&component).is_some_and(|pods| ordinal >= *pods)
    }

    /// `dropped-empty` and `tablet-lost`: a backend is dropped when nothing lies on it, and never with the last of anything.
    fn drops(&mut self, world: &World) -> Verdicts {
        let drops = world.backend_drops();
        let fresh = drops.get(self.drops..).unwrap_or_default().to_vec();
        self.drops = drops.len();
        let mut broken = Verdicts::new();
        for drop in fresh {
            if drop.replicas > 0 {
                broken.push(format!("dropped-empty: {} was dropped with {} replicas on it", drop.host, drop.replicas));
            }
            if let Some(tablet) = drop.destroyed.first() {
                broken.push(format!("tablet-lost: the last of {} went with {}", tablet.table_name(), drop.host));
            }
        }
        broken
    }
}

impl Lowering {
    /// `row-before-pod`: a frontend's pod goes when it is dropped or dead, a backend's when it is empty.
    fn judge(&self, world: &World, members: &[MemberFacts]) -> Verdicts {
        let running = members.iter().filter(|member| member.is_running()).filter_map(MemberFacts::frontend);
        let of_cluster = |fe: &&FrontendFacts| super::model::cluster_of(&fe.start.fqdn).as_ref() == Some(&self.cluster);
        let Some(master) = running.filter(of_cluster).find(|fe| fe.says_master && fe.ready) else { return Verdicts::new() };
        let pods: Vec<String> = (self.to..self.from).map(|ordinal| names::pod(&self.cluster.1, self.component, ordinal)).collect();
        let rows = master.registered.iter().filter(|row| pods.iter().any(|pod| row.host.starts_with(&format!("{pod}."))));
        let tablets = world.tablets();
        let stores = |host: &str| tablets.iter().any(|tablet| tablet.replicas.iter().any(|replica| replica.host == host));
        let is_early = |row: &&doris_sim::RegisteredMember| match self.component {
            Component::Fe | Component::FeObserver => row.alive,
            Component::Be => stores(&row.host) || !row.decommissioned,
            Component::Cn => stores(&row.host),
            Component::Broker => false,
        };
        let set = names::set(&self.cluster.1, self.component);
        rows.filter(is_early)
            .map(|row| format!("row-before-pod: {set} was lowered to {} while {} was a member", self.to, row.host))
            .collect()
    }
}
