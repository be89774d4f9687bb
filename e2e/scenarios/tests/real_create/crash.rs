//! A sample of the laboratory's fault plans on the real thing.

use std::time::Instant;

use futures::future::join_all;
use scenarios::lab::plans::NEVER_REACHED;
use scenarios::real::plans::{NamedPlan, changes, common, sample};
use scenarios::real::{Outcome, Place, create};
use tokio::sync::Semaphore;

use crate::audit::requests;
use crate::harness::run;

/// Creations that are under way at once; what more there is waits, for a machine that is too busy tells nothing.
const TOGETHER: usize = 6;
/// Requests that are shown of a run that failed.
const SHOWN: usize = 25;

fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

async fn under(place: &Place<'_>, number: usize, plan: &NamedPlan, turns: &Semaphore) -> Outcome {
    match Place::new(place.stand, &format!("{}-{number}", place.namespace)).await {
        Ok(own) => {
            let outcome = create(&own, Some(plan), turns).await;
            if !outcome.broken.is_empty() {
                let asked = requests(&own).into_iter().filter(|request| request.is_write() || request.code >= 400);
                let asked: Vec<String> = asked.map(|request| format!("{} {} {}", request.at, request.title(), request.message)).collect();
                let last = asked.len().saturating_sub(SHOWN);
                println!("{plan}: the last of {} writes and refusals:\n    {}", asked.len(), asked[last..].join("\n    "));
            }
            outcome
        }
        Err(error) => Outcome::never_begun(error),
    }
}

#[test]
fn crash_anywhere_create() {
    run("crash_anywhere_create", async |place| {
        let started = Instant::now();
        let turns = Semaphore::new(TOGETHER);
        let second = Place::new(place.stand, &format!("{}-calm", place.namespace)).await.expect("a namespace can be made");
        let (calm, again) = tokio::join!(create(&place, None, &turns), create(&second, None, &turns));
        assert_eq!(calm.broken, Vec::<String>::new(), "without faults\n{}", calm.steps.join("\n"));
        let steps = common(&calm.steps, &again.steps);
        println!(
            "without faults, in two runs: {} steps, {} of them changes, ready after {:.1?}",
            steps.len(),
            changes(&steps).len(),
            calm.took
        );
        let plans = match std::env::var("PLAN") {
            Ok(plan) => vec![plan.parse().expect("PLAN is a plan, as in after:PATCH statefulsets/demo-be#1")],
            Err(_) => sample(&steps, seed()),
        };
        let outcomes = join_all(plans.iter().enumerate().map(|(number, plan)| under(&place, number, plan, &turns))).await;
        let (mut bad, mut idle) = (0, 0);
        for (plan, outcome) in plans.iter().zip(&outcomes) {
            let broken = outcome.judge(&calm);
            // A step that is often repeated need not be repeated as often in each run: then nothing went wrong, and nothing was tried.
            if plan.step.occurrence > 1 && broken == [NEVER_REACHED] {
                println!("PLAN='{plan}': this run did without that step");
                idle += 1;
                continue;
            }
            let verdict = if broken.is_empty() { "ok".to_owned() } else { format!("\n  {}", broken.join("\n  ")) };
            println!(
                "PLAN='{plan}': ready after {:.1?}, {} lives, {} outdated writes: {verdict}",
                outcome.took, outcome.lives, outcome.outdated
            );
            bad += usize::from(!broken.is_empty());
        }
        println!("{} plans, seed {}, {bad} failed, {idle} without their step, took {:.1?}", plans.len(), seed(), started.elapsed());
        assert_eq!(place.stand.oracles.verdicts(), Vec::<String>::new(), "what must never happen, in any scenario so far");
        assert!(idle * 5 <= plans.len(), "{idle} of {} plans tried nothing", plans.len());
        assert_eq!(bad, 0, "run one alone with PLAN=<plan>");
    });
}
