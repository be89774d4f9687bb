//! Rolls: what the plan needs is gathered here, and its one step is carried out.

mod carry;
mod gather;

use doris_api::cluster::{MemberUnderWork, OperationStatus, UnavailableTables, UpdateStrategy};
use doris_api::conditions::reason;
use doris_client::Session;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::Round;
use super::operation::{Kind, whole_seconds};
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::rolling::{Baseline, Health, Limits, Member, Record, Scene, Step, plan};

/// What this operation is called.
const KIND: Kind = Kind { name: "RollingRestart", reason: reason::RESTARTING, done_to_target: "is restarted" };

/// What is remembered of a roll between two rounds. It only spares work.
#[derive(Debug, Default)]
pub struct RollMemory {
    /// The master whose switches were seen to be as they should be at rest.
    clean_master: Option<String>,
    /// Tablets that were not healthy, and when that was asked: it walks over every tablet.
    unhealthy: Option<(Instant, u64)>,
}

impl Round<'_> {
    /// One step of a roll, if one is due; every switch of ours is off when none is.
    pub(super) async fn roll(&mut self, doris: &Doris, session: &mut Session) -> Result<(), Error> {
        if let Some(other) = self.other_operation(KIND) {
            self.wait_for_other(&other);
            return Ok(());
        }
        let Some(members) = self.members(doris).await? else { return Ok(()) };
        let operation = self.operation(KIND);
        let record = operation.as_ref().and_then(record_of);
        let has_work = record.is_some() || members.iter().any(|member| member.pod.as_ref().is_some_and(|pod| pod.outdated));
        let health = self.health(doris, session, &members, record.as_ref(), has_work).await?;
        let limits = self.limits();
        let scene = Scene {
            members: &members,
            record: record.as_ref(),
            health,
            baseline: Baseline {
                unhealthy: operation
                    .as_ref()
                    .and_then(|operation| operation.unhealthy_tablets)
                    .and_then(|count| u64::try_from(count).ok())
                    .unwrap_or(0),
            },
            hold_is_specified: self.hold_is_specified(),
            limits: &limits,
            now: self.ctx.clock.now(),
        };
        let step = plan(&scene);
        tracing::debug!(cluster = self.key.name, ?step, "roll");
        let told = self.told(operation, &members, health, &step);
        self.carry_out(doris, session, &members, step, told).await
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
        let strategy_is_ours = self.cluster.spec.update.strategy == UpdateStrategy::Rolling;
        let broken = members.iter().find(|member| member.is_down() && member.pod.as_ref().is_some_and(|pod| pod.outdated));
        let Some((member, pod)) = broken.filter(|_| strategy_is_ours).and_then(|member| Some((member, member.pod.as_ref()?))) else {
            return Ok(());
        };
        let Some(fence) = self.hold_lease(KIND, &member.name).await? else { return Ok(()) };
        self.memory.roll.unhealthy = None;
        self.delete_pod(&member.name, &pod.uid, &fence).await?;
        self.wait(
            reason::RESTARTING,
            format!(
                "{} could not run ({}) and is made anew from the present spec",
                member.name,
                member.trouble().unwrap_or("no reason given")
            ),
        );
        Ok(())
    }

    fn limits(&self) -> Limits {
        let update = &self.cluster.spec.update;
        let seconds = |seconds: i32| SignedDuration::from_secs(i64::from(seconds));
        let held_by = match (update.strategy, update.paused) {
            (UpdateStrategy::OnDelete, _) => {
                Some("update.strategy is OnDelete: a person deletes the pods, backends before frontends and the master last".to_owned())
            }
            (UpdateStrategy::Rolling, true) => Some("update.paused is true".to_owned()),
            (UpdateStrategy::Rolling, false) => self.requested_by_watcher(),
        };
        let backends_held_by = (update.unavailable_tables == UnavailableTables::Refuse).then(|| {
            "update.unavailableTables is Refuse, and which tables could not be read or loaded while a backend is away is not looked at \
             yet: set it to Allow if that may be so for the minute that each restart takes, or delete the pods of the backends one at a time"
                .to_owned()
        });
        Limits {
            backends_held_by,
            drain: seconds(update.timeouts.drain_seconds),
            frontend: seconds(update.timeouts.frontend_seconds),
            backend: seconds(update.timeouts.backend_seconds),
            held_by,
        }
    }

    /// The user's own configuration keeps the tablet scheduler off.
    fn hold_is_specified(&self) -> bool {
        self.cluster.spec.fe.member.config.get(gather::SCHEDULER).is_some_and(|value| value.as_str().trim().eq_ignore_ascii_case("true"))
    }

    /// What the status tells of the operation after this step.
    fn told(&self, before: Option<OperationStatus>, members: &[Member], health: Health, step: &Step) -> Option<OperationStatus> {
        let now = Time(whole_seconds(self.ctx.clock.now()));
        let left = members.iter().filter(|member| member.pod.as_ref().is_some_and(|pod| pod.outdated)).count();
        let left = i32::try_from(left).unwrap_or(i32::MAX);
        match step {
            Step::Rest => None,
            Step::Begin { pod, reason } => {
                let member = members.iter().find(|member| member.name == *pod)?;
                let mut operation = before.unwrap_or_else(|| OperationStatus {
                    kind: KIND.name.to_owned(),
                    started_at: Some(now.clone()),
                    done: Some(0),
                    unhealthy_tablets: health.unhealthy.and_then(|count| i64::try_from(count).ok()),
                    ..OperationStatus::default()
                });
                pod.clone_into(&mut operation.target);
                operation.step = words(step).unwrap_or_default();
                operation.total = Some(operation.done.unwrap_or(0).saturating_add(left));
                operation.member = Some(MemberUnderWork {
                    pod: pod.clone(),
                    uid: member.pod.as_ref()?.uid.clone(),
                    since: Some(now),
                    process_start: member.process_start.clone(),
                    reason: reason.clone(),
                });
                Some(operation)
            }
            Step::Done { .. } => {
                let mut operation = before?;
                operation.member = None;
                operation.done = Some(operation.done.unwrap_or(0).saturating_add(1));
                operation.step = words(step).unwrap_or_default();
                (left > 0).then_some(operation)
            }
            _ => before.map(|operation| OperationStatus { step: words(step).unwrap_or(operation.step), ..operation }),
        }
    }
}

fn record_of(operation: &OperationStatus) -> Option<Record> {
    let member = operation.member.as_ref()?;
    Some(Record {
        pod: member.pod.clone(),
        uid: member.uid.clone(),
        since: member.since.as_ref()?.0,
        process_start: member.process_start.clone(),
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
        Step::Wait(message) | Step::Held(message) | Step::Stop { message, .. } => message.clone(),
        Step::Begin { pod, reason } => format!("it is the turn of {pod}: {reason}"),
        Step::Done { pod } => format!("{pod} is back"),
        Step::Rest => return None,
    })
}
