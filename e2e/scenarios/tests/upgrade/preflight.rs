//! What keeps an upgrade from beginning, one by one; once it is mended the upgrade begins by itself.

use scenarios::lab::{Lab, basic, cluster};

use crate::help::{all_run, apply, at, ready, until_blocked, until_done, upgrade};
use crate::watch::{Restarts, hasty};

/// It blocks and says so, touches nothing, and the upgrade begins by itself once it is mended.
pub async fn blocks(harm: impl AsyncFn(&Lab), says: &str, mend: impl AsyncFn(&Lab)) {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    harm(&lab).await;
    let restarts = Restarts::of(&lab, "demo").await;
    let generation = apply(&lab, at(&spec, "3.0.3")).await;
    let message = until_blocked(&lab).await;
    assert!(message.contains(says), "{message}");
    let seen = lab.cluster("default", "demo").await.expect("the cluster");
    let told = upgrade(&seen).expect("it is told");
    assert_eq!((told.from.as_str(), told.to.as_str(), told.phase.as_str()), ("2.1.7", "3.0.3", "PreFlight"));
    assert!(told.findings.iter().any(|finding| finding.result == "blocker") && told.findings.iter().any(|finding| finding.result == "ok"));
    assert_eq!(restarts.seen(), [] as [String; 0], "nothing is touched before");
    mend(&lab).await;
    until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
}

pub async fn sql(lab: &Lab, statement: &str) {
    let master = lab.master_pod("demo").expect("one master");
    lab.sql("demo", &master, statement).await.expect("the statement is taken");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_not_alive() {
    blocks(
        async |lab| assert!(lab.nodes.freeze("default", "demo-be-1", None, true), "it runs"),
        "demo-be-1 is not alive",
        async |lab| assert!(lab.nodes.freeze("default", "demo-be-1", None, false), "it is there"),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_being_emptied() {
    const HOST: &str = "demo-be-1.demo-be-members.default.svc.cluster.local:9050";
    blocks(
        async |lab| {
            sql(lab, "ADMIN SET FRONTEND CONFIG (\"drop_backend_after_decommission\" = \"false\")").await;
            sql(lab, &format!("ALTER SYSTEM DECOMMISSION BACKEND \"{HOST}\"")).await;
        },
        "demo-be-1 is being emptied",
        async |lab| sql(lab, &format!("CANCEL DECOMMISSION BACKEND \"{HOST}\"")).await,
    )
    .await;
}

const FRONTENDS: [&str; 3] = ["demo-fe-0", "demo-fe-1", "demo-fe-2"];

/// Every frontend's metadata volume gets this size.
async fn sized(lab: &Lab, bytes: Option<u64>) {
    for pod in FRONTENDS {
        lab.disk(&format!("meta-{pod}")).await.expect("a volume").set_capacity(bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn no_room_for_a_copy_of_the_metadata_on_any_follower() {
    blocks(
        async |lab| sized(lab, Some(512 << 20)).await,
        "too little for the copy that is made before the first start of another line, and without a copy on any follower there is no way back",
        async |lab| sized(lab, None).await,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_room_for_copies_an_override_lets_it_begin_and_another_one_lets_the_last_frontend_go() {
    let mut spec = hasty(basic("2.1.7"));
    // With less room than this a frontend does not write its journal.
    spec["fe"]["config"] = serde_json::json!({"bdbje_free_disk_bytes": "1048576"});
    let (lab, _controller) = ready(&spec).await;
    sized(&lab, Some(512 << 20)).await;
    let mut wanted = cluster("demo", at(&spec, "3.0.3"));
    let mut overridden = |until: &str| {
        wanted.metadata.annotations = Some([("override.doris-operator.dev/NoReturn".to_owned(), until.to_owned())].into());
        wanted.clone()
    };
    lab.apply(&overridden("2026-06-01T04:00:00Z")).await.expect("the annotation is accepted");
    let message = until_blocked(&lab).await;
    assert!(message.contains("is the last frontend of 2.1.7") && message.contains("which no other follower has"), "{message}");
    assert_eq!(lab.world.crossings().len(), 0);
    let generation = lab.apply(&overridden("2026-06-01T05:00:00Z")).await.expect("the annotation is accepted").metadata.generation;
    let done = until_done(&lab, generation).await;
    all_run(&lab, "3.0.3");
    let used = done.status.map(|status| status.overrides).unwrap_or_default();
    let steps: Vec<&str> = used.iter().map(|used| used.step.as_str()).collect();
    assert!(steps.len() == 2 && steps[0].contains("ChangeVersion 3.0.3") && steps[1].contains("RestartFrontend demo-fe-"), "{steps:?}");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}
