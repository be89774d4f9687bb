//! What keeps an upgrade from beginning, one by one; once it is mended the upgrade begins by itself.

use scenarios::lab::{Lab, basic};

use crate::help::{all_run, apply, at, ready, until_blocked, until_done, upgrade};
use crate::watch::{Restarts, hasty};

async fn blocks(harm: impl AsyncFn(&Lab), says: &str, mend: impl AsyncFn(&Lab)) {
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

async fn sql(lab: &Lab, statement: &str) {
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
