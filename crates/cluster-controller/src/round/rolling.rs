//! Rolls: what the plan needs is gathered here, and its one step is carried out.

mod carry;
mod gather;
mod rules;

use controller_kit::clock::whole_seconds;
use doris_api::cluster::{MemberUnderWork, OperationStatus, UpdateStrategy};
use doris_api::conditions::reason;
use doris_client::Session;
use doris_safety::{Switches, write_baseline};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

pub(super) use rules::to_be_taken;

use super::Round;
use super::operation::{self, Kind, ROLLING};
use super::storage::ADD_DISK;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::rolling::{Limits, Member, Order, Record, Scene, Step, plan};

/// What this operation is called.
const KIND: Kind = Kind { name: ROLLING, reason: reason::RESTARTING, done_to_target: "is restarted" };
/// What it is called while it leads to another version.
const UPGRADE: Kind = Kind { name: operation::UPGRADE, reason: reason::UPGRADING, done_to_target: "is upgraded" };

/// What is remembered of a roll between two rounds. It only spares work.
#[derive(Debug, Default)]
pub struct RollMemory {
    /// The master whose switches were seen to be as they should be at rest.
    clean_master: Option<String>,
    /// Tablets that are not healthy and were when the roll began, and when that was asked: it walks over every tablet.
    unhealthy: Option<(Instant, u64)>,
    /// What the rules said last before a member's turn.
    asked: Option<rules::Asked>,
    /// The pod whose deletion they refuse.
    refused: Option<rules::Refused>,
    /// The pod that was deleted last: its name, its uid, and when.
    deleted: Option<(String, String, Instant)>,
}

/// Frontends leave a backend alone for so many seconds after a call to it failed, unless they are configured otherwise.
const AVOIDED_SECONDS: i64 = 120;
/// The key that configures it.
const AVOIDED: &str = "blacklist_duration_second";

