//! The typed statements against a scripted frontend: texts sent, answers of every version, answers that make no sense.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use doris_client::{
    Answer, BackendChange, Connection, Endpoint, Error, FrontendRole, GlobalRight, HttpAnswer, HttpRequest, Login, MemberAddress, NodeRole,
    Password, Queue, Session, Transport,
};
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

/// Answers statements from a list and keeps what was asked.
#[derive(Clone, Default)]
struct Script {
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<Result<Answer, Error>>>>,
    hangs: bool,
}

impl Script {
    fn answering(answers: impl IntoIterator<Item = Result<Answer, Error>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() }
    }

    async fn session(&self) -> Session {
        Session::open(self, endpoint(), &login()).await.expect("the script lets everybody in")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panicked").clone()
    }
}

#[async_trait]
impl Transport for Script {
    async fn connect(&self, _: Endpoint, _: &Login) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.clone()))
    }

    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        self.asked.lock().expect("no thread panicked").push(request.path);
        match self.query("").await {
            Ok(Answer::Rows { mut columns, .. }) => Ok(HttpAnswer { status: 200, body: columns.remove(0) }),
            Ok(Answer::Done { .. }) => Ok(HttpAnswer { status: 404, body: String::new() }),
            Err(error) => Err(error),
        }
    }

    async fn port_is_open(&self, _: Endpoint) -> bool {
        true
    }
}

impl Script {
    async fn query(&self, statement: &str) -> Result<Answer, Error> {
        if !statement.is_empty() {
            self.asked.lock().expect("no thread panicked").push(statement.to_owned());
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.answers.lock().expect("no thread panicked").pop_front().unwrap_or(Ok(Answer::Done { affected: 0 }))
    }
}

#[async_trait]
impl Connection for Script {
    async fn query(&mut self, statement: &str) -> Result<Answer, Error> {
        Script::query(self, statement).await
    }

    async fn close(self: Box<Self>) {}
}

fn endpoint() -> Endpoint {
    Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), port: 9030 }
}

fn login() -> Login {
    Login { user: "operator".to_owned(), password: Password::new("Sw0rdfish!Sw0rdfish") }
}

fn rows(columns: &str, lines: &[&str]) -> Answer {
    let cell = |text: &str| (text.trim() != "NULL").then(|| text.trim().to_owned());
    Answer::Rows {
        columns: columns.split('|').map(|name| name.trim().to_owned()).collect(),
        rows: lines.iter().map(|line| line.split('|').map(cell).collect()).collect(),
    }
}

#[tokio::test]
async fn frontends_of_every_version_read_alike() {
    let old = rows(
        "Name|Host|EditLogPort|HttpPort|QueryPort|RpcPort|Role|IsMaster|ClusterId|Join|Alive|ReplayedJournalId|LastHeartbeat|IsHelper|ErrMsg|Version|CurrentConnected",
        &["fe_1|fe-0|9010|8030|9030|9020|FOLLOWER|true|17|true|true|42|NULL|true||doris-2.0.15|Yes"],
    );
    let new = rows(
        "Name|Host|EditLogPort|HttpPort|QueryPort|RpcPort|ArrowFlightSqlPort|Role|IsMaster|ClusterId|Join|Alive|ReplayedJournalId|LastStartTime|LastHeartbeat|IsHelper|ErrMsg|Version|CurrentConnected|LiveSince",
        &["fe_1|fe-0|9010|8030|0|9020|-1|OBSERVER|false|17|false|false|0|NULL|NULL|false|down|NULL|No|NULL"],
    );
    let script = Script::answering([Ok(old), Ok(new)]);
    let mut session = script.session().await;
    let old = session.frontends().await.expect("17 columns");
    assert!(old[0].is_master && old[0].current_connected && old[0].joined);
    assert_eq!((old[0].query_port, old[0].cluster_id, old[0].address().to_string()), (Some(9030), Some(17), "fe-0:9010".to_owned()));
    let new = session.frontends().await.expect("20 columns");
    assert_eq!((new[0].role, new[0].query_port, new[0].error.as_str()), (FrontendRole::Observer, None, "down"));
}

