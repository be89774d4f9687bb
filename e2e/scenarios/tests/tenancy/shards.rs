//! One installation that is shared by several processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_kit::lease::{SHARDS, shard_of};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::lab::{Controller, ControllerOptions, Lab, Settings};
use tokio::time::Instant;

use crate::help::{Requests, ready, resize, small, writers};

/// How long a silent holder keeps a Lease, and what it takes until the next look.
const TERM: Duration = Duration::from_secs(15 + 3);

fn start(lab: &Lab, instance: u64) -> Controller {
    lab.start_controller_with(ControllerOptions { instance, sharded: true, ..ControllerOptions::default() })
}

/// A cluster in each shard.
fn one_a_shard() -> Vec<String> {
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    for index in 0.. {
        let name = format!("s{index}");
        names.entry(shard_of("default", &name)).or_insert(name);
        if names.len() == SHARDS {
            break;
        }
    }
    names.into_values().collect()
}

/// Who holds each shard.
async fn holders(lab: &Lab) -> BTreeMap<String, String> {
    let leases = lab.api::<Lease>().list(&ListParams::default()).await.expect("Leases are listed");
    let shards = leases.items.into_iter().filter(|lease| lease.name_any().contains("-shard-"));
    shards
        .map(|lease| {
            (
                format!("{} {:?}", lease.name_any(), lease.annotations()),
                lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default(),
            )
        })
        .collect()
}

fn counts(holders: &BTreeMap<String, String>) -> Vec<usize> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for holder in holders.values() {
        *counts.entry(holder).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    counts
}

/// Waits until the shards are spread so.
async fn spread(lab: &Lab, expected: &[usize]) {
    let end = Instant::now() + Duration::from_mins(5);
    loop {
        let holders = holders(lab).await;
        if counts(&holders) == expected {
            return;
        }
        assert!(Instant::now() < end, "{holders:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn shard_takeover() {
    let lab = Lab::new(Settings::default()).await;
    let requests = Requests::of(&lab);
    let names = one_a_shard();
    let first = start(&lab, 1);
    let _second = start(&lab, 2);
    spread(&lab, &[4, 4]).await;
    for name in &names {
        lab.apply(&small("default", name)).await.expect("the spec is accepted");
    }
    for name in &names {
        ready(&lab, "default", name).await;
    }
    let before = requests.take();
    let who: BTreeSet<String> = names.iter().flat_map(|name| writers(&before, name)).collect();
    assert_eq!(who.len(), 2, "both work: {who:?}");
    assert!(names.iter().all(|name| writers(&before, name).len() == 1), "each cluster is one process' alone");

    // One dies; its clusters change meanwhile, and are worked on by the other within a term.
    drop(first);
    let began = Instant::now();
    for name in &names {
        resize(&lab, "default", name, 2).await;
    }
    for name in &names {
        ready(&lab, "default", name).await;
    }
    let took = began.elapsed();
    assert_eq!(counts(&holders(&lab).await), [8]);
    let alone = requests.take();
    assert!(names.iter().all(|name| writers(&alone, name) == ["controller-200"]), "one does it all");
    println!("all {} clusters had another backend {took:?} after a death", names.len());

    // Two more come: shards are handed over, one by one, and no cluster is worked on by two at any time.
    let _third = start(&lab, 3);
    let _fourth = start(&lab, 4);
    spread(&lab, &[2, 3, 3]).await;
    for name in &names {
        resize(&lab, "default", name, 3).await;
    }
    for name in &names {
        ready(&lab, "default", name).await;
    }
    let shared = requests.take();
    let who: BTreeSet<String> = names.iter().flat_map(|name| writers(&shared, name)).collect();
    assert_eq!(who.len(), 3, "all three work: {who:?}");
    assert!(names.iter().all(|name| writers(&shared, name).len() <= 2), "the former one, then the new one, and never back");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_dead_replica_is_succeeded_within_its_term() {
    let lab = Lab::new(Settings::default()).await;
    let first = start(&lab, 1);
    spread(&lab, &[8]).await;
    let _second = start(&lab, 2);
    spread(&lab, &[4, 4]).await;
    drop(first);
    let began = Instant::now();
    spread(&lab, &[8]).await;
    assert!(began.elapsed() <= TERM, "{:?}", began.elapsed());
}
