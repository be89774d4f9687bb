//! Fault plans: one run of a workload for each of its steps and each thing that can go wrong there.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

use super::oracles::end::{self, EndState};
use super::oracles::logs::Logs;
use super::workloads::{NAME, Sampling, Workload};
use super::{Controller, Fault, Faults, Lab, Settings, is_ready};

/// Longest time to `Ready` in a run with one fault. The longest waits of the controller are two minutes.
pub(crate) const WITHIN: Duration = Duration::from_secs(600);
/// What is said of a run that did not come to the step of its plan.
pub const NEVER_REACHED: &str = "plan: its step was never reached";
/// For this long caches are stale in a plan that says so.
const STALE: Duration = Duration::from_secs(20);

/// What goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A fault of the call itself.
    Call(Fault),
    /// The controller's caches are stale from just before the step on.
    Stale,
}

/// One plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Step, from 1; 0 is the plan without faults.
    pub step: u64,
    /// What goes wrong.
    pub trouble: Trouble,
}

impl Plan {
    /// Nothing goes wrong.
    pub const NONE: Self = Self { step: 0, trouble: Trouble::Stale };
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(Fault::CrashBefore) => formatter.write_str("before"),
            Self::Call(Fault::CrashAfter) => formatter.write_str("after"),
            Self::Call(Fault::Refuse(code)) => write!(formatter, "{code}"),
            Self::Call(Fault::LoseAnswer) => formatter.write_str("lost"),
            Self::Call(Fault::Late) => formatter.write_str("late"),
            Self::Stale => formatter.write_str("stale"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.trouble, self.step)
    }
}

/// A text that is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no plan; one is before:17, after:17, 409:17, lost:17, late:17 or stale:17")]
pub struct NoPlan(pub(crate) String);

impl FromStr for Trouble {
    type Err = NoPlan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "before" => Self::Call(Fault::CrashBefore),
            "after" => Self::Call(Fault::CrashAfter),
            "lost" => Self::Call(Fault::LoseAnswer),
            "late" => Self::Call(Fault::Late),
            "stale" => Self::Stale,
            code => Self::Call(Fault::Refuse(code.parse().map_err(|_| NoPlan(text.to_owned()))?)),
        })
    }
}

impl FromStr for Plan {
    type Err = NoPlan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NoPlan(text.to_owned());
        let (trouble, step) = text.split_once(':').ok_or_else(error)?;
        Ok(Self { step: step.parse().map_err(|_| error())?, trouble: trouble.parse().map_err(|_| error())? })
    }
}

/// The plans for the steps of the run without faults, after the first so many.
pub fn plans(steps: &[String], after: usize, sampling: Sampling) -> Vec<Plan> {
    let (mut questions, mut changes, mut taken) = (0, 0, 0);
    let mut plans = Vec::new();
    for (step, what) in (1..).zip(steps).skip(after) {
        let (count, one_in) = if end::is_asking(what) { (&mut questions, sampling.questions) } else { (&mut changes, sampling.changes) };
        *count += 1;
        if (*count - 1) % one_in != 0 {
            continue;
        }
        let call = |fault| Plan { step, trouble: Trouble::Call(fault) };
        plans.push(call(Fault::CrashBefore));
        plans.push(call(Fault::CrashAfter));
        if taken % sampling.refusals == 0 {
            plans.push(call(refusal(step, what)));
            plans.push(Plan { step, trouble: Trouble::Stale });
        }
        taken += 1;
    }
    plans
}

/// Kinds take turns, so that the number of runs stays bounded.
fn refusal(step: u64, what: &str) -> Fault {
    const CALLS: [Fault; 6] =
        [Fault::LoseAnswer, Fault::Refuse(409), Fault::Refuse(429), Fault::Refuse(500), Fault::Late, Fault::Refuse(504)];
    const STATEMENTS: [Fault; 2] = [Fault::LoseAnswer, Fault::Refuse(500)];
    let kinds = if what.starts_with("SQL") { &STATEMENTS[..] } else { &CALLS[..] };
    let turn = usize::try_from(step).unwrap_or_default() % kinds.len();
    kinds[turn]
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was broken; empty if all is well.
    pub broken: Vec<String>,
    /// Every step of the controller.
    pub steps: Vec<String>,
    /// How many of them were made before the workload began.
    pub before: usize,
    /// The state at the end.
    pub end: EndState,
    /// Time until `Ready`, in the laboratory.
    pub took: Duration,
}

impl Outcome {
    /// The faults were none of this plan's, or all oracles hold and the end is that of the run without faults.
    pub fn judge(&self, without_faults: &EndState) -> Vec<String> {
        self.broken.iter().cloned().chain(without_faults.differences(&self.end)).collect()
    }
}

