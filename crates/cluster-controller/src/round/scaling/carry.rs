//! Carrying out the one step of a scale in.

use controller_kit::lease::Fence;
use doris_api::cluster::OperationStatus;
use doris_api::rules::SafetyRule;
use doris_api::{Component, names};
use doris_client::{FrontendRole, MemberAddress, Session};
use doris_safety::{Refusal, Step as SafeStep};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use super::super::Round;
use super::super::member::{give_work_again, keep_work_away};
use super::gather::ONE_FOLLOWER;
use super::progress::Progress;
use super::{KIND, judge, told};
use crate::act::children::Stage;
use crate::act::identity::{self, Stored};
use crate::act::sweep::Sweeper;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::scaling::{Leaver, Outcome, Record, Step};

/// What a step is done with.
pub(super) struct Act<'a> {
    pub doris: &'a Doris,
    pub stored: &'a Stored,
    pub leavers: &'a [Leaver],
    pub record: Option<&'a Record>,
    pub progress: &'a Progress,
}

/// What came of a step: done as far as it goes now, or refused.
pub(super) type Done = Result<(), Refusal>;

impl Round<'_> {
    /// Does what the plan says, if the Lease is ours and who leaves is written down.
    pub(super) async fn carry_out_scale_in(
        &mut self,
        session: &mut Session,
        act: &Act<'_>,
        mut outcome: Outcome,
        operation: Option<OperationStatus>,
        mut refusal: Option<Refusal>,
    ) -> Result<(), Error> {
        if let Step::Begin { focus, .. } = &outcome.step
            && let Some(behind) = self.survivor_behind(act, &focus.pod)
        {
            outcome.told.push(behind);
            outcome.step = Step::Wait;
        }
        if let Step::Begin { focus, .. } = &outcome.step
            && let Some(step) = Self::first_step(act, &focus.pod)
            && let Err(refused) = self.judge(act.doris, session, &step, None).await?.map(drop)
        {
            outcome.told.push(told::sentence(&refused, &focus.pod));
            outcome.step = Step::Wait;
            refusal = Some(refused);
        }
        self.record_confirmation(&outcome.step);
        let is_under_way = self.under_way().is_some_and(|other| other.kind != KIND.name);
        let told = self.told_scale_in(operation.clone(), act.leavers, &outcome, act.progress, refusal.as_ref());
        let who = told.as_ref().map(|told| told.target.clone()).unwrap_or_default();
        self.tell_scale_refusal(refusal.as_ref(), &who).await;
        self.tell_scale_in(&outcome, act.leavers, operation.as_ref(), refusal.is_some());
        // Whoever rests between two members goes on meanwhile, and keeps its record.
        let waits_beside_another = is_under_way && matches!(outcome.step, Step::Wait);
        if !waits_beside_another {
            self.decide(told.clone());
        }
        match &outcome.step {
            Step::Rest | Step::Done => return self.release_lease(KIND).await,
            Step::Wait if operation.is_none() || self.requested_by_watcher().is_some() => return self.release_lease(KIND).await,
            _ => {}
        }
        let Some(fence) = self.hold_lease(KIND, &who).await? else { return Ok(()) };
        if matches!(outcome.step, Step::Wait | Step::Begin { .. }) || !self.is_recorded(act.record) {
            return Ok(());
        }
        if let Err(refused) = self.do_step(session, act, &outcome.step, &fence).await? {
            let sentence = told::sentence(&refused, &who);
            self.tell_scale_refusal(Some(&refused), &who).await;
            self.wait(doris_api::conditions::reason::BLOCKED, sentence.clone());
            let blocked_by = refused.status();
            self.decide(told.map(|told| OperationStatus { step: sentence, blocked_by, ..told }));
        }
        Ok(())
    }

    /// What will be done to a frontend whose turn comes: it is asked before its clients are sent away.
    fn first_step(act: &Act<'_>, pod: &str) -> Option<SafeStep> {
        let leaver = act.leavers.iter().find(|leaver| leaver.pod == pod)?;
        let row = leaver.row.as_ref()?;
        match leaver.component {
            Component::Fe | Component::FeObserver if row.is_master => {
                Some(SafeStep::RestartFrontend { host: leaver.host.clone(), onto: None })
            }
            Component::Fe | Component::FeObserver => Some(SafeStep::DropFrontend { host: leaver.host.clone() }),
            Component::Be | Component::Cn | Component::Broker => None,
        }
    }

    /// A confirmation that one follower is enough is used up by this.
    fn record_confirmation(&mut self, step: &Step) {
        let Step::Begin { focus, .. } = step else { return };
        let is_follower = names::parse_pod(&self.key.name, &focus.pod).is_some_and(|(component, _)| component == Component::Fe);
        if !is_follower || self.wanted(Component::Fe) != 1 {
            return;
        }
        let now = self.ctx.clock.now();
        let (overrides, _) = doris_safety::overrides_of(self.cluster.annotations(), now);
        let known = |value: &str| self.facts.overrides.iter().any(|record| record.value == value && record.step == ONE_FOLLOWER);
        let new = overrides.into_iter().find(|one| one.rule == SafetyRule::FeQuorum && !known(&one.value));
        self.facts.overrides.extend(new.map(|one| crate::safety::record(&one.used_for(ONE_FOLLOWER, now))));
    }

    /// Before a frontend's turn begins all that stay have what the master has.
    fn survivor_behind(&self, act: &Act<'_>, pod: &str) -> Option<String> {
        let leaver = act.leavers.iter().find(|leaver| leaver.pod == pod).filter(|leaver| leaver.row.is_some())?;
        let master = act.doris.master().filter(|_| matches!(leaver.component, Component::Fe | Component::FeObserver))?;
        let stays = |host: &str| self.member_of(host).is_some_and(|(component, ordinal)| ordinal < self.wanted(component));
        let followers = act.doris.frontends.iter().filter(|row| row.role == FrontendRole::Follower && stays(&row.host));
        let behind = followers.map(|row| self.joining_row(row, act.doris, master)).find(|row| !(row.joined && row.alive && row.follows))?;
        let name = behind.host.split('.').next().unwrap_or(&behind.host);
        Some(format!(
            "{name} has to be alive and to have caught up with the master before another frontend leaves; {pod} would be the next"
        ))
    }

    async fn do_step(&mut self, session: &mut Session, act: &Act<'_>, step: &Step, fence: &Fence) -> Result<Done, Error> {
        match step {
            Step::Cancel { hosts } => self.cancel(session, act, hosts, fence).await?,
            Step::Undrain { host } => self.set_switches(session, act, host, false, fence).await?,
            Step::Drain { hosts } => {
                for host in hosts {
                    self.set_switches(session, act, host, true, fence).await?;
                }
            }
            Step::Serve { pod } => self.send_clients(pod, true, fence).await?,
            Step::StopServing { pod } => self.send_clients(pod, false, fence).await?,
            Step::Decommission { hosts } => return self.decommission(session, act, hosts, fence).await,
            Step::RestartMaster { pod, uid } => {
                let Some(leaver) = act.leavers.iter().find(|leaver| leaver.pod == *pod) else { return Ok(Ok(())) };
                let safe = SafeStep::RestartFrontend { host: leaver.host.clone(), onto: None };
                if let Err(done) = self.permit(act.doris, session, &safe, fence).await? {
                    return Ok(done);
                }
                tracing::info!(
                    cluster = self.key.name,
                    pod,
                    "the master is to leave: it is restarted, so that another frontend is elected"
                );
                self.delete_pod(pod, uid, fence).await?;
            }
            Step::DropFrontend { host, component, .. } => return self.drop_frontend(session, act, host, *component, fence).await,
            Step::DropRow { host, component } => return self.drop_row(session, act, host, *component, fence).await,
            Step::Mark { pods } => self.mark_claims(act, pods).await?,
            Step::Forget { hosts } => self.forget_members(act, hosts).await?,
            Step::Lower { component, to } => return self.lower(session, act, *component, *to, fence).await,
            Step::Discard { claim, uid, pod } => return self.discard(session, act, [pod, claim, uid], fence).await,
            Step::Rest | Step::Begin { .. } | Step::Wait | Step::Done => {}
        }
        Ok(Ok(()))
    }

    /// Addresses as they are registered: a component may be gone from the spec, with its ports.
    fn addresses(act: &Act<'_>, hosts: &[String]) -> Vec<MemberAddress> {
        let rows = act.doris.backends.iter().filter(|row| hosts.contains(&row.host));
        rows.map(|row| MemberAddress::new(row.host.clone(), row.heartbeat_port)).collect()
    }

    async fn cancel(&mut self, session: &mut Session, act: &Act<'_>, hosts: &[String], fence: &Fence) -> Result<(), Error> {
        let addresses = Self::addresses(act, hosts);
        if addresses.is_empty() || !self.may_change_members(act.doris, session).await? || !self.may_speak(fence).await {
            return Ok(());
        }
        tracing::info!(
            cluster = self.key.name,
            hosts = hosts.join(", "),
            "the spec asks for these backends again: they are no longer emptied"
        );
        session.cancel_decommission(&addresses).await.map_err(|source| Error::Doris { what: "stopping to empty backends", source })
    }

    async fn decommission(&mut self, session: &mut Session, act: &Act<'_>, hosts: &[String], fence: &Fence) -> Result<Done, Error> {
        if !self.may_change_members(act.doris, session).await? {
            return Ok(Ok(()));
        }
        let step = judge::decommission(act.doris, hosts.iter().map(String::as_str));
        if let Err(done) = self.permit(act.doris, session, &step, fence).await? {
            return Ok(done);
        }
        let addresses = Self::addresses(act, hosts);
        if addresses.is_empty() || !self.may_speak(fence).await {
            return Ok(Ok(()));
        }
        tracing::info!(cluster = self.key.name, hosts = hosts.join(", "), "backends are being emptied");
        session.decommission_backends(&addresses).await.map_err(|source| Error::Doris { what: "beginning to empty backends", source })?;
        Ok(Ok(()))
    }

    async fn set_switches(&mut self, session: &mut Session, act: &Act<'_>, host: &str, off: bool, fence: &Fence) -> Result<(), Error> {
        let Some(address) = Self::addresses(act, &[host.to_owned()]).pop() else { return Ok(()) };
        if !self.may_speak(fence).await {
            return Ok(());
        }
        if off { keep_work_away(session, &address, true).await } else { give_work_again(session, &address).await }
    }

    async fn send_clients(&mut self, name: &str, serving: bool, fence: &Fence) -> Result<(), Error> {
        let uid = self.facts.seen.pods.values().flatten().find(|pod| pod.name == name).map(|pod| pod.uid.clone());
        let Some(uid) = uid else { return Ok(()) };
        self.set_serving(name, &uid, serving, fence).await
    }

    /// The master has a write acknowledged by those that stay; then the rules are asked, then the statement is sent, all on
    /// one connection.
    async fn drop_frontend(
        &mut self,
        session: &mut Session,
        act: &Act<'_>,
        host: &str,
        component: Component,
        fence: &Fence,
    ) -> Result<Done, Error> {
        let role = if component == Component::FeObserver { FrontendRole::Observer } else { FrontendRole::Follower };
        let survivors = act.doris.frontends.iter().filter(|row| row.role == FrontendRole::Follower && row.host != host);
        let others: Vec<String> = survivors.map(|row| row.host.clone()).filter(|other| act.doris.master() != Some(other)).collect();
        // Those that stay and the master are a majority of what stays registered.
        let needed = others.len().div_ceil(2);
        let is_proven = needed == 0 || self.prove(act.doris, session, &others, needed).await?;
        if !is_proven {
            return Ok(Ok(()));
        }
        let step = SafeStep::DropFrontend { host: host.to_owned() };
        if let Err(done) = self.permit(act.doris, session, &step, fence).await? {
            return Ok(done);
        }
        let Some(row) = act.doris.frontends.iter().find(|row| row.host == host) else { return Ok(Ok(())) };
        if !self.may_speak(fence).await {
            return Ok(Ok(()));
        }
        match session.drop_frontend(role, &row.address()).await {
            Ok(()) => {}
            // Done before, by us: the list that is read next tells.
            Err(error) if error.says_does_not_exist() => {}
            Err(source) => return Err(Error::Doris { what: "taking a frontend out of the group", source }),
        }
        tracing::info!(cluster = self.key.name, host, "a frontend left the group");
        Ok(Ok(()))
    }

    async fn drop_row(
        &mut self,
        session: &mut Session,
        act: &Act<'_>,
        host: &str,
        component: Component,
        fence: &Fence,
    ) -> Result<Done, Error> {
        if !self.may_change_members(act.doris, session).await? {
            return Ok(Ok(()));
        }
        let failed = |source| Error::Doris { what: "taking a member out of Doris", source };
        let outcome = if component == Component::Broker {
            let Some(row) = act.doris.brokers.iter().find(|row| row.host == host) else { return Ok(Ok(())) };
            if !self.may_speak(fence).await {
                return Ok(Ok(()));
            }
            session.drop_broker(&row.name, &MemberAddress::new(row.host.clone(), row.port)).await
        } else {
            let Some(row) = act.doris.backends.iter().find(|row| row.host == host) else { return Ok(Ok(())) };
            let step = if component == Component::Cn {
                SafeStep::DropComputeNode { backend: row.id }
            } else {
                SafeStep::DropBackend { backend: row.id }
            };
            if let Err(done) = self.permit(act.doris, session, &step, fence).await? {
                return Ok(done);
            }
            if !self.may_speak(fence).await {
                return Ok(Ok(()));
            }
            session.drop_backend_without_check(&row.address()).await
        };
        match outcome {
            Ok(()) => {}
            Err(error) if error.says_does_not_exist() => {}
            Err(source) => return Err(failed(source)),
        }
        Ok(Ok(()))
    }

    /// Who is no member any more must not be brought back as one, and an empty volume of it is none that was lost. While
    /// it is not one again, nothing starts on what is on its volume.
    async fn forget_members(&mut self, act: &Act<'_>, hosts: &[String]) -> Result<(), Error> {
        let mut next = act.stored.identity.clone();
        for leaver in act.leavers.iter().filter(|leaver| hosts.contains(&leaver.host)) {
            let on_record = next.frontends.get(&leaver.host).map(|known| known.name.clone()).filter(|name| !name.is_empty());
            for name in on_record.iter().chain(&leaver.left_as) {
                next.note_left(&leaver.host, name);
            }
        }
        next.frontends.retain(|host, _| !hosts.contains(host));
        next.backends.retain(|host, _| !hosts.contains(host));
        if next == act.stored.identity {
            return Ok(());
        }
        let written = identity::replace(self.ctx, self.key, act.stored, &next).await?;
        self.keep(written);
        self.apply(&next, Stage::Frontends).await
    }

    async fn lower(&mut self, session: &mut Session, act: &Act<'_>, component: Component, to: u32, fence: &Fence) -> Result<Done, Error> {
        let going = act.leavers.iter().filter(|leaver| leaver.component == component && leaver.ordinal >= to && leaver.slot);
        for leaver in going {
            let step = SafeStep::RemovePod { host: leaver.host.clone() };
            if let Err(done) = self.permit(act.doris, session, &step, fence).await? {
                return Ok(done);
            }
        }
        self.ctx.operations.check_just_before_act(&self.key.namespace, &self.key.name, fence).await?;
        tracing::info!(cluster = self.key.name, %component, to, "a StatefulSet is lowered");
        if !crate::build::components(&self.cluster.spec).contains(&component) {
            let name = names::set(&self.key.name, component);
            if let Some(set) = self.ctx.caches.sets.get(self.key, &name) {
                let mut sweeper = Sweeper::new(self.ctx, self.cluster, self.key, &mut self.memory.swept);
                sweeper.remove::<StatefulSet>(&name, &set.stamp).await?;
            }
            return Ok(Ok(()));
        }
        let Some(identity) = self.facts.identity.clone() else { return Ok(Ok(())) };
        let stage = if component.process() == doris_api::Process::Fe { Stage::Frontends } else { Stage::Workers };
        self.memory.scaling.lowered.insert(component, i32::try_from(to).unwrap_or(i32::MAX));
        let applied = self.apply(&identity, stage).await;
        self.memory.scaling.lowered.clear();
        applied?;
        Ok(Ok(()))
    }
}