#[tokio::test]
async fn backends_of_every_version_read_alike() {
    let v2_0 = "BackendId|Host|HeartbeatPort|BePort|HttpPort|BrpcPort|LastStartTime|LastHeartbeat|Alive|SystemDecommissioned|TabletNum|DataUsedCapacity|TrashUsedCapcacity|AvailCapacity|TotalCapacity|UsedPct|MaxDiskUsedPct|RemoteUsedCapacity|Tag|ErrMsg|Version|Status|HeartbeatFailureCounter|NodeRole";
    let shuffled = "NodeRole|RunningTasks|Status|Tag|BackendId|Host|HeartbeatPort|HttpPort|Alive|SystemDecommissioned";
    let script = Script::answering([
        Ok(rows(
            v2_0,
            &[
                r#"10003|be-0|9050|9060|8040|8060|2026-11-23 02:19:36|2026-11-23 02:24:15|true|false|22|1024.000 KB|0.000 |99.000 GB|100.000 GB|1.00 %|1.00 %|0.000 |{"location" : "hot"}||doris-2.0.15|{"lastSuccessReportTabletsTime":"2026-11-23 02:24:13","lastStreamLoadTime":-1,"isQueryDisabled":true,"isLoadDisabled":false}|0|mix"#,
            ],
        )),
        Ok(rows(
            shuffled,
            &[r#"|3|{"lastSuccessReportTabletsTime":"N/A","isShutdown":true,"isActive":true,"new":{}}|NULL|7|be-1|9050|-1|false|true"#],
        )),
    ]);
    let mut session = script.session().await;
    let first = session.backends().await.expect("24 columns").remove(0);
    assert_eq!((first.id, first.role, first.tablets, first.data_used), (10003, Some(NodeRole::Mix), 22, Some(1 << 20)));
    assert_eq!(first.tags.get("location").map(String::as_str), Some("hot"));
    assert!(first.status.is_query_disabled && first.status.last_report().is_some());
    let second = session.backends().await.expect("other columns").remove(0);
    assert_eq!((second.role, second.http_port, second.running_tasks, second.status.is_shutdown), (None, None, Some(3), Some(true)));
    assert_eq!(second.status.last_report(), None);
}

#[tokio::test]
async fn the_sum_over_all_databases_is_no_database() {
    let script = Script::answering([Ok(rows(
        "DbId|DbName|TabletNum|HealthyNum|ReplicaMissingNum|UnrecoverableNum",
        &["10002|__internal_schema|22|20|1|1", "Total|1|22|20|1|1"],
    ))]);
    let health = script.session().await.tablet_health().await.expect("rows");
    assert_eq!(health.len(), 1);
    assert_eq!((health[0].tablets, health[0].healthy, health[0].unrecoverable, health[0].counts["ReplicaMissingNum"]), (22, 20, 1, 1));
}

#[tokio::test]
async fn statements_are_sent_as_doris_reads_them() {
    let script = Script::default();
    let mut session = script.session().await;
    let member = MemberAddress::new("c1-fe-1.c1-fe.ns.svc", 9010);
    let backend = MemberAddress::new("c1-be-0.c1-be.ns.svc", 9050);
    let change = BackendChange { disable_query: Some(true), ..BackendChange::default() };
    let done = async {
        session.add_frontend(FrontendRole::Follower, &member).await?;
        session.drop_frontend(FrontendRole::Observer, &member).await?;
        session.add_backends(std::slice::from_ref(&backend), None).await?;
        session.add_backends(&[backend.clone(), member.clone()], Some("hot")).await?;
        session.drop_backend_without_check(&backend).await?;
        session.decommission_backends(std::slice::from_ref(&backend)).await?;
        session.cancel_decommission(std::slice::from_ref(&backend)).await?;
        session.modify_backend(&backend, &change).await?;
        session.modify_backend(&backend, &BackendChange::default()).await?;
        session.add_broker("hdfs", &MemberAddress::new("b-0", 8000)).await?;
        session.drop_broker("my-broker", &MemberAddress::new("b-0", 8000)).await?;
        session.set_frontend_setting("disable_balance", "true").await?;
        session.set_all_frontends_setting("prefer_compute_node_for_external_table", "true").await?;
        session.set_global_variable("query_timeout", "77").await?;
        session.set_forward_to_master(false).await?;
        session.grant(GlobalRight::Node, "operator").await?;
        session.create_account(&Login { user: "o'p".to_owned(), password: Password::new("a'b\\c") }).await?;
        session.alter_account(&Login { user: "admin".to_owned(), password: Password::new("x") }).await?;
        session.set_own_password(&Password::new("x")).await?;
        session.set_password(&Login { user: "admin".to_owned(), password: Password::new("x") }).await
    };
    done.await.expect("the script agrees to everything");
    insta::assert_snapshot!(script.asked().join("\n"));
}

#[tokio::test]
async fn the_name_of_a_variable_cannot_carry_a_statement() {
    let script = Script::default();
    let refused = script.session().await.set_global_variable("a = 1; DROP DATABASE d", "1").await;
    assert!(matches!(refused, Err(Error::Malformed { .. })) && script.asked().is_empty());
}

#[tokio::test]
async fn a_password_never_comes_back_in_an_error() {
    let echo = |message: String| Err(Error::Refused { code: 1105, state: "HY000".to_owned(), message });
    let script = Script::answering([
        echo("mismatched input near IDENTIFIED BY 'Sw0rd".to_owned()),
        echo("Violate password validation policy: STRONG".to_owned()),
    ]);
    let mut session = script.session().await;
    for (attempt, kept) in [(1, false), (2, true)] {
        let error = session.create_account(&login()).await.expect_err("a refusal");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("Sw0r"), "attempt {attempt}: {text}");
        assert_eq!(text.contains("STRONG"), kept, "attempt {attempt}: {text}");
    }
    assert!(!format!("{:?}", login()).contains("Sw0rd"));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_spent_after_a_deadline() {
    let script = Script { hangs: true, ..Script::default() };
    let mut session = script.session().await;
    let started = tokio::time::Instant::now();
    let late = session.frontends().await.expect_err("no answer");
    assert!(late.outcome_is_unknown() && started.elapsed() == Duration::from_secs(10));
    assert!(matches!(session.backends().await, Err(Error::Lost { .. })));
    assert_eq!(script.asked().len(), 1);
    let slow = script.session().await.tablet_health().await.expect_err("no answer");
    assert!(matches!(slow, Error::Timeout { limit, .. } if limit == Duration::from_mins(1)));
}

#[tokio::test]
async fn refusals_that_mean_done_before_are_recognised() {
    let refusal = |message: &str| Error::Refused { code: 1105, state: "HY000".to_owned(), message: message.to_owned() };
    assert!(refusal("errCode = 2, detailMessage = frontend already exists name: fe_1").says_already_exists());
    assert!(refusal("errCode = 2, detailMessage = Same backend already exists[h:9050]").says_already_exists());
    assert!(refusal("errCode = 2, detailMessage = backend does not exists[h:9050]").says_does_not_exist());
    assert!(refusal("Exception, msg: java.lang.Exception: Node catalog is not ready..").says_not_ready());
    assert!(!refusal("errCode = 2, detailMessage = invalid host port: nohost").says_already_exists());
}

#[tokio::test]
async fn high_availability_is_read_whatever_separates_the_hosts() {
    for nodes in ["a,b", "a;b", "[a:9010, b:9010]", "a\\nb"] {
        let body = format!(
            r#"{{"msg":"success","code":0,"data":{{"role":"MASTER","is_ready":"true","electable_nodes":"{nodes}","master":"m"}}}}"#
        );
        let script = Script::answering([Ok(Answer::Rows { columns: vec![body], rows: Vec::new() })]);
        let group = doris_client::http::high_availability(&script, endpoint(), None).await.expect("an answer");
        assert_eq!((group.role.as_str(), group.electable_nodes), ("MASTER", vec!["a".to_owned(), "b".to_owned()]));
    }
}

#[tokio::test]
async fn http_answers_are_judged_by_what_is_in_them() {
    let cases = [
        (r#"{"code":0,"data":{"set":{"k":"v"},"err":[]}}"#, Ok(())),
        (r#"{"code":0,"data":{"set":{},"err":[{"err_info":"Config 'k' does not exist"}]}}"#, Err("Config 'k' does not exist")),
        (r#"{"code":401,"data":"Need auth information."}"#, Err("Need auth information.")),
        (r#"{"code":0,"data":"java.lang.Exception: x"}"#, Err("java.lang.Exception: x")),
        ("<html>", Err("expected value")),
    ];
    for (body, expected) in cases {
        let script = Script::answering([Ok(Answer::Rows { columns: vec![body.to_owned()], rows: Vec::new() })]);
        let got = doris_client::http::set_frontend_config(&script, endpoint(), &login(), ("k", "v w"), true).await;
        match (got, expected) {
            (Ok(()), Ok(())) => assert_eq!(script.asked(), ["/api/_set_config?k=v%20w&persist=true"]),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }
}

fn any_cell() -> impl Strategy<Value = Option<String>> {
    let words = ["true", "No", "-1", "9010", "99999", "FOLLOWER", "{\"a\":1}", "{}", "1.000 KB", "Total", "mix", "\u{0}", ""];
    prop::option::of(prop_oneof![prop::sample::select(words.to_vec()).prop_map(str::to_owned), any::<String>()])
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let names = [
        "Name",
        "Host",
        "EditLogPort",
        "Role",
        "IsMaster",
        "Join",
        "Alive",
        "BackendId",
        "HeartbeatPort",
        "SystemDecommissioned",
        "Status",
        "Tag",
        "NodeRole",
        "DbId",
        "DbName",
        "TabletNum",
        "HealthyNum",
        "Key",
        "IsMutable",
        "Port",
        "RootPath",
        "State",
        "UserIdentity",
        "TabletId",
        "ReplicaNum",
        "ReplicaSize",
        "TableId",
        "TableName",
        "Type",
        "PartitionId",
        "PartitionName",
        "Buckets",
        "ReplicaAllocation",
        "JobId",
        "Label",
        "JobType",
        "Pending",
        "Running",
        "GroupName",
        "IsStable",
        "ReplicaMissingTablets",
        "DestBe",
    ];
    let column = prop_oneof![9 => prop::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let table =
        (prop::collection::vec(column, 0..24), prop::collection::vec(prop::collection::vec(any_cell(), 0..24), 0..3), any::<bool>())
            .prop_map(|(columns, mut rows, level)| {
                if level {
                    for row in &mut rows {
                        row.resize(columns.len(), None);
                    }
                }
                Answer::Rows { columns, rows }
            });
    prop_oneof![1 => any::<u64>().prop_map(|affected| Answer::Done { affected }), 9 => table]
}

proptest! {
    /// Whatever a server answers, every statement ends in a value or an error.
    #[test]
    fn no_answer_makes_a_statement_panic(answer in any_answer(), body in any::<String>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let again = || Script::answering(vec![Ok(answer.clone()); 32]);
            let mut session = again().session().await;
            let _ = session.frontends().await;
            let _ = session.backends().await;
            let _ = session.brokers().await;
            let _ = session.backend_disks(1).await;
            let _ = session.tablet_health().await;
            let _ = session.frontend_settings("%").await;
            let _ = session.variable("x").await;
            let _ = session.version_comment().await;
            let _ = session.grants_of("x").await;
            let _ = session.databases().await;
            let _ = session.stored_tables(1).await;
            let _ = session.partitions(1, 2, false).await;
            let _ = session.replicas("d", "t", &["p"]).await;
            let _ = session.replica_shares("d", "t").await;
            let _ = session.unhealthy_tablets(1).await;
            let _ = session.tablet_home(1).await;
            let _ = session.scheduled_tablets(Queue::Running).await;
            let _ = session.running_backups("d").await;
            let _ = session.running_alters(1).await;
            let _ = session.colocation_groups().await;
            let http = Script::answering(vec![Ok(Answer::Rows { columns: vec![body.clone()], rows: Vec::new() }); 16]);
            let _ = doris_client::http::high_availability(&http, endpoint(), None).await;
            let _ = doris_client::http::frontend_metrics(&http, endpoint()).await;
            let _ = doris_client::http::is_bootstrapped(&http, endpoint()).await;
            let _ = doris_client::http::backend_is_healthy(&http, endpoint()).await;
            let _ = doris_client::http::wal_sizes(&http, endpoint(), &login(), &[]).await;
            let _ = doris_client::http::check_decommission(&http, endpoint(), &login(), &[]).await;
            let _ = doris_client::http::set_backend_config(&http, endpoint(), &login(), ("k", "v")).await;
        });
    }
}
