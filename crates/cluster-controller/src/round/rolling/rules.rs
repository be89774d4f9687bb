//! The safety rules about a restart: asked before a member is written down, and again right before its pod goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::Component;
use doris_api::cluster::{BlockedBy, OperationStatus};
use doris_api::conditions::reason;
use doris_client::survey::{self, Found, FrontendPod};
use doris_client::{FrontendRole, NodeRole, Session};
use doris_safety::{
    Blocked, CacheLag, Lease, NoBaseline, Observed, Refusal, Step as SafetyStep, Token, check, consequences, read_baseline, sole_server,
    write_baseline,
};
use tokio::time::Instant;

use super::super::Round;
use super::super::refusal::{is_passing, sentence, sentences};
use super::KIND;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::rolling::{Member, Step};
use crate::safety::{self, Said};

/// Between two looks at what refused a step.
const PACE: Duration = Duration::from_secs(20);
/// A look may ask for every table: the next one is not before so many times as long as the last one took.
const BREATH: u32 = 10;
/// A member whose restart is refused stays drained for this long; what a moment mends is over by then.
const PATIENCE: Duration = Duration::from_mins(1);
/// A cache that does not show a deletion for longer is not waited for: the pod's uid protects its successor.
const LAG: Duration = Duration::from_secs(30);
/// Longest text of unhealthy tablets that a status keeps.
const LONGEST_BASELINE: usize = 32 * 1024;
/// More tablets are in no status.
pub(super) const MOST_TABLETS: usize = 1_000_000;

/// What the rules said last of a member whose turn it would be.
#[derive(Debug)]
pub(super) struct Asked {
    pod: String,
    /// Generation of the spec and the annotations that it was asked under.
    under: (Option<i64>, BTreeMap<String, String>),
    at: Instant,
    /// Until it is asked again.
    pause: Duration,
    blocked: Vec<Blocked>,
    /// Annotations that were meant to override something and do not.
    mistaken: Vec<String>,
}

/// A pod whose deletion the rules refused.
#[derive(Debug)]
pub(super) struct Refused {
    uid: String,
    since: Instant,
    at: Instant,
    pause: Duration,
    blocked: Vec<Blocked>,
}

/// What is to be written down of a member that may be restarted, or why it may not.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Tablets that are not healthy now, if that was asked.
    pub unhealthy: Option<BTreeSet<u64>>,
    /// Nobody else serves some table.
    pub keeps_queries: bool,
    /// What clients will notice.
    pub consequences: Vec<String>,
    /// The refusals.
    pub blocked: Vec<BlockedBy>,
}

