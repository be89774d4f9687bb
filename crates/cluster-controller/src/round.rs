//! One reconcile of one cluster: observe, validate, plan, act, and gather what is to be reported.

mod accounts;
mod birth;
mod config;
mod founded;
mod founding;
mod member;
mod noticed;
mod operation;
mod proof;
mod refusal;
mod refused;
mod replacing;
mod rolling;
mod scaling;
mod storage;
mod suspension;
mod sweep;
mod switches;
mod upgrade;
mod volumes;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use accounts::AccountsMemory;
pub use config::ConfigMemory;
pub use noticed::UnknownMemory;
pub use operation::OperationMemory;
pub use rolling::RollMemory;
pub use scaling::ScaleMemory;
pub use suspension::SuspensionMemory;
pub use upgrade::UpgradeMemory;

use controller_kit::events::{Happening, Severity};
use doris_api::conditions::reason;
use doris_api::{Component, DorisCluster, names};
use doris_client::FrontendTarget;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Resource as _;
use tokio::time::Instant;

use crate::act::children::{self, Configurations, Stage};
use crate::act::identity::Stored;
use crate::cache::ClusterKey;
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::identity::{Identity, Phase};
use crate::observe::doris::FrontendPorts;
use crate::observe::pods::{self, Place};
use crate::plan::accounts::Candidate;
use crate::report::{Facts, Finding};
use crate::view::MemberPod;

pub use proof::ProofMemory;
pub use refusal::RefusalMemory;
pub use refused::RefusedMemory;
pub use replacing::ReplaceMemory;
pub use storage::GrowthMemory;

/// A reconcile under way.
pub struct Round<'a> {
    ctx: &'a Context,
    cluster: &'a DorisCluster,
    key: &'a ClusterKey,
    memory: &'a mut Memory,
    /// When the master of this round's session last proved that it writes for its followers.
    proven: Option<Instant>,
    /// By which password of the operator's account the master let us in.
    entered_by: Candidate,
    /// The members' volume claims.
    claims: Vec<scaling::ClaimView>,
    /// Components with members that leave.
    leaving: BTreeSet<Component>,
    /// Configurations as they were chosen for this round.
    configurations: Configurations,
    /// The cluster's claims, by name.
    claim_objects: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    /// What sets are built with.
    laid: storage::Laid,
    /// The master's switches, once they were asked for.
    switches: Option<doris_safety::Switches>,
    /// What was found so far.
    pub facts: Facts,
}

impl<'a> Round<'a> {
    /// Begins a round.
    pub fn new(ctx: &'a Context, cluster: &'a DorisCluster, key: &'a ClusterKey, memory: &'a mut Memory) -> Self {
        Self {
            ctx,
            cluster,
            key,
            memory,
            proven: None,
            entered_by: Candidate::Operator,
            claims: Vec::new(),
            leaving: BTreeSet::new(),
            configurations: Configurations::new(),
            claim_objects: BTreeMap::new(),
            laid: storage::Laid::default(),
            switches: None,
            facts: Facts::default(),
        }
    }

    /// Goes as far as it can now. What it waits for is in the facts.
    pub async fn run(&mut self) -> Result<(), Error> {
        self.see_pods();
        self.facts.operation = self.under_way();
        self.facts.overrides = crate::safety::kept_records(self.cluster, self.ctx.clock.now());
        for violation in doris_api::validation::validate(self.cluster) {
            self.stall(reason::SPEC_INVALID, violation.to_string());
        }
        if !self.facts.stalls.is_empty() {
            // The last good spec stays in force; members are told of as they are.
            return self.look_only().await;
        }
        let Some(given) = self.given_passwords().await? else { return Ok(()) };
        let Some(stored) = self.identity(&given).await? else { return Ok(()) };
        self.facts.identity = Some(stored.identity.clone());
        if self.suspend_or_resume(&stored, &given).await? {
            return Ok(());
        }
        self.lay_out(&stored.identity);
        self.choose_configurations().await?;
        let stored = self.settle_builds(stored).await?;
        self.apply(&stored.identity, Stage::Frontends).await?;
        // What cannot be deleted holds nothing up; it is told at the end.
        let swept = self.sweep().await;
        match stored.identity.phase {
            Phase::Unfounded | Phase::Founding { .. } => self.found(&stored, &given).await?,
            Phase::Founded { .. } => self.tend(&stored, &given).await?,
        }
        self.tend_volumes(&stored.identity).await?;
        self.retire().await?;
        self.tell_of_volumes();
        self.tell_of_pods();
        self.tell_of_unknown_members().await;
        self.tell_of_refused_pods().await;
        self.tell_of_revisions();
        self.tell_of_configurations();
        swept
    }

    /// A wait that is told with its reason.
    fn wait(&mut self, reason: &'static str, message: impl Into<String>) {
        self.facts.waits.push(Finding::new(reason, message));
    }

    /// Something that a person has to mend.
    fn stall(&mut self, reason: &'static str, message: impl Into<String>) {
        self.facts.stalls.push(Finding::new(reason, message));
    }

    /// Tells people of something that happened.
    async fn announce(&self, severity: Severity, reason: &str, action: &str, note: String) {
        let happening = Happening { severity, reason: reason.to_owned(), action: action.to_owned(), note };
        self.ctx.recorder.record(&self.cluster.object_ref(&()), &happening).await;
    }

