//! Creation, the loss of a frontend's volume, and a roll, under every fault plan, judged by the oracles; and the oracles under seeded bugs.

use std::time::Instant;

use scenarios::lab::Lab;
use scenarios::lab::many::{each, paused};
use scenarios::lab::plans::{Outcome, Plan, plans, run};
use scenarios::lab::sabotage::Bug;
use scenarios::lab::workloads::{
    ADD_DISK, CHANGE_PASSWORDS, CONFIGURE, CREATE, LOSE_FRONTEND_VOLUME, ROLL, SCALE_IN_BACKENDS, SCALE_IN_FRONTENDS, SUSPEND, UPGRADE,
    VOLUME_GROWTH, Workload,
};

fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

fn outcome(workload: Workload, plan: Plan) -> Outcome {
    paused(run(seed(), workload, plan, async |_: &Lab| {}))
}

#[test]
fn crash_anywhere_create() {
    crash_anywhere(CREATE);
}

#[test]
fn crash_anywhere_while_a_frontend_is_replaced() {
    crash_anywhere(LOSE_FRONTEND_VOLUME);
}

#[test]
fn crash_anywhere_roll() {
    crash_anywhere(ROLL);
}

#[test]
fn crash_anywhere_password_rotation() {
    crash_anywhere(CHANGE_PASSWORDS);
}

#[test]
fn crash_anywhere_scale_in() {
    crash_anywhere(SCALE_IN_BACKENDS);
}

#[test]
fn crash_anywhere_scale_in_of_frontends() {
    crash_anywhere(SCALE_IN_FRONTENDS);
}

#[test]
fn crash_anywhere_while_the_configuration_changes() {
    crash_anywhere(CONFIGURE);
}

#[test]
fn crash_anywhere_upgrade() {
    crash_anywhere(UPGRADE);
}

#[test]
fn crash_anywhere_volume_growth() {
    crash_anywhere(VOLUME_GROWTH);
}

#[test]
fn crash_anywhere_add_disk() {
    crash_anywhere(ADD_DISK);
}

#[test]
fn crash_anywhere_suspend() {
    crash_anywhere(SUSPEND);
}

fn crash_anywhere(workload: Workload) {
    let started = Instant::now();
    let calm = outcome(workload, Plan::NONE);
    assert_eq!(calm.broken, Vec::<String>::new(), "without faults");
    let count = calm.steps.len() - calm.before;
    println!("{workload:?} without faults: {count} steps, ready after {:?}, run took {:?}", calm.took, started.elapsed());
    for step in calm.steps.iter().skip(calm.before) {
        println!("  {step}");
    }
    assert!(count > 0, "nothing was done");
    let list = match std::env::var("PLAN") {
        Ok(plan) => vec![plan.parse().expect("PLAN is a plan")],
        Err(_) => plans(&calm.steps, calm.before, workload.sampling),
    };
    let count = list.len();
    let outcomes = each(list, |plan| {
        let broken = outcome(workload, *plan).judge(&calm.end);
        if !broken.is_empty() {
            let step = usize::try_from(plan.step).ok().and_then(|step| calm.steps.get(step.checked_sub(1)?));
            println!("PLAN={plan} ({}):\n  {}", step.map_or("?", String::as_str), broken.join("\n  "));
        }
        broken.is_empty()
    });
    for (plan, panic) in outcomes.iter().filter_map(|(plan, outcome)| Some((plan, outcome.as_ref().err()?))) {
        println!("PLAN={plan}: {panic}");
    }
    let bad = outcomes.iter().filter(|(_, outcome)| *outcome != Ok(true)).count();
    println!("{workload:?}: {count} plans, seed {}, {bad} failed, took {:?}", seed(), started.elapsed());
    assert_eq!(bad, 0, "reproduce one with SEED={} PLAN=<plan>", seed());
}

#[test]
fn oracles_catch_seeded_bugs() {
    let outcomes =
        each(Bug::ALL.to_vec(), |(bug, _)| paused(run(seed(), CREATE, Plan::NONE, async |lab: &Lab| Box::pin(bug.commit(lab)).await)));
    let mut missed = Vec::new();
    for ((bug, rule), outcome) in outcomes {
        let broken = outcome.map_or_else(|panic| vec![panic], |outcome| outcome.broken);
        println!("{bug:?}:\n  {}", broken.join("\n  "));
        if !broken.iter().any(|sentence| sentence.starts_with(&format!("{rule}:"))) {
            missed.push((bug, rule));
        }
    }
    assert_eq!(missed, [], "bugs that no oracle saw");
}
