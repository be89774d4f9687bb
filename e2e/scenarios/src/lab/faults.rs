//! Fault plans: what goes wrong at which step of a controller.
//!
//! A step is a write to the API server or a statement to Doris, counted from 1 over the life of a
//! run, across restarts of the controller. Plans are tried one at a time, so that a failure names
//! the step that it broke at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The controller dies before the step takes effect.
    CrashBefore,
    /// The controller dies right after it, without learning the answer.
    CrashAfter,
    /// The call is answered by this HTTP status and not carried out. Statements get a lost connection.
    Refuse(u16),
    /// The call is carried out and its answer is lost.
    LoseAnswer,
    /// The call is carried out, but only after the caller's deadline.
    Late,
}

/// What a caller has to do with one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Carry it out.
    Go,
    /// Something happens to it.
    Hit(Fault),
}

#[derive(Debug, Default)]
struct State {
    plan: BTreeMap<u64, Fault>,
    log: Vec<String>,
    statements: Vec<(IpAddr, String)>,
    dead: BTreeSet<String>,
}

/// A fault plan that counts steps; clones count together.
#[derive(Clone, Debug)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    crashes: Arc<watch::Sender<u64>>,
}

impl Faults {
    /// A plan: which fault at which step.
    pub fn new(plan: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        let state = State { plan: plan.into_iter().collect(), ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), crashes: Arc::new(watch::Sender::new(0)) }
    }

    /// Nothing goes wrong; steps are counted all the same.
    pub fn none() -> Self {
        Self::new([])
    }

    /// Counts a step and says what happens to it.
    pub fn step(&self, what: impl Into<String>) -> Verdict {
        let mut state = self.lock();
        state.log.push(what.into());
        let number = u64::try_from(state.log.len()).unwrap_or(u64::MAX);
        state.plan.remove(&number).map_or(Verdict::Go, Verdict::Hit)
    }

    /// A process is dead from now on: nothing it still tries reaches anybody.
    pub fn kill(&self, process: &str) {
        self.lock().dead.insert(process.to_owned());
        self.crashes.send_modify(|crashes| *crashes += 1);
    }

    /// Whether a process was killed.
    pub fn is_dead(&self, process: &str) -> bool {
        self.lock().dead.contains(process)
    }

    /// Tells each crash.
    pub fn crashes(&self) -> watch::Receiver<u64> {
        self.crashes.subscribe()
    }

    /// Every step so far.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// Notes a statement and who gets it.
    pub fn note_statement(&self, to: IpAddr, text: &str) {
        self.lock().statements.push((to, text.to_owned()));
    }

    /// Every statement so far, whether it arrived or not, and to whom it was sent.
    pub fn statements(&self) -> Vec<(IpAddr, String)> {
        self.lock().statements.clone()
    }

    /// Faults that were not reached.
    pub fn left(&self) -> usize {
        self.lock().plan.len()
    }

    /// Every change under the lock is a single call, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
