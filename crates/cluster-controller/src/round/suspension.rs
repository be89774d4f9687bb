//! Suspending a cluster and resuming it.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_kit::clock::whole_seconds;
use controller_kit::lease::Fence;
use doris_api::cluster::OperationStatus;
use doris_api::conditions::reason;
use doris_api::{Component, names};
use doris_client::{Session, survey};
use doris_safety::{CacheLag, Step as SafetyStep, Switches, check};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::Round;
use super::operation::Kind;
use super::refusal::sentence;
use super::rolling::{short, to_be_taken};
use crate::act::accounts::UserPasswords;
use crate::act::children::wanted_replicas;
use crate::act::identity::Stored;
use crate::act::{pods, sets};
use crate::error::Error;
use crate::identity::Identity;
use crate::observe::doris::Doris;
use crate::plan::suspension::{Direction, Scene, Set, Step, plan};
use crate::safety::Said;
use crate::view::MemberPod;

const SUSPEND: Kind = Kind { name: "Suspend", reason: reason::SUSPENDING, done_to_target: "is suspended" };
const RESUME: Kind = Kind { name: "Resume", reason: reason::RESUMING, done_to_target: "is resumed" };

/// Settings that keep Doris from copying tablets while backends are not all there.
const HOLDS: [&str; 2] = [Switches::SCHEDULER, Switches::BALANCE];

/// Between two looks at what refuses a suspension.
const AGAIN: Duration = Duration::from_secs(20);

/// What is remembered of a suspension between two rounds. It only spares work.
#[derive(Debug, Default)]
pub struct SuspensionMemory {
    refused: Option<Refused>,
}

/// What the rules said last, and under which spec and annotations.
#[derive(Debug)]
struct Refused {
    at: Instant,
    under: (Option<i64>, BTreeMap<String, String>),
    sentence: String,
}

/// What Doris tells, as far as it can be asked.
#[derive(Default)]
struct Asked {
    busy: u64,
    behind: Vec<String>,
    held: Option<bool>,
    missing: Vec<String>,
}

