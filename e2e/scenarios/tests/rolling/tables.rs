//! Tables that a restart would make unavailable.

use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster, is_ready};

use crate::watch::{Restarts, brisk, hasty, labelled, table, until_healthy};

const LONG: Duration = Duration::from_mins(20);

fn is_blocked(seen: &DorisCluster) -> bool {
    condition(seen, "Ready").is_some_and(|(_, reason, _)| reason == "Blocked")
}

/// A cluster with a table `d.log` of one replica, whose backends and frontends have to be made anew.
async fn blocked(version: &str, buckets: u32) -> (Lab, Restarts, DorisCluster, scenarios::lab::Controller) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", brisk(basic(version)))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    table(&lab, "log", 1, buckets).await;
    until_healthy(&lab).await;
    let restarts = Restarts::of(&lab, "demo").await;
    lab.apply(&cluster("demo", labelled(brisk(basic(version)), &["fe", "be"], "2"))).await.expect("the spec is accepted");
    let seen = lab.until("the roll is blocked", "demo", LONG, is_blocked).await;
    (lab, restarts, seen, controller)
}

#[tokio::test(start_paused = true)]
async fn tables_that_cannot_be_served_are_named_before_the_roll() {
    for version in ["2.0.15", "2.1.7", "3.0.3"] {
        let (lab, restarts, seen, _controller) = blocked(version, 1).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(restarts.seen(), [] as [String; 0], "{version}: nothing is touched");
        let master = lab.master_pod("demo").expect("one master");
        for row in lab.sql("demo", &master, "SHOW BACKENDS").await.expect("the master answers") {
            assert!(row["Status"].contains("\"isQueryDisabled\":false"), "{version}: nobody is drained: {row:?}");
        }
        let status = seen.status.expect("a status");
        let operation = status.operation.expect("an operation");
        let told: Vec<String> = operation.blocked_by.iter().map(|one| format!("{} {}", one.rule, one.object)).collect();
        assert_eq!(told, ["ServeReplica d.log", "LoadQuorum d.log"], "{version}");
        let message = &operation.blocked_by[0].message;
        assert!(
            message.contains("ALTER TABLE d.log SET (\"replication_allocation\" = \"tag.location.default: 3\")"),
            "{version}: {message}"
        );
        assert!(
            status.summary.expect("a summary").starts_with("Blocked: demo-be-2 is not restarted: ServeReplica: without demo-be-"),
            "{version}"
        );
        let events = lab.api::<Event>().list(&ListParams::default()).await.expect("Events are listed");
        let told = events.items.iter().filter(|event| event.reason.as_deref() == Some("Blocked"));
        let notes: Vec<&str> = told.filter_map(|event| event.note.as_deref()).collect();
        assert_eq!(notes.len(), 1, "{version}: one Event, however often it is looked at: {notes:?}");
        assert!(notes[0].contains("d.log"), "{version}: {notes:?}");
        // A blocked roll writes nothing while nothing changes.
        assert_eq!(lab.idle(Duration::from_mins(1)).await, [] as [String; 0], "{version}");
        // Nothing stands in its way any more, and the roll goes on by itself.
        lab.sql("demo", &master, "DROP TABLE d.log FORCE").await.expect("the master answers");
        lab.until("the roll is done", "demo", LONG, is_ready).await;
        assert_eq!(restarts.seen().len(), 6, "{version}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_may_be_away_is_read_until_its_backend_stops() {
    for version in ["2.0.15", "2.1.7", "3.0.3"] {
        let lab = Lab::new(Settings::default()).await;
        let _controller = lab.start_controller();
        lab.apply(&cluster("demo", hasty(basic(version)))).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        table(&lab, "log", 1, 6).await;
        until_healthy(&lab).await;
        let changed = lab.apply(&cluster("demo", labelled(hasty(basic(version)), &["be"], "2"))).await.expect("the spec is accepted");
        let under_work = |seen: &DorisCluster| seen.status.as_ref().and_then(|status| status.operation.as_ref()?.member.clone());
        let seen = lab.until("a backend is under work", "demo", LONG, |seen| under_work(seen).is_some()).await;
        let member = under_work(&seen).expect("a member");
        assert!(member.keeps_queries && member.reason.contains("d.log cannot be read meanwhile"), "{version}: {member:?}");
        lab.until("the roll is done", "demo", LONG, |seen| seen.metadata.generation == changed.metadata.generation && is_ready(seen)).await;
        let stops = lab.world.backend_stops();
        assert_eq!(stops.len(), 3, "{version}");
        for stop in stops {
            assert_eq!(
                (stop.unreadable.clone(), stop.loads_drained, stop.drained),
                (vec!["d.log".to_owned()], true, false),
                "{version}: {stop:?}"
            );
        }
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_override_lets_one_step_pass_and_is_recorded() {
    let (lab, restarts, _, _controller) = blocked("2.1.7", 1).await;
    let until = "2026-06-01T04:00:00Z";
    let mut overridden = cluster("demo", labelled(brisk(basic("2.1.7")), &["fe", "be"], "2"));
    let rules = ["ServeReplica", "LoadQuorum"];
    let annotations = rules.map(|rule| (format!("override.doris-operator.dev/{rule}"), until.to_owned()));
    overridden.metadata.annotations = Some(annotations.into());
    lab.apply(&overridden).await.expect("the annotations are accepted");
    let done = lab.until("the roll is done", "demo", LONG, is_ready).await;
    assert_eq!(restarts.seen().len(), 6);
    let used = done.status.map(|status| status.overrides).unwrap_or_default();
    assert_eq!(used.iter().map(|used| used.rule.as_str()).collect::<Vec<_>>(), rules);
    assert!(used.iter().all(|used| used.value == until && used.step.contains("RestartBackends")), "{used:?}");
    let events = lab.api::<Event>().list(&ListParams::default()).await.expect("Events are listed");
    assert_eq!(events.items.iter().filter(|event| event.reason.as_deref() == Some("SafetyRuleOverridden")).count(), 2);
    // Used once: the same annotations let nothing else pass.
    overridden.spec.be.as_mut().expect("backends").member.labels.insert("example.com/round".into(), "3".into());
    lab.apply(&overridden).await.expect("the spec is accepted");
    lab.until("the next roll is blocked", "demo", LONG, is_blocked).await;
}
