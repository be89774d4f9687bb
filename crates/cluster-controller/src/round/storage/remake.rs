//! Making a StatefulSet anew with other claim templates, while its pods run on.
//!
//! The operation is written down first, with the number of pods; the set is deleted and its pods are left; once it is gone it is applied
//! again as any other object that is missing. A crash at any point leaves what the next round finishes.

use controller_kit::clock::whole_seconds;
use doris_api::cluster::OperationStatus;
use doris_api::{Component, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::Round;
use super::super::operation::Kind;
use crate::act::children::Stage;
use crate::act::sets;
use crate::error::Error;

impl Round<'_> {
    /// Takes the set away from its pods and makes it again.
    pub(super) async fn remake(&mut self, kind: Kind, component: Component, step: &str) -> Result<(), Error> {
        let name = names::set(&self.key.name, component);
        if let Some(other) = self.other_operation(kind) {
            self.wait(kind.reason, format!("{name} {} once {} of {} is done", kind.done_to_target, other.kind, other.target));
            return Ok(());
        }
        let operation = self.operation(kind).unwrap_or_else(|| self.operation_on_set(kind, component));
        self.decide(Some(OperationStatus { step: step.to_owned(), ..operation }));
        self.wait(kind.reason, format!("{name}: {step}"));
        let Some(fence) = self.hold_lease(kind, &name).await? else { return Ok(()) };
        if !self.is_in_status(kind) {
            return Ok(());
        }
        self.ctx.operations.check_just_before_act(&self.key.namespace, &self.key.name, &fence).await?;
        if sets::orphan(self.ctx, self.key, &name).await? {
            self.make_missing_sets().await?;
        }
        Ok(())
    }

    pub(super) fn operation_on_set(&self, kind: Kind, component: Component) -> OperationStatus {
        let name = names::set(&self.key.name, component);
        let pods = self.ctx.caches.sets.get(self.key, &name).map(|set| set.replicas);
        OperationStatus {
            kind: kind.name.to_owned(),
            target: name,
            started_at: Some(Time(whole_seconds(self.ctx.clock.now()))),
            done: Some(0),
            total: pods,
            ..OperationStatus::default()
        }
    }

    /// Sets that are gone while their pods run are made again, whether a master answers or not.
    pub(in super::super) async fn make_missing_sets(&mut self) -> Result<(), Error> {
        let is_gone = |component: &Component| {
            let set = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, *component));
            set.is_none() && !self.facts.seen.of(*component).is_empty() && self.cluster.spec.member(*component).is_some()
        };
        let [frontends, workers] = [&[Component::Fe, Component::FeObserver][..], &[Component::Be, Component::Cn, Component::Broker]]
            .map(|all| all.iter().any(is_gone));
        let Some(identity) = self.facts.identity.clone().filter(|_| frontends || workers) else { return Ok(()) };
        self.lay_out(&identity);
        if frontends {
            self.apply(&identity, Stage::Frontends).await?;
        }
        if workers {
            self.apply(&identity, Stage::Workers).await?;
        }
        Ok(())
    }
}
