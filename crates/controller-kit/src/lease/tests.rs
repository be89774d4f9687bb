//! Elections and operations on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::server::Server;
use super::{ElectionSettings, Fence, Holding, LeaderElector, LeaseError, Operation, OperationLeases};
use crate::clock::SteppedClock;
use crate::leadership::{Ungated, WriteGate as _};

const TERM: Duration = Duration::from_secs(15);

fn clock() -> Arc<SteppedClock> {
    Arc::new(SteppedClock::starting_at("2026-01-01T00:00:00Z".parse().expect("a time")))
}

fn elector(server: &Server, identity: &str) -> LeaderElector {
    let settings =
        ElectionSettings { namespace: "ns".into(), name: "leader".into(), identity: identity.into(), duration: TERM, rivals: Vec::new() };
    LeaderElector::new(&server.client(), settings, clock())
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_hands_over_when_stopped() {
    let server = Server::default();
    let (first, second) = (elector(&server, "a"), elector(&server, "b"));
    let (first_leads, second_leads) = (first.leadership(), second.leadership());
    let stop = CancellationToken::new();
    let first_run = tokio::spawn(first.run(stop.clone()));
    first_leads.acquired().await;
    tokio::spawn(second.run(CancellationToken::new()));
    for _ in 0..60 {
        after(1).await;
        assert!(first_leads.is_held() && !second_leads.is_held());
    }
    assert_eq!(server.spec("leader", "leaseTransitions"), json!(0));
    stop.cancel();
    first_run.await.expect("ended");
    assert_eq!(server.spec("leader", "holderIdentity"), json!(""));
    tokio::time::timeout(Duration::from_millis(1100), second_leads.acquired()).await.expect("a release is taken up at once");
    assert!(first_leads.check().is_err() && second_leads.check().is_ok());
    assert_eq!(server.spec("leader", "leaseTransitions"), json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_is_succeeded_only_after_its_term_as_we_saw_it() {
    let server = Server::default();
    let first = elector(&server, "a");
    let first_leads = first.leadership();
    let run = tokio::spawn(first.run(CancellationToken::new()));
    first_leads.acquired().await;
    run.abort();
    // Its clock is years ahead or behind: of no interest.
    server.edit("leader", |lease| lease["spec"]["renewTime"] = json!("1999-01-01T00:00:00.000000Z"));
    let second = elector(&server, "b");
    let second_leads = second.leadership();
    let started = tokio::time::Instant::now();
    tokio::spawn(second.run(CancellationToken::new()));
    second_leads.acquired().await;
    assert!(started.elapsed() >= TERM && started.elapsed() <= TERM + Duration::from_millis(100), "{:?}", started.elapsed());
    assert!(!first_leads.is_held(), "writing ends before the successor begins");
}

#[tokio::test(start_paused = true)]
async fn writing_ends_at_two_thirds_of_a_term_without_renewal() {
    let server = Server::default();
    let elector = elector(&server, "a");
    let leads = elector.leadership();
    let run = tokio::spawn(elector.run(CancellationToken::new()));
    leads.acquired().await;
    server.0.lock().expect("no panic").silent = true;
    after(9).await;
    assert!(leads.is_held());
    after(2).await;
    assert!(!leads.is_held());
    tokio::time::timeout(TERM * 2, run).await.expect("the elector ends when leadership is lost").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_edit_by_somebody_else_does_not_end_leadership() {
    let server = Server::default();
    let elector = elector(&server, "a");
    let leads = elector.leadership();
    tokio::spawn(elector.run(CancellationToken::new()));
    leads.acquired().await;
    for _ in 0..10 {
        server.edit("leader", |lease| lease["metadata"]["labels"] = json!({"edited": "yes"}));
        after(4).await;
        assert!(leads.is_held());
    }
    assert_eq!(server.0.lock().expect("no panic").leases["leader"]["metadata"]["labels"]["edited"], json!("yes"), "labels stay");
}

fn operations(server: &Server, identity: &str) -> OperationLeases {
    OperationLeases::new(server.client(), identity.to_owned(), TERM, clock(), Arc::new(Ungated))
}

fn restart(target: &str) -> Operation {
    Operation { kind: "Restart".to_owned(), target: target.to_owned(), started: "2026-01-01T00:00:00Z".parse().expect("a time") }
}

async fn fence(leases: &OperationLeases, operation: &Operation) -> Fence {
    match leases.hold("ns", "c", operation).await.expect("a lease") {
        Holding::Ours { fence, .. } => fence,
        busy @ Holding::Busy { .. } => panic!("{busy:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_held_by_one_and_tells_the_other_what_for() {
    let server = Server::default();
    let (cluster, watcher) = (operations(&server, "cluster"), operations(&server, "watcher"));
    let held = fence(&cluster, &restart("c-be-1")).await;
    assert_eq!(fence(&cluster, &restart("c-be-1")).await, held, "holding again is the same");
    assert_eq!(server.0.lock().expect("no panic").writes, 1, "and sends nothing while fresh");
    let busy = watcher.hold("ns", "c", &restart("c-fe-0")).await.expect("an answer");
    assert_eq!(busy, Holding::Busy { holder: "cluster".to_owned(), operation: Some(restart("c-be-1")) });
    cluster.check_just_before_act("ns", "c", &held).await.expect("still ours");
    cluster.release("ns", "c").await.expect("given up");
    assert!(cluster.check_just_before_act("ns", "c", &held).await.is_err(), "nothing is done after a release");
    let taken = watcher.hold("ns", "c", &restart("c-fe-0")).await.expect("an answer");
    assert!(matches!(taken, Holding::Ours { fence, left_behind: None } if fence.transitions == held.transitions + 1));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_controller_fences_its_former_self_and_sees_what_it_left() {
    let server = Server::default();
    let former = operations(&server, "cluster");
    let old = fence(&former, &restart("c-be-1")).await;
    let present = operations(&server, "cluster");
    let taken = present.hold("ns", "c", &restart("c-be-2")).await.expect("an answer");
    let Holding::Ours { fence: new, left_behind } = taken else { panic!("{taken:?}") };
    assert_eq!((left_behind, new != old), (Some(restart("c-be-1")), true));
    assert!(matches!(former.check_just_before_act("ns", "c", &old).await, Err(LeaseError::Lost { .. })));
    present.check_just_before_act("ns", "c", &new).await.expect("ours");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_fresh_for_a_third_of_the_term_and_renewals_keep_it() {
    let server = Server::default();
    let leases = operations(&server, "cluster");
    let held = fence(&leases, &restart("c-be-1")).await;
    assert!(leases.is_fresh("ns", "c", &held).await);
    after(6).await;
    assert!(!leases.is_fresh("ns", "c", &held).await);
    leases.renew_all().await;
    assert!(leases.is_fresh("ns", "c", &held).await, "renewed under the same fence");
    after(6).await;
    leases.check_just_before_act("ns", "c", &held).await.expect("renews by itself");
    assert!(leases.is_fresh("ns", "c", &held).await);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_another_fence_though_its_count_is_the_same() {
    let server = Server::default();
    let leases = operations(&server, "cluster");
    let held = fence(&leases, &restart("c-be-1")).await;
    server.0.lock().expect("no panic").leases.clear();
    after(6).await;
    assert!(matches!(leases.check_just_before_act("ns", "c", &held).await, Err(LeaseError::Lost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_ends_in_an_error_not_in_a_wait() {
    let server = Server::default();
    let leases = operations(&server, "cluster");
    server.0.lock().expect("no panic").silent = true;
    let started = tokio::time::Instant::now();
    assert!(matches!(leases.hold("ns", "c", &restart("x")).await, Err(LeaseError::Api { .. })));
    assert!(started.elapsed() <= TERM / 3);
}
