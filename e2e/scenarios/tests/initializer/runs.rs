//! Runs that go well.

use std::time::Duration;

use doris_api::DorisInitializer;
use doris_api::initializer::{Phase, StatementState};
use kube::api::DeleteParams;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::json;

use crate::stage::{SOON, apply, ask, get, put_map, put_secret, ready, sent, texts, until, with_cluster};

const TABLE: &str = "CREATE TABLE shop.orders (k int) DISTRIBUTED BY HASH(k) BUCKETS 2 PROPERTIES (\"replication_num\" = \"3\")";

#[tokio::test(start_paused = true)]
async fn statements_run_once_and_in_order_when_the_cluster_is_ready() {
    for version in ["2.0.15", "2.1.7", "3.0.3"] {
        let lab = Lab::new(Settings::default()).await;
        let _controller = lab.start_controller();
        put_map(&lab, &format!("{TABLE};\n-- a comment; no statement\nINSERT INTO shop.orders VALUES (1), (2), (3)")).await;
        let of_map = json!({"configMap": {"name": "scripts", "key": "a.sql"}});
        let check = json!({"text": "SELECT count(*) FROM orders", "name": "check"});
        apply(&lab, json!({"sql": [{"text": "CREATE DATABASE shop; USE shop"}, of_map, check]})).await.expect("the spec is accepted");
        let waiting = until(&lab, Phase::Waiting, Duration::from_secs(30)).await;
        let (_, reason, message) = ready(&waiting);
        assert_eq!((reason.as_str(), message.as_str()), ("ClusterNotReady", "DorisCluster demo is not there, or not founded yet"));

        lab.apply(&cluster("demo", basic(version))).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        let done = until(&lab, Phase::Succeeded, SOON).await;
        assert_eq!(ready(&done), ("True".into(), "Ready".into(), "all 5 statements succeeded".into()), "{version}");
        let status = done.status.expect("a status");
        assert_eq!(status.progress.as_deref(), Some("5/5"));
        assert!(status.started_at.is_some() && status.finished_at.is_some());
        let shown: Vec<_> = status.statements.iter().map(|statement| (statement.place.as_str(), statement.state, statement.rows)).collect();
        let expected = [
            ("spec.sql[0] line 1", StatementState::Succeeded, Some(0)),
            ("spec.sql[0] line 1", StatementState::Succeeded, Some(0)),
            ("ConfigMap scripts key a.sql line 1", StatementState::Succeeded, Some(0)),
            ("ConfigMap scripts key a.sql line 3", StatementState::Succeeded, Some(3)),
            ("check line 1", StatementState::Succeeded, Some(1)),
        ];
        assert_eq!(shown, expected, "{version}");
        assert_eq!(ask(&lab, "SELECT count(*) FROM shop.orders").await, "3", "{version}");

        // Nothing is asked, written or sent any more, and a change of what is done is nobody's wish.
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(lab.idle(Duration::from_mins(5)).await, Vec::<String>::new(), "{version}");
        apply(&lab, texts(&["CREATE DATABASE other"])).await.expect("the spec is accepted");
        until(&lab, Phase::Succeeded, SOON).await;
        assert_eq!((sent(&lab, "CREATE DATABASE other"), sent(&lab, "INSERT")), (0, 1), "{version}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_change_all_statements_run_again_within_a_minute_and_deleting_does_nothing_to_doris() {
    let (lab, _controller) = with_cluster(Settings::default(), "2.1.7").await;
    put_map(&lab, "CREATE DATABASE IF NOT EXISTS one").await;
    apply(&lab, json!({"run": "OnChange", "sql": [{"configMap": {"name": "scripts", "key": "a.sql"}}]}))
        .await
        .expect("the spec is accepted");
    until(&lab, Phase::Succeeded, SOON).await;
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!(sent(&lab, "CREATE DATABASE"), 1, "nothing changed");
    put_map(&lab, "CREATE DATABASE IF NOT EXISTS one; CREATE DATABASE IF NOT EXISTS two").await;
    let is_there = || async { if ask(&lab, "SHOW DATABASES").await.contains("two") { Ok(()) } else { Err("no database".into()) } };
    lab.eventually("it ran again", Duration::from_secs(90), is_there).await;
    let done = until(&lab, Phase::Succeeded, SOON).await;
    assert_eq!(done.status.and_then(|status| status.progress).as_deref(), Some("2/2"));
    assert_eq!(sent(&lab, "CREATE DATABASE IF NOT EXISTS one"), 2);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(lab.idle(Duration::from_mins(5)).await, Vec::<String>::new(), "it is read, and nothing is written");
    lab.api::<DorisInitializer>().delete("setup", &DeleteParams::default()).await.expect("it is deleted");
    tokio::time::sleep(Duration::from_mins(1)).await;
    let databases = ask(&lab, "SHOW DATABASES").await;
    assert!(databases.contains("one") && databases.contains("two"), "{databases}");
}

#[tokio::test(start_paused = true)]
async fn an_account_of_the_users_runs_them_with_its_own_rights() {
    let (lab, _controller) = with_cluster(Settings::default(), "3.0.3").await;
    for statement in
        ["CREATE DATABASE shop", TABLE, "CREATE USER app IDENTIFIED BY 'App-Secret-1'", "GRANT SELECT_PRIV, LOAD_PRIV ON shop.* TO app"]
    {
        ask(&lab, statement).await;
    }
    put_secret(&lab, "app", "password", "wrong").await;
    let mut spec = texts(&["INSERT INTO orders VALUES (1)", "CREATE DATABASE not_allowed"]);
    spec["database"] = json!("shop");
    spec["user"] = json!({"name": "app", "password": {"name": "app", "key": "password"}});
    spec["retries"] = json!({"limit": 0});
    apply(&lab, spec).await.expect("the spec is accepted");
    let is_told = || async {
        let told = get(&lab).await.status.and_then(|status| status.summary).unwrap_or_default();
        if told.contains("does not let the account app in") { Ok(()) } else { Err(told) }
    };
    lab.eventually("the wrong password is told", SOON, is_told).await;
    put_secret(&lab, "app", "password", "App-Secret-1").await;
    let failed = until(&lab, Phase::Failed, SOON).await;
    let status = failed.status.clone().expect("a status");
    assert_eq!((status.done, status.total), (1, 2), "{status:#?}");
    let (_, reason, message) = ready(&failed);
    assert_eq!(reason, "SqlFailed");
    assert!(message.contains("Access denied"), "{message}");
    assert_eq!(ask(&lab, "SELECT count(*) FROM shop.orders").await, "1");
    assert!(!serde_json::to_string(&failed).expect("JSON").contains("App-Secret-1"));
}
