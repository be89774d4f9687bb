//! Rules that are broken between a member's turn and its restart: the plan waits for whoever is away before, so only what happens
//! while the member is drained makes the rule itself speak.

use std::time::Duration;

use doris_api::{DorisCluster, names};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, PostParams};
use scenarios::lab::look::condition;
use scenarios::lab::{Controller, Lab, Settings, basic, cluster, is_ready};
use serde_json::{Value, json};

use crate::watch::{Restarts, labelled};

const LONG: Duration = Duration::from_mins(20);

fn patient() -> Value {
    let mut spec = basic("2.1.7");
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 60, "backendSeconds": 60, "frontendSeconds": 60}});
    spec
}

async fn ready() -> (Lab, Controller) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", patient())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    (lab, controller)
}

/// The master and its followers, in the order in which they are restarted.
fn roles(lab: &Lab) -> (String, [String; 2]) {
    let master = lab.master_pod("demo").expect("one master");
    let mut others = ["demo-fe-2", "demo-fe-1", "demo-fe-0"].into_iter().filter(|pod| *pod != master).map(str::to_owned);
    let others = [others.next().expect("three frontends"), others.next().expect("three frontends")];
    (master, others)
}

fn under_work(seen: &DorisCluster, pod: &str) -> bool {
    let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
    operation.and_then(|operation| operation.member.as_ref()).is_some_and(|member| member.pod == pod)
}

fn refused_by(seen: &DorisCluster, rule: &str) -> Option<String> {
    let operation = seen.status.as_ref()?.operation.as_ref()?;
    operation.blocked_by.iter().find(|one| one.rule == rule).map(|one| one.message.clone())
}

