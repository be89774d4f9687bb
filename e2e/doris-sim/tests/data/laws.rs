//! What no order of failures may break.

use std::collections::BTreeMap;

use doris_sim::{LoadError, LoadStatus, NodeRole, Signal, SqlError, StreamLoad, TabletFacts};
use proptest::prelude::{Just, Strategy};
use proptest::test_runner::{Config, TestCaseError};
use proptest::{prop_assert, prop_oneof, proptest};

use crate::stand::{CLIENT, Stand, ip, seconds};

const BACKENDS: u8 = 4;

#[derive(Clone, Copy, Debug)]
enum Event {
    Kill(u8),
    Stop(u8),
    Start(u8),
    Load,
    Hold(bool),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let n = 0..BACKENDS;
    prop_oneof![
        n.clone().prop_map(Event::Kill),
        n.clone().prop_map(Event::Stop),
        n.prop_map(Event::Start),
        Just(Event::Load),
        Just(Event::Load),
        Just(Event::Hold(true)),
        Just(Event::Hold(false)),
        (1..200_u64).prop_map(Event::Wait),
    ]
}

fn run<T>(work: impl Future<Output = T>) -> Result<T, TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    Ok(runtime.map_err(|error| TestCaseError::fail(error.to_string()))?.block_on(work))
}

/// Rows that were acknowledged, and those that may or may not count.
#[derive(Debug, Default)]
struct Loaded {
    sure: u64,
    unsure: BTreeMap<String, u64>,
}

async fn load(stand: &Stand, loaded: &mut Loaded, number: usize) {
    let label = format!("l{number}");
    let load = StreamLoad { rows: 5, ..StreamLoad::new("d", "t", label.clone()) };
    match stand.world.stream_load(CLIENT, ip(1), &load).await {
        Ok(done) if done.status != LoadStatus::Logged => loaded.sure += 5,
        Err(LoadError::Lost | LoadError::Unknown(_)) => drop(loaded.unsure.insert(label, 5)),
        Ok(_) | Err(_) => {}
    }
}

/// What is there in the end.
#[derive(Debug)]
struct End {
    loaded: Loaded,
    count: Result<u64, SqlError>,
    tablets: Vec<TabletFacts>,
}

async fn play(events: &[Event], version: &str, seed: u64) -> End {
    let stand = Stand::seeded(version, 1, BACKENDS, seed).await;
    stand.table("t", "\"replication_num\" = \"3\"").await;
    let mut loaded = Loaded::default();
    for (number, event) in events.iter().enumerate() {
        let running = |n: u8| stand.world.process_at(ip(n + 11));
        match *event {
            Event::Kill(n) => {
                if let Some(process) = running(n) {
                    process.signal(Signal::Kill);
                }
            }
            Event::Stop(n) => {
                if let Some(process) = running(n) {
                    process.signal(Signal::Term);
                    process.wait().await;
                }
            }
            Event::Start(n) if running(n).is_none() => drop(stand.start_backend(n, NodeRole::Mix)),
            Event::Start(_) => {}
            Event::Load => load(&stand, &mut loaded, number).await,
            Event::Hold(on) => stand.set("disable_tablet_scheduler", if on { "true" } else { "false" }).await,
            Event::Wait(time) => seconds(time).await,
        }
    }
    // Everyone comes back, and time heals.
    stand.set("disable_tablet_scheduler", "false").await;
    for n in 0..BACKENDS {
        if stand.world.process_at(ip(n + 11)).is_none() {
            stand.start_backend(n, NodeRole::Mix);
        }
    }
    seconds(1500).await;
    End { loaded, count: stand.count("t").await, tablets: stand.world.tablets() }
}

proptest! {
    #![proptest_config(Config { cases: 40, max_shrink_iters: 60, ..Config::default() })]

    #[test]
    fn no_acknowledged_load_is_lost_and_all_tablets_heal_when_every_disk_comes_back(
        events in proptest::collection::vec(event(), 1..25),
        version in proptest::sample::select(vec!["2.0.15", "2.1.7", "3.0.3"]),
        seed in 0..1000_u64,
    ) {
        let end = run(play(&events, version, seed))?;
        let most = end.loaded.sure + end.loaded.unsure.values().sum::<u64>();
        let held = end.count.as_ref().is_ok_and(|count| (end.loaded.sure..=most).contains(count));
        prop_assert!(held, "{end:#?}");
        for tablet in &end.tablets {
            prop_assert!(tablet.verdict == "HEALTHY" && tablet.readable() == tablet.wanted, "{tablet:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run(events in proptest::collection::vec(event(), 1..10), seed in 0..1000_u64) {
        let mut runs = Vec::new();
        for _ in 0..2 {
            runs.push(format!("{:?}", run(play(&events, "2.1.7", seed))?));
        }
        prop_assert!(runs[0] == runs[1], "{runs:#?}");
    }
}
