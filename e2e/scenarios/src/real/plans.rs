//! A sample of the laboratory's fault plans for the real thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::lab::plans::{NoPlan, Trouble};
use crate::lab::{Fault, Faults, faults::StepName};

/// How many plans of each trouble a sample has.
const SAMPLE: [(Trouble, usize); 9] = [
    (Trouble::Call(Fault::Late), 1),
    (Trouble::Stale, 2),
    (Trouble::Call(Fault::CrashBefore), 4),
    (Trouble::Call(Fault::CrashAfter), 5),
    (Trouble::Call(Fault::LoseAnswer), 2),
    (Trouble::Call(Fault::Refuse(409)), 2),
    (Trouble::Call(Fault::Refuse(429)), 1),
    (Trouble::Call(Fault::Refuse(500)), 2),
    (Trouble::Call(Fault::Refuse(504)), 1),
];

/// A plan whose step goes by its name: where time is real, no two runs take the same number of steps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedPlan {
    /// Where.
    pub step: StepName,
    /// What goes wrong.
    pub trouble: Trouble,
}

impl NamedPlan {
    /// The faults that it consists of. Staleness is no fault of a call.
    pub fn faults(&self) -> Faults {
        match self.trouble {
            Trouble::Call(fault) => Faults::at(self.step.clone(), fault),
            Trouble::Stale => Faults::none(),
        }
    }
}

impl fmt::Display for NamedPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}#{}", self.trouble, self.step.what, self.step.occurrence)
    }
}

impl FromStr for NamedPlan {
    type Err = NoPlan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NoPlan(text.to_owned());
        let (trouble, step) = text.split_once(':').ok_or_else(error)?;
        let (what, occurrence) = step.rsplit_once('#').ok_or_else(error)?;
        let step = StepName { what: what.to_owned(), occurrence: occurrence.parse().map_err(|_| error())? };
        Ok(Self { step, trouble: trouble.parse()? })
    }
}

/// Whether a step only asks something.
pub fn only_asks(step: &str) -> bool {
    ["SQL SHOW", "SQL SELECT", "SQL ADMIN SHOW"].iter().any(|asking| step.starts_with(asking))
}

/// Every change among the steps of a run, by its name. What an Event tells is not a change.
pub fn changes(steps: &[String]) -> Vec<StepName> {
    let mut found = Vec::new();
    for (index, what) in steps.iter().enumerate().filter(|(_, what)| !only_asks(what) && !what.contains(" events/")) {
        let occurrence = steps[..index].iter().filter(|before| *before == what).count() + 1;
        found.push(StepName { what: what.clone(), occurrence });
    }
    found
}

/// Steps of a run that another run took as well, and as often: how often a step comes varies where time is real.
pub fn common(steps: &[String], others: &[String]) -> Vec<String> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for step in others {
        *left.entry(step).or_default() += 1;
    }
    let mut take = |step: &str| left.get_mut(step).filter(|count| **count > 0).map(|count| *count -= 1).is_some();
    steps.iter().filter(|step| take(step)).cloned().collect()
}

/// Twenty plans that follow from a seed, each at another step as far as there are steps.
pub fn sample(steps: &[String], seed: u64) -> Vec<NamedPlan> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (changes, mut hit) = (changes(steps), BTreeSet::new());
    let mut plans = Vec::new();
    for (trouble, count) in SAMPLE {
        // A status code is an answer of the API server.
        let fits = |step: &StepName| !matches!(trouble, Trouble::Call(Fault::Refuse(_) | Fault::Late)) || !step.what.starts_with("SQL");
        for _ in 0..count {
            let mut choice: Vec<&StepName> = changes.iter().filter(|step| fits(step) && !hit.contains(*step)).collect();
            if choice.is_empty() {
                choice = changes.iter().filter(|step| fits(step)).collect();
            }
            if let Some(step) = random.choice(choice) {
                hit.insert(step.clone());
                plans.push(NamedPlan { step: step.clone(), trouble });
            }
        }
    }
    plans
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{NamedPlan, changes, common, sample};

    fn steps() -> Vec<String> {
        let writes = (0..20).map(|number| format!("PATCH pods/demo-fe-{}", number % 10));
        writes.chain(["SQL SHOW FRONTENDS", "POST events/", "SQL ADMIN SET FRONTEND"].map(str::to_owned)).collect()
    }

    #[test]
    fn a_step_that_changes_something_is_named_with_its_occurrence() {
        let names: Vec<String> = changes(&steps()).iter().map(|step| format!("{}#{}", step.what, step.occurrence)).collect();
        assert_eq!(names.len(), 21, "{names:?}");
        assert_eq!((names[0].as_str(), names[10].as_str()), ("PATCH pods/demo-fe-0#1", "PATCH pods/demo-fe-0#2"));
    }

    #[test]
    fn what_only_one_of_two_runs_did_is_no_step_of_plans() {
        let of = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        assert_eq!(common(&of(&["a", "b", "a", "c"]), &of(&["b", "a", "d"])), of(&["a", "b"]));
    }

    #[test]
    fn a_sample_has_twenty_plans_of_every_trouble_and_follows_from_its_seed() {
        let plans = sample(&steps(), 7);
        assert_eq!((plans.len(), &plans), (20, &sample(&steps(), 7)));
        let troubles: BTreeSet<String> = plans.iter().map(|plan| plan.trouble.to_string()).collect();
        assert_eq!(troubles.into_iter().collect::<Vec<_>>(), ["409", "429", "500", "504", "after", "before", "late", "lost", "stale"]);
        for plan in plans {
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        assert!("after:17".parse::<NamedPlan>().is_err());
    }
}