impl Round<'_> {
    /// What restarting members is called now: for a disk that is added, or for another version, it is part of that operation.
    pub(super) fn kind(&self) -> Kind {
        if self.gets_disks().is_some() {
            ADD_DISK
        } else if self.upgrade_under_way().is_some() {
            UPGRADE
        } else {
            KIND
        }
    }

    /// One step of a roll, if one is due; every switch of ours is off when none is.
    pub(super) async fn roll(&mut self, doris: &Doris, session: &mut Session) -> Result<(), Error> {
        let kind = self.kind();
        if let Some(other) = self.other_operation(kind) {
            self.wait_for_other(&other);
            return Ok(());
        }
        let Some(members) = self.members(doris, session).await? else { return Ok(()) };
        let operation = self.operation(kind);
        let record = operation.as_ref().and_then(record_of);
        let has_work = record.is_some() || members.iter().any(|member| member.pod.as_ref().is_some_and(|pod| pod.outdated));
        let health = self.health(doris, session, &members, record.as_ref(), has_work).await?;
        let mut limits = self.limits_of_upgrade(self.limits(), doris);
        if kind == ADD_DISK {
            // Halfway its StatefulSet makes no lost pod anew: this is finished first.
            (limits.held_by, limits.partition) = (None, 0);
        }
        let scene = Scene {
            members: &members,
            order: self.roll_order(),
            record: record.as_ref(),
            health,
            let_go: record.as_ref().is_some_and(|record| self.is_let_go(&record.uid)),
            hold_is_specified: self.is_specified(Switches::SCHEDULER),
            limits: &limits,
            now: self.ctx.clock.now(),
        };
        let step = plan(&scene);
        let (step, answer) = self.ask_first(doris, session, &members, operation.as_ref(), step).await?;
        tracing::debug!(cluster = self.key.name, ?step, "roll");
        if matches!(step, Step::Rest | Step::Begin { .. } | Step::Done { .. } | Step::Held(_)) {
            self.tell_leave();
        }
        let pods = operation.as_ref().and_then(|operation| operation.total).filter(|_| kind == ADD_DISK);
        let told = self.told(operation, &members, &step, answer);
        // For a disk the total is that of its set, whatever else became outdated meanwhile.
        let told = told.map(|told| OperationStatus { total: pods.or(told.total), ..told });
        let is_at_rest = step == Step::Rest;
        let stopped = match &step {
            Step::Stop { pod, .. } => members.iter().find(|member| member.name == *pod),
            // Its time is not over, but with the image that it has it does not come back either.
            Step::Wait(_) => record.as_ref().and_then(|record| members.iter().find(|member| member.name == record.pod && member.is_down())),
            _ => None,
        };
        let stopped = stopped.map(|member| member.component);
        self.carry_out(doris, session, &members, step, told).await?;
        match stopped {
            Some(component) => self.mend_with_upgrade(component).await,
            None if is_at_rest => self.go_on_with_upgrade(doris, &members).await,
            None => Ok(()),
        }
    }

    fn roll_order(&self) -> Order {
        self.gets_disks().map_or(Order::Usual, Order::Upward)
    }

    /// Another operation works on the cluster: nothing is restarted meanwhile, and its switches are not taken back.
    fn wait_for_other(&mut self, other: &OperationStatus) {
        let outdated = self.outdated_pods();
        if !outdated.is_empty() {
            let message = format!(
                "{} still run what the spec said before: they are restarted once {} of {} is done",
                outdated.join(", "),
                other.kind,
                other.target
            );
            self.wait(reason::RESTART_PENDING, message);
        }
    }

    /// Without a master only pods that cannot run anyway are replaced: going back to a spec that
    /// worked must not wait for the very frontends that the other spec broke.
    pub(super) async fn replace_what_cannot_run(&mut self) -> Result<(), Error> {
        let Some(members) = self.pods_alone() else { return Ok(()) };
        if self.mend_without_master(&members).await? {
            return Ok(());
        }
        let strategy_is_ours = self.cluster.spec.update.strategy == UpdateStrategy::Rolling;
        let broken = members.iter().find(|member| member.is_down() && member.pod.as_ref().is_some_and(|pod| pod.outdated));
        let Some((member, pod)) = broken.filter(|_| strategy_is_ours).and_then(|member| Some((member, member.pod.as_ref()?))) else {
            return Ok(());
        };
        let Some(fence) = self.hold_lease(self.kind(), &member.name).await? else { return Ok(()) };
        self.memory.roll.unhealthy = None;
        self.delete_pod(&member.name, &pod.uid, &fence).await?;
        self.wait(
            self.kind().reason,
            format!(
                "{} could not run ({}) and is made anew from the present spec",
                member.name,
                member.trouble().unwrap_or("no reason given")
            ),
        );
        Ok(())
    }

    pub(super) fn limits(&self) -> Limits {
        let update = &self.cluster.spec.update;
        let seconds = |seconds: i32| SignedDuration::from_secs(i64::from(seconds));
        let held_by = match (update.strategy, update.paused) {
            (UpdateStrategy::OnDelete, _) => {
                Some("update.strategy is OnDelete: a person deletes the pods, backends before frontends and the master last".to_owned())
            }
            (UpdateStrategy::Rolling, true) => Some("update.paused is true".to_owned()),
            (UpdateStrategy::Rolling, false) => self.requested_by_watcher(),
        };
        let avoided = self.cluster.spec.fe.member.config.get(AVOIDED).and_then(|value| value.as_str().trim().parse().ok());
        Limits {
            partition: u32::try_from(update.partition).unwrap_or(0),
            avoided: SignedDuration::from_secs(avoided.unwrap_or(AVOIDED_SECONDS)),
            only: None,
            drain: seconds(update.timeouts.drain_seconds),
            frontend: seconds(update.timeouts.frontend_seconds),
            backend: seconds(update.timeouts.backend_seconds),
            held_by,
        }
    }

    /// What the status tells of the operation after this step.
    fn told(&self, before: Option<OperationStatus>, members: &[Member], step: &Step, answer: rules::Answer) -> Option<OperationStatus> {
        let order = self.roll_order();
        let is_left = |member: &&Member| {
            let is_outdated = member.pod.as_ref().is_some_and(|pod| pod.outdated);
            order.includes(member) && (is_outdated || self.awaits_its_build(member.component))
        };
        let left = members.iter().filter(is_left).count();
        let left = i32::try_from(left).unwrap_or(i32::MAX);
        let is_upgrade = self.kind() == UPGRADE;
        let mut before = before;
        if let Some(operation) = &mut before {
            operation.blocked_by = Vec::new();
            self.kind().name.clone_into(&mut operation.kind);
        }
        let step_words = words(step);
        match step {
            Step::Rest => is_upgrade.then(|| before.unwrap_or_else(|| OperationStatus { total: Some(left), ..self.new_operation() })),
            Step::Begin { pod, reason } => {
                let mut operation = before.unwrap_or_else(|| self.new_operation());
                operation.member = Some(self.under_work(members.iter().find(|member| member.name == *pod)?, reason, &answer)?);
                // The first member that tablets count for begins with them as they are.
                if let Some(unhealthy) = answer.unhealthy.filter(|_| operation.baseline.is_none()) {
                    operation.unhealthy_tablets = i64::try_from(unhealthy.len()).ok();
                    operation.baseline = Some(write_baseline(&unhealthy));
                }
                Some(at_member(operation, pod, left, step_words))
            }
            Step::Blocked { pod, .. } => {
                let operation = before.unwrap_or_else(|| self.new_operation());
                let operation = OperationStatus { member: None, blocked_by: answer.blocked, ..operation };
                Some(at_member(operation, pod, left, step_words))
            }
            Step::Done { .. } | Step::LetGo { .. } => {
                let mut operation = before?;
                let is_done = matches!(step, Step::Done { .. });
                operation.member = None;
                operation.done = Some(operation.done.unwrap_or(0).saturating_add(i32::from(is_done)));
                operation.step = step_words.unwrap_or_default();
                (left > 0 || is_upgrade).then_some(operation)
            }
            Step::CutShort { .. } => {
                let mut operation = before?;
                operation.member.as_mut()?.cut_short = true;
                operation.step = step_words.unwrap_or_default();
                Some(operation)
            }
            _ => before
                .or_else(|| is_upgrade.then(|| self.new_operation()))
                .map(|operation| OperationStatus { step: step_words.unwrap_or(operation.step), ..operation }),
        }
    }

    fn new_operation(&self) -> OperationStatus {
        OperationStatus {
            kind: self.kind().name.to_owned(),
            target: self.key.name.clone(),
            started_at: Some(Time(whole_seconds(self.ctx.clock.now()))),
            done: Some(0),
            ..OperationStatus::default()
        }
    }

    /// What is written down of the member whose turn it is.
    fn under_work(&self, member: &Member, reason: &str, answer: &rules::Answer) -> Option<MemberUnderWork> {
        let sentences: Vec<&str> = [reason].into_iter().chain(answer.consequences.iter().map(String::as_str)).collect();
        Some(MemberUnderWork {
            pod: member.name.clone(),
            uid: member.pod.as_ref()?.uid.clone(),
            since: Some(Time(whole_seconds(self.ctx.clock.now()))),
            process_start: member.process_start.clone(),
            reason: sentences.join("; "),
            keeps_queries: answer.keeps_queries,
            cut_short: false,
            restarts: None,
        })
    }
}

