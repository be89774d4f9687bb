//! Carrying out the one step of a roll.

use controller_kit::lease::Fence;
use doris_api::cluster::OperationStatus;
use doris_api::conditions::reason;
use doris_api::ports;
use doris_client::{MemberAddress, Session};
use doris_safety::Switches;

use super::super::Round;
use super::super::member::{give_work_again, keep_work_away};
use super::words;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::rolling::{Member, Step};

impl Round<'_> {
    /// Does what the step says, if the Lease is ours and the member is written down.
    pub(super) async fn carry_out(
        &mut self,
        doris: &Doris,
        session: &mut Session,
        members: &[Member],
        step: Step,
        told: Option<OperationStatus>,
    ) -> Result<(), Error> {
        let is_over = matches!(step, Step::Done { .. }) && told.is_none();
        if let Some(sentence) = words(&step).filter(|_| !is_over) {
            self.tell_step(&step, sentence);
        }
        let target = target_of(&step).or_else(|| told.as_ref().map(|operation| operation.target.clone()));
        self.decide(told);
        if self.is_safe_point(&step) {
            return self.release_lease(self.kind()).await;
        }
        let Some(fence) = self.hold_lease(self.kind(), target.as_deref().unwrap_or("its backends")).await? else { return Ok(()) };
        if touches_the_member_under_work(&step) && !target.as_deref().is_some_and(|pod| self.is_written_down(self.kind(), pod)) {
            return Ok(());
        }
        let pod_of = |name: &str| members.iter().find(|member| member.name == name);
        match &step {
            Step::Drain { pod } => self.switch(session, pod_of(pod), true, &fence).await,
            Step::Undrain { pod } => self.switch(session, pod_of(pod), false, &fence).await,
            Step::HoldScheduler => self.set_hold(session, true, &fence).await,
            Step::ReleaseScheduler => self.set_hold(session, false, &fence).await,
            Step::StopServing { pod } => self.serve(pod_of(pod), false, &fence).await,
            Step::Serve { pod } => self.serve(pod_of(pod), true, &fence).await,
            Step::Restart { pod, uid } => {
                if self.may_restart(doris, session, members, pod, uid).await? {
                    self.restart(doris, pod, uid, &fence).await?;
                }
                Ok(())
            }
            Step::Rest
            | Step::Begin { .. }
            | Step::CutShort { .. }
            | Step::Done { .. }
            | Step::LetGo { .. }
            | Step::Blocked { .. }
            | Step::Wait(_)
            | Step::Held(_)
            | Step::Stop { .. } => Ok(()),
        }
    }

    /// Nothing is half done: somebody else may have the Lease.
    fn is_safe_point(&self, step: &Step) -> bool {
        let is_under_work = self.facts.operation.as_ref().is_some_and(|operation| operation.member.is_some());
        match step {
            // Halfway through adding a disk there is none.
            _ if self.gets_disks().is_some() => self.facts.operation.is_none(),
            Step::Rest | Step::Held(_) | Step::Stop { .. } | Step::LetGo { .. } | Step::Blocked { .. } => true,
            Step::Wait(_) => !is_under_work,
            Step::Done { .. } => self.facts.operation.is_none(),
            _ => false,
        }
    }

    fn tell_step(&mut self, step: &Step, sentence: String) {
        match step {
            Step::Stop { .. } => self.stall(reason::ROLL_STOPPED, sentence),
            Step::Blocked { .. } => self.wait(reason::BLOCKED, sentence),
            Step::Held(_) if self.upgrade_under_way().is_some() => self.tell_upgrade(reason::RESTART_PENDING, &sentence),
            Step::Held(_) => {
                let waiting: Vec<String> = self.outdated_pods();
                self.wait(reason::RESTART_PENDING, format!("{} still run what the spec said before: {sentence}", waiting.join(", ")));
            }
            _ if self.upgrade_under_way().is_some() => self.tell_upgrade(reason::UPGRADING, &sentence),
            _ => self.wait(reason::RESTARTING, sentence),
        }
    }

    async fn switch(&mut self, session: &mut Session, member: Option<&Member>, off: bool, fence: &Fence) -> Result<(), Error> {
        let Some(member) = member else { return Ok(()) };
        if !self.may_speak(fence).await {
            return Ok(());
        }
        self.memory.roll.unhealthy = None;
        let port = self.cluster.spec.port(member.component, &ports::BE_HEARTBEAT);
        let address = MemberAddress::new(self.fqdn(member), port);
        if !off {
            return give_work_again(session, &address).await;
        }
        // Where nobody else can answer, every query that is kept away fails: they end with the process, not before.
        let keeps_queries = self.operation(self.kind()).and_then(|operation| operation.member).is_some_and(|known| known.keeps_queries);
        keep_work_away(session, &address, !keeps_queries).await
    }

    async fn set_hold(&mut self, session: &mut Session, on: bool, fence: &Fence) -> Result<(), Error> {
        if !self.may_speak(fence).await {
            return Ok(());
        }
        self.memory.roll.unhealthy = None;
        self.switch_at_master(session, Switches::SCHEDULER, on).await
    }

    async fn serve(&mut self, member: Option<&Member>, serving: bool, fence: &Fence) -> Result<(), Error> {
        let Some((member, pod)) = member.and_then(|member| Some((member, member.pod.as_ref()?))) else { return Ok(()) };
        self.set_serving(&member.name, &pod.uid, serving, fence).await
    }

    async fn restart(&mut self, doris: &Doris, pod: &str, uid: &str, fence: &Fence) -> Result<(), Error> {
        let is_master = doris.master().is_some_and(|host| host.split('.').next() == Some(pod));
        if is_master {
            tracing::info!(cluster = self.key.name, pod, "the master is restarted; another frontend is elected");
        }
        self.memory.roll.unhealthy = None;
        self.delete_pod(pod, uid, fence).await?;
        self.memory.roll.deleted = Some((pod.to_owned(), uid.to_owned(), self.ctx.clock.instant()));
        Ok(())
    }
}

fn target_of(step: &Step) -> Option<String> {
    match step {
        Step::Begin { pod, .. }
        | Step::Drain { pod }
        | Step::StopServing { pod }
        | Step::Restart { pod, .. }
        | Step::Undrain { pod }
        | Step::Serve { pod }
        | Step::Done { pod }
        | Step::CutShort { pod }
        | Step::LetGo { pod }
        | Step::Blocked { pod, .. }
        | Step::Stop { pod, .. } => Some(pod.clone()),
        Step::HoldScheduler | Step::ReleaseScheduler | Step::Rest | Step::Wait(_) | Step::Held(_) => None,
    }
}

/// Steps that disturb a member need it written down first; those that take something back do not.
fn touches_the_member_under_work(step: &Step) -> bool {
    matches!(step, Step::Drain { .. } | Step::StopServing { .. } | Step::HoldScheduler | Step::Restart { .. })
}
