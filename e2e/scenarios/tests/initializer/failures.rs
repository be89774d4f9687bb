//! Statements that fail, and specs that are none.

use std::time::Duration;

use doris_api::DorisInitializer;
use doris_api::initializer::{Phase, StatementState};
use kube::api::DeleteParams;
use scenarios::lab::Settings;
use serde_json::json;

use crate::stage::{SOON, apply, ask, get, put_map, ready, sent, texts, until, with_cluster};

#[tokio::test(start_paused = true)]
async fn a_statement_that_is_refused_is_told_and_tried_again_and_the_run_goes_on_there_once_it_is_mended() {
    let (lab, _controller) = with_cluster(Settings::default(), "2.1.7").await;
    put_map(&lab, "CREATE DATABASE one; CREATE DATABASE one; CREATE DATABASE three").await;
    let spec = json!({"sql": [{"configMap": {"name": "scripts", "key": "a.sql"}}], "retries": {"limit": 2, "delaySeconds": 10}});
    apply(&lab, spec).await.expect("the spec is accepted");
    let retrying = until(&lab, Phase::Retrying, SOON).await;
    let (_, reason, message) = ready(&retrying);
    assert_eq!(reason, "SqlFailed");
    for part in ["statement 2 of 3", "ConfigMap scripts key a.sql line 1", "database exists", "try 2 follows in 10 s"] {
        assert!(message.contains(part), "{message} has {part}");
    }
    let begun = tokio::time::Instant::now();
    let failed = until(&lab, Phase::Failed, SOON).await;
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(25) && took < Duration::from_secs(60), "10 s and 20 s: {took:?}");
    let (_, _, message) = ready(&failed);
    assert!(message.contains("after 3 tries none is left"), "{message}");
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(sent(&lab, "CREATE DATABASE one"), 4, "once, and three tries");
    assert_eq!(sent(&lab, "CREATE DATABASE three"), 0, "nothing after it is run");

    put_map(&lab, "CREATE DATABASE one; CREATE DATABASE two; CREATE DATABASE three").await;
    until(&lab, Phase::Succeeded, SOON).await;
    assert_eq!(sent(&lab, "CREATE DATABASE one"), 4, "what is done is not repeated");
    let databases = ask(&lab, "SHOW DATABASES").await;
    assert!(["one", "two", "three"].into_iter().all(|name| databases.contains(name)), "{databases}");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_takes_too_long_counts_as_failed_and_says_that_it_may_be_done() {
    let (lab, _controller) = with_cluster(Settings::default(), "2.1.7").await;
    ask(&lab, "CREATE DATABASE d").await;
    ask(&lab, "CREATE TABLE d.t (k int) DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES (\"replication_num\" = \"1\")").await;
    let mut spec = texts(&["SELECT SLEEP(60) FROM d.t"]);
    spec["statementTimeoutSeconds"] = json!(5);
    spec["retries"] = json!({"limit": 0});
    apply(&lab, spec).await.expect("the spec is accepted");
    let failed = until(&lab, Phase::Failed, SOON).await;
    let statement = failed.status.and_then(|status| status.statements.last().cloned()).expect("a statement");
    assert_eq!(statement.state, StatementState::Failed);
    let message = statement.message.unwrap_or_default();
    assert!(message.contains("within 5 s") && message.contains("may have done it"), "{message}");
    assert!(statement.milliseconds.is_some_and(|took| (5000..7000).contains(&took)), "{:?}", statement.milliseconds);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_is_none_and_a_source_that_is_missing_are_told_and_heal() {
    let (lab, _controller) = with_cluster(Settings::default(), "2.1.7").await;
    apply(&lab, json!({"sql": [{"configMap": {"name": "scripts", "key": "a.sql"}}]})).await.expect("the spec is accepted");
    let waiting = until(&lab, Phase::Waiting, SOON).await;
    let (_, reason, message) = ready(&waiting);
    assert_eq!(reason, "ConfigMapMissing");
    assert_eq!(message, "ConfigMap scripts, which spec.sql[0] names, does not exist; create it with the key a.sql");
    put_map(&lab, "CREATE DATABASE one;\nCREATE DATABASE 'two").await;
    let is_told = || async {
        let told = get(&lab).await.status.and_then(|status| status.summary).unwrap_or_default();
        if told.contains("a text in quotes that begins in line 2 does not end") { Ok(()) } else { Err(told) }
    };
    lab.eventually("it is told", SOON, is_told).await;
    assert_eq!(sent(&lab, "CREATE DATABASE"), 0, "nothing is run of a script that is none");
    put_map(&lab, "CREATE DATABASE one").await;
    until(&lab, Phase::Succeeded, SOON).await;
}

#[tokio::test(start_paused = true)]
async fn an_initializer_waits_while_its_cluster_is_not_ready_and_ends_with_its_deletion() {
    let (lab, _controller) = with_cluster(Settings::default(), "2.1.7").await;
    lab.nodes.freeze("default", "demo-be-0", None, true);
    let is_down = |seen: &doris_api::DorisCluster| !scenarios::lab::is_ready(seen);
    lab.until("a backend is away", "demo", SOON, is_down).await;
    apply(&lab, texts(&["CREATE DATABASE one"])).await.expect("the spec is accepted");
    let waiting = until(&lab, Phase::Waiting, SOON).await;
    let (_, reason, message) = ready(&waiting);
    assert_eq!(reason, "ClusterNotReady");
    assert!(message.starts_with("DorisCluster demo is not ready: "), "{message}");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(sent(&lab, "CREATE DATABASE"), 0);
    lab.nodes.freeze("default", "demo-be-0", None, false);
    until(&lab, Phase::Succeeded, SOON).await;
    lab.api::<DorisInitializer>().delete("setup", &DeleteParams::default()).await.expect("it is deleted");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(lab.api::<DorisInitializer>().get_opt("setup").await.expect("an answer").is_none(), "nothing holds it");
}
