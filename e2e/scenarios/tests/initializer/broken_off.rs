//! Runs that are broken off, at every step.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::initializer::Phase;
use scenarios::lab::faults::StepName;
use scenarios::lab::{Fault, Faults, Settings};

use crate::stage::{SOON, apply, ask, sent, texts, until, with_cluster};

const STATEMENTS: [&str; 5] = [
    "CREATE DATABASE IF NOT EXISTS shop",
    "USE shop",
    "CREATE TABLE IF NOT EXISTS orders (k int) DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES (\"replication_num\" = \"3\")",
    "INSERT INTO orders VALUES (1)",
    "GRANT SELECT_PRIV ON shop.* TO 'admin'",
];

/// Runs the statements under a fault; returns how often each was sent, and the steps since the cluster was ready.
async fn run(faults: Faults) -> (Vec<usize>, Vec<String>, usize) {
    let (lab, _controller) = with_cluster(Settings { faults, ..Settings::default() }, "2.1.7").await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let before = lab.faults.log().len();
    apply(&lab, texts(&STATEMENTS)).await.expect("the spec is accepted");
    let done = until(&lab, Phase::Succeeded, SOON).await;
    assert_eq!(done.status.and_then(|status| status.progress).as_deref(), Some("5/5"));
    let (counts, steps) = (STATEMENTS.iter().map(|statement| sent(&lab, statement)).collect(), lab.faults.log().split_off(before));
    assert!(ask(&lab, "SHOW DATABASES").await.contains("shop"));
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new());
    let left = lab.faults.left();
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
    (counts, steps, left)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_broken_off_anywhere_repeats_at_most_the_statement_that_was_under_work() {
    let (counts, steps, _) = run(Faults::none()).await;
    assert_eq!(counts, [1; 5]);
    let (mut seen, mut plans) = (BTreeMap::<String, usize>::new(), 0);
    let is_of_run = |step: &str| {
        step.contains("dorisinitializers/setup")
            || STATEMENTS.iter().any(|text| {
                let words: Vec<&str> = text.split_whitespace().take(3).collect();
                step == format!("SQL {}", words.join(" "))
            })
    };
    for step in steps.into_iter().filter(|step| is_of_run(step)) {
        let occurrence = seen.entry(step.clone()).or_default();
        *occurrence += 1;
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseAnswer] {
            let name = StepName { what: step.clone(), occurrence: *occurrence };
            let (counts, _, left) = run(Faults::at(name, fault)).await;
            plans += 1;
            let told = format!("{step} no. {occurrence}, {fault:?}: {counts:?}");
            assert_eq!(left, 0, "was reached: {told}");
            // `USE` is said again in every session.
            let repeated = counts.iter().enumerate().filter(|(index, count)| *index != 1 && **count > 1).count();
            assert!(repeated <= 1 && counts.iter().all(|count| (1..=4).contains(count)), "{told}");
            assert!(counts.iter().enumerate().all(|(index, count)| index == 1 || *count <= 2), "{told}");
        }
    }
    println!("{plans} plans");
}
