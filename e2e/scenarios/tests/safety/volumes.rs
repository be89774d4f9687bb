//! Volumes that are lost, or come back with less than they had.

use std::time::Duration;

use doris_sim::MemberKind;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use scenarios::lab::look::condition;
use scenarios::lab::{Controller, Lab, Settings, basic, cluster, is_ready};
use serde_json::json;

const FOLLOWERS: [&str; 3] = ["demo-fe-0", "demo-fe-1", "demo-fe-2"];
/// Long enough for every start, election and time-out in the model.
const LONG: Duration = Duration::from_mins(2);

async fn ready() -> (Lab, Controller) {
    let lab = Lab::new(Settings::default()).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    (lab, controller)
}

/// Empties a member's disk and deletes its pod.
async fn lose(lab: &Lab, claim: &str, pod: &str) {
    // A process that runs on would write to the emptied disk.
    lab.nodes.freeze("default", pod, None, true);
    assert!(lab.nodes.lose_volume("default", claim), "{claim} has a volume");
    lab.api::<Pod>().delete(pod, &DeleteParams::default().grace_period(0)).await.expect("the pod is deleted");
}

/// Nothing new was founded, and whoever leads belongs to the cluster that was.
fn is_one_cluster(lab: &Lab, id: u32) {
    assert_eq!(lab.founded_ids("demo").into_iter().collect::<Vec<_>>(), [id], "clusters ever founded");
    let made: Vec<_> = lab.frontends("demo").into_iter().filter(|frontend| frontend.founded.is_some()).collect();
    assert_eq!(made.len(), 1, "only the first start founded anything: {made:#?}");
    for master in lab.masters("demo") {
        assert_eq!(master.cluster_id, id);
    }
}

