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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// A step by what it does and how often that was done before: where time is real, no two runs count alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepName {
    /// As in `PATCH statefulsets/demo-be`.
    pub what: String,
    /// The first is 1.
    pub occurrence: usize,
}

#[derive(Debug, Default)]
struct State {
    plan: BTreeMap<u64, Fault>,
    named: Vec<(StepName, Fault)>,
    log: Vec<String>,
    outdated: Vec<String>,
    statements: Vec<(IpAddr, String)>,
    dead: BTreeSet<String>,
}

impl State {
    /// How often a step was taken so far: walks over all steps, so only those are counted that a plan names.
    fn occurrences(&self, what: &str) -> usize {
        self.log.iter().filter(|done| *done == what).count()
    }
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
        Self::with(State { plan: plan.into_iter().collect(), ..State::default() })
    }

    /// A plan of one fault at a step that goes by its name.
    pub fn at(step: StepName, fault: Fault) -> Self {
        Self::with(State { named: vec![(step, fault)], ..State::default() })
    }

    fn with(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), crashes: Arc::new(watch::Sender::new(0)) }
    }

    /// Nothing goes wrong; steps are counted all the same.
    pub fn none() -> Self {
        Self::new([])
    }

    /// Plans one fault more: so many steps from now.
    pub fn plan(&self, steps: u64, fault: Fault) {
        let mut state = self.lock();
        let taken = u64::try_from(state.log.len()).unwrap_or(u64::MAX);
        state.plan.insert(taken.saturating_add(steps), fault);
    }

    /// Takes back what was not reached.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.plan.clear();
        state.named.clear();
    }

    /// Counts a step and says what happens to it.
    pub fn step(&self, what: impl Into<String>) -> Verdict {
        let (mut state, what) = (self.lock(), what.into());
        let named = state.named.iter().position(|(step, _)| step.what == what && step.occurrence == state.occurrences(&what) + 1);
        state.log.push(what);
        if let Some(found) = named {
            return Verdict::Hit(state.named.remove(found).1);
        }
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

    /// How many steps there were so far.
    pub fn steps(&self) -> usize {
        self.lock().log.len()
    }

    /// Every step so far.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// Notes a step that the API server refused because it was decided on an older version: it changed nothing.
    pub fn note_outdated(&self, what: &str) {
        self.lock().outdated.push(what.to_owned());
    }

    /// Every step so far that was refused as outdated.
    pub fn outdated(&self) -> Vec<String> {
        self.lock().outdated.clone()
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
        let state = self.lock();
        state.plan.len() + state.named.len()
    }

    /// Every change under the lock is a single call, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, StepName, Verdict};

    #[test]
    fn a_fault_hits_the_step_that_its_plan_counts_to() {
        let faults = Faults::new([(2, Fault::LoseAnswer)]);
        let verdicts: Vec<_> = ["a", "b", "b"].into_iter().map(|step| faults.step(step)).collect();
        assert_eq!(verdicts, [Verdict::Go, Verdict::Hit(Fault::LoseAnswer), Verdict::Go]);
        assert_eq!((faults.left(), faults.log()), (0, vec!["a".to_owned(), "b".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_fault_hits_the_step_that_its_plan_names() {
        let faults = Faults::at(StepName { what: "b".to_owned(), occurrence: 2 }, Fault::CrashAfter);
        let verdicts: Vec<_> = ["b", "a"].into_iter().map(|step| faults.step(step)).collect();
        assert_eq!((verdicts, faults.left()), (vec![Verdict::Go; 2], 1));
        assert_eq!((faults.step("b"), faults.left()), (Verdict::Hit(Fault::CrashAfter), 0));
    }
}
