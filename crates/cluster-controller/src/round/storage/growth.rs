//! Volumes that grow: claims are asked to, their progress is told, and the set's templates follow.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::conditions::reason;
use doris_api::{Component, names};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tokio::time::Instant;

use super::super::Round;
use super::super::operation::Kind;
use crate::act::growth::{self as claims, Answer};
use crate::build::{bytes, wanted_claims};
use crate::error::Error;
use crate::plan::storage::COMPONENTS;
use crate::plan::storage::growth::{Claim, Volumes, plan};

/// What this operation is called.
pub(in super::super) const GROW: Kind =
    Kind { name: "GrowVolumes", reason: reason::GROWING, done_to_target: "gets the new size for pods that are made later" };

/// How long the server's refusal is believed.
const REFUSED_FOR: Duration = Duration::from_mins(5);
/// A claim that grows for longer, and about which nothing is told, is worth a person's look.
const SILENT_FOR: Duration = Duration::from_mins(10);

/// What is remembered of volumes that grow. It only spares requests.
#[derive(Debug, Default)]
pub struct GrowthMemory {
    /// Sizes that the server refused for claims: when, and in its words.
    refused: BTreeMap<String, (Instant, Quantity, String)>,
    /// Since when something grows.
    since: Option<Instant>,
}

impl Round<'_> {
    /// Volumes whose file system waits for another pod: those pods are restarted in their turn.
    pub(in super::super) fn see_worn_out_pods(&mut self) {
        let now = self.ctx.clock.now();
        let mut seen = std::mem::take(&mut self.facts.seen.pods);
        for pod in seen.values_mut().flatten() {
            for (volume, name) in &pod.volumes {
                let Some(claim) = self.claim_objects.get(name) else { continue };
                if Claim::of(claim, volume).wears_out(pod.made_at, now) {
                    pod.worn_out = Some(format!("the file system of its volume {volume} grows only with another pod"));
                }
            }
        }
        self.facts.seen.pods = seen;
    }

    /// Lets claims grow, and makes a set anew whose claims have grown.
    pub(in super::super) async fn grow(&mut self) -> Result<(), Error> {
        let volumes = self.volumes();
        let now = self.ctx.clock.instant();
        let refused = &self.memory.growth.refused;
        let refusal = |claim: &str, size: &Quantity| {
            let (at, asked, said) = refused.get(claim)?;
            (bytes(asked) == bytes(size) && now.duration_since(*at) < REFUSED_FOR).then(|| said.clone())
        };
        let growth = plan(&volumes, &refusal);
        self.tell_of_growth(&growth.waits, growth.stalls);
        for ask in &growth.asks {
            match claims::ask(self.ctx, self.key, ask).await? {
                Answer::Taken => self.wait(reason::GROWING, format!("claim {} asks for {} now", ask.claim, ask.size.0)),
                Answer::Gone => self.wait(reason::GROWING, format!("claim {} is looked at again", ask.claim)),
                Answer::Refused(said) => {
                    self.memory.growth.refused.insert(ask.claim.clone(), (now, ask.size.clone(), said));
                    self.wait(reason::GROWING, format!("claim {} was refused the size {}", ask.claim, ask.size.0));
                }
            }
        }
        match growth.template {
            Some(component) => self.remake_for_growth(component).await,
            None => self.finish_growth().await,
        }
    }

    fn tell_of_growth(&mut self, waits: &[String], stalls: Vec<String>) {
        let now = self.ctx.clock.instant();
        let since = *self.memory.growth.since.get_or_insert(now);
        if waits.is_empty() {
            self.memory.growth.since = None;
        }
        for wait in waits {
            let what = if now.duration_since(since) >= SILENT_FOR {
                format!("{wait}; that takes long: kubectl describe the claim for what the driver says in Events")
            } else {
                wait.clone()
            };
            self.wait(reason::GROWING, what);
        }
        for stall in stalls {
            self.stall(reason::VOLUME_REFUSED, stall);
        }
    }

    /// Claims of the members that are to have pods.
    fn volumes(&self) -> Vec<Volumes> {
        let claims = &self.claim_objects;
        let mut all = Vec::new();
        for component in COMPONENTS {
            let Some(layout) = self.laid.layouts.get(&component) else { continue };
            let Some(set) = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component)) else { continue };
            let pods = u32::try_from(set.replicas).unwrap_or(0);
            let of_pod = |ordinal: u32| {
                let templates = layout.in_force.iter();
                templates.filter_map(move |shape| {
                    let claim = claims.get(&names::claim(&self.key.name, component, &shape.name, ordinal))?;
                    claim.metadata.deletion_timestamp.is_none().then(|| Claim::of(claim, &shape.name))
                })
            };
            let wanted = wanted_claims(&self.cluster.spec, component);
            all.push(Volumes {
                component,
                claims: (0..pods).flat_map(of_pod).collect(),
                wanted: wanted.into_iter().map(|shape| (shape.name, shape.size)).collect(),
                template_is_behind: !layout.outgrown.is_empty(),
            });
        }
        all
    }

    async fn remake_for_growth(&mut self, component: Component) -> Result<(), Error> {
        let step = "the volumes have grown; its StatefulSet is made anew with the new size, and its pods run on";
        self.remake(GROW, component, step).await
    }

    /// The set is there again with the sizes of the spec.
    async fn finish_growth(&mut self) -> Result<(), Error> {
        let Some(operation) = self.operation(GROW) else { return Ok(()) };
        let set = self.ctx.caches.sets.get(self.key, &operation.target);
        if set.is_some_and(|set| !set.leaving) {
            self.decide(None);
            return self.release_lease(GROW).await;
        }
        self.facts.operation = Some(operation.clone());
        self.wait(reason::GROWING, format!("{} is being made anew", operation.target));
        self.make_missing_sets().await
    }
}