    fn see_pods(&mut self) {
        let pods: Vec<_> = self.ctx.caches.pods.of(self.key).values().map(|pod| pod.open()).collect();
        self.claim_objects = self.ctx.caches.claims.of(self.key).into_iter().map(|(name, claim)| (name, Arc::new(claim.open()))).collect();
        let place = Place { cluster: &self.key.name, namespace: &self.key.namespace, domain: &self.cluster.spec.cluster_domain };
        self.facts.seen.pods = pods::members(place, &pods, &self.claim_objects);
        self.claims = scaling::ClaimView::all(&self.claim_objects);
        self.see_worn_out_pods();
    }

    /// Applies the objects of a stage and reports what the server refuses.
    async fn apply(&mut self, identity: &Identity, stage: Stage) -> Result<(), Error> {
        let kept = self.kept(identity);
        let cluster = self.laid.cluster(self.cluster);
        let chosen = children::Chosen { kept: &kept, configurations: &self.configurations, standing: &self.laid.standing };
        children::apply((self.ctx, cluster, self.key), identity, stage, chosen, &mut self.memory.applied).await?;
        self.keep_configurations(stage);
        Ok(())
    }

    /// Pods that each component keeps: what its set has now, and what its members need. Only a scale in takes some away.
    fn kept(&self, identity: &Identity) -> children::Kept {
        let sets = self.ctx.caches.sets.of(self.key);
        let kept = |component: Component| {
            let has = sets.get(&names::set(&self.key.name, component)).map_or(0, |set| set.replicas);
            let kept = has.max(children::known_members(&self.key.name, identity, component));
            (component, self.memory.scaling.lowered.get(&component).copied().unwrap_or(kept))
        };
        Component::ALL.into_iter().map(kept).collect::<BTreeMap<_, _>>()
    }

    fn ports(&self) -> FrontendPorts {
        FrontendPorts::of(&self.cluster.spec)
    }

    /// Where every frontend with a running pod is asked.
    fn targets(&self) -> Vec<FrontendTarget> {
        self.ports().targets(&self.facts.seen.pods)
    }

    fn pod_by_fqdn(&self, fqdn: &str) -> Option<&MemberPod> {
        self.facts.seen.pods.values().flatten().find(|pod| pod.fqdn == fqdn)
    }

    fn address_of(&self, fqdn: &str) -> Option<IpAddr> {
        self.pod_by_fqdn(fqdn).and_then(|pod| pod.ip)
    }

    /// Remembers an identity that was just written.
    fn keep(&mut self, stored: Stored) {
        self.memory.identity.keep(&stored);
        self.facts.identity = Some(stored.identity);
    }

    /// Pods that were made from an older revision of their set: the spec is not in force there.
    fn outdated_pods(&self) -> Vec<String> {
        let sets = self.ctx.caches.sets.of(self.key);
        let mut outdated = Vec::new();
        for (component, pods) in &self.facts.seen.pods {
            let revision = sets.get(&names::set(&self.key.name, *component)).and_then(|set| set.revision.clone());
            outdated.extend(
                pods.iter()
                    .filter(|pod| !pod.deleting && (pod.worn_out.is_some() || revision.is_some() && pod.revision != revision))
                    .map(|pod| pod.name.clone()),
            );
        }
        outdated
    }

    /// A spec that is not in force everywhere is told, whatever keeps it.
    fn tell_of_revisions(&mut self) {
        let sets = self.ctx.caches.sets.of(self.key);
        let unseen = Component::ALL
            .into_iter()
            .find(|component| sets.get(&names::set(&self.key.name, *component)).is_some_and(|set| set.revision.is_none()));
        if let Some(component) = unseen {
            self.wait(reason::CREATING, format!("the StatefulSet of {component} is being updated"));
        }
        let outdated = self.outdated_pods();
        let is_told = |finding: &Finding| {
            [reason::RESTARTING, reason::RESTART_PENDING, reason::ROLL_STOPPED, reason::BLOCKED, reason::UPGRADING, reason::ADDING_DISK]
                .contains(&finding.reason)
        };
        if !outdated.is_empty() && !self.facts.waits.iter().chain(&self.facts.stalls).any(is_told) {
            let message = format!(
                "{} still run what the spec said before; they are restarted one at a time once the rest of the cluster works",
                outdated.join(", ")
            );
            self.wait(reason::RESTART_PENDING, message);
        }
    }

    /// Only looks at Doris, for the status.
    async fn look_only(&mut self) -> Result<(), Error> {
        if let Some(stored) = crate::act::identity::get(self.ctx, self.key).await? {
            self.facts.identity = Some(stored.identity.clone());
            if stored.identity.cluster_id().is_some() {
                self.observe(&stored.identity).await?;
            }
        }
        Ok(())
    }

    /// The next look is taken soon: what is waited for takes moments. What takes longer is looked at as usual.
    fn look_soon(&mut self) {
        const SOON: Duration = Duration::from_millis(500);
        const QUICKLY_FOR: Duration = Duration::from_mins(1);
        let now = self.ctx.clock.instant();
        let since = *self.memory.quick_since.get_or_insert(now);
        if now.duration_since(since) < QUICKLY_FOR {
            self.facts.next_look = Some(SOON);
        }
    }

    fn founder_name(&self) -> String {
        names::pod(&self.key.name, Component::Fe, 0)
    }
}
