//! Adding a disk to backends or compute nodes.

use doris_api::cluster::OperationStatus;
use doris_api::conditions::reason;
use doris_api::{Component, names};

use super::super::Round;
use super::super::operation::Kind;
use crate::error::Error;
use crate::plan::storage::disks::{DiskPod, Scene, Step, plan};

/// What this operation is called.
pub(in super::super) const ADD_DISK: Kind = Kind { name: "AddDisk", reason: reason::ADDING_DISK, done_to_target: "gets a further disk" };

impl Round<'_> {
    /// A disk is being added to this component, as written down.
    pub(super) fn adds_disk_to(&self, component: Component) -> bool {
        self.operation(ADD_DISK).is_some_and(|operation| self.component_of(&operation.target) == Some(component))
    }

    /// The component whose pods are restarted upward now, since its set has a disk more than they.
    pub(in super::super) fn gets_disks(&self) -> Option<Component> {
        let component = self.component_of(&self.operation(ADD_DISK)?.target)?;
        let is_swapped = self.laid.layouts.get(&component).is_some_and(|layout| layout.added.is_empty());
        let set = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component));
        (is_swapped && set.is_some_and(|set| !set.leaving)).then_some(component)
    }

    /// Begins, goes on with or ends adding disks.
    pub(in super::super) async fn add_disks(&mut self) -> Result<(), Error> {
        for component in [Component::Be, Component::Cn] {
            let Some(layout) = self.laid.layouts.get(&component) else { continue };
            let missing: Vec<String> = layout.added.iter().map(|disk| disk.name.clone()).collect();
            let step = self.plan_disks(component, &missing);
            tracing::debug!(cluster = self.key.name, %component, ?step, "disks");
            self.carry_disks_out(component, &missing, step).await?;
        }
        Ok(())
    }

    fn plan_disks(&self, component: Component, missing: &[String]) -> Step {
        let set = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component)).filter(|set| !set.leaving);
        let pods = set.as_ref().map(|set| self.disk_pods(component, set)).unwrap_or_default();
        let under_work = self.operation(ADD_DISK).and_then(|operation| operation.member).map(|member| member.pod);
        let held_by = self.disks_held_by(component);
        plan(&Scene {
            set_is_there: set.is_some(),
            missing,
            pods: &pods,
            is_recorded: self.adds_disk_to(component),
            under_work: under_work.as_deref(),
            held_by: held_by.as_deref(),
        })
    }

    fn disk_pods(&self, component: Component, set: &crate::context::SetView) -> Vec<DiskPod> {
        let pods = self.facts.seen.of(component);
        let wanted = u32::try_from(set.replicas).unwrap_or(0);
        let seen = |ordinal: u32| {
            let pod = pods.iter().find(|pod| pod.ordinal == ordinal && !pod.deleting);
            let is_alive = |fqdn: &str| self.facts.is_fresh && self.facts.seen.known.get(fqdn).is_some_and(|known| known.alive);
            DiskPod {
                name: names::pod(&self.key.name, component, ordinal),
                ordinal,
                is_there: pod.is_some(),
                works: pod.is_some_and(|pod| pod.ready && is_alive(&pod.fqdn)),
                is_current: pod.is_some_and(|pod| set.revision.is_some() && pod.revision == set.revision),
                has_disks: pod.is_some_and(|pod| set.claims.iter().all(|claim| pod.volumes.contains_key(&claim.name))),
            }
        };
        (0..wanted).map(seen).collect()
    }

    /// Why it may not begin. What has begun is finished: halfway, the set could not make a lost pod anew.
    fn disks_held_by(&self, component: Component) -> Option<String> {
        if let Some(other) = self.other_operation(ADD_DISK) {
            return Some(format!("{} of {} is done first", other.kind, other.target));
        }
        let limits = self.limits();
        let partition = (limits.partition > 0).then(|| format!("update.partition is {}", limits.partition));
        let held = limits.held_by.or(partition);
        held.or_else(|| {
            let identity = self.facts.identity.as_ref()?;
            let unknown =
                identity.backends.keys().find(|host| !identity.disks.contains_key(*host)).filter(|_| component == Component::Be)?;
            Some(format!("which disks {unknown} uses has to be known first: it has to be alive"))
        })
    }

    async fn carry_disks_out(&mut self, component: Component, missing: &[String], step: Step) -> Result<(), Error> {
        let what = || format!("disk {} of {component}.storage", missing.join(", "));
        match step {
            Step::Rest | Step::Restart => Ok(()),
            Step::Begin => {
                let operation = self.operation_on_set(ADD_DISK, component);
                let target = operation.target.clone();
                self.decide(Some(OperationStatus { step: "begins".to_owned(), ..operation }));
                self.wait(reason::ADDING_DISK, format!("{} is added: its members are restarted, from ordinal 0 upward", what()));
                self.hold_lease(ADD_DISK, &target).await.map(drop)
            }
            Step::Forward => {
                self.remake(ADD_DISK, component, "its StatefulSet is made anew with the further disk, and its pods run on").await
            }
            Step::Back(lost) => {
                let step = format!("{lost} is lost, and is made anew without the further disk first");
                self.remake(ADD_DISK, component, &step).await
            }
            Step::Done => {
                self.decide(None);
                self.release_lease(ADD_DISK).await
            }
            Step::Wait(why) => {
                self.wait(reason::ADDING_DISK, format!("{} is added: {why}", what()));
                Ok(())
            }
            Step::Held(why) => {
                self.wait(reason::RESTART_PENDING, format!("{} is added by restarts of the members that get it: {why}", what()));
                Ok(())
            }
        }
    }
}
