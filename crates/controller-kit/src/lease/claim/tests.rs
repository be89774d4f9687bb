//! Who has the claim on a paused clock, and that two never work together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::server::Server;
use super::super::{ElectionSettings, LeaderElector, lease_of};
use super::{Claim, ClaimSettings, SILENCE};
use crate::clock::SteppedClock;
use crate::leadership::Leadership;
use crate::metrics::Metrics;

const TERM: Duration = Duration::from_secs(9);

fn clock() -> Arc<SteppedClock> {
    Arc::new(SteppedClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
}

fn claim(server: &Server, leader: &str) -> Arc<Claim> {
    let settings = ClaimSettings {
        namespace: "default".into(),
        name: "claim".into(),
        leader: (format!("of-{leader}"), leader.into()),
        duration: TERM,
    };
    Arc::new(Claim::new(server.client(), &settings, clock(), Arc::new(Metrics::new("test"))))
}

/// Leads under a Lease until it is told to stop.
async fn lead(server: &Server, lease: &str) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let settings = ElectionSettings {
        namespace: "ns".into(),
        name: lease.into(),
        identity: format!("{lease}-{}", fastrand::u64(..)),
        duration: TERM,
        rivals: Vec::new(),
    };
    let elector = LeaderElector::new(&server.client(), settings, clock());
    let (leads, stop) = (elector.leadership(), CancellationToken::new());
    let run = tokio::spawn(elector.run(stop.clone()));
    leads.acquired().await;
    (stop, run)
}

/// How long an acquisition takes.
async fn took(claim: &Claim) -> Duration {
    let began = Instant::now();
    claim.acquire().await;
    began.elapsed()
}

