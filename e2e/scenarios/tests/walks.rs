//! Random walks over the spec, judged by the oracles.

#![allow(clippy::panic, reason = "tests tell of a failure by panicking")]

use std::time::Instant;

use scenarios::lab::many::{each, paused};
use scenarios::lab::walks::{Walk, run};

/// So many walks in CI.
const WALKS: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// `WALKS=5000` walks more, `FROM=1000` begins with another seed, and `SEED=17` walks one of them.
#[test]
fn random_walks_over_the_spec_end_as_the_spec_says() {
    let started = Instant::now();
    let one = number("SEED");
    let first = one.or_else(|| number("FROM")).unwrap_or(1);
    let count = if one.is_some() { 1 } else { number("WALKS").unwrap_or(WALKS) };
    let seeds: Vec<u64> = (first..first + count).collect();
    println!("{count} walks from seed {first} on");
    let outcomes = each(seeds, |seed| {
        let walk = Walk::of(*seed);
        let broken = paused(run(&walk));
        if !broken.is_empty() {
            println!("{walk}  {}", broken.join("\n  "));
        }
        broken.is_empty()
    });
    for (seed, panic) in outcomes.iter().filter_map(|(seed, outcome)| Some((seed, outcome.as_ref().err()?))) {
        println!("{}  {panic}", Walk::of(*seed));
    }
    let bad: Vec<u64> = outcomes.iter().filter(|(_, outcome)| *outcome != Ok(true)).map(|(seed, _)| *seed).collect();
    println!("{count} walks, {} failed, took {:?}", bad.len(), started.elapsed());
    assert!(bad.is_empty(), "seeds {bad:?}: walk one alone with SEED=<seed> cargo test -p scenarios --test walks -- --nocapture");
}
