//! The master's tablet scheduler: what it checks, copies, removes and evens out, at the pace of disks and networks.

mod balance;
mod check;
mod colocate;
mod decommission;
mod repair;
mod slots;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use decommission::{decommission, expired};

use crate::catalog::{Op, TabletHealth};
use crate::process::ProcessId;
use crate::state::State;

/// Finished and failed clones that `history_tablets` remembers.
const HISTORY: usize = 100;

/// How urgent a repair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    VeryHigh,
    High,
    Normal,
    Low,
}

impl Priority {
    pub fn name(self) -> &'static str {
        match self {
            Self::VeryHigh => "VERY_HIGH",
            Self::High => "HIGH",
            Self::Normal => "NORMAL",
            Self::Low => "LOW",
        }
    }
}

/// A tablet that the scheduler has to do something about.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub health: TabletHealth,
    pub balance: bool,
    pub priority: Priority,
    pub created_ms: i64,
    pub scheduled_ms: i64,
    pub failed_scheduling: u32,
    pub failed_running: u32,
    pub error: String,
}

/// A copy under way.
#[derive(Clone, Debug)]
pub(crate) struct Copying {
    pub task: Task,
    pub source: u64,
    pub destination: u64,
    from: ProcessId,
    to: ProcessId,
    ends: Instant,
    pub timeout: Duration,
    fails: bool,
    pub bytes: u64,
}

/// A copy that ended.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub tablet: u64,
    pub copying: Copying,
    pub finished_ms: i64,
    pub error: String,
}

/// The scheduler of one master, in its memory alone.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    /// Since when a tablet is not healthy.
    unhealthy: BTreeMap<u64, Instant>,
    pub pending: BTreeMap<u64, Task>,
    pub running: BTreeMap<u64, Copying>,
    pub history: VecDeque<Past>,
    checked: Option<Instant>,
    /// What the catalog and the switches were when there was nothing to do.
    quiet: Option<(u64, Switches)>,
    /// Since when a backend to drop does not answer about its write-ahead logs.
    unanswered: BTreeMap<u64, Instant>,
}

/// Settings that decide what the scheduler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Switches {
    scheduler: bool,
    balance: bool,
    colocate: bool,
}

/// One round: entries for the journal, and how long nothing will happen.
pub(crate) fn round(state: &mut State, id: ProcessId) -> (Vec<Op>, Duration) {
    let (check_period, tick) = (state.timing.tablet_check, state.timing.tablet_schedule);
    let Some(fe) = state.fe_mut(id) else { return (Vec::new(), check_period) };
    let off = |key: &str| fe.settings.flag(key);
    let switches = Switches {
        scheduler: !off("disable_tablet_scheduler"),
        balance: !off("disable_balance"),
        colocate: !off("disable_colocate_balance"),
    };
    if !switches.scheduler {
        // Copies under way are given up.
        fe.scheduler.pending.clear();
        fe.scheduler.running.clear();
        fe.scheduler.quiet = None;
        return (Vec::new(), check_period);
    }
    if !switches.balance {
        fe.scheduler.running.retain(|_, copying| !copying.task.balance);
    }
    let shape = fe.catalog.shape;
    if fe.scheduler.quiet == Some((shape, switches)) {
        return (Vec::new(), check_period);
    }
    let due = fe.scheduler.checked.is_none_or(|checked| checked.elapsed() >= check_period);
    let mut ops = Vec::new();
    if due {
        if let Some(fe) = state.fe_mut(id) {
            fe.scheduler.checked = Some(Instant::now());
        }
        ops.extend(colocate::arrange(state, id, switches.colocate));
        check::check(state, id);
    }
    ops.extend(repair::finish(state, id));
    if ops.is_empty() {
        ops.extend(repair::start(state, id));
    }
    let Some(fe) = state.fe(id) else { return (ops, check_period) };
    let idle = ops.is_empty() && fe.scheduler.pending.is_empty() && fe.scheduler.running.is_empty();
    if due && idle {
        let started = switches.balance && balance::start(state, id);
        if let Some(fe) = state.fe_mut(id) {
            let waiting = !fe.scheduler.unhealthy.is_empty();
            fe.scheduler.quiet = (!started && !waiting).then_some((shape, switches));
        }
    }
    let pause = if ops.is_empty() { pause(state, id, check_period) } else { tick };
    (ops, pause.max(tick))
}

/// Until the next copy ends or the next check.
fn pause(state: &State, id: ProcessId, check_period: Duration) -> Duration {
    let Some(fe) = state.fe(id) else { return check_period };
    let next_check = fe.scheduler.checked.map_or(Duration::ZERO, |checked| check_period.saturating_sub(checked.elapsed()));
    let first = fe.scheduler.running.values().map(|copying| copying.ends.saturating_duration_since(Instant::now())).min();
    first.map_or(next_check, |first| first.min(next_check))
}

impl Scheduler {
    fn remember(&mut self, past: Past) {
        self.history.push_back(past);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }
}
