use serde_json::{Value, json};

use crate::kinds::{CLAIM, POD, REVISION, STATEFUL_SET, VOLUME};
use crate::testing::World;
use crate::value::{items, label, number, set, text, uid};

fn class(world: &mut World, mode: &str) {
    world.create(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "standard"},
        "provisioner": "kube-sim.local/hostpath", "volumeBindingMode": mode, "allowVolumeExpansion": true,
    }));
}

fn claim_template(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}}})
}

fn stateful_set(replicas: i64, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", "namespace": "ns"},
        "spec": {
            "serviceName": "web", "replicas": replicas, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "web"}}, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

fn image(world: &mut World, image: &str) {
    world.edit(STATEFUL_SET, "web", |set| set["spec"]["template"]["spec"]["containers"][0]["image"] = image.into());
}

fn images(world: &World) -> Vec<String> {
    world.list(POD).iter().map(|pod| text(pod, "/spec/containers/0/image").to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn pods_come_upward_and_go_downward_and_claims_stay() {
    let mut world = World::new(36);
    class(&mut world, "Immediate");
    world.create(stateful_set(3, &json!({"volumeClaimTemplates": [claim_template("data")]})));
    world.pass(2).await;
    assert_eq!(world.order, ["+web-0", "+web-1", "+web-2"]);
    world.edit(STATEFUL_SET, "web", |set| set["spec"]["replicas"] = 1.into());
    world.settle();
    assert_eq!(world.order[3..], ["-web-2", "-web-1"]);
    assert_eq!(world.names(CLAIM), ["data-web-0", "data-web-1", "data-web-2"]);
    let set = world.must(STATEFUL_SET, "web");
    let mut status = set["status"].clone();
    for revision in ["currentRevision", "updateRevision"] {
        assert!(text(&status, &format!("/{revision}")).starts_with("web-"));
        status[revision] = "hash".into();
    }
    assert_eq!(
        status,
        json!({
            "observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "updatedReplicas": 1,
            "currentRevision": "hash", "updateRevision": "hash", "collisionCount": 0, "availableReplicas": 1,
        })
    );
    let events = world.events("web");
    for said in [
        "SuccessfulCreate create Claim data-web-0 Pod web-0 in StatefulSet web success",
        "SuccessfulCreate create Pod web-0 in StatefulSet web successful",
        "SuccessfulDelete delete Pod web-2 in StatefulSet web successful",
    ] {
        assert!(events.iter().any(|event| event == said), "{said} is not among {events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn labels_of_pods_follow_the_version() {
    for (minor, has_index) in [(25, false), (28, true)] {
        let mut world = World::new(minor);
        world.create(stateful_set(2, &json!({})));
        world.settle();
        let pod = world.must(POD, "web-1");
        assert_eq!(label(&pod, "statefulset.kubernetes.io/pod-name"), Some("web-1"));
        assert_eq!(label(&pod, "apps.kubernetes.io/pod-index").is_some(), has_index, "minor {minor}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unready_pod_blocks_the_next_one_unless_pods_are_parallel() {
    for (policy, pods) in [("OrderedReady", vec!["web-0"]), ("Parallel", vec!["web-0", "web-1", "web-2"])] {
        let mut world = World::new(36);
        let template = json!({"metadata": {"labels": {"app": "web"}, "annotations": {"ready": "false"}}, "spec": {"containers": []}});
        world.create(stateful_set(3, &json!({"podManagementPolicy": policy, "template": template})));
        world.settle();
        assert_eq!(world.names(POD), pods);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_goes_down_to_the_partition() {
    let mut world = World::new(36);
    world.create(stateful_set(3, &json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}})));
    world.settle();
    image(&mut world, "i:2");
    world.settle();
    assert_eq!(images(&world), ["i:1", "i:1", "i:2"]);
    world.order.clear();
    world.order.extend(["+web-0", "+web-1", "+web-2"].map(str::to_owned));
    world.edit(STATEFUL_SET, "web", |object| set(object, &["spec", "updateStrategy", "rollingUpdate", "partition"], 0));
    world.settle();
    assert_eq!(images(&world), ["i:2", "i:2", "i:2"]);
    let set = world.must(STATEFUL_SET, "web");
    assert_eq!(text(&set, "/status/currentRevision"), text(&set, "/status/updateRevision"));
}

#[tokio::test(start_paused = true)]
async fn a_former_template_takes_its_revision_again() {
    let mut world = World::new(36);
    world.create(stateful_set(1, &json!({"updateStrategy": {"type": "OnDelete"}})));
    world.settle();
    let first = text(&world.must(STATEFUL_SET, "web"), "/status/updateRevision").to_owned();
    image(&mut world, "i:2");
    world.settle();
    assert_eq!(images(&world), ["i:1"], "OnDelete leaves pods alone");
    assert_ne!(text(&world.must(STATEFUL_SET, "web"), "/status/updateRevision"), first);
    image(&mut world, "i:1");
    world.settle();
    assert_eq!(text(&world.must(STATEFUL_SET, "web"), "/status/updateRevision"), first);
    let mut numbers: Vec<_> = world.list(REVISION).iter().filter_map(|revision| number(revision, "/revision")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_deleted_comes_back_with_the_update_revision() {
    let mut world = World::new(36);
    world.create(stateful_set(3, &json!({"updateStrategy": {"type": "OnDelete"}})));
    world.settle();
    image(&mut world, "i:2");
    world.settle();
    world.delete(POD, "web-0", None);
    world.settle();
    assert_eq!(images(&world), ["i:2", "i:1", "i:1"]);
    let set = world.must(STATEFUL_SET, "web");
    assert_eq!((number(&set, "/status/updatedReplicas"), number(&set, "/status/currentReplicas")), (Some(1), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn orphans_are_adopted_without_a_restart() {
    let mut world = World::new(36);
    world.create(stateful_set(2, &json!({})));
    world.settle();
    let before = uid(&world.must(POD, "web-0")).to_owned();
    world.delete(STATEFUL_SET, "web", Some("Orphan"));
    world.settle();
    assert!(world.get(STATEFUL_SET, "web").is_none());
    assert!(items(&world.must(POD, "web-0"), "/metadata/ownerReferences").is_empty());
    assert_eq!(world.list(REVISION).len(), 1);
    let set = world.create(stateful_set(2, &json!({})));
    world.settle();
    let pod = world.must(POD, "web-0");
    assert_eq!((uid(&pod), text(&pod, "/metadata/ownerReferences/0/uid")), (before.as_str(), uid(&set)));
    assert_eq!(world.list(REVISION).len(), 1, "the revision is adopted too");
}

#[tokio::test(start_paused = true)]
async fn a_new_claim_template_wedges_the_set_until_pods_are_replaced_upward() {
    let mut world = World::new(36);
    class(&mut world, "Immediate");
    let spec = |claims: &[&str]| {
        let claims: Vec<_> = claims.iter().map(|name| claim_template(name)).collect();
        json!({"podManagementPolicy": "Parallel", "updateStrategy": {"type": "OnDelete"}, "volumeClaimTemplates": claims})
    };
    world.create(stateful_set(4, &spec(&["d1"])));
    world.pass(2).await;
    world.delete(STATEFUL_SET, "web", Some("Orphan"));
    world.settle();
    world.create(stateful_set(4, &spec(&["d1", "d2"])));
    world.settle();
    let refusal = "FailedUpdate update Pod web-0 in StatefulSet web failed error: Pod \"web-0\" is invalid: spec: Forbidden: pod updates may not change fields other than";
    assert!(world.events("web").iter().any(|event| event.starts_with(refusal)), "{:?}", world.events("web"));
    assert!(world.get(CLAIM, "d2-web-0").is_some(), "the claim is made for the running pod");
    world.delete(POD, "web-3", None);
    world.pass(60).await;
    assert!(world.get(POD, "web-3").is_none(), "a lost pod stays gone");
    for pod in ["web-0", "web-1", "web-2"] {
        world.delete(POD, pod, None);
        world.pass(1100).await;
        let volumes = items(&world.must(POD, pod), "/spec/volumes").len();
        assert_eq!(volumes, 2, "{pod} has both volumes");
    }
    assert!(world.get(POD, "web-3").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_use_goes_with_its_pod_and_is_replaced_by_an_empty_one() {
    let mut world = World::new(36);
    class(&mut world, "WaitForFirstConsumer");
    world.create(stateful_set(1, &json!({"volumeClaimTemplates": [claim_template("data")]})));
    world.settle();
    let first = world.must(CLAIM, "data-web-0");
    world.delete(CLAIM, "data-web-0", None);
    world.settle();
    assert_eq!(uid(&world.must(CLAIM, "data-web-0")), uid(&first), "a mounted claim stays");
    world.delete(POD, "web-0", None);
    world.pass(3).await;
    assert_ne!(uid(&world.must(CLAIM, "data-web-0")), uid(&first));
    assert_eq!(text(&world.must(POD, "web-0"), "/status/phase"), "Running");
    assert_eq!(world.list(VOLUME).len(), 1, "the volume of the first claim is reclaimed");
}

#[tokio::test(start_paused = true)]
async fn claims_of_removed_ordinals_go_when_the_policy_says_so() {
    let mut world = World::new(36);
    class(&mut world, "Immediate");
    let policy = json!({"whenScaled": "Delete", "whenDeleted": "Retain"});
    world.create(stateful_set(
        2,
        &json!({"volumeClaimTemplates": [claim_template("data")], "persistentVolumeClaimRetentionPolicy": policy}),
    ));
    world.pass(2).await;
    world.edit(STATEFUL_SET, "web", |set| set["spec"]["replicas"] = 1.into());
    world.pass(2).await;
    assert_eq!(world.names(CLAIM), ["data-web-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_grows_when_its_class_allows() {
    let mut world = World::new(36);
    class(&mut world, "Immediate");
    world.create(stateful_set(1, &json!({"volumeClaimTemplates": [claim_template("data")]})));
    world.settle();
    world.edit(CLAIM, "data-web-0", |claim| set(claim, &["spec", "resources", "requests", "storage"], "2Gi"));
    world.settle();
    assert_eq!(text(&world.must(CLAIM, "data-web-0"), "/status/capacity/storage"), "2Gi");
    assert_eq!(text(&world.list(VOLUME)[0], "/spec/capacity/storage"), "2Gi");
}