impl Round<'_> {
    /// Asks the rules before it is a member's turn. When a roll begins, they are asked for every backend
    /// that it would restart: whatever stands in its way is told before anything is touched.
    pub(super) async fn ask_first(
        &mut self,
        doris: &Doris,
        session: &mut Session,
        members: &[Member],
        operation: Option<&OperationStatus>,
        step: Step,
    ) -> Result<(Step, Answer), Error> {
        let Step::Begin { pod, .. } = &step else { return Ok((step, Answer::default())) };
        let pod = pod.clone();
        let Some(member) = members.iter().find(|member| member.name == pod) else { return Ok((step, Answer::default())) };
        // To replace what cannot run takes nothing away, and must not hang on anybody's answer.
        let Some(own) = self.safety_step(doris, member).filter(|_| !member.is_down()) else { return Ok((step, Answer::default())) };
        if let Some(asked) = self.refused_lately(&pod) {
            return Ok(blocked(asked));
        }
        let began = self.ctx.clock.instant();
        let baseline = operation.and_then(|operation| operation.baseline.as_deref()).map(|text| read_baseline(text, MOST_TABLETS));
        let is_first = baseline.is_none();
        let mut observed = self.observe_for(doris, session, members, &own, baseline).await?;
        observed.lease = Some(to_be_taken());
        let mut ahead = vec![own.clone()];
        if is_first && matches!(own, SafetyStep::RestartBackends { .. }) {
            ahead.extend(self.backends_ahead(doris, members).filter(|other| *other != own));
        }
        let said = self.said(operation);
        let refusals = ahead.iter().filter_map(|step| check(&observed, step, &said.terms()).err());
        let mut all: Vec<Blocked> = Vec::new();
        for one in refusals.flat_map(|refusal| refusal.blocked) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        let unhealthy: Option<BTreeSet<u64>> = observed.health.as_ref().map(|health| unhealthy(&health.unhealthy));
        if all.is_empty() {
            if unhealthy.as_ref().is_some_and(|all| is_first && write_baseline(all).len() > LONGEST_BASELINE) {
                let count = unhealthy.map_or(0, |all| all.len());
                return Ok((Step::Wait(too_many(&pod, count)), Answer::default()));
            }
            (self.memory.roll.asked, self.memory.roll.refused) = (None, None);
            let keeps_queries = sole_server(&observed, &own);
            return Ok((step, Answer { unhealthy, keeps_queries, consequences: consequences(&observed, &own), blocked: Vec::new() }));
        }
        let at = self.ctx.clock.instant();
        let (pause, under) = (pause(&own, at.duration_since(began)), self.asked_under());
        let refusal = Refusal { blocked: all };
        self.tell_refusal(&format!("{pod} is not restarted"), &refusal).await;
        let asked = Asked { pod, under, at, pause, blocked: refusal.blocked, mistaken: said.mistaken };
        let answer = blocked(&asked);
        self.memory.roll.asked = Some(asked);
        Ok(answer)
    }

    /// Asks all rules afresh, on this very connection, right before a pod is deleted.
    pub(super) async fn may_restart(
        &mut self,
        doris: &Doris,
        session: &mut Session,
        members: &[Member],
        pod: &str,
        uid: &str,
    ) -> Result<bool, Error> {
        let Some(member) = members.iter().find(|member| member.name == pod) else { return Ok(false) };
        let Some(step) = self.safety_step(doris, member).filter(|_| !member.is_down()) else { return Ok(true) };
        let began = self.ctx.clock.instant();
        let known = self.memory.roll.refused.as_ref().filter(|known| known.uid == uid);
        if let Some(known) = known.filter(|known| began.duration_since(known.at) < known.pause) {
            let refusal = Refusal { blocked: known.blocked.clone() };
            self.stay(pod, &refusal);
            return Ok(false);
        }
        let operation = self.operation(self.kind());
        let baseline = operation.as_ref().and_then(|operation| operation.baseline.as_deref());
        let baseline = baseline.map(|text| read_baseline(text, MOST_TABLETS));
        let mut observed = self.observe_for(doris, session, members, &step, baseline).await?;
        // The Lease comes last: what is before it may take its time.
        observed.lease = Some(safety::lease(self.ctx.operations.look(&self.key.namespace, &self.key.name).await?));
        let said = self.said(operation.as_ref());
        match check(&observed, &step, &said.terms()) {
            Ok(passed) => {
                self.memory.roll.refused = None;
                let recorded = self.overrides_are_recorded(&passed).await;
                if !recorded {
                    self.wait(reason::RESTARTING, format!("{pod} is restarted once the override is on record"));
                }
                Ok(recorded)
            }
            Err(refusal) => {
                if is_passing(&refusal) {
                    self.wait(reason::RESTARTING, format!("{pod} is not restarted: {}", sentences(&refusal.blocked)));
                    return Ok(false);
                }
                self.tell_refusal(&format!("{pod} is not restarted"), &refusal).await;
                self.stay(pod, &refusal);
                let at = self.ctx.clock.instant();
                let since = self.memory.roll.refused.take().filter(|known| known.uid == uid).map_or(at, |known| known.since);
                let pause = pause(&step, at.duration_since(began));
                self.memory.roll.refused = Some(Refused { uid: uid.to_owned(), since, at, pause, blocked: refusal.blocked });
                Ok(false)
            }
        }
    }

    /// The member under work stays as it is, and the status says why.
    fn stay(&mut self, pod: &str, refusal: &Refusal) {
        let message = format!("{pod} is not restarted: {}", sentences(&refusal.blocked));
        self.facts.waits.insert(0, crate::report::Finding::new(reason::BLOCKED, message));
        if let Some(operation) = &mut self.facts.operation {
            operation.blocked_by = refusal.status();
        }
    }

    /// The rules have refused the restart of this pod for so long that it is given up for now.
    pub(super) fn is_let_go(&self, uid: &str) -> bool {
        let now = self.ctx.clock.instant();
        self.memory.roll.refused.as_ref().is_some_and(|known| known.uid == uid && now.duration_since(known.since) >= PATIENCE)
    }

    /// The step that the rules judge; none for brokers, which they do not know, and for strangers to Doris.
    fn safety_step(&self, doris: &Doris, member: &Member) -> Option<SafetyStep> {
        let host = self.fqdn(member);
        match member.component {
            Component::Fe | Component::FeObserver if member.registered => {
                Some(SafetyStep::RestartFrontend { host, onto: self.onto(member) })
            }
            Component::Be | Component::Cn => {
                let row = doris.backends.iter().find(|row| row.host == host)?;
                Some(SafetyStep::RestartBackends { backends: [row.id].into() })
            }
            _ => None,
        }
    }

    /// Backends that are still to be restarted, each as a step of its own.
    fn backends_ahead<'m>(&'m self, doris: &'m Doris, members: &'m [Member]) -> impl Iterator<Item = SafetyStep> + 'm {
        let is_ahead = move |member: &&Member| {
            member.component == Component::Be
                && member.alive
                && i64::from(member.ordinal) >= i64::from(self.cluster.spec.update.partition)
                && member.pod.as_ref().is_some_and(|pod| pod.outdated)
        };
        members.iter().filter(is_ahead).filter_map(move |member| self.safety_step(doris, member))
    }

    /// Reads what the rules of a step look at; the Lease is left to the caller.
    async fn observe_for(
        &self,
        doris: &Doris,
        session: &mut Session,
        members: &[Member],
        step: &SafetyStep,
        baseline: Option<Result<BTreeSet<u64>, NoBaseline>>,
    ) -> Result<Observed, Error> {
        let failed = |source| Error::Doris { what: "reading what the safety rules look at", source };
        let mut observed = survey::for_step(session, step, None, &self.roles()).await.map_err(failed)?;
        if matches!(step, SafetyStep::RestartFrontend { .. }) {
            let found = Found { views: &doris.views, frontends: &doris.frontends, verdict: &doris.verdict };
            observed.frontends = Some(survey::frontends(self.ctx.transport.as_ref(), found, &self.frontend_pods(members)).await);
            observed.metadata = self.metadata_in_upgrade();
        }
        // A text that somebody spoilt counts as an empty set: stricter, never laxer.
        observed.baseline = baseline.map(Result::unwrap_or_default);
        observed.cache = Some(self.cache_lag());
        Ok(observed)
    }

    /// What each backend and compute node is, by its pod: Doris does not tell of a dead one.
    pub(in crate::round) fn roles(&self) -> BTreeMap<String, NodeRole> {
        let of = |component, role| self.facts.seen.of(component).iter().map(move |pod| (pod.fqdn.clone(), role));
        of(Component::Be, NodeRole::Mix).chain(of(Component::Cn, NodeRole::Computation)).collect()
    }

    fn frontend_pods(&self, members: &[Member]) -> BTreeMap<String, FrontendPod> {
        let frontends = members.iter().filter(|member| matches!(member.component, Component::Fe | Component::FeObserver));
        let pod = |member: &Member| FrontendPod {
            role: if member.component == Component::Fe { FrontendRole::Follower } else { FrontendRole::Observer },
            stopped: member.pod.as_ref().is_none_or(|pod| !pod.running),
            done: member.pod.as_ref().is_some_and(|pod| !pod.outdated && !pod.leaving),
            steady_for: None,
            has_metadata_copy: self.has_metadata_copy(member),
        };
        frontends.map(|member| (self.fqdn(member), pod(member))).collect()
    }

    /// Our own writes are put into the caches at once; a deletion shows only when the watch tells of it.
    fn cache_lag(&self) -> CacheLag {
        let Some((pod, uid, at)) = &self.memory.roll.deleted else { return CacheLag::default() };
        let shows = self.facts.seen.pods.values().flatten().any(|seen| seen.uid == *uid && !seen.deleting);
        let age = self.ctx.clock.instant().duration_since(*at);
        CacheLag { behind: if shows && age < LAG { [(format!("Pod {pod}"), age)].into() } else { BTreeMap::new() } }
    }

    fn said(&self, operation: Option<&OperationStatus>) -> Said {
        let now = self.ctx.clock.now();
        let began = operation.and_then(|operation| operation.started_at.as_ref()).map_or(now, |time| time.0);
        Said::of(self.cluster, format!("{} {began}", KIND.name), now)
    }

    pub(in crate::round) fn asked_under(&self) -> (Option<i64>, BTreeMap<String, String>) {
        (self.cluster.metadata.generation, self.cluster.metadata.annotations.clone().unwrap_or_default())
    }

    /// What the rules said of this member a moment ago, if nobody said anything else since.
    fn refused_lately(&self, pod: &str) -> Option<&Asked> {
        let asked = self.memory.roll.asked.as_ref().filter(|asked| asked.pod == pod && asked.under == self.asked_under())?;
        (self.ctx.clock.instant().duration_since(asked.at) < asked.pause).then_some(asked)
    }
}

