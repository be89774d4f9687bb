//! What holds whatever happens and whenever it happens.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use doris_sim::{Cut, FeSpec, Founding, MemberFacts, ProcessState, Signal, Timing, Volume, VolumeDir, World, WorldOptions};
use proptest::prelude::{Just, Strategy};
use proptest::test_runner::{Config, TestCaseError};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};
use tokio::time::{sleep, timeout};

const MEMBERS: u8 = 3;
const CLIENT: u8 = 99;

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn host(n: u8) -> String {
    format!("fe-{n}.test")
}

fn world(seed: u64) -> World {
    let world = World::new(WorldOptions { seed, timing: Timing::real(), ..WorldOptions::default() });
    (0..MEMBERS).for_each(|n| world.set_name(&host(n), ip(n + 1)));
    world
}

fn start(world: &World, volumes: &[Volume], n: u8, helper: Option<u8>) {
    let mut spec = FeSpec::new(host(n), ip(n + 1), "3.0.3", VolumeDir::root(&volumes[usize::from(n)]));
    spec.helpers = helper.map(|helper| format!("{}:9010", host(helper))).into_iter().collect();
    world.start_fe(spec);
}

fn kill(world: &World, n: u8) {
    if let Some(process) = world.process_at(ip(n + 1)) {
        process.signal(Signal::Kill);
    }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

/// Whether a statement was acknowledged in time.
async fn does(world: &World, n: u8, sql: &str) -> bool {
    let work = async {
        let mut session = world.connect(ip(CLIENT), ip(n + 1), 9030, "root", "").await?;
        session.query(sql).await
    };
    timeout(Duration::from_secs(20), work).await.is_ok_and(|answer| answer.is_ok())
}

async fn databases(world: &World, n: u8) -> Vec<String> {
    let Ok(mut session) = world.connect(ip(CLIENT), ip(n + 1), 9030, "root", "").await else { return Vec::new() };
    let Ok(answer) = session.query("SHOW DATABASES").await else { return Vec::new() };
    answer.rows().map(|rows| rows.rows.iter().filter_map(|row| row.first().cloned().flatten()).collect()).unwrap_or_default()
}

/// Frontends that would say now that they lead.
fn leaders(world: &World) -> Vec<String> {
    let members = world.members();
    members.iter().filter_map(MemberFacts::frontend).filter(|fe| fe.says_master).map(|fe| fe.start.fqdn.clone()).collect()
}

/// Who was there, in short.
fn summary(world: &World) -> String {
    let members = world.members();
    let line = |fe: &doris_sim::FrontendFacts| {
        format!("\n{} {:?} leads {} ready {} journal {}", fe.start.fqdn, fe.state, fe.says_master, fe.ready, fe.journal_id)
    };
    members.iter().filter_map(MemberFacts::frontend).map(line).collect()
}

/// Runs on paused time.
fn run<T>(work: impl Future<Output = T>) -> Result<T, TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    Ok(runtime.map_err(|error| TestCaseError::fail(error.to_string()))?.block_on(work))
}

/// A cluster of three that serves.
async fn cluster(world: &World, volumes: &[Volume]) -> bool {
    start(world, volumes, 0, None);
    seconds(30).await;
    let mut good = true;
    for n in 1..MEMBERS {
        good &= does(world, 0, &format!("ALTER SYSTEM ADD FOLLOWER \"{}:9010\"", host(n))).await;
        start(world, volumes, n, Some(0));
        seconds(40).await;
    }
    good
}

/// Something bad.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill(u8),
    Start(u8),
    Isolate(u8, Cut),
    Rejoin(u8),
    Freeze(u8),
    Thaw(u8),
}

fn blow() -> impl Strategy<Value = Blow> {
    let member = 0..MEMBERS;
    let cut = prop_oneof![Just(Cut::Silent), Just(Cut::Refused)];
    prop_oneof![
        3 => member.clone().prop_map(Blow::Kill),
        4 => member.clone().prop_map(Blow::Start),
        2 => (member.clone(), cut).prop_map(|(n, cut)| Blow::Isolate(n, cut)),
        3 => member.clone().prop_map(Blow::Rejoin),
        1 => member.clone().prop_map(Blow::Freeze),
        2 => member.prop_map(Blow::Thaw),
    ]
}

fn strike(world: &World, volumes: &[Volume], blow: Blow) {
    let signal = |n: u8, signal| {
        if let Some(process) = world.process_at(ip(n + 1)) {
            process.signal(signal);
        }
    };
    match blow {
        Blow::Kill(n) => kill(world, n),
        Blow::Start(n) if world.process_at(ip(n + 1)).is_none() => start(world, volumes, n, None),
        Blow::Start(_) => {}
        Blow::Isolate(n, cut) => world.isolate(ip(n + 1), cut),
        Blow::Rejoin(n) => world.rejoin(ip(n + 1)),
        Blow::Freeze(n) => signal(n, Signal::Stop),
        Blow::Thaw(n) => signal(n, Signal::Cont),
    }
}

