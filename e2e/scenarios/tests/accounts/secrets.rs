//! The Secrets that the spec names change, move, and go.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use scenarios::lab::look::condition;
use scenarios::lab::oracles::logs::Logs;
use scenarios::lab::{basic, cluster, is_ready};
use serde_json::json;

use crate::people::{
    IDENTITY, SECRET, SEEN, VERSIONS, broken, delete, doors, events, lab, pods, put, until_logs_in, until_stored, with_passwords,
};

#[tokio::test(start_paused = true)]
async fn a_changed_secret_changes_the_passwords_within_a_minute_and_restarts_nothing() {
    for version in VERSIONS {
        let (logs, _guard) = Logs::capture();
        let lab = lab("First-Root-1", "First-Admin-1").await;
        let _controller = lab.start_controller();
        lab.apply(&cluster("demo", with_passwords(basic(version)))).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        assert_eq!(doors(&lab, "root", "First-Root-1"), (3, 3), "{version}");
        let before = pods(&lab).await;
        put(&lab, "Second-Root-2", "Second-Admin-2").await;
        until_logs_in(&lab, "root", "Second-Root-2", SEEN).await;
        until_logs_in(&lab, "admin", "Second-Admin-2", Duration::from_secs(5)).await;
        for (user, password) in [("root", "First-Root-1"), ("admin", "First-Admin-1"), ("root", ""), ("admin", "")] {
            assert_eq!(doors(&lab, user, password), (0, 3), "{version}: {user} is not let in by another password");
        }
        until_stored(&lab, "root.applied", Some("Second-Root-2")).await;
        until_stored(&lab, "root.next", None).await;
        until_stored(&lab, "admin.applied", Some("Second-Admin-2")).await;
        let told = events(&lab, "PasswordChanged").await;
        assert!(told.iter().any(|note| note == "root has the password of key root of Secret passwords"), "{told:?}");
        assert!(told.iter().any(|note| note == "admin has the password of key admin of Secret passwords"), "{told:?}");
        assert_eq!(pods(&lab).await, before, "{version}: no pod holds a password");
        lab.until_ready("demo").await;
        assert_eq!(lab.idle(Duration::from_mins(5)).await, Vec::<String>::new(), "{version}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
        assert_eq!(logs.judge(&lab.passwords()), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_with_the_clusters_label_is_seen_at_once() {
    let lab = lab("First-Root-1", "First-Admin-1").await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", with_passwords(basic("2.1.7")))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let labelled = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "labels": {"doris-operator.dev/cluster": "demo"}},
        "stringData": {"root": "Second-Root-2", "admin": "First-Admin-1"},
    });
    let params = PatchParams::apply("vault").force();
    lab.api::<Secret>().patch(SECRET, &params, &Patch::Apply(&labelled)).await.expect("the Secret is written");
    until_logs_in(&lab, "root", "Second-Root-2", Duration::from_secs(3)).await;
    assert_eq!(broken(&lab, &[]), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn another_reference_counts_at_once_and_none_at_all_means_the_generated_password() {
    let lab = lab("First-Root-1", "First-Admin-1").await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("3.0.3"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let generated = lab.secret(IDENTITY, "root.applied").await.expect("a password");
    lab.apply(&cluster("demo", with_passwords(basic("3.0.3")))).await.expect("the spec is accepted");
    until_logs_in(&lab, "root", "First-Root-1", Duration::from_secs(5)).await;
    until_logs_in(&lab, "admin", "First-Admin-1", Duration::from_secs(5)).await;
    // The same key of root for admin, too.
    let mut spec = with_passwords(basic("3.0.3"));
    spec["auth"]["adminPassword"]["key"] = json!("root");
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    until_logs_in(&lab, "admin", "First-Root-1", Duration::from_secs(5)).await;
    lab.apply(&cluster("demo", basic("3.0.3"))).await.expect("the spec is accepted");
    until_logs_in(&lab, "root", &generated, Duration::from_secs(5)).await;
    until_stored(&lab, "root.applied", Some(&generated)).await;
    lab.until_ready("demo").await;
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_deleted_is_told_and_the_password_in_force_stays() {
    let lab = lab("First-Root-1", "First-Admin-1").await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", with_passwords(basic("2.1.7")))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    delete(&lab, SECRET).await;
    let is_told = |cluster: &doris_api::DorisCluster| condition(cluster, "Stalled").is_some_and(|(_, reason, _)| reason == "SecretMissing");
    let demo = lab.until("the missing Secret is told", "demo", SEEN, is_told).await;
    let (_, _, message) = condition(&demo, "Stalled").expect("there is the condition");
    assert!(message.contains("Secret passwords, which spec.auth.rootPassword names, does not exist"), "{message}");
    assert!(message.contains("until then the password in force stays"), "{message}");

    // Everything else goes on: a backend more, and one that is made anew.
    let mut spec = with_passwords(basic("2.1.7"));
    spec["be"]["replicas"] = json!(4);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until("four backends", "demo", Duration::from_mins(3), |cluster| {
        cluster.status.as_ref().and_then(|status| status.be.as_ref()).is_some_and(|be| be.alive == 4)
    })
    .await;
    assert_eq!(doors(&lab, "root", "First-Root-1"), (3, 3));
    assert_eq!(doors(&lab, "admin", "First-Admin-1"), (3, 3));

    put(&lab, "Second-Root-2", "First-Admin-1").await;
    until_logs_in(&lab, "root", "Second-Root-2", Duration::from_secs(20)).await;
    lab.until("Ready again", "demo", SEEN, is_ready).await;
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

/// Both Secrets go, and with them the process that remembered them. The volumes tell who the cluster is, root's Secret
/// who its operator is.
#[tokio::test(start_paused = true)]
async fn with_both_secrets_deleted_roots_own_brings_all_back() {
    let lab = lab("First-Root-1", "First-Admin-1").await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", with_passwords(basic("2.1.7")))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let before = pods(&lab).await;
    drop(controller);
    delete(&lab, SECRET).await;
    delete(&lab, IDENTITY).await;
    let _controller = lab.start_controller();
    let is_told = |cluster: &doris_api::DorisCluster| condition(cluster, "Stalled").is_some_and(|(_, reason, _)| reason == "SecretMissing");
    lab.until("the missing Secret is told", "demo", SEEN, is_told).await;
    put(&lab, "First-Root-1", "First-Admin-1").await;
    until_stored(&lab, "root.applied", Some("First-Root-1")).await;
    until_stored(&lab, "admin.applied", Some("First-Admin-1")).await;
    lab.until_ready("demo").await;
    assert_eq!(pods(&lab).await, before, "nothing was restarted");
    assert_eq!(lab.founded_ids("demo").len(), 1, "nor founded again");
    assert_eq!(broken(&lab, &["operator-logs-in"]), Vec::<String>::new());
}
