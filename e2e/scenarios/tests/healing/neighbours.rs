//! Clusters beside each other, and controllers after each other.

use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::{MemberFacts, MemberKind};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use scenarios::lab::{ControllerOptions, Lab, Settings, basic, cluster};
use serde_json::json;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn two_clusters_one_namespace() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    for name in ["one", "two"] {
        lab.apply(&cluster(name, basic("2.1.7"))).await.expect("the spec is accepted");
    }
    for name in ["one", "two"] {
        lab.until_ready(name).await;
    }
    let ids = ["one", "two"].map(|name| lab.founded_ids(name));
    assert!(ids.iter().all(|ids| ids.len() == 1) && ids[0] != ids[1], "each is a cluster of its own: {ids:?}");
    for (name, ids) in ["one", "two"].into_iter().zip(&ids) {
        let own = |component: &str| (0..3).map(|ordinal| format!("{name}-{component}-{ordinal}")).collect::<Vec<_>>();
        assert_eq!(lab.alive(name, MemberKind::Follower), own("fe"));
        assert_eq!(lab.alive(name, MemberKind::Backend), own("be"));
        for member in lab.processes(name) {
            if let Some(backend) = member.backend() {
                assert_eq!(backend.accepted_cluster_ids, *ids, "a backend hears its own masters alone: {backend:#?}");
            }
        }
    }
    let passwords = [lab.secret("one-identity", "root.generated").await, lab.secret("two-identity", "root.generated").await];
    assert!(passwords[0].is_some() && passwords[0] != passwords[1], "each has accounts of its own");

    let versions = || async {
        let sets =
            lab.api::<StatefulSet>().list(&ListParams::default().labels("doris-operator.dev/cluster=two")).await.expect("sets are listed");
        sets.iter().map(|set| (set.name_any(), set.metadata.generation, set.uid())).collect::<Vec<_>>()
    };
    let before = versions().await;
    lab.api::<DorisCluster>().delete("one", &DeleteParams::background()).await.expect("one is deleted");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(!lab.processes("one").iter().any(MemberFacts::is_running), "one is gone");
    assert_eq!(versions().await, before, "two is as it was");
    lab.until_ready("two").await;
    assert!(lab.processes("two").iter().all(MemberFacts::is_running), "no member of two was ended");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_fe_delays_no_other_cluster() {
    let alone = {
        let lab = Lab::new(Settings::default()).await;
        let _controller = lab.start_controller();
        timed(&lab, "free").await
    };
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    for name in ["stuck", "stuck-too"] {
        lab.apply(&cluster(name, basic("2.1.7"))).await.expect("the spec is accepted");
        lab.until_ready(name).await;
    }
    for name in ["stuck", "stuck-too"] {
        for ordinal in 0..3 {
            assert!(lab.nodes.freeze("default", &format!("{name}-fe-{ordinal}"), None, true), "it runs");
        }
        // Something is to be done there, so that every round tries.
        let mut spec = basic("2.1.7");
        spec["be"]["replicas"] = json!(4);
        lab.apply(&cluster(name, spec)).await.expect("the spec is accepted");
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let beside = timed(&lab, "free").await;
    assert!(beside <= alone + Duration::from_secs(3), "{beside:?} beside hanging frontends, {alone:?} alone");
}

/// Time from a spec to a cluster that is ready.
async fn timed(lab: &Lab, name: &str) -> Duration {
    let began = Instant::now();
    lab.apply(&cluster(name, basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready(name).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn leader_change_mid_create() {
    for steps in [2, 7, 15, 25, 40] {
        let lab = Lab::new(Settings::default()).await;
        let elected = |instance| ControllerOptions { instance, elected: true, ..ControllerOptions::default() };
        let mut controllers = vec![lab.start_controller_with(elected(0)), lab.start_controller_with(elected(1))];
        lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
        let far = || async { if lab.faults.steps() >= steps { Ok(()) } else { Err("not so far".to_owned()) } };
        lab.eventually("the first leader works", Duration::from_mins(2), far).await;
        let first = holder(&lab).await;
        let at = usize::from(first.ends_with("-100"));
        drop(controllers.remove(at));
        lab.until_ready("demo").await;
        assert_ne!(holder(&lab).await, first, "{steps} steps: another one leads");
        assert_eq!(lab.founded_ids("demo").len(), 1, "{steps} steps: founded once");
        assert_eq!(lab.alive("demo", MemberKind::Follower).len(), 3, "{steps} steps");
        assert_eq!(lab.alive("demo", MemberKind::Backend).len(), 3, "{steps} steps");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{steps} steps");
    }
}

/// Who holds the leader Lease.
async fn holder(lab: &Lab) -> String {
    let lease = lab.api::<Lease>().get("doris-operator.dev-cluster-controller").await.expect("there is a Lease");
    lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
}