fn at_member(mut operation: OperationStatus, pod: &str, left: i32, step: Option<String>) -> OperationStatus {
    pod.clone_into(&mut operation.target);
    operation.step = step.unwrap_or_default();
    operation.total = Some(operation.done.unwrap_or(0).saturating_add(left));
    operation
}

/// A pod's name from its host.
pub(super) fn short(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

fn record_of(operation: &OperationStatus) -> Option<Record> {
    let member = operation.member.as_ref()?;
    Some(Record {
        pod: member.pod.clone(),
        uid: member.uid.clone(),
        since: member.since.as_ref()?.0,
        process_start: member.process_start.clone(),
        keeps_queries: member.keeps_queries,
        cut_short: member.cut_short,
    })
}

/// What the status says of a step, where it is no sentence itself.
fn words(step: &Step) -> Option<String> {
    Some(match step {
        Step::Drain { pod } => format!("keeps queries and loads away from {pod}"),
        Step::StopServing { pod } => format!("sends clients to other frontends than {pod}"),
        Step::HoldScheduler => "keeps tablets from being copied while a backend is away".to_owned(),
        Step::ReleaseScheduler => "lets tablets be repaired again".to_owned(),
        Step::Restart { pod, .. } => format!("{pod} stops and is made anew"),
        Step::Undrain { pod } | Step::Serve { pod } => format!("sends clients to {pod} again"),
        Step::Wait(message) | Step::Held(message) | Step::Stop { message, .. } | Step::Blocked { message, .. } => message.clone(),
        Step::CutShort { pod } => format!("{pod} is stopped though work still runs on it: its time is over"),
        Step::LetGo { pod } => format!("{pod} stays as it is until the safety rules let it be restarted"),
        Step::Begin { pod, reason } => format!("it is the turn of {pod}: {reason}"),
        Step::Done { pod } => format!("{pod} is back"),
        Step::Rest => return None,
    })
}
