//! Backups and restores that a restart would break.

use std::time::Duration;

use doris_api::DorisCluster;
use scenarios::lab::look::condition;
use scenarios::lab::{Controller, Lab, Settings, basic, cluster, is_ready};
use serde_json::Value;

use crate::watch::{Restarts, hasty, labelled};

const LONG: Duration = Duration::from_mins(20);

async fn ready(version: &str) -> (Lab, Controller) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", hasty(basic(version)))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    (lab, controller)
}

fn blocked(seen: &DorisCluster) -> Option<Vec<(String, String)>> {
    condition(seen, "Ready").filter(|(_, reason, _)| reason == "Blocked")?;
    let all = &seen.status.as_ref()?.operation.as_ref()?.blocked_by;
    Some(all.iter().map(|one| (one.rule.clone(), one.message.clone())).collect())
}

async fn apply(lab: &Lab, spec: Value) -> Option<i64> {
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted").metadata.generation
}

async fn until_done(lab: &Lab, generation: Option<i64>) -> DorisCluster {
    lab.until("the roll is done", "demo", LONG, |seen| seen.metadata.generation == generation && is_ready(seen)).await
}

#[tokio::test(start_paused = true)]
async fn no_backend_is_restarted_while_a_backup_or_restore_runs() {
    for version in ["2.0.15", "2.1.7", "3.0.3"] {
        for is_restore in [false, true] {
            let (lab, _controller) = ready(version).await;
            if is_restore {
                lab.stalled_restore().await;
            } else {
                lab.stalled_backup().await;
            }
            let restarts = Restarts::of(&lab, "demo").await;
            let generation = apply(&lab, labelled(hasty(basic(version)), &["be"], "2")).await;
            let seen = lab.until("it is blocked", "demo", LONG, |seen| blocked(seen).is_some()).await;
            let what = if is_restore { "restore nightly" } else { "backup nightly" };
            let told = blocked(&seen).expect("it is told");
            assert!(
                matches!(told.as_slice(), [(rule, message)] if rule == "BackupIdle" && message.contains(what) && message.contains("is running")),
                "{version}: {told:?}"
            );
            tokio::time::sleep(Duration::from_mins(3)).await;
            assert_eq!(restarts.seen(), [] as [String; 0], "{version}");
            lab.jobs_go_on();
            until_done(&lab, generation).await;
            assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-1", "demo-be-0"], "{version}: it goes on by itself");
            let job = lab.world.snapshot_jobs().pop().expect("a job");
            assert_eq!(job.state, "FINISHED", "{version}: {job:?}");
            assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn frontends_are_restarted_while_a_backup_runs() {
    let (lab, _controller) = ready("2.1.7").await;
    lab.stalled_backup().await;
    let restarts = Restarts::of(&lab, "demo").await;
    let generation = apply(&lab, labelled(hasty(basic("2.1.7")), &["fe"], "2")).await;
    until_done(&lab, generation).await;
    assert_eq!(restarts.seen().len(), 3);
    lab.jobs_go_on();
    lab.until_job_is("FINISHED").await;
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_override_gives_a_backup_up_for_one_restart() {
    let (lab, _controller) = ready("2.1.7").await;
    lab.stalled_backup().await;
    let restarts = Restarts::of(&lab, "demo").await;
    let mut wanted = cluster("demo", labelled(hasty(basic("2.1.7")), &["be"], "2"));
    wanted.metadata.annotations = Some([("override.doris-operator.dev/BackupIdle".to_owned(), "2026-06-01T04:00:00Z".to_owned())].into());
    lab.apply(&wanted).await.expect("the annotation is accepted");
    let is_next = |seen: &DorisCluster| {
        let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
        operation.is_some_and(|operation| operation.target == "demo-be-1" && !operation.blocked_by.is_empty())
    };
    let seen = lab.until("the next one is blocked", "demo", LONG, is_next).await;
    assert_eq!(restarts.seen(), ["demo-be-2"]);
    let used = seen.status.map(|status| status.overrides).unwrap_or_default();
    assert!(matches!(used.as_slice(), [one] if one.rule == "BackupIdle" && one.step.contains("RestartBackends")), "{used:?}");
    let master = lab.master_pod("demo").expect("one master");
    lab.sql("demo", &master, "CANCEL BACKUP FROM stock").await.expect("it is running");
    lab.until("the roll is done", "demo", LONG, is_ready).await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-1", "demo-be-0"]);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
