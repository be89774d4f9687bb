//! What Doris asks of passwords, and what people do to accounts by hand.

use std::time::Duration;

use scenarios::lab::look::condition;
use scenarios::lab::{Lab, basic, cluster};

use crate::people::{SEEN, VERSIONS, broken, doors, events, lab, put, sql, until_logs_in, until_stored, with_passwords};

async fn until_told(lab: &Lab, reason: &str) -> String {
    let is_told = |cluster: &doris_api::DorisCluster| condition(cluster, "Stalled").is_some_and(|(_, told, _)| told == reason);
    let demo = lab.until(&format!("{reason} is told"), "demo", SEEN, is_told).await;
    condition(&demo, "Stalled").map(|(_, _, message)| message).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_password_that_the_policy_refuses_is_told_and_the_old_one_stays_in_force() {
    for version in VERSIONS {
        let lab = lab("First-Root-1", "First-Admin-1").await;
        let _controller = lab.start_controller();
        lab.apply(&cluster("demo", with_passwords(basic(version)))).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        sql(&lab, "root", "First-Root-1", &["SET GLOBAL validate_password_policy = STRONG"]).await.expect("root may do that");
        put(&lab, "weakroot", "weakadmin").await;
        let message = until_told(&lab, "PasswordRefused").await;
        for part in ["key root of Secret passwords", "key admin of Secret passwords", "Violate password validation policy"] {
            assert!(message.contains(part), "{version}: {message}");
        }
        assert!(!message.contains("weak"), "{version}: {message}");
        assert_eq!(doors(&lab, "root", "First-Root-1"), (3, 3), "{version}");
        let before = lab.faults.log().iter().filter(|step| step.contains("SET PASSWORD")).count();
        tokio::time::sleep(Duration::from_mins(5)).await;
        let tries = lab.faults.log().iter().filter(|step| step.contains("SET PASSWORD")).count() - before;
        assert!(tries <= 12, "{version}: once a minute for each account, not {tries} times in five");
        put(&lab, "Second-Root-2", "Second-Admin-2").await;
        until_logs_in(&lab, "root", "Second-Root-2", SEEN).await;
        until_logs_in(&lab, "admin", "Second-Admin-2", SEEN).await;
        lab.until_ready("demo").await;
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_password_changed_by_hand_is_set_back_where_doris_lets_the_operator() {
    for version in VERSIONS {
        let lab = lab("First-Root-1", "First-Admin-1").await;
        let _controller = lab.start_controller();
        lab.apply(&cluster("demo", with_passwords(basic(version)))).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        sql(&lab, "root", "First-Root-1", &["SET PASSWORD = PASSWORD('By-Hand-9')"]).await.expect("root may do that");
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!(doors(&lab, "root", "By-Hand-9"), (3, 3), "{version}: nobody asked for another one, so nobody looks");
        put(&lab, "Second-Root-2", "First-Admin-1").await;
        until_logs_in(&lab, "root", "Second-Root-2", SEEN).await;
        until_stored(&lab, "root.applied", Some("Second-Root-2")).await;
        lab.until_ready("demo").await;
        assert_eq!(broken(&lab, &["root-logs-in", "stored-before"]), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_password_changed_by_hand_is_told_where_root_alone_may_set_it_and_work_goes_on() {
    let lab = lab("First-Root-1", "First-Admin-1").await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", with_passwords(basic("4.0.1")))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let by_hand = ["SET PASSWORD = PASSWORD('By-Hand-9')", "ALTER USER root FAILED_LOGIN_ATTEMPTS 40 PASSWORD_LOCK_TIME 1 DAY"];
    sql(&lab, "root", "First-Root-1", &by_hand).await.expect("root may do that");
    put(&lab, "Second-Root-2", "Second-Admin-2").await;
    let message = until_told(&lab, "RootPasswordUnknown").await;
    for part in ["changed by hand", "key root of Secret passwords", "put root's present password there"] {
        assert!(message.contains(part), "{message}");
    }
    until_logs_in(&lab, "admin", "Second-Admin-2", SEEN).await;
    let mut spec = with_passwords(basic("4.0.1"));
    spec["be"]["replicas"] = serde_json::json!(4);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until("four backends", "demo", Duration::from_mins(3), |cluster| {
        cluster.status.as_ref().and_then(|status| status.be.as_ref()).is_some_and(|be| be.alive == 4)
    })
    .await;
    // Looked at every two seconds for an hour; tries of a wrong password are rare, or the account were locked.
    tokio::time::sleep(Duration::from_hours(1)).await;
    sql(&lab, "root", "By-Hand-9", &["SELECT 1"]).await.expect("root is not locked");

    // What the message says: the present password is put there, is known from then on, and can be changed.
    put(&lab, "By-Hand-9", "Second-Admin-2").await;
    until_stored(&lab, "root.applied", Some("By-Hand-9")).await;
    lab.until_ready("demo").await;
    put(&lab, "Second-Root-2", "Second-Admin-2").await;
    until_logs_in(&lab, "root", "Second-Root-2", SEEN).await;
    lab.until_ready("demo").await;
    assert!(events(&lab, "RootPasswordUnknown").await.len() == 1, "one Event");
    assert_eq!(broken(&lab, &["root-logs-in", "stored-before"]), Vec::<String>::new());
}
