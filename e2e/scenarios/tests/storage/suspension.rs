//! Suspending and resuming: everything stops in order, and comes back as it was.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doris_api::DorisCluster;
use doris_sim::{MemberFacts, MemberKind};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster, full, is_ready};
use serde_json::{Value, json};

use crate::state::{LONG, VERSIONS, becomes, everything, fill, membership_since, ready, sizes};
use crate::watch::{Restarts, hasty, labelled};

fn suspended(mut spec: Value) -> Value {
    spec["suspend"] = json!(true);
    spec
}

fn is_suspended(seen: &DorisCluster) -> bool {
    condition(seen, "Suspended").is_some_and(|(status, _, _)| status == "True")
}

async fn suspend(lab: &Lab, spec: &Value) -> DorisCluster {
    let applied = lab.apply(&cluster("demo", suspended(spec.clone()))).await.expect("the spec is accepted");
    let generation = applied.metadata.generation;
    let is_told = |seen: &DorisCluster| seen.status.as_ref().is_some_and(|status| status.observed_generation == generation);
    lab.until("suspended", "demo", LONG, |seen| is_told(seen) && is_suspended(seen)).await
}

/// Names of components in the order in which their last process ended.
struct Ends {
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Ends {
    fn watch(lab: &Lab) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (told, world) = (seen.clone(), lab.world.clone());
        let task = tokio::spawn(async move {
            let mut known = BTreeSet::new();
            loop {
                let running: BTreeSet<String> =
                    world.members().into_iter().filter(MemberFacts::is_running).map(|member| component(member.fqdn())).collect();
                let ended: Vec<String> = known.difference(&running).cloned().collect();
                told.lock().unwrap_or_else(PoisonError::into_inner).extend(ended);
                known = running;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { seen, task }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn component(fqdn: &str) -> String {
    let pod = fqdn.split('.').next().unwrap_or_default();
    pod.trim_start_matches("demo-").rsplit_once('-').map_or(pod, |(component, _)| component).to_owned()
}

async fn pods(lab: &Lab) -> usize {
    lab.api::<Pod>().list(&ListParams::default().labels("doris-operator.dev/cluster=demo")).await.expect("pods are listed").items.len()
}

#[tokio::test(start_paused = true)]
async fn a_suspended_cluster_keeps_everything_and_resumes_as_the_same() {
    for version in VERSIONS {
        let (lab, _controller) = ready(&hasty(basic(version))).await;
        fill(&lab).await;
        let (before, claims, statements) = (everything(&lab).await, sizes(&lab).await, lab.faults.statements().len());
        let seen = suspend(&lab, &hasty(basic(version))).await;
        assert_eq!(seen.status.as_ref().and_then(|status| status.summary.as_deref()), Some("Suspended"), "{version}");
        assert_eq!(seen.status.and_then(|status| status.operation), None, "{version}");
        assert_eq!((pods(&lab).await, sizes(&lab).await), (0, claims), "{version}: no pod is left, and no claim went");
        assert_eq!(lab.idle(Duration::from_mins(5)).await, Vec::<String>::new(), "{version}: an idle time");
        becomes(&lab, &hasty(basic(version))).await;
        assert_eq!(everything(&lab).await, before, "{version}");
        assert_eq!(membership_since(&lab, statements), Vec::<String>::new(), "{version}");
        let master = lab.master_pod("demo").expect("a master");
        for key in ["disable_tablet_scheduler", "disable_balance"] {
            let statement = format!("ADMIN SHOW FRONTEND CONFIG LIKE '{key}'");
            let shown = lab.sql("demo", &master, &statement).await.expect("the master answers");
            assert_eq!(shown[0]["Value"], "false", "{version}: {key}");
        }
        let unserved = lab.api::<Pod>().list(&ListParams::default().labels("doris-operator.dev/serving=false")).await.expect("pods");
        assert_eq!(unserved.items.len(), 0, "{version}");
        assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "{version}: an idle time");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_stop_and_start_in_the_order_that_copies_nothing() {
    let (lab, _controller) = ready(&hasty(full("2.1.7"))).await;
    let ends = Ends::watch(&lab);
    tokio::time::sleep(Duration::from_secs(1)).await;
    suspend(&lab, &hasty(full("2.1.7"))).await;
    // Brokers are no members of the model; their pods go with the compute nodes'.
    assert_eq!(ends.seen(), ["cn", "fe-ob", "fe", "be"]);
    becomes(&lab, &hasty(full("2.1.7"))).await;
    assert_eq!(lab.alive("demo", MemberKind::Follower).len(), 3);
    assert_eq!(lab.alive("demo", MemberKind::Observer).len(), 2);
    assert_eq!(lab.alive("demo", MemberKind::Backend).len(), 5, "backends and compute nodes");
    assert_eq!(lab.alive("demo", MemberKind::Broker).len(), 1);
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_flag_that_is_flipped_midway_turns_it_round() {
    let (lab, _controller) = ready(&hasty(basic("2.1.7"))).await;
    fill(&lab).await;
    let before = everything(&lab).await;
    let statements = lab.faults.statements().len();
    let replicas = async |set: &str| lab.api::<StatefulSet>().get(set).await.ok().and_then(|set| set.spec?.replicas);
    lab.apply(&cluster("demo", suspended(hasty(basic("2.1.7"))))).await.expect("the spec is accepted");
    let frontends_stop = || async { if replicas("demo-fe").await == Some(0) { Ok(()) } else { Err("they run".to_owned()) } };
    lab.eventually("frontends stop", LONG, frontends_stop).await;
    becomes(&lab, &hasty(basic("2.1.7"))).await;
    assert_eq!(everything(&lab).await, before);

    suspend(&lab, &hasty(basic("2.1.7"))).await;
    lab.apply(&cluster("demo", hasty(basic("2.1.7")))).await.expect("the spec is accepted");
    let frontends_start = || async { if replicas("demo-fe").await == Some(3) { Ok(()) } else { Err("they do not".to_owned()) } };
    lab.eventually("frontends start", LONG, frontends_start).await;
    suspend(&lab, &hasty(basic("2.1.7"))).await;
    becomes(&lab, &hasty(basic("2.1.7"))).await;
    assert_eq!(everything(&lab).await, before);
    assert_eq!(membership_since(&lab, statements), Vec::<String>::new());
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_while_it_is_suspended_takes_effect_after_it_is_resumed() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    suspend(&lab, &spec).await;
    let mut changed = labelled(spec, &["be"], "2");
    changed["be"]["storage"][0]["size"] = json!("200Gi");
    let seen = suspend(&lab, &changed).await;
    let (_, _, message) = condition(&seen, "Suspended").expect("a condition");
    assert!(message.contains("takes effect then"), "{message}");
    assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "an idle time");
    lab.apply(&cluster("demo", changed.clone())).await.expect("the spec is accepted");
    lab.until("all members run", "demo", LONG, |seen| {
        seen.status.as_ref().and_then(|status| status.be.as_ref()).is_some_and(|be| be.alive == 3)
    })
    .await;
    let restarts = Restarts::of(&lab, "demo").await;
    lab.until("Ready", "demo", LONG, is_ready).await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-1", "demo-be-0"], "one at a time");
    assert!(sizes(&lab).await.values().all(|(asked, has)| asked == has));
    assert_eq!(sizes(&lab).await["data-demo-be-0"].0, "200Gi");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_made_suspended_founds_when_it_is_resumed() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    suspend(&lab, &basic("2.1.7")).await;
    assert_eq!(pods(&lab).await, 0);
    becomes(&lab, &basic("2.1.7")).await;
    assert_eq!(lab.founded_ids("demo").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn members_stop_once_a_backup_is_done() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    lab.stalled_backup().await;
    lab.apply(&cluster("demo", suspended(spec.clone()))).await.expect("the spec is accepted");
    let is_blocked = |seen: &DorisCluster| condition(seen, "Ready").is_some_and(|(_, reason, _)| reason == "Blocked");
    let seen = lab.until("it is blocked", "demo", LONG, is_blocked).await;
    let (_, _, message) = condition(&seen, "Ready").expect("a condition");
    assert!(message.contains("demo is not suspended: BackupIdle: backup nightly of database stock"), "{message}");
    tokio::time::sleep(Duration::from_mins(3)).await;
    assert_eq!(lab.world.backend_stops().len(), 0);
    lab.jobs_go_on();
    lab.until("suspended", "demo", LONG, is_suspended).await;
    assert_eq!(lab.world.snapshot_jobs().pop().map(|job| job.state), Some("FINISHED"));
    becomes(&lab, &spec).await;
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_override_gives_a_backup_up_for_a_suspension() {
    let spec = hasty(basic("2.1.7"));
    let (lab, _controller) = ready(&spec).await;
    lab.stalled_backup().await;
    let mut wanted = cluster("demo", suspended(spec.clone()));
    wanted.metadata.annotations = Some([("override.doris-operator.dev/BackupIdle".to_owned(), "2026-06-01T04:00:00Z".to_owned())].into());
    lab.apply(&wanted).await.expect("the annotation is accepted");
    let seen = lab.until("suspended", "demo", LONG, is_suspended).await;
    let used = seen.status.map(|status| status.overrides).unwrap_or_default();
    assert!(matches!(used.as_slice(), [one] if one.rule == "BackupIdle" && one.step.ends_with("Suspend")), "{used:?}");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

/// Every process whose memory says that tablets are not to be moved.
fn held(lab: &Lab) -> Vec<String> {
    let switches = ["disable_tablet_scheduler", "disable_balance"];
    let on = lab.world.live_settings().into_iter().filter(|setting| switches.contains(&setting.key.as_str()) && setting.value == "true");
    on.map(|setting| format!("{} of {}", setting.key, setting.fqdn)).collect()
}

#[tokio::test(start_paused = true)]
async fn no_frontend_keeps_a_hold_in_its_memory_whoever_was_master() {
    for version in VERSIONS {
        let spec = hasty(basic(version));
        let (lab, _controller) = ready(&spec).await;
        suspend(&lab, &spec).await;
        lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
        let is_held = || async { if held(&lab).len() == 2 { Ok(()) } else { Err(format!("{:?}", held(&lab))) } };
        lab.eventually("the master holds", LONG, is_held).await;
        // A frontend that is not master has it in its memory too, as one that led before and was healed would.
        let master = lab.master_pod("demo").expect("one master");
        let other = ["demo-fe-0", "demo-fe-1", "demo-fe-2"].into_iter().find(|pod| *pod != master).expect("another one");
        set_at(&lab, other, "disable_balance").await;
        lab.api::<Pod>().delete(&master, &kube::api::DeleteParams::default()).await.expect("the pod is deleted");
        lab.until("Ready", "demo", LONG, is_ready).await;
        assert_eq!(held(&lab), Vec::<String>::new(), "{version}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

/// Switches something on in the memory of one frontend.
async fn set_at(lab: &Lab, pod: &str, key: &str) {
    let password = lab.secret("demo-identity", "root.applied").await.expect("root's password");
    let address = lab.nodes.address("default", pod).expect("it runs");
    let request = http::Request::get(format!("/api/_set_config?{key}=true"))
        .header("authorization", format!("Basic {}", STANDARD.encode(format!("root:{password}"))))
        .body(bytes::Bytes::new())
        .expect("a good request");
    let answer = lab.world.http(std::net::IpAddr::from([10, 9, 9, 9]), address.into(), 8030, request).await.expect("an answer");
    assert!(String::from_utf8_lossy(answer.body()).contains(key), "{answer:?}");
}