fn id_of(lab: &Lab) -> u32 {
    let ids = lab.founded_ids("demo");
    assert_eq!(ids.len(), 1);
    ids.into_iter().next().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn fe0_lost_volume_never_founds_a_second_cluster() {
    let (lab, _controller) = ready().await;
    let id = id_of(&lab);
    lose(&lab, "meta-demo-fe-0", "demo-fe-0").await;
    tokio::time::sleep(LONG).await;
    is_one_cluster(&lab, id);
    assert_eq!(lab.masters("demo").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn fe0_lost_volume_never_founds_a_second_cluster_without_a_controller() {
    let (lab, controller) = ready().await;
    let id = id_of(&lab);
    drop(controller);
    lose(&lab, "meta-demo-fe-0", "demo-fe-0").await;
    tokio::time::sleep(LONG).await;
    is_one_cluster(&lab, id);
    let _controller = lab.start_controller();
    tokio::time::sleep(LONG).await;
    is_one_cluster(&lab, id);
}

#[tokio::test(start_paused = true)]
async fn fe0_lost_volume_never_founds_a_second_cluster_with_stale_caches() {
    let (lab, controller) = ready().await;
    let id = id_of(&lab);
    controller.hold_watches(true);
    lose(&lab, "meta-demo-fe-0", "demo-fe-0").await;
    tokio::time::sleep(LONG).await;
    is_one_cluster(&lab, id);
    controller.hold_watches(false);
    tokio::time::sleep(LONG).await;
    is_one_cluster(&lab, id);
}

#[tokio::test(start_paused = true)]
async fn fe0_lost_volume_never_founds_a_second_cluster_when_all_volumes_are_lost() {
    let (lab, _controller) = ready().await;
    let id = id_of(&lab);
    for pod in FOLLOWERS {
        lose(&lab, &format!("meta-{pod}"), pod).await;
    }
    tokio::time::sleep(LONG).await;
    is_one_cluster(&lab, id);
    assert_eq!(lab.masters("demo").len(), 0, "an empty cluster beside the backends' data would be worse than none");
    let demo = lab.cluster("default", "demo").await.expect("there is the cluster");
    assert!(!is_ready(&demo));
}

#[tokio::test(start_paused = true)]
async fn frontends_that_all_lost_their_volumes_are_named() {
    let (lab, _controller) = ready().await;
    for pod in FOLLOWERS {
        lose(&lab, &format!("meta-{pod}"), pod).await;
    }
    tokio::time::sleep(LONG).await;
    let demo = lab.cluster("default", "demo").await.expect("there is the cluster");
    let (status, reason, message) = condition(&demo, "Stalled").expect("there is the condition");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "FrontendMetadataLost"), "{message}");
    for pod in FOLLOWERS {
        assert!(message.contains(pod) && message.contains(&format!("meta-{pod}")), "{pod} and its claim are named: {message}");
    }
    assert!(message.contains("Restore the volumes"), "what a person can do: {message}");
}

/// Drops of members that the controller sent.
fn drops(lab: &Lab) -> Vec<String> {
    lab.faults.statements().into_iter().map(|(_, text)| text).filter(|text| text.contains(" DROP ")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_frontend_that_lost_its_volume_is_registered_and_let_in_anew() {
    for pod in FOLLOWERS {
        let (lab, _controller) = ready().await;
        let id = id_of(&lab);
        let name_of = |lab: &Lab, pod: &str| lab.frontends("demo").iter().filter(|fe| fe.start.fqdn.starts_with(pod)).count();
        let starts = name_of(&lab, pod);
        lose(&lab, &format!("meta-{pod}"), pod).await;
        tokio::time::sleep(LONG).await;
        lab.until_ready("demo").await;
        is_one_cluster(&lab, id);
        assert_eq!(lab.alive("demo", MemberKind::Follower), FOLLOWERS);
        assert_eq!(name_of(&lab, pod), starts + 1, "{pod} was started once more");
        let dropped = drops(&lab);
        assert!(matches!(dropped.as_slice(), [one] if one.contains(&format!("DROP FOLLOWER \"{pod}."))), "{dropped:?}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{pod}");
        assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "{pod}: an idle time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frontend_whose_journal_alone_was_lost_is_let_in_anew() {
    let (lab, _controller) = ready().await;
    let id = id_of(&lab);
    let master = lab.master_pod("demo").expect("there is a master");
    let victim = FOLLOWERS.into_iter().find(|pod| *pod != master).expect("another follower");
    let disk = lab.disk(&format!("meta-{victim}")).await.expect("it has a disk");
    assert!(lab.nodes.kill("default", victim, None), "{victim} runs");
    for file in disk.files("").into_iter().filter(|file| file.contains("bdb/")) {
        disk.remove(&file);
    }
    tokio::time::sleep(Duration::from_mins(10)).await;
    lab.until_ready("demo").await;
    is_one_cluster(&lab, id);
    assert_eq!(lab.alive("demo", MemberKind::Follower), FOLLOWERS);
    assert_eq!(drops(&lab).len(), 1, "{:?}", drops(&lab));
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_lost_its_volume_is_let_in_anew() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    let mut spec = basic("2.1.7");
    spec["fe"]["replicas"] = json!(1);
    spec["fe"]["observers"] = json!(2);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    lose(&lab, "meta-demo-fe-ob-1", "demo-fe-ob-1").await;
    tokio::time::sleep(LONG).await;
    lab.until_ready("demo").await;
    assert_eq!(lab.alive("demo", MemberKind::Observer), ["demo-fe-ob-0", "demo-fe-ob-1"]);
    assert_eq!(drops(&lab).len(), 1, "{:?}", drops(&lab));
}

#[tokio::test(start_paused = true)]
async fn a_lost_frontend_is_only_reported_when_the_spec_says_so() {
    for mode in ["Observe", "Disabled"] {
        let lab = Lab::new(Settings::default()).await;
        let _controller = lab.start_controller();
        let mut spec = basic("2.1.7");
        spec["failover"] = json!({"mode": mode});
        lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        lose(&lab, "meta-demo-fe-1", "demo-fe-1").await;
        let is_told = |cluster: &doris_api::DorisCluster| {
            condition(cluster, "Stalled").is_some_and(|(status, reason, message)| {
                let names = ["demo-fe-1", "claim meta-demo-fe-1", mode, "ALTER SYSTEM DROP FOLLOWER"];
                status == "True" && reason == "JournalLost" && names.iter().all(|name| message.contains(name))
            })
        };
        lab.until("a person learns of it", "demo", LONG, is_told).await;
        tokio::time::sleep(LONG).await;
        assert_eq!(drops(&lab), Vec::<String>::new(), "{mode}");
        spec["failover"] = json!({"mode": "Automatic"});
        lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        assert_eq!(lab.alive("demo", MemberKind::Follower), FOLLOWERS, "{mode}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_no_lost_frontend_is_dropped() {
    for (followers, lost) in [(1, vec!["demo-fe-0"]), (3, vec!["demo-fe-1", "demo-fe-2"])] {
        let lab = Lab::new(Settings::default()).await;
        let _controller = lab.start_controller();
        let mut spec = basic("2.1.7");
        spec["fe"]["replicas"] = json!(followers);
        lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        let id = id_of(&lab);
        for pod in &lost {
            lose(&lab, &format!("meta-{pod}"), pod).await;
        }
        let is_told = |cluster: &doris_api::DorisCluster| {
            condition(cluster, "Stalled").is_some_and(|(status, reason, message)| {
                status == "True" && reason == "FrontendMetadataLost" && lost.iter().all(|pod| message.contains(&format!("meta-{pod}")))
            })
        };
        lab.until("a person learns of it", "demo", Duration::from_mins(5), is_told).await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(drops(&lab), Vec::<String>::new(), "{followers} followers");
        is_one_cluster(&lab, id);
    }
}

#[tokio::test(start_paused = true)]
async fn be_blank_volume_is_held() {
    let (lab, _controller) = ready().await;
    let blank_starts = |lab: &Lab| {
        let all = lab.processes("demo");
        let backends = all.iter().filter_map(|member| member.backend());
        backends.filter(|backend| backend.fqdn.starts_with("demo-be-1.") && backend.blank_start).count()
    };
    assert_eq!(blank_starts(&lab), 1, "a new backend starts on an empty disk once");
    lose(&lab, "data-demo-be-1", "demo-be-1").await;
    tokio::time::sleep(LONG).await;
    assert_eq!(blank_starts(&lab), 1, "under its old id it would report its tablets as gone");
    let rows = lab.registered("demo", MemberKind::Backend);
    assert_eq!(rows.len(), 3, "it stays registered");
    assert!(rows.iter().all(|(pod, row)| row.alive == (pod != "demo-be-1")), "{rows:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_held_is_named() {
    let (lab, _controller) = ready().await;
    lose(&lab, "data-demo-be-1", "demo-be-1").await;
    let names_it = |cluster: &doris_api::DorisCluster| {
        condition(cluster, "Stalled").is_some_and(|(status, reason, message)| {
            status == "True" && reason == "BlankVolume" && message.contains("demo-be-1") && message.contains("claim data-demo-be-1")
        })
    };
    let told = lab.until("the empty disk is told", "demo", LONG, names_it).await;
    // What the message offers helps.
    let (_, _, message) = condition(&told, "Stalled").expect("there is the condition");
    let leave = message.rsplit_once("doris-operator.dev/ticket=").map(|(_, ticket)| ticket.to_owned()).expect("the leave to start");
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {"doris-operator.dev/ticket": leave}}}));
    lab.api::<Pod>().patch("demo-be-1", &PatchParams::default(), &annotation).await.expect("the pod is annotated");
    lab.until_ready("demo").await;
    assert_eq!(lab.alive("demo", MemberKind::Backend).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn fe_without_bdb_never_starts() {
    let (lab, _controller) = ready().await;
    let id = id_of(&lab);
    let master = lab.master_pod("demo").expect("there is a master");
    let victim = FOLLOWERS.into_iter().find(|pod| *pod != master).expect("another follower");
    for pod in [victim, master.as_str()] {
        let disk = lab.disk(&format!("meta-{pod}")).await.expect("it has a disk");
        let journal: Vec<String> = disk.files("").into_iter().filter(|file| file.contains("bdb/")).collect();
        assert!(!journal.is_empty(), "{:?}", disk.files(""));
        assert!(lab.nodes.kill("default", pod, None), "{pod} runs");
        for file in journal {
            disk.remove(&file);
        }
        tokio::time::sleep(LONG).await;
        for start in lab.world.fe_starts() {
            let metadata = start.metadata;
            assert!(!metadata.role || !metadata.version || metadata.bdb, "a second live master otherwise: {start:#?}");
        }
        is_one_cluster(&lab, id);
        assert!(lab.masters("demo").len() <= 1);
    }
}