/// Runs a workload under a plan, with somebody else at work beside the controller.
pub async fn run(seed: u64, workload: Workload, plan: Plan, beside: impl AsyncFnOnce(&Lab)) -> Outcome {
    let (logs, guard) = Logs::capture();
    let faults = match plan.trouble {
        Trouble::Call(fault) => Faults::new([(plan.step, fault)]),
        Trouble::Stale => Faults::none(),
    };
    let lab = Lab::new(Settings { seed, faults, ..Settings::default() }).await;
    let controller = lab.start_controller();
    let mut broken = Vec::new();
    if let Err(error) = lab.apply(&(workload.cluster)()).await {
        broken.push(format!("desired: the spec was not taken: {error}"));
    }
    let mut before = 0;
    if workload.change.is_some() {
        broken.extend(ready(&lab).await);
        // The controller is done with the creation, too.
        tokio::time::sleep(Duration::from_secs(60)).await;
        before = lab.faults.steps();
    }
    let begun = Instant::now();
    let work = async {
        tokio::join!(stale_caches(&lab, &controller, plan), beside(&lab));
    };
    let ready = async {
        if let Some(change) = workload.change {
            change(&lab).await;
        }
        ready(&lab).await
    };
    tokio::pin!(work, ready);
    let mut is_over = false;
    let stuck = loop {
        tokio::select! {
            () = &mut work, if !is_over => is_over = true,
            stuck = &mut ready => break stuck,
        }
    };
    broken.extend(stuck);
    let (took, steps) = (begun.elapsed(), lab.faults.log());
    if lab.faults.left() > 0 {
        broken.push(NEVER_REACHED.to_owned());
    }
    if !is_over {
        work.await;
    }
    broken.extend(end::quiet(&lab, NAME).await);
    if let Some(cluster) = lab.cluster("default", NAME).await {
        broken.extend(end::truth(&lab, &cluster));
        broken.extend(end::in_force(&lab, &cluster).await);
        broken.extend(end::switches(&lab, &cluster.spec));
    }
    let end = match end::state(&lab, NAME).await {
        Ok(end) => end,
        Err(error) => {
            broken.push(format!("same-end: the objects cannot be listed: {error}"));
            EndState::default()
        }
    };
    broken.extend(end::left_tickets(&end));
    broken.extend(lab.rows_stay(NAME).await);
    broken.extend(lab.broken_rules());
    broken.extend(logs.judge(&lab.passwords()));
    drop(guard);
    Outcome { broken, steps, before, end, took }
}

/// Waits until the cluster is ready; the sentence says why it is not.
async fn ready(lab: &Lab) -> Option<String> {
    let end = Instant::now() + WITHIN;
    loop {
        let cluster = lab.cluster("default", NAME).await;
        if cluster.as_ref().is_some_and(is_ready) {
            return None;
        }
        if Instant::now() >= end {
            let summary = cluster.and_then(|cluster| cluster.status).and_then(|status| status.summary).unwrap_or_default();
            return Some(format!("desired: not ready within {WITHIN:?}: {summary}"));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn stale_caches(lab: &Lab, controller: &Controller, plan: Plan) {
    if plan.trouble != Trouble::Stale || plan.step == 0 {
        return;
    }
    let before = usize::try_from(plan.step).unwrap_or(usize::MAX).saturating_sub(1);
    while lab.faults.steps() < before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    controller.hold_watches(true);
    tokio::time::sleep(STALE).await;
    controller.hold_watches(false);
}

#[cfg(test)]
mod tests {
    use super::{Plan, Sampling};

    #[test]
    fn a_plan_is_read_as_it_is_told() {
        let steps: Vec<String> =
            (0..12).map(|step| if step % 2 == 0 { "PATCH pods/a".into() } else { "SQL SHOW FRONTENDS".into() }).collect();
        let plans = super::plans(&steps, 0, Sampling::THOROUGH);
        assert_eq!(plans.len(), 4 * (6 + 2), "all writes, and one question in three");
        assert_eq!(
            super::plans(&steps, 6, Sampling::THOROUGH).first().map(|plan| plan.step),
            Some(7),
            "what was done before is left alone"
        );
        let sampled = super::plans(&steps, 0, Sampling { questions: 6, changes: 2, refusals: 2 });
        assert_eq!(sampled.len(), 2 * (3 + 1) + 2 * 2, "every second write, one question, and half of them with a refusal");
        for plan in plans {
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        assert!("after:x".parse::<Plan>().is_err());
    }
}