impl Round<'_> {
    /// Goes on with a suspension or its end. `false`: the cluster is looked after as one that runs.
    pub(super) async fn suspend_or_resume(&mut self, stored: &Stored, given: &UserPasswords) -> Result<bool, Error> {
        let identity = &stored.identity;
        let (sets, is_founded) = (self.suspended_sets(identity), identity.cluster_id().is_some());
        let is_at_rest = |scene: &Scene<'_>| matches!(plan(scene), Step::Rest | Step::Suspended);
        // What does not concern Doris is decided without asking it.
        if is_at_rest(&self.scene(is_founded, &sets, &[], &[], &Asked::default())) {
            if self.cluster.spec.suspend {
                self.facts.suspended = Some(true);
                self.facts.next_look = Some(Duration::from_secs(30));
            }
            return Ok(self.cluster.spec.suspend);
        }
        if let Some(other) = self.other_operation(SUSPEND).filter(|operation| operation.kind != RESUME.name) {
            let kind = if self.cluster.spec.suspend { SUSPEND } else { RESUME };
            self.wait(kind.reason, format!("the cluster {} once {} of {} is done", kind.done_to_target, other.kind, other.target));
            return Ok(false);
        }
        self.facts.suspended = self.cluster.spec.suspend.then_some(false);
        let (doris, mut session) = if is_founded {
            let (doris, session) = self.observe(identity).await?;
            (Some(doris), session)
        } else {
            (None, None)
        };
        if self.cluster.spec.suspend {
            // A master that stops is no trouble.
            self.facts.waits.clear();
        } else if let Some(doris) = doris.as_ref().filter(|doris| doris.is_denied()) {
            self.regain_account(stored, given, doris).await?;
            return Ok(true);
        }
        let asked = self.ask(identity, doris.as_ref(), session.as_mut()).await?;
        let (serving, silent) = self.frontends_by_serving();
        let step = plan(&self.scene(is_founded, &sets, &serving, &silent, &asked));
        tracing::debug!(cluster = self.key.name, ?step, "suspension");
        // Halfway up nothing is served yet, and nobody looks after it as a cluster that runs.
        if step == Step::Begin(Direction::Down)
            && self.operation(RESUME).is_none()
            && let Some(mut asking) = session.take()
        {
            let may = self.may_suspend(&mut asking).await?;
            if !may {
                asking.close().await;
                return Ok(false);
            }
            session = Some(asking);
        }
        self.carry_suspension_out(step, doris.as_ref(), session.as_mut(), &asked).await?;
        if let Some(session) = session {
            session.close().await;
        }
        self.tell_of_volumes();
        self.tell_of_pods();
        Ok(true)
    }

    /// Asks the safety rules before the first member stops. Without a master nothing runs that a stop would break.
    async fn may_suspend(&mut self, session: &mut Session) -> Result<bool, Error> {
        let (name, now, under) = (self.key.name.clone(), self.ctx.clock.instant(), self.asked_under());
        let lately = self.memory.suspension.refused.as_ref();
        if let Some(known) = lately.filter(|known| known.under == under && now.duration_since(known.at) < AGAIN) {
            let sentence = known.sentence.clone();
            self.wait(reason::BLOCKED, sentence);
            return Ok(false);
        }
        let failed = |source| Error::Doris { what: "reading what the safety rules look at", source };
        let step = SafetyStep::Suspend;
        let mut observed = survey::for_step(session, &step, None, &self.roles()).await.map_err(failed)?;
        // It is taken with the first step, and looked at before each one.
        (observed.lease, observed.cache) = (Some(to_be_taken()), Some(CacheLag::default()));
        let generation = self.cluster.metadata.generation.unwrap_or_default();
        let said = Said::of(self.cluster, format!("{} of generation {generation}", SUSPEND.name), self.ctx.clock.now());
        match check(&observed, &step, &said.terms()) {
            Ok(passed) => {
                self.memory.suspension.refused = None;
                let recorded = self.overrides_are_recorded(&passed).await;
                if recorded {
                    self.tell_leave();
                } else {
                    self.wait(SUSPEND.reason, format!("{name} is suspended once the override is on record"));
                }
                Ok(recorded)
            }
            Err(refusal) => {
                let what = format!("{name} is not suspended");
                self.tell_refusal(&what, &refusal).await;
                let sentence = sentence(&what, &refusal.blocked, &said.mistaken);
                self.wait(reason::BLOCKED, sentence.clone());
                self.memory.suspension.refused = Some(Refused { at: now, under, sentence });
                Ok(false)
            }
        }
    }

    fn suspended_sets(&self, identity: &Identity) -> Vec<Set> {
        let of = |component: Component| {
            let set = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component))?;
            let wanted = wanted_replicas(self.cluster, identity, component);
            Some(Set { component, replicas: set.replicas, wanted, pods: self.facts.seen.of(component).len() })
        };
        Component::ALL.into_iter().filter_map(of).collect()
    }

    fn scene<'a>(&self, is_founded: bool, sets: &'a [Set], serving: &'a [String], silent: &'a [String], asked: &'a Asked) -> Scene<'a> {
        let operation = self.under_way();
        let direction = operation.as_ref().and_then(|operation| match operation.kind.as_str() {
            kind if kind == SUSPEND.name => Some(Direction::Down),
            kind if kind == RESUME.name => Some(Direction::Up),
            _ => None,
        });
        let since = operation.as_ref().and_then(|operation| operation.started_at.as_ref()).map(|time| time.0);
        let elapsed = since.map_or(Duration::ZERO, |since| self.ctx.clock.now().duration_since(since).unsigned_abs());
        let drain = u64::try_from(self.cluster.spec.update.timeouts.drain_seconds).unwrap_or(0);
        Scene {
            suspend: self.cluster.spec.suspend,
            is_founded,
            direction,
            elapsed,
            drain: Duration::from_secs(drain),
            sets,
            master: self.facts.master.as_ref().and_then(|pod| names::parse_pod(&self.key.name, pod)).map(|(_, ordinal)| ordinal),
            behind: &asked.behind,
            serving,
            silent,
            busy: asked.busy,
            held: asked.held,
            missing: &asked.missing,
        }
    }

    /// Frontends' pods that clients are sent to, and those that they are not sent to.
    fn frontends_by_serving(&self) -> (Vec<String>, Vec<String>) {
        let pods = [Component::Fe, Component::FeObserver].into_iter().flat_map(|component| self.facts.seen.of(component));
        let (serving, silent): (Vec<&MemberPod>, Vec<&MemberPod>) = pods.filter(|pod| !pod.deleting).partition(|pod| pod.serving);
        let names = |pods: Vec<&MemberPod>| pods.into_iter().map(|pod| pod.name.clone()).collect();
        (names(serving), names(silent))
    }

    async fn ask(&mut self, identity: &Identity, doris: Option<&Doris>, session: Option<&mut Session>) -> Result<Asked, Error> {
        let (Some(doris), Some(session)) = (doris, session) else { return Ok(Asked::default()) };
        let Some(master) = doris.master().map(str::to_owned) else { return Ok(Asked::default()) };
        let mut asked = Asked::default();
        if self.cluster.spec.suspend {
            for row in doris.frontends.iter().filter(|row| row.alive) {
                asked.busy += self.statements_on(&row.host).await.unwrap_or(0);
            }
            let rows = doris.frontends.iter().map(|row| self.joining_row(row, doris, &master));
            asked.behind = rows.filter(|row| row.alive && row.role == "FOLLOWER" && !row.follows).map(|row| row.host).collect();
            self.memory.master_journal = doris.journal_of(&master).map(|id| (master, id));
            return Ok(asked);
        }
        let switches = self.switches(session).await?;
        let is_held = |(key, on): (&str, bool)| on || self.is_specified(key);
        let held = HOLDS.into_iter().zip([switches.scheduler_off, switches.balance_off]).all(is_held);
        // What the user keeps off anyhow is neither held nor let go.
        asked.held = HOLDS.iter().any(|key| !self.is_specified(key)).then_some(held);
        let is_back = |host: &&String| doris.backends.iter().any(|row| row.host == **host && row.alive && row.has_reported_since_start());
        asked.missing = identity.backends.keys().filter(|host| !is_back(host)).map(|host| short(host).to_owned()).collect();
        Ok(asked)
    }

    async fn carry_suspension_out(
        &mut self,
        step: Step,
        doris: Option<&Doris>,
        session: Option<&mut Session>,
        asked: &Asked,
    ) -> Result<(), Error> {
        let kind = if self.cluster.spec.suspend { SUSPEND } else { RESUME };
        if let Some(sentence) = words(&step) {
            self.wait(kind.reason, sentence.clone());
            if let Some(operation) = self.operation(kind) {
                self.decide(Some(OperationStatus { step: sentence, ..operation }));
            }
        }
        // Whoever was master in between, or is next, must not have it in its memory either.
        let is_let_go = step != Step::Done || self.is_let_go_everywhere(kind, doris).await?;
        match step {
            Step::Begin(direction) => return self.begin_suspension(direction).await,
            Step::Done if !is_let_go => {
                self.wait(kind.reason, format!("{} {}", self.key.name, kind.done_to_target));
                return Ok(());
            }
            Step::Done => {
                if !asked.missing.is_empty() {
                    tracing::warn!(cluster = self.key.name, missing = asked.missing.join(", "), "resumed without these backends");
                }
                // Told as done only when what is in the spec is in force, which the next round sees to.
                self.wait(kind.reason, format!("{} {}", self.key.name, kind.done_to_target));
                self.decide(None);
                return self.release_lease(kind).await;
            }
            Step::Rest | Step::Suspended | Step::Wait(_) => return Ok(()),
            Step::Silence | Step::Serve | Step::Resize(..) | Step::Hold | Step::Release => {}
        }
        let name = self.key.name.clone();
        let Some(fence) = self.hold_lease(kind, &name).await? else { return Ok(()) };
        if !self.is_in_status(kind) {
            return Ok(());
        }
        match (step, session) {
            (Step::Silence, _) => self.serve_all(false, &fence).await,
            (Step::Serve, _) => self.serve_all(true, &fence).await,
            (Step::Resize(component, replicas), _) => self.resize(component, replicas, &fence).await,
            (Step::Hold, Some(session)) => self.hold(session, &fence).await,
            (Step::Release, _) => self.is_let_go_everywhere(kind, doris).await.map(drop),
            _ => Ok(()),
        }
    }

    async fn begin_suspension(&mut self, direction: Direction) -> Result<(), Error> {
        let (kind, former) = match direction {
            Direction::Down => (SUSPEND, RESUME),
            Direction::Up => (RESUME, SUSPEND),
        };
        // Turned round: the Lease is held for the other direction from now on.
        self.release_lease(former).await?;
        self.decide(Some(OperationStatus {
            kind: kind.name.to_owned(),
            target: self.key.name.clone(),
            started_at: Some(Time(whole_seconds(self.ctx.clock.now()))),
            step: "begins".to_owned(),
            ..OperationStatus::default()
        }));
        let name = self.key.name.clone();
        self.wait(kind.reason, format!("{name} {}", kind.done_to_target));
        self.hold_lease(kind, &name).await.map(drop)
    }

    async fn serve_all(&mut self, serving: bool, fence: &Fence) -> Result<(), Error> {
        let frontends = [Component::Fe, Component::FeObserver].into_iter().flat_map(|component| self.facts.seen.of(component));
        let meant = frontends.filter(|pod| !pod.deleting && pod.serving != serving);
        let meant: Vec<(String, String)> = meant.map(|pod| (pod.name.clone(), pod.uid.clone())).collect();
        self.ctx.operations.check_just_before_act(&self.key.namespace, &self.key.name, fence).await?;
        for (pod, uid) in meant {
            pods::set_serving(self.ctx, self.key, &pod, &uid, serving).await?;
        }
        Ok(())
    }

    async fn resize(&mut self, component: Component, replicas: i32, fence: &Fence) -> Result<(), Error> {
        let name = names::set(&self.key.name, component);
        let Some(view) = self.ctx.caches.sets.get(self.key, &name) else { return Ok(()) };
        self.ctx.operations.check_just_before_act(&self.key.namespace, &self.key.name, fence).await?;
        tracing::info!(cluster = self.key.name, %component, replicas, "members stop or start");
        sets::resize(self.ctx, self.key, &name, &view, replicas).await
    }

    async fn hold(&mut self, session: &mut Session, fence: &Fence) -> Result<(), Error> {
        for key in HOLDS {
            if !self.may_speak(fence).await {
                return Ok(());
            }
            self.switch_at_master(session, key, true).await?;
        }
        Ok(())
    }

    /// Lets every frontend that is alive move tablets again; whether each of them does already. The others forgot it.
    async fn is_let_go_everywhere(&mut self, kind: Kind, doris: Option<&Doris>) -> Result<bool, Error> {
        let Some(doris) = doris.filter(|_| !self.cluster.spec.suspend) else { return Ok(true) };
        let mut alive: Vec<String> = doris.frontends.iter().filter(|row| row.alive).map(|row| row.host.clone()).collect();
        // Nobody's silence keeps the master from it, whose switches count.
        alive.sort_by_key(|host| doris.master() != Some(host.as_str()));
        let name = self.key.name.clone();
        self.take_switches_back(kind, &name, &HOLDS, &alive).await
    }
}

fn words(step: &Step) -> Option<String> {
    Some(match step {
        Step::Silence => "clients are sent to no frontend".to_owned(),
        Step::Serve => "clients are sent to the frontends again".to_owned(),
        Step::Resize(component, 0) => format!("{component} members stop"),
        Step::Resize(component, replicas) => format!("{component} has {replicas} members from now on"),
        Step::Hold => "tablets are not copied before all backends are back".to_owned(),
        Step::Release => "tablets may be copied again".to_owned(),
        Step::Wait(why) => why.clone(),
        Step::Rest | Step::Suspended | Step::Begin(_) | Step::Done => return None,
    })
}
