//! Volumes: what sets are built with, volumes that grow, disks that are added.

mod disks;
mod growth;
mod remake;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use doris_api::conditions::reason;
use doris_api::{Component, DorisCluster, names};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::Round;
use crate::act::children::Standing;
use crate::build::{ClaimShape, bytes, wanted_claims};
use crate::error::Error;
use crate::identity::Identity;
use crate::plan::storage::{self, COMPONENTS, Layout};

pub use growth::GrowthMemory;

pub(super) use disks::ADD_DISK;

/// What sets are built with in this round.
#[derive(Debug, Default)]
pub(super) struct Laid {
    /// By component.
    layouts: BTreeMap<Component, Layout>,
    /// What is in force where the spec alone does not decide.
    pub standing: Standing,
    /// The cluster with the disks in force, if they are not the spec's.
    in_force: Option<Box<DorisCluster>>,
}

impl Laid {
    /// The cluster that objects are built from.
    pub fn cluster<'a>(&'a self, specified: &'a DorisCluster) -> &'a DorisCluster {
        self.in_force.as_deref().unwrap_or(specified)
    }
}

impl Round<'_> {
    /// What sets and claims need beside being applied. Needs no answer of Doris: a full volume may be what keeps it from one.
    pub(super) async fn tend_volumes(&mut self, identity: &Identity) -> Result<(), Error> {
        self.tell_of_layouts();
        if identity.cluster_id().is_none() {
            return Ok(());
        }
        self.make_missing_sets().await?;
        self.add_disks().await?;
        self.grow().await
    }

    /// Looks at what is there: what is in force of the spec's volumes.
    pub(super) fn lay_out(&mut self, identity: &Identity) {
        let mut laid = Laid::default();
        for component in COMPONENTS {
            let wanted = wanted_claims(&self.cluster.spec, component);
            if self.cluster.spec.member(component).is_none() || component == Component::FeObserver && self.cluster.spec.fe.observers == 0 {
                continue;
            }
            let layout = self.layout(identity, component, &wanted);
            if layout.in_force != wanted {
                let cluster = laid.in_force.get_or_insert_with(|| Box::new(self.cluster.clone()));
                storage::put_disks(&mut cluster.spec, component, &layout.in_force);
            }
            if component == Component::Be {
                laid.standing.disks = wanted.iter().chain(&layout.in_force).map(|disk| disk.name.clone()).collect();
            }
            laid.standing.claims.insert(component, layout.in_force.clone());
            laid.standing.replicas.extend(self.standing_replicas(component).map(|replicas| (component, replicas)));
            laid.layouts.insert(component, layout);
        }
        self.laid = laid;
    }

    fn layout(&self, identity: &Identity, component: Component, wanted: &[ClaimShape]) -> Layout {
        if let Some(set) = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component)) {
            return storage::compare(component, wanted, Some(&set.claims));
        }
        let claims = &self.claim_objects;
        let pods = self.facts.seen.of(component);
        let mut there = match pods {
            [] => former_claims(&self.key.name, identity, component, claims),
            pods => {
                let in_all = |shape: &&ClaimShape| pods.iter().all(|pod| pod.volumes.contains_key(&shape.name));
                let shapes = shapes(&self.key.name, component, claims, |_| true);
                shapes.iter().filter(in_all).cloned().collect()
            }
        };
        // Claims have the class that was the default when they were made.
        for shape in &mut there {
            if wanted.iter().any(|new| new.name == shape.name && new.class.is_none()) {
                shape.class = None;
            }
        }
        if there.is_empty() {
            return storage::compare(component, wanted, None);
        }
        let mut layout = storage::compare(component, wanted, Some(&there));
        // The set is made anew: it gets what its pods can have.
        for name in std::mem::take(&mut layout.outgrown) {
            let size = wanted.iter().find(|new| new.name == name).map(|new| new.size.clone());
            if let (Some(shape), Some(size)) = (layout.in_force.iter_mut().find(|shape| shape.name == name), size) {
                shape.size = size;
            }
        }
        if pods.is_empty() || self.adds_disk_to(component) && self.are_all_there(component) {
            layout.in_force.append(&mut layout.added);
        }
        layout
    }

    /// Pods of a set that is made anew, or that must not be changed now.
    fn standing_replicas(&self, component: Component) -> Option<i32> {
        let set = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component));
        if let Some(set) = set {
            return self.adds_disk_to(component).then_some(set.replicas);
        }
        let highest = self.facts.seen.of(component).iter().map(|pod| pod.ordinal).max()?;
        let pods = i32::try_from(highest).unwrap_or(i32::MAX).saturating_add(1);
        Some(self.recorded_replicas(component).unwrap_or(pods).max(pods))
    }

    /// Pods that the set had when it was taken away.
    fn recorded_replicas(&self, component: Component) -> Option<i32> {
        let operation = self.under_way()?;
        let is_meant = [ADD_DISK.name, growth::GROW.name].contains(&operation.kind.as_str());
        (is_meant && self.component_of(&operation.target) == Some(component)).then_some(operation.total).flatten()
    }

    fn are_all_there(&self, component: Component) -> bool {
        let pods = self.facts.seen.of(component);
        let wanted = self.recorded_replicas(component).unwrap_or(0);
        let is_there = |ordinal: i32| pods.iter().any(|pod| i64::from(pod.ordinal) == i64::from(ordinal) && !pod.deleting);
        (0..wanted).all(is_there)
    }

    /// The component that a set, or a pod, belongs to.
    fn component_of(&self, target: &str) -> Option<Component> {
        let of_pod = names::parse_pod(&self.key.name, target).map(|(component, _)| component);
        of_pod.or_else(|| Component::ALL.into_iter().find(|component| names::set(&self.key.name, *component) == target))
    }

    /// Tells what the spec asks of volumes and cannot be. The cluster runs on as it is.
    pub(super) fn tell_of_layouts(&mut self) {
        let refused: BTreeSet<String> = self.laid.layouts.values().flat_map(|layout| layout.refused.iter().cloned()).collect();
        for sentence in refused {
            self.stall(reason::SPEC_INVALID, sentence);
        }
    }
}