/// Frozen while the others chose anew and then lost their majority, it wakes up as the only master around.
#[tokio::test(start_paused = true)]
async fn a_master_that_slept_through_its_replacement_is_not_followed() {
    let (world, volumes) = (world(809), [Volume::new(), Volume::new(), Volume::new()]);
    assert!(cluster(&world, &volumes).await);
    strike(&world, &volumes, Blow::Freeze(0));
    seconds(60).await;
    let new = leaders(&world).into_iter().find(|leader| *leader != host(0));
    let new = (1..MEMBERS).find(|n| new == Some(host(*n))).expect("two of three elect");
    assert!(does(&world, new, "CREATE DATABASE kept").await);
    kill(&world, new);
    strike(&world, &volumes, Blow::Thaw(0));
    seconds(30).await;
    strike(&world, &volumes, Blow::Start(0));
    strike(&world, &volumes, Blow::Start(new));
    seconds(90).await;
    assert_eq!(leaders(&world).len(), 1, "{}", summary(&world));
    for n in 0..MEMBERS {
        assert!(databases(&world, n).await.contains(&"kept".to_owned()), "{} lost it: {}", host(n), summary(&world));
    }
}

proptest! {
    #![proptest_config(Config { cases: 48, ..Config::default() })]

    /// A kill during founding leaves one of three: a clean slate, a node that never serves again, or a cluster.
    #[test]
    fn a_kill_while_founding_leaves_a_recorded_state(seed in 0u64..1000, at_ms in 0u64..15_000) {
        run(async move {
            let (world, volumes) = (world(seed), [Volume::new()]);
            start(&world, &volumes, 0, None);
            sleep(Duration::from_millis(at_ms)).await;
            kill(&world, 0);
            let kept = volumes[0].read_text("image/VERSION");
            let half = volumes[0].exists("image/ROLE");
            start(&world, &volumes, 0, None);
            seconds(180).await;
            let members = world.members();
            let Some(second) = members.iter().rev().find_map(MemberFacts::frontend) else {
                return Err(TestCaseError::fail("it was started"));
            };
            match (half, &kept) {
                (false, _) => prop_assert!(second.says_master && second.founded == Some(Founding::Cluster)),
                // It hangs for ever with a ROLE and no VERSION.
                (true, None) => prop_assert!(second.state == ProcessState::Running && !second.ready),
                // The journal knows it, or it ends over not knowing itself.
                (true, Some(_)) => {
                    let serves = second.says_master && second.ready;
                    prop_assert!(serves || second.state == ProcessState::Exited(255), "{second:?}");
                    prop_assert!(second.founded != Some(Founding::Cluster));
                    prop_assert_eq!(volumes[0].read_text("image/VERSION"), kept);
                }
            }
            Ok(())
        })??;
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, ..Config::default() })]

    /// What a majority acknowledged is there when all is well again, and then one leads.
    #[test]
    fn no_acknowledged_write_is_lost(seed in 0u64..1000, blows in proptest::collection::vec((blow(), 1u64..40), 1..12)) {
        run(async move {
            let (world, volumes) = (world(seed), [Volume::new(), Volume::new(), Volume::new()]);
            prop_assert!(cluster(&world, &volumes).await);
            let mut acknowledged = Vec::new();
            for (number, (blow, pause)) in blows.into_iter().enumerate() {
                strike(&world, &volumes, blow);
                seconds(pause).await;
                for n in 0..MEMBERS {
                    let name = format!("db_{number}_{n}");
                    if does(&world, n, &format!("CREATE DATABASE {name}")).await {
                        acknowledged.push(name);
                    }
                }
            }
            for n in 0..MEMBERS {
                strike(&world, &volumes, Blow::Rejoin(n));
                strike(&world, &volumes, Blow::Thaw(n));
            }
            // Whoever ended over it is started again, as a kubelet would.
            for _ in 0..6 {
                seconds(30).await;
                (0..MEMBERS).for_each(|n| strike(&world, &volumes, Blow::Start(n)));
            }
            seconds(60).await;
            prop_assert_eq!(leaders(&world).len(), 1, "{:?}", world.members());
            for n in 0..MEMBERS {
                let found = databases(&world, n).await;
                for name in &acknowledged {
                    prop_assert!(found.contains(name), "{} has {found:?}, misses {name} of {acknowledged:?}: {}", host(n), summary(&world));
                }
            }
            Ok(())
        })??;
    }

    /// As long as every journal is kept, two are never acknowledged as writers in the same moment.
    #[test]
    fn two_never_write(seed in 0u64..1000, blows in proptest::collection::vec((blow(), 1u64..40), 1..12)) {
        run(async move {
            let (world, volumes) = (world(seed), [Volume::new(), Volume::new(), Volume::new()]);
            prop_assert!(cluster(&world, &volumes).await);
            for (number, (blow, pause)) in blows.into_iter().enumerate() {
                strike(&world, &volumes, blow);
                seconds(pause).await;
                let claims: Vec<u8> = (0..MEMBERS).filter(|n| leaders(&world).contains(&host(*n))).collect();
                let mut writers = 0;
                for n in &claims {
                    writers += usize::from(does(&world, *n, &format!("CREATE DATABASE w_{number}_{n}")).await);
                }
                prop_assert!(writers <= 1, "{claims:?} all wrote");
            }
            Ok(())
        })??;
    }
}