/// Until the rules are asked again. For backends that walks over every tablet.
fn pause(step: &SafetyStep, took: Duration) -> Duration {
    let least = if matches!(step, SafetyStep::RestartBackends { .. }) { PACE } else { Duration::ZERO };
    least.max(took.saturating_mul(BREATH))
}

fn blocked(asked: &Asked) -> (Step, Answer) {
    let message = sentence(&format!("{} is not restarted", asked.pod), &asked.blocked, &asked.mistaken);
    let blocked = Refusal { blocked: asked.blocked.clone() }.status();
    (Step::Blocked { pod: asked.pod.clone(), message }, Answer { blocked, ..Answer::default() })
}

fn too_many(pod: &str, count: usize) -> String {
    format!(
        "{count} tablets are not healthy, too many to tell new damage from old: {pod} is restarted once most of them are repaired; \
         SHOW PROC '/cluster_health/tablet_health' counts them"
    )
}

fn unhealthy(all: &[doris_safety::Unhealthy]) -> BTreeSet<u64> {
    all.iter().flat_map(|one| one.tablets.iter().copied()).collect()
}

/// Before a member is written down the Lease need not be held: it is taken then, and looked at before the pod goes.
pub(in crate::round) fn to_be_taken() -> Lease {
    let token = Token { uid: String::new(), transitions: 0 };
    Lease {
        identity: "us".to_owned(),
        holder: Some("us".to_owned()),
        operation: None,
        token: Some(token.clone()),
        taken: Some(token),
        renewed_ago: Duration::ZERO,
        duration: Duration::MAX,
    }
}
