//! Changes that come while others are under way, and what asks for a restart or limits one.

use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use scenarios::lab::look::condition;
use scenarios::lab::{Controller, Lab, Settings, basic, cluster, is_ready};
use serde_json::{Value, json};

use crate::watch::{Restarts, hasty, labelled};

const LONG: Duration = Duration::from_mins(20);

async fn ready(spec: Value) -> (Lab, Controller, Restarts) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let restarts = Restarts::of(&lab, "demo").await;
    (lab, controller, restarts)
}

async fn until_done(lab: &Lab, changed: &DorisCluster) {
    let is_done = |seen: &DorisCluster| seen.metadata.generation == changed.metadata.generation && is_ready(seen);
    lab.until("the roll is done", "demo", LONG, is_done).await;
}

/// Restarted pods, sorted.
fn sorted(restarts: &Restarts) -> Vec<String> {
    let mut seen = restarts.seen();
    seen.sort();
    seen
}

const BACKENDS: [&str; 3] = ["demo-be-0", "demo-be-1", "demo-be-2"];

#[tokio::test(start_paused = true)]
async fn two_changes_at_once() {
    for version in ["2.0.15", "2.1.7", "3.0.3"] {
        let (lab, _controller, restarts) = ready(hasty(basic(version))).await;
        lab.apply(&cluster("demo", labelled(hasty(basic(version)), &["be"], "2"))).await.expect("the spec is accepted");
        lab.until("the first backend is done", "demo", LONG, |seen| {
            let operation = seen.status.as_ref().and_then(|status| status.operation.as_ref());
            operation.and_then(|operation| operation.member.as_ref()).is_some_and(|member| member.pod == "demo-be-1")
        })
        .await;
        let changed = lab.apply(&cluster("demo", labelled(hasty(basic(version)), &["fe", "be"], "3"))).await.expect("the spec is accepted");
        until_done(&lab, &changed).await;
        let seen = restarts.seen();
        let times = |pod: &str| seen.iter().filter(|name| *name == pod).count();
        assert_eq!(times("demo-be-2"), 2, "{version}: it was done when the second change came: {seen:?}");
        assert!(times("demo-be-1") <= 2 && times("demo-be-0") == 1, "{version}: {seen:?}");
        assert!(["demo-fe-0", "demo-fe-1", "demo-fe-2"].iter().all(|pod| times(pod) == 1), "{version}: {seen:?}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn spec_flapping() {
    for version in ["2.0.15", "2.1.7", "3.0.3"] {
        let (lab, _controller, restarts) = ready(labelled(hasty(basic(version)), &["be"], "a")).await;
        let mut changed = None;
        for turn in 0..12 {
            let round = if turn % 2 == 0 { "b" } else { "a" };
            changed = lab.apply(&cluster("demo", labelled(hasty(basic(version)), &["be"], round))).await.ok();
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
        until_done(&lab, &changed.expect("the spec is accepted")).await;
        let seen = restarts.seen();
        assert!(!seen.iter().any(|pod| pod == "demo-be-0"), "{version}: whom it never was the turn of was left alone: {seen:?}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
        let master = lab.master_pod("demo").expect("one master");
        for row in lab.sql("demo", &master, "SHOW BACKENDS").await.expect("the master answers") {
            let status = &row["Status"];
            assert!(status.contains("\"isQueryDisabled\":false") && status.contains("\"isLoadDisabled\":false"), "{version}: {status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_stops_the_roll_after_the_canary() {
    let (lab, _controller, restarts) = ready(hasty(basic("2.1.7"))).await;
    let mut spec = labelled(hasty(basic("2.1.7")), &["fe", "be"], "2");
    spec["update"]["partition"] = json!(2);
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    let is_held = |seen: &DorisCluster| {
        condition(seen, "Ready").is_some_and(|(_, reason, message)| reason == "RestartPending" && message.contains("update.partition is 2"))
    };
    lab.until("the canary is done", "demo", LONG, is_held).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(restarts.seen(), ["demo-be-2"], "one backend, and no frontend before the backends are done");
    // The canary is well: everybody else.
    spec["update"]["partition"] = json!(0);
    let changed = lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    until_done(&lab, &changed).await;
    assert_eq!(restarts.seen().len(), 6);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_taken_back_is_the_only_one_restarted() {
    let (lab, _controller, restarts) = ready(hasty(basic("2.1.7"))).await;
    let mut spec = labelled(hasty(basic("2.1.7")), &["be"], "2");
    spec["update"]["partition"] = json!(2);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until("the canary is done", "demo", LONG, |seen| {
        condition(seen, "Ready").is_some_and(|(_, _, message)| message.contains("update.partition is 2"))
    })
    .await;
    let mut back = hasty(basic("2.1.7"));
    back["update"]["partition"] = json!(2);
    let changed = lab.apply(&cluster("demo", back)).await.expect("the spec is accepted");
    until_done(&lab, &changed).await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_is_asked_for_happens_once_however_long_the_request_stays() {
    let (lab, _controller, restarts) = ready(hasty(basic("2.1.7"))).await;
    let asked = |annotations: Value| {
        let mut cluster = cluster("demo", hasty(basic("2.1.7")));
        cluster.metadata.annotations = serde_json::from_value(annotations).expect("annotations");
        cluster
    };
    let rolls = async |annotations: Value| {
        let before = restarts.seen().len();
        lab.apply(&asked(annotations)).await.expect("the annotations are accepted");
        tokio::time::sleep(Duration::from_secs(30)).await;
        lab.until_ready("demo").await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        let mut seen = restarts.seen().split_off(before);
        seen.sort();
        seen
    };
    assert_eq!(rolls(json!({"restart.doris-operator.dev/be": "one"})).await, BACKENDS);
    let own = json!({"restart.doris-operator.dev/be": "one", "doris-operator.dev/restart": "two"});
    assert_eq!(rolls(own.clone()).await.len(), 6, "everybody");
    assert_eq!(rolls(own).await, [] as [String; 0], "the same values ask for nothing");
    assert_eq!(rolls(json!({})).await, [] as [String; 0], "a request that is taken back asks for nothing");
    assert_eq!(rolls(json!({"restart.doris-operator.dev/be": "three"})).await, BACKENDS);
}

#[tokio::test(start_paused = true)]
async fn kubectl_rollout_restart_is_honoured() {
    let (lab, _controller, restarts) = ready(hasty(basic("2.1.7"))).await;
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-06-01T01:00:00Z"}}}}});
    let params = PatchParams { field_manager: Some("kubectl-rollout".into()), ..PatchParams::default() };
    lab.api::<StatefulSet>().patch("demo-be", &params, &Patch::Strategic(patch)).await.expect("the set is patched");
    lab.eventually("the backends are restarted", LONG, || async {
        let seen = sorted(&restarts);
        if seen == BACKENDS { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    lab.until_ready("demo").await;
    assert_eq!(lab.idle(Duration::from_mins(2)).await, [] as [String; 0], "the request is not fought over");
    assert_eq!(sorted(&restarts), BACKENDS);
}

#[tokio::test(start_paused = true)]
async fn with_on_delete_a_person_decides_which_pod_goes() {
    let mut spec = hasty(basic("2.1.7"));
    spec["update"]["strategy"] = json!("OnDelete");
    let (lab, _controller, restarts) = ready(spec.clone()).await;
    let changed = lab.apply(&cluster("demo", labelled(spec, &["be"], "2"))).await.expect("the spec is accepted");
    lab.until("the wait is told", "demo", LONG, |seen| {
        condition(seen, "Ready").is_some_and(|(_, reason, message)| reason == "RestartPending" && message.contains("OnDelete"))
    })
    .await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(restarts.seen(), [] as [String; 0]);
    for pod in ["demo-be-0", "demo-be-2", "demo-be-1"] {
        lab.api::<Pod>().delete(pod, &DeleteParams::default()).await.expect("the pod is there");
        lab.eventually("the pod is back", LONG, || async {
            let found = lab.api::<Pod>().get_opt(pod).await.map_err(|error| error.to_string())?.ok_or("not there")?;
            let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
            let is_ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
            if is_ready && found.metadata.deletion_timestamp.is_none() { Ok(()) } else { Err("not ready".to_owned()) }
        })
        .await;
    }
    until_done(&lab, &changed).await;
    assert_eq!(restarts.seen(), ["demo-be-0", "demo-be-2", "demo-be-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_roll_leaves_the_disruption_budgets_alone() {
    let (lab, _controller, _restarts) = ready(hasty(basic("2.1.7"))).await;
    let budgets = async || {
        let all = lab.api::<PodDisruptionBudget>().list(&ListParams::default()).await.expect("budgets are listed");
        all.into_iter().map(|budget| (budget.name_any(), budget.metadata.generation, budget.spec)).collect::<Vec<_>>()
    };
    let before = budgets().await;
    assert!(!before.is_empty());
    let changed = lab.apply(&cluster("demo", labelled(hasty(basic("2.1.7")), &["fe", "be"], "2"))).await.expect("the spec is accepted");
    until_done(&lab, &changed).await;
    assert_eq!(budgets().await, before);
}
