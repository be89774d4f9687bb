//! Volumes grow while they are in use, and what keeps them from it is told.

use std::time::Duration;

use doris_api::DorisCluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy};
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::{Value, json};

use crate::state::{LONG, VERSIONS, becomes, pods, ready, sizes, templates};
use crate::watch::{Restarts, hasty};

fn grown(version: &str) -> Value {
    let mut spec = basic(version);
    spec["fe"]["storage"]["size"] = json!("30Gi");
    spec["be"]["storage"][0]["size"] = json!("200Gi");
    spec
}

fn stalled(reason: &'static str, words: &'static str) -> impl Fn(&DorisCluster) -> bool {
    move |seen| {
        condition(seen, "Stalled").is_some_and(|(status, found, message)| status == "True" && found == reason && message.contains(words))
    }
}

#[tokio::test(start_paused = true)]
async fn volume_grows_online() {
    for version in VERSIONS {
        let (lab, _controller) = ready(&basic(version)).await;
        let (before, replicas) = (pods(&lab).await, lab.api::<StatefulSet>().get("demo-be").await.expect("the set").spec.unwrap().replicas);
        let writes = lab.writes().len();
        becomes(&lab, &grown(version)).await;
        assert_eq!(pods(&lab).await, before, "{version}: no pod was restarted");
        for (claim, (asked, has)) in sizes(&lab).await {
            let wanted = if claim.starts_with("meta") { "30Gi" } else { "200Gi" };
            assert_eq!((asked.as_str(), has.as_str()), (wanted, wanted), "{version}: {claim}");
        }
        let templates = templates(&lab).await;
        assert_eq!((templates["demo-fe meta"].as_str(), templates["demo-be data"].as_str()), ("30Gi", "200Gi"), "{version}");
        let set = lab.api::<StatefulSet>().get("demo-be").await.expect("the set");
        assert_eq!(set.spec.expect("a spec").replicas, replicas, "{version}");
        let asked: Vec<String> = lab.writes()[writes..].iter().filter(|write| write.contains("persistentvolumeclaims")).cloned().collect();
        let order = ["meta-demo-fe-0", "meta-demo-fe-1", "meta-demo-fe-2", "data-demo-be-0", "data-demo-be-1", "data-demo-be-2"];
        assert_eq!(asked, order.map(|claim| format!("PATCH persistentvolumeclaims/{claim}")), "{version}");
        // Doris sees the new size with the next report.
        tokio::time::sleep(Duration::from_mins(2)).await;
        let master = lab.master_pod("demo").expect("a master");
        for row in lab.sql("demo", &master, "SHOW BACKENDS").await.expect("the master answers") {
            assert_eq!(row["TotalCapacity"], "200.000 GB", "{version}");
        }
        assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "{version}: an idle time");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}

async fn let_class_grow(lab: &Lab, grows: bool) {
    let patch = Patch::Merge(json!({"allowVolumeExpansion": grows}));
    Api::<StorageClass>::all(lab.client.clone()).patch("node-sim", &PatchParams::default(), &patch).await.expect("the class is changed");
}

