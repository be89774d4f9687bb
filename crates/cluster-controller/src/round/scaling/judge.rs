//! What the safety rules say of a step, asked afresh on the connection that the step is done on.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use controller_kit::lease::Fence;
use doris_api::Component;
use doris_api::rules::SafetyRule;
use doris_client::survey::{self, Found, FrontendPod};
use doris_client::{FrontendRole, NodeRole, Session};
use doris_safety::{CacheLag, Passed, Refusal, Step, Switches, applicable, check};
use kube::ResourceExt as _;

use super::super::Round;
use super::carry::Done;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::scaling::Leaver;
use crate::safety::{self, Said};

/// A refusal is asked again after this long at least: it takes a statement for each table.
const AGAIN_AFTER: Duration = Duration::from_mins(1);
/// And at most.
const AGAIN_BEFORE: Duration = Duration::from_mins(10);
/// So many times longer than the questions took.
const SHARE: u32 = 20;

/// Nothing is in the way, or what is.
pub(super) type Verdict = Result<(), Refusal>;

impl Round<'_> {
    /// Asks every rule that a step has to pass. Without a fence the Lease is left out: nothing is done yet.
    pub(super) async fn judge(
        &mut self,
        doris: &Doris,
        session: &mut Session,
        step: &Step,
        fence: Option<&Fence>,
    ) -> Result<Result<Passed, Refusal>, Error> {
        let failed = |source| Error::Doris { what: "reading what the safety rules look at", source };
        let mut observed = survey::for_step(session, step, None, &self.known_roles(doris)).await.map_err(failed)?;
        // The balance is off for an upgrade of ours, and what is emptied beside one does not run: it is not evened out but copied.
        if self.upgrade_under_way().is_some()
            && !self.is_specified(Switches::BALANCE)
            && let Some(switches) = &mut observed.switches
        {
            switches.balance_off = false;
        }
        let rules = applicable(step);
        if rules.contains(&SafetyRule::FeQuorum) || rules.contains(&SafetyRule::MasterLast) {
            let frontends = session.frontends().await.map_err(failed)?;
            let found = Found { views: &doris.views, frontends: &frontends, verdict: &doris.verdict };
            observed.frontends = Some(survey::frontends(self.ctx.transport.as_ref(), found, &self.pods_of_frontends()).await);
        }
        observed.cache = Some(CacheLag::default());
        if fence.is_some() {
            observed.lease = Some(safety::lease(self.ctx.operations.look(&self.key.namespace, &self.key.name).await?));
        }
        let begun = self.facts.operation.as_ref().and_then(|operation| operation.started_at.as_ref()).map(|time| time.0.to_string());
        let said = Said::of(self.cluster, format!("{} {}", super::KIND.name, begun.unwrap_or_default()), self.ctx.clock.now());
        Ok(match check(&observed, step, &said.terms()) {
            Err(mut refusal) if fence.is_none() => {
                refusal.blocked.retain(|blocked| blocked.rule != SafetyRule::OneAtATime);
                if refusal.blocked.is_empty() { Ok(Passed::default()) } else { Err(refusal) }
            }
            other => other,
        })
    }

    /// Whether a step may be done now. If not, what came of it: a refusal, or nothing while the record of an override that it
    /// needs is on its way to the server.
    pub(super) async fn permit(
        &mut self,
        doris: &Doris,
        session: &mut Session,
        step: &Step,
        fence: &Fence,
    ) -> Result<Result<(), Done>, Error> {
        Ok(match self.judge(doris, session, step, Some(fence)).await? {
            Ok(passed) if self.overrides_are_recorded(&passed).await => Ok(()),
            Ok(_) => Err(Ok(())),
            Err(refusal) => Err(Err(refusal)),
        })
    }

    /// What backends do by their pods' names: Doris does not tell of a dead one.
    fn known_roles(&self, doris: &Doris) -> BTreeMap<String, NodeRole> {
        let role = |host: &str| match self.member_of(host)?.0 {
            Component::Be => Some(NodeRole::Mix),
            Component::Cn => Some(NodeRole::Computation),
            Component::Fe | Component::FeObserver | Component::Broker => None,
        };
        doris.backends.iter().filter_map(|row| Some((row.host.clone(), role(&row.host)?))).collect()
    }

    /// What Kubernetes says of the frontends. A scale in has nothing more to do to those that stay.
    fn pods_of_frontends(&self) -> BTreeMap<String, FrontendPod> {
        let now = self.ctx.clock.now();
        let of = |component: Component, role: FrontendRole| {
            self.facts.seen.of(component).iter().map(move |pod| {
                let since = pod.started_at.map(|started| now.duration_since(started));
                let known = FrontendPod {
                    role,
                    stopped: !pod.running,
                    done: true,
                    steady_for: since.and_then(|since| Duration::try_from(since).ok()),
                    has_metadata_copy: false,
                };
                (pod.fqdn.clone(), known)
            })
        };
        of(Component::Fe, FrontendRole::Follower).chain(of(Component::FeObserver, FrontendRole::Observer)).collect()
    }

    /// Whether backends that are to leave and do not yet may begin; asked again only when something has changed, or after
    /// a while.
    pub(super) async fn admit_backends(
        &mut self,
        doris: &Doris,
        session: &mut Session,
        leavers: &[Leaver],
        is_held: bool,
    ) -> Result<Option<Refusal>, Error> {
        let goes = |leaver: &&Leaver| leaver.component == Component::Be && leaver.row.is_some();
        let is_new = |leaver: &Leaver| leaver.row.as_ref().is_some_and(|row| !row.emptying);
        if is_held || !leavers.iter().filter(goes).any(is_new) {
            return Ok(None);
        }
        let step = decommission(doris, leavers.iter().filter(goes).map(|leaver| leaver.host.as_str()));
        let decided_on = self.decided_on(doris, &step);
        let began = self.ctx.clock.instant();
        if let Some((known, until, verdict)) = &self.memory.scaling.admission
            && *known == decided_on
            && began < *until
        {
            return Ok(verdict.clone().err());
        }
        let verdict = self.judge(doris, session, &step, None).await?.map(drop);
        let now = self.ctx.clock.instant();
        let pause = (now.duration_since(began) * SHARE).clamp(AGAIN_AFTER, AGAIN_BEFORE);
        self.memory.scaling.admission = Some((decided_on, now + pause, verdict.clone()));
        Ok(verdict.err())
    }

    fn decided_on(&self, doris: &Doris, step: &Step) -> u64 {
        let mut hasher = DefaultHasher::new();
        (step.to_string(), self.cluster.metadata.generation, self.cluster.annotations()).hash(&mut hasher);
        for row in &doris.backends {
            let flags = (row.status.is_query_disabled, row.status.is_load_disabled);
            (row.id, row.alive, row.decommissioned, flags, &row.tags).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The step that empties the backends of these hosts.
pub(super) fn decommission<'a>(doris: &Doris, hosts: impl Iterator<Item = &'a str>) -> Step {
    let id = |host: &str| doris.backends.iter().find(|row| row.host == host).map(|row| row.id);
    Step::DecommissionBackends { backends: hosts.filter_map(id).collect() }
}