/// Shapes of a component's claims, one for each template, in the size of the largest.
fn shapes(
    cluster: &str,
    component: Component,
    claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>,
    is_meant: impl Fn(u32) -> bool,
) -> Vec<ClaimShape> {
    let mut found: Vec<ClaimShape> = Vec::new();
    let ending = format!("-{}-", names::set(cluster, component));
    for (name, claim) in claims {
        let Some((template, ordinal)) = name.rsplit_once(&ending) else { continue };
        let Ok(ordinal) = ordinal.parse() else { continue };
        if !is_meant(ordinal) {
            continue;
        }
        let shape = ClaimShape::of(claim, template.to_owned());
        match found.iter_mut().find(|known| known.name == shape.name) {
            Some(known) if bytes(&known.size) >= bytes(&shape.size) => {}
            Some(known) => *known = shape,
            None => found.push(shape),
        }
    }
    found
}

/// What the volumes of a deleted cluster's members are like. Compute nodes' hold nothing.
fn former_claims(
    cluster: &str,
    identity: &Identity,
    component: Component,
    claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>,
) -> Vec<ClaimShape> {
    let hosts: Vec<&String> = match component {
        Component::Fe | Component::FeObserver => identity.frontends.keys().collect(),
        Component::Be => identity.backends.keys().collect(),
        Component::Cn | Component::Broker => Vec::new(),
    };
    let ordinals: BTreeSet<u32> = hosts
        .into_iter()
        .filter_map(|host| names::parse_pod(cluster, host.split('.').next()?))
        .filter(|(found, _)| *found == component)
        .map(|(_, ordinal)| ordinal)
        .collect();
    shapes(cluster, component, claims, |ordinal| ordinals.contains(&ordinal))
}
