//! What goes wrong beside the changes: the controller dies or its calls fail, pods and processes go, nodes are lost for a while.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use node_sim::NodeLoss;
use tokio::time::Instant;

use crate::lab::workloads::NAME;
use crate::lab::{Controller, Fault, Lab};

/// Something that goes wrong. Members are named by a number: which one that is depends on who is there then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// A call of the controller, so many steps from then on.
    Call(u64, Fault),
    /// The controller's caches are stale for so long.
    Stale(Duration),
    /// A pod is deleted by hand.
    DeletePod(usize),
    /// A process ends.
    Kill(usize),
    /// The process of the master ends.
    KillMaster,
    /// A process stands still for so long.
    Freeze(usize, Duration),
    /// A member's node is lost for so long.
    LoseNode(usize, NodeLoss, Duration),
}

impl Disturbance {
    /// Mostly the controller's own trouble: it can come at each of its many calls.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        const FAULTS: [Fault; 8] = [
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::CrashAfter,
            Fault::Refuse(409),
            Fault::Refuse(500),
            Fault::Refuse(504),
            Fault::LoseAnswer,
            Fault::Late,
        ];
        let number = rng.usize(..16);
        let span = Duration::from_secs(rng.u64(3..60));
        match rng.u8(..16) {
            0..=6 => Self::Call(rng.u64(1..60), FAULTS[rng.usize(..FAULTS.len())]),
            7 => Self::Stale(Duration::from_secs(rng.u64(5..25))),
            8..=10 => Self::DeletePod(number),
            11 => Self::Kill(number),
            12 => Self::KillMaster,
            13..=14 => Self::Freeze(number, span),
            _ => Self::LoseNode(number, [NodeLoss::PowerOff, NodeLoss::Unreachable][rng.usize(..2)], span),
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(steps, fault) => write!(formatter, "{fault:?} at the controller's call {steps} from now on"),
            Self::Stale(span) => write!(formatter, "caches are stale for {} s", span.as_secs()),
            Self::DeletePod(number) => write!(formatter, "pod {number} is deleted"),
            Self::Kill(number) => write!(formatter, "process {number} ends"),
            Self::KillMaster => write!(formatter, "the master's process ends"),
            Self::Freeze(number, span) => write!(formatter, "process {number} stands still for {} s", span.as_secs()),
            Self::LoseNode(number, loss, span) => {
                write!(formatter, "the node of member {number} is lost ({loss:?}) for {} s", span.as_secs())
            }
        }
    }
}

/// What ends by itself after a while.
enum Ending {
    Thaw(String),
    Restore(String),
    Fresh,
}

/// Disturbances under way.
#[derive(Default)]
pub(super) struct Disturbances(Vec<(Instant, Ending)>);

impl Disturbances {
    /// Lets something go wrong.
    pub async fn begin(&mut self, lab: &Lab, controller: &Controller, disturbance: Disturbance) {
        let now = Instant::now();
        let mut ends = |span: Duration, ending| self.0.push((now + span, ending));
        match disturbance {
            Disturbance::Call(steps, fault) => lab.faults.plan(steps, fault),
            Disturbance::Stale(span) => {
                controller.hold_watches(true);
                ends(span, Ending::Fresh);
            }
            Disturbance::DeletePod(number) => {
                let Some(pod) = member(lab, number).await else { return };
                lab.disturbed(&pod);
                // It may be gone by now.
                let _ = lab.api::<Pod>().delete(&pod, &DeleteParams::default()).await;
            }
            Disturbance::Kill(number) => {
                let Some(pod) = member(lab, number).await else { return };
                lab.disturbed(&pod);
                lab.nodes.kill("default", &pod, None);
            }
            Disturbance::KillMaster => {
                let Some(pod) = lab.master_pod(NAME) else { return };
                lab.disturbed(&pod);
                lab.nodes.kill("default", &pod, None);
            }
            Disturbance::Freeze(number, span) => {
                let Some(pod) = member(lab, number).await else { return };
                lab.disturbed(&pod);
                lab.nodes.freeze("default", &pod, None, true);
                ends(span, Ending::Thaw(pod));
            }
            Disturbance::LoseNode(number, loss, span) => {
                let Some(pod) = member(lab, number).await else { return };
                let Some(node) = lab.nodes.node_of("default", &pod) else { return };
                lab.disturbed(&pod);
                lab.nodes.lose_node(&node, loss);
                ends(span, Ending::Restore(node));
            }
        }
    }

    /// Waits, and ends what is over meanwhile.
    pub async fn wait_until(&mut self, end: Instant, lab: &Lab, controller: &Controller) {
        self.0.sort_by_key(|(at, _)| *at);
        while let Some((at, _)) = self.0.first()
            && *at <= end
        {
            tokio::time::sleep_until(*at).await;
            let (_, ending) = self.0.remove(0);
            match ending {
                Ending::Thaw(pod) => drop(lab.nodes.freeze("default", &pod, None, false)),
                Ending::Restore(node) => lab.nodes.restore_node(&node),
                Ending::Fresh => controller.hold_watches(false),
            }
        }
        tokio::time::sleep_until(end).await;
    }

    /// Waits until everything is over, and takes back what was not reached.
    pub async fn end(&mut self, lab: &Lab, controller: &Controller) {
        let last = self.0.iter().map(|(at, _)| *at).max();
        if let Some(last) = last {
            self.wait_until(last, lab, controller).await;
        }
    }
}

/// Pod of a member that runs.
async fn member(lab: &Lab, number: usize) -> Option<String> {
    let selector = format!("{}={NAME}", doris_api::labels::CLUSTER);
    let list = lab.api::<Pod>().list(&ListParams::default().labels(&selector)).await.ok()?;
    let mut names: Vec<String> = list.iter().map(kube::ResourceExt::name_any).collect();
    names.retain(|name| lab.nodes.address("default", name).is_some());
    names.sort();
    let count = names.len().max(1);
    names.into_iter().nth(number % count)
}