async fn is_waiting(claim: &Claim, time: Duration) -> bool {
    tokio::time::timeout(time, claim.acquire()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn the_first_has_it_and_its_processes_after_it_without_another_write() {
    let server = Server::default();
    let (stop, run) = lead(&server, "a").await;
    assert_eq!(took(&claim(&server, "a")).await, Duration::ZERO);
    assert_eq!(server.spec("claim", "holderIdentity"), json!("of-a/a"));
    stop.cancel();
    run.await.expect("ended");
    let _next = lead(&server, "a").await;
    let before = server.0.lock().expect("no panic").writes;
    assert_eq!(took(&claim(&server, "a")).await, Duration::ZERO);
    assert_eq!(server.0.lock().expect("no panic").writes, before);
}

#[tokio::test(start_paused = true)]
async fn another_waits_as_long_as_any_lease_of_the_holder_is_held() {
    for lease in ["a".to_owned(), lease_of("a", 7)] {
        let server = Server::default();
        let (stop, run) = lead(&server, &lease).await;
        claim(&server, "a").acquire().await;
        let other = claim(&server, "b");
        assert!(is_waiting(&other, Duration::from_mins(30)).await, "{lease}");
        // An update: for some seconds nobody holds it.
        stop.cancel();
        run.await.expect("ended");
        assert!(is_waiting(&other, Duration::from_secs(20)).await);
        let (stop, run) = lead(&server, &lease).await;
        assert!(is_waiting(&other, Duration::from_mins(10)).await);
        // Uninstalled.
        stop.cancel();
        run.await.expect("ended");
        let took = took(&other).await;
        assert!((SILENCE..SILENCE + Duration::from_secs(10)).contains(&took), "{took:?}");
        // It comes back, and is the one that waits.
        let _others = lead(&server, "b").await;
        let _back = lead(&server, &lease).await;
        assert!(is_waiting(&claim(&server, "a"), Duration::from_mins(10)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_died_is_succeeded_after_its_term_and_a_minute() {
    let server = Server::default();
    let (_, run) = lead(&server, "a").await;
    claim(&server, "a").acquire().await;
    run.abort();
    let took = took(&claim(&server, "b")).await;
    assert!((SILENCE + TERM..SILENCE + TERM + Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_it_gives_it_back_to_a_holder_that_returned_at_that_moment() {
    let server = Server::default();
    let (stop, run) = lead(&server, "a").await;
    claim(&server, "a").acquire().await;
    stop.cancel();
    run.await.expect("ended");
    let (other, mut rival) = (claim(&server, "b"), super::Rival::default());
    assert!(!other.step(&mut rival).await.expect("an answer"));
    tokio::time::sleep(SILENCE).await;
    // Back between the look at its Lease and the claim's change, which the one that returned did not see yet.
    server.0.lock().expect("no panic").then = Some(("claim", ("a", "back")));
    assert!(!other.step(&mut rival).await.expect("an answer"));
    assert_eq!(server.spec("claim", "holderIdentity"), json!("of-a/a"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_deleted_is_made_again_and_one_that_another_has_ends_the_work() {
    let server = Server::default();
    let _first = lead(&server, "a").await;
    let ours = claim(&server, "a");
    ours.acquire().await;
    server.0.lock().expect("no panic").leases.remove("claim");
    assert!(tokio::time::timeout(Duration::from_mins(3), ours.lost()).await.is_err());
    assert_eq!(server.spec("claim", "holderIdentity"), json!("of-a/a"));
    server.0.lock().expect("no panic").leases.remove("claim");
    let _second = lead(&server, "b").await;
    claim(&server, "b").acquire().await;
    tokio::time::timeout(Duration::from_mins(3), ours.lost()).await.expect("it is noticed");
}

/// Whoever works now: in the list, and allowed to write.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<Vec<(&'static str, Leadership)>>>);

/// Takes its process off the board when that ends, however it ends.
struct Shift(Board, &'static str);

impl Drop for Shift {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(who, _)| *who != self.1);
    }
}

/// A process of an installation, until it loses what it works under.
async fn live(server: Server, who: &'static str, board: Board) {
    let settings = ElectionSettings {
        namespace: "ns".into(),
        name: who.into(),
        identity: format!("{who}-{}", fastrand::u64(..)),
        duration: TERM,
        rivals: Vec::new(),
    };
    let elector = LeaderElector::new(&server.client(), settings, clock());
    let (leads, claim) = (elector.leadership(), claim(&server, who));
    let work = async {
        leads.acquired().await;
        claim.acquire().await;
        board.0.lock().expect("no panic").push((who, leads.clone()));
        let _shift = Shift(board.clone(), who);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = work => {}
        () = elector.run(CancellationToken::new()) => {}
        () = leads.lost() => {}
        () = claim.lost() => {}
    }
}

#[tokio::test(start_paused = true)]
async fn two_that_die_and_return_at_any_moment_never_work_together() {
    let mut changes = 0;
    for seed in 0..8 {
        let (server, board, mut random) = (Server::default(), Board::default(), fastrand::Rng::with_seed(seed));
        server.0.lock().expect("no panic").slow = Some(random.fork());
        let mut deaths: [fastrand::Rng; 2] = [random.fork(), random.fork()];
        let mut worked: Vec<&str> = Vec::new();
        let lives = ["a", "b"].into_iter().zip(&mut deaths).map(|(who, random)| {
            let (server, board) = (server.clone(), board.clone());
            async move {
                loop {
                    // Some live shortly, some are gone for long.
                    let (longest, absence) = (random.choice([20, 400]).unwrap_or(20), random.choice([5, 150]).unwrap_or(5));
                    let (life, gone) = (random.u64(1..longest), random.u64(..absence));
                    let process = live(server.clone(), who, board.clone());
                    let _ = tokio::time::timeout(Duration::from_secs(life), process).await;
                    tokio::time::sleep(Duration::from_secs(gone)).await;
                }
            }
        });
        let lives = futures::future::join_all(lives);
        let watch = async {
            for _ in 0..60_000 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let board = board.0.lock().expect("no panic");
                let working: Vec<&str> = board.iter().filter(|(_, leads)| leads.is_held()).map(|(who, _)| *who).collect();
                assert!(working.len() < 2, "seed {seed}: both work");
                worked.extend(working);
                worked.dedup();
            }
        };
        tokio::select! {
            _ = lives => {}
            () = watch => {}
        }
        changes += worked.len().saturating_sub(1);
    }
    println!("{changes} changes of hands");
    assert!(changes > 30, "{changes}");
}