/// A roll of the frontends, of which the first follower is being drained while the other one stops to answer.
async fn one_follower_falls_silent(lab: &Lab, silent: &str, first: &str) {
    lab.apply(&cluster("demo", labelled(patient(), &["fe"], "2"))).await.expect("the spec is accepted");
    lab.until("its turn has come", "demo", LONG, |seen| under_work(seen, first)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    lab.disturbed(silent);
    assert!(lab.nodes.freeze("default", silent, None, true), "it runs");
}

/// A statement that keeps a frontend from being restarted before its drain is over.
async fn busy(lab: &Lab, pod: &str, seconds: u64) {
    // It may be cut off with its frontend.
    drop(lab.sql("demo", pod, &format!("SELECT SLEEP({seconds})")).await);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_is_drained_stays_while_another_one_falls_silent() {
    let (lab, _controller) = ready().await;
    let (_, [first, silent]) = roles(&lab);
    let restarts = Restarts::of(&lab, "demo").await;
    let scene = async {
        one_follower_falls_silent(&lab, &silent, &first).await;
        let is_refused = |seen: &DorisCluster| refused_by(seen, "FeQuorum").is_some();
        let seen = lab.until("the rule speaks", "demo", LONG, is_refused).await;
        let message = refused_by(&seen, "FeQuorum").expect("a refusal");
        let expected = format!(
            "without {first}, 1 follower would be left that is alive and caught up, and 3 registered followers need 2: {silent} does not answer"
        );
        assert!(message.starts_with(&expected), "{message}");
        // Nobody stands drained for ever: it gets clients again, and the plan waits for the same one.
        let waits = format!("{silent} is not there");
        let is_waiting = |seen: &DorisCluster| {
            !under_work(seen, &first)
                && seen.status.as_ref().is_some_and(|status| status.conditions.iter().any(|one| one.message.contains(&waits)))
        };
        lab.until("it is let go", "demo", LONG, is_waiting).await;
        assert_eq!(restarts.seen(), [] as [String; 0]);
        assert!(lab.nodes.freeze("default", &silent, None, false), "it is there");
        lab.until("it goes on by itself", "demo", LONG, is_ready).await;
    };
    tokio::join!(busy(&lab, &first, 120), scene);
    assert_eq!(restarts.seen().len(), 3, "{:?}", restarts.seen());
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_person_may_have_a_follower_restarted_beside_a_silent_one() {
    let (lab, _controller) = ready().await;
    let (_, [first, silent]) = roles(&lab);
    let restarts = Restarts::of(&lab, "demo").await;
    let until = "2026-06-01T04:00:00Z";
    let scene = async {
        one_follower_falls_silent(&lab, &silent, &first).await;
        lab.until("the rule speaks", "demo", LONG, |seen| refused_by(seen, "FeQuorum").is_some()).await;
        let mut overridden = cluster("demo", labelled(patient(), &["fe"], "2"));
        overridden.metadata.annotations = Some([("override.doris-operator.dev/FeQuorum".to_owned(), until.to_owned())].into());
        lab.apply(&overridden).await.expect("the annotation is accepted");
        lab.eventually("it is restarted", LONG, || async {
            if restarts.seen().contains(&first) { Ok(()) } else { Err(format!("{:?}", restarts.seen())) }
        })
        .await;
        assert!(lab.nodes.freeze("default", &silent, None, false), "it is there");
        lab.until("the roll is done", "demo", LONG, is_ready).await
    };
    let ((), done) = tokio::join!(busy(&lab, &first, 300), scene);
    let used = done.status.map(|status| status.overrides).unwrap_or_default();
    assert!(
        matches!(used.as_slice(), [one] if one.rule == "FeQuorum" && one.value == until && one.step.contains("RestartFrontend")),
        "{used:?}"
    );
    // What was overridden is what the oracles see.
    let broken = lab.broken_rules();
    assert!(broken.iter().all(|one| one.starts_with("keeps-majority") || one.starts_with("one-at-a-time")), "{broken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_master_that_is_drained_stays_when_the_others_have_to_be_restarted_again() {
    let (lab, _controller) = ready().await;
    let (master, others) = roles(&lab);
    let restarts = Restarts::of(&lab, "demo").await;
    let scene = async {
        lab.apply(&cluster("demo", labelled(patient(), &["fe"], "2"))).await.expect("the spec is accepted");
        lab.until("the master's turn has come", "demo", LONG, |seen| under_work(seen, &master)).await;
        assert_eq!(restarts.seen(), others);
        lab.apply(&cluster("demo", labelled(patient(), &["fe"], "3"))).await.expect("the spec is accepted");
        let seen = lab.until("the rule speaks", "demo", LONG, |seen| refused_by(seen, "MasterLast").is_some()).await;
        let message = refused_by(&seen, "MasterLast").expect("a refusal");
        assert!(message.starts_with(&format!("{master} is the master and restarts last, so that one election is enough; ")), "{message}");
        assert!(others.iter().all(|other| message.contains(&format!("{other} waits for its own restart"))), "{message}");
        lab.until("the roll is done", "demo", LONG, is_ready).await;
    };
    tokio::join!(busy(&lab, &master, 900), scene);
    let seen = restarts.seen();
    let [first, second] = &others;
    assert_eq!(seen, [first, second, first, second, &master].map(String::as_str), "one election for two changes");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_restarted_while_another_controller_holds_the_lease() {
    let (lab, _controller) = ready().await;
    let restarts = Restarts::of(&lab, "demo").await;
    let lease = json!({
        "metadata": {"name": names::operation_lease("demo"), "annotations": {
            "doris-operator.dev/operation-kind": "ReplaceBackend", "doris-operator.dev/operation-target": "demo-be-0",
            "doris-operator.dev/operation-start": "2026-06-01T00:00:00Z",
        }},
        "spec": {
            "holderIdentity": "failover-watcher", "leaseDurationSeconds": 3600, "leaseTransitions": 7,
            "acquireTime": "2026-06-01T00:00:00.000000Z", "renewTime": "2026-06-01T00:00:00.000000Z",
        },
    });
    let leases = lab.api::<Lease>();
    // Nothing was under way: there is no Lease, or nobody holds it.
    drop(leases.delete(&names::operation_lease("demo"), &DeleteParams::default()).await);
    leases.create(&PostParams::default(), &serde_json::from_value(lease).expect("a Lease")).await.expect("it is created");
    lab.apply(&cluster("demo", labelled(patient(), &["be"], "2"))).await.expect("the spec is accepted");
    let held = "demo-be-2 is restarted once failover-watcher gives the cluster's operation Lease up, held for ReplaceBackend of demo-be-0";
    let is_told = |seen: &DorisCluster| condition(seen, "Ready").is_some_and(|(_, _, message)| message.contains(held));
    lab.until("it is told who holds it", "demo", LONG, is_told).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(restarts.seen(), [] as [String; 0]);
    leases.delete(&names::operation_lease("demo"), &DeleteParams::default()).await.expect("it is given up");
    lab.until("the roll is done", "demo", LONG, is_ready).await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-1", "demo-be-0"]);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