#[tokio::test(start_paused = true)]
async fn growth_that_the_class_refuses_is_told_with_its_name_and_goes_on_once_it_allows_it() {
    let (lab, _controller) = ready(&basic("2.1.7")).await;
    let before = pods(&lab).await;
    let_class_grow(&lab, false).await;
    lab.apply(&cluster("demo", grown("2.1.7"))).await.expect("the spec is accepted");
    let told = lab.until("the refusal is told", "demo", LONG, stalled("VolumeRefused", "storage class node-sim")).await;
    let (_, _, message) = condition(&told, "Stalled").expect("a condition");
    assert!(message.contains("claim meta-demo-fe-0") && message.contains("must support resize"), "{message}");
    // It is not asked all the time.
    assert!(lab.idle(Duration::from_mins(4)).await.len() < 12);
    let_class_grow(&lab, true).await;
    lab.until_ready("demo").await;
    assert!(sizes(&lab).await.values().all(|(asked, has)| asked == has));
    assert_eq!(templates(&lab).await["demo-be data"], "200Gi");
    assert_eq!(pods(&lab).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_resize_error_is_told_in_the_drivers_words_and_heals() {
    let (lab, _controller) = ready(&basic("2.1.7")).await;
    lab.nodes.fail_growth(Some("rpc error: the pool has no space left"));
    let mut spec = basic("2.1.7");
    spec["be"]["storage"][0]["size"] = json!("200Gi");
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until("the error is told", "demo", LONG, stalled("VolumeRefused", "the pool has no space left")).await;
    assert_eq!(templates(&lab).await["demo-be data"], "100Gi", "the template waits for the claims");
    lab.nodes.fail_growth(None);
    lab.until_ready("demo").await;
    assert_eq!(templates(&lab).await["demo-be data"], "200Gi");
}

#[tokio::test(start_paused = true)]
async fn a_file_system_that_grows_with_another_pod_only_has_its_pods_restarted_one_by_one() {
    let lab = Lab::new(Settings::default()).await;
    let class = json!({
        "metadata": {"name": "offline"}, "provisioner": "node-sim.local/volumes", "allowVolumeExpansion": true,
        "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer", "parameters": {"node-sim.local/resize": "Offline"},
    });
    let class: StorageClass = serde_json::from_value(class).expect("a class");
    Api::<StorageClass>::all(lab.client.clone()).create(&PostParams::default(), &class).await.expect("the class is made");
    let _controller = lab.start_controller();
    let mut spec = hasty(basic("2.1.7"));
    spec["be"]["storage"][0]["storageClassName"] = json!("offline");
    becomes(&lab, &spec).await;
    let restarts = Restarts::of(&lab, "demo").await;
    spec["be"]["storage"][0]["size"] = json!("200Gi");
    becomes(&lab, &spec).await;
    assert_eq!(restarts.seen(), ["demo-be-2", "demo-be-1", "demo-be-0"]);
    assert!(sizes(&lab).await.iter().filter(|(claim, _)| claim.starts_with("data")).all(|(_, (_, has))| has == "200Gi"));
    assert_eq!(templates(&lab).await["demo-be data"], "200Gi");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_gets_the_new_size() {
    let (lab, _controller) = ready(&basic("2.1.7")).await;
    let mut spec = grown("2.1.7");
    spec["be"]["replicas"] = json!(4);
    becomes(&lab, &spec).await;
    let claim = lab.api::<PersistentVolumeClaim>().get("data-demo-be-3").await.expect("its claim");
    let asked = claim.spec.and_then(|spec| spec.resources?.requests).expect("a request");
    assert_eq!(asked["storage"].0, "200Gi");
}

#[tokio::test(start_paused = true)]
async fn shrinking_is_refused_by_the_server_and_by_the_controller_where_the_server_knows_no_rules() {
    let mut smaller = basic("2.1.7");
    smaller["be"]["storage"][0]["size"] = json!("50Gi");
    let (lab, _controller) = ready(&basic("2.1.7")).await;
    let refusal = lab.apply(&cluster("demo", smaller.clone())).await.expect_err("a disk can't become smaller");
    assert!(refusal.to_string().contains("Kubernetes shrinks no volume"), "{refusal}");

    let lab = Lab::new(Settings { kubernetes_minor: 24, ..Settings::default() }).await;
    let _controller = lab.start_controller();
    becomes(&lab, &basic("2.1.7")).await;
    let before = pods(&lab).await;
    lab.apply(&cluster("demo", smaller)).await.expect("this server knows no rules");
    let told = lab.until("it is refused", "demo", LONG, stalled("SpecInvalid", "shrinks no volume")).await;
    let (_, _, message) = condition(&told, "Stalled").expect("a condition");
    assert!(message.contains("disk data of be.storage asks for 50Gi, and its volumes have 100Gi"), "{message}");
    assert_eq!(pods(&lab).await, before);
    becomes(&lab, &basic("2.1.7")).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_missing_while_its_pods_run_is_made_again_for_exactly_those() {
    let (lab, controller) = ready(&basic("2.1.7")).await;
    let before = pods(&lab).await;
    drop(controller);
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    for set in ["demo-fe", "demo-be"] {
        lab.api::<StatefulSet>().delete(set, &orphan).await.expect("the set is deleted");
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    // What the spec asks for meanwhile is not what the pods are made for.
    let mut spec = basic("2.1.7");
    spec["be"]["replicas"] = json!(2);
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let _controller = lab.start_controller();
    let is_back = || async {
        let set = lab.api::<StatefulSet>().get_opt("demo-be").await.ok().flatten();
        match set.and_then(|set| set.spec).and_then(|spec| spec.replicas) {
            Some(3) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    lab.eventually("the set is back", LONG, is_back).await;
    assert_eq!(pods(&lab).await, before);
    becomes(&lab, &basic("2.1.7")).await;
    assert_eq!(pods(&lab).await, before);
}
