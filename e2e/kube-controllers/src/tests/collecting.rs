use serde_json::{Value, json};

use crate::kinds::{BUDGET, CONFIG_MAP, NAMESPACE, POD, SERVICE_ACCOUNT, SLICE};
use crate::testing::World;
use crate::value::{has_finalizer, items, label, number, set, text, uid};

fn config(world: &mut World, name: &str, owner: Option<&Value>) -> String {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"}});
    if let Some(owner) = owner {
        let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(owner), "blockOwnerDeletion": true});
        set(&mut object, &["metadata", "ownerReferences"], json!([reference]));
    }
    uid(&world.create(object)).to_owned()
}

#[tokio::test(start_paused = true)]
async fn dependents_go_after_their_owner_in_the_background() {
    let mut world = World::new(36);
    config(&mut world, "owner", None);
    let owner = world.must(CONFIG_MAP, "owner");
    config(&mut world, "child", Some(&owner));
    world.settle();
    world.delete(CONFIG_MAP, "owner", None);
    world.settle();
    assert!(world.get(CONFIG_MAP, "child").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_foreground_deletion_waits_for_what_blocks_it() {
    let mut world = World::new(36);
    config(&mut world, "owner", None);
    let owner = world.must(CONFIG_MAP, "owner");
    config(&mut world, "child", Some(&owner));
    config(&mut world, "held", Some(&owner));
    world.edit(CONFIG_MAP, "held", |held| set(held, &["metadata", "finalizers"], json!(["example.com/x"])));
    world.delete(CONFIG_MAP, "owner", Some("Foreground"));
    world.settle();
    assert!(world.get(CONFIG_MAP, "child").is_none());
    assert!(has_finalizer(&world.must(CONFIG_MAP, "owner"), "foregroundDeletion"));
    world.edit(CONFIG_MAP, "held", |held| *held = crate::value::without_finalizer(held, "example.com/x"));
    world.settle();
    assert!(world.get(CONFIG_MAP, "owner").is_none());
}

#[tokio::test(start_paused = true)]
async fn orphaned_dependents_stay_without_an_owner() {
    let mut world = World::new(36);
    config(&mut world, "owner", None);
    let owner = world.must(CONFIG_MAP, "owner");
    config(&mut world, "child", Some(&owner));
    world.settle();
    world.delete(CONFIG_MAP, "owner", Some("Orphan"));
    world.settle();
    assert!(world.get(CONFIG_MAP, "owner").is_none());
    assert!(items(&world.must(CONFIG_MAP, "child"), "/metadata/ownerReferences").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_not_there_or_elsewhere_does_not_keep_an_object() {
    let mut world = World::new(36);
    config(&mut world, "owner", None);
    let mut ghost = (*world.must(CONFIG_MAP, "owner")).clone();
    set(&mut ghost, &["metadata", "uid"], "nobody");
    config(&mut world, "dangling", Some(&ghost));
    let owner = world.must(CONFIG_MAP, "owner");
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid(&owner)});
    world.create(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "far", "namespace": "other", "ownerReferences": [reference]}}),
    );
    world.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "wide", "ownerReferences": [reference]}}));
    let unknown = json!({"apiVersion": "example.com/v1", "kind": "Unknown", "name": "x", "uid": "y"});
    world.create(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "ns", "ownerReferences": [unknown]}}),
    );
    world.settle();
    assert!(world.get(CONFIG_MAP, "dangling").is_none());
    assert!(!world.names(CONFIG_MAP).contains(&"far".to_owned()));
    assert!(world.get(crate::kinds::NODE, "wide").is_some(), "a cluster-scoped object is never collected for a namespaced owner");
    assert!(world.events("wide").iter().any(|event| event.starts_with("OwnerRefInvalidNamespace")));
    assert!(world.get(CONFIG_MAP, "kept").is_some(), "of an unknown kind nothing can be said");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_furnished_and_emptied() {
    let mut world = World::new(36);
    world.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}, "spec": {"finalizers": ["kubernetes"]}}));
    world.settle();
    assert!(world.get(SERVICE_ACCOUNT, "default").is_some());
    assert!(world.get(CONFIG_MAP, "kube-root-ca.crt").is_some());
    config(&mut world, "held", None);
    world.edit(CONFIG_MAP, "held", |held| set(held, &["metadata", "finalizers"], json!(["example.com/x"])));
    let mut doomed = (*world.must(NAMESPACE, "ns")).clone();
    set(&mut doomed, &["metadata", "deletionTimestamp"], "2026-11-22T00:00:00Z");
    set(&mut doomed, &["metadata", "finalizers"], json!(["hold"]));
    crate::api::Api::update(&*world.server, "test", doomed).expect("the namespace is there");
    world.settle();
    let namespace = world.must(NAMESPACE, "ns");
    let message = |kind: &str| crate::pods::condition(&namespace, kind).map(|entry| text(entry, "/message").to_owned());
    assert_eq!(message("NamespaceContentRemaining").as_deref(), Some("Some resources are remaining: configmaps. has 1 resource instances"));
    assert_eq!(
        message("NamespaceFinalizersRemaining").as_deref(),
        Some("Some content in the namespace has finalizers remaining: example.com/x in 1 resource instances")
    );
    world.edit(CONFIG_MAP, "held", |held| *held = crate::value::without_finalizer(held, "example.com/x"));
    world.settle();
    assert!(world.get(NAMESPACE, "ns").is_none());
    assert!(world.names(CONFIG_MAP).is_empty());
}

fn pod(world: &mut World, name: &str, ready: bool) {
    let annotations = if ready { json!({}) } else { json!({"ready": "false"}) };
    let container = json!({"name": "c", "ports": [{"name": "query", "containerPort": 9030}]});
    world.create(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ns", "labels": {"app": "web"}, "annotations": annotations},
        "spec": {"containers": [container], "hostname": name, "subdomain": "web"},
    }));
}

#[tokio::test(start_paused = true)]
async fn slices_tell_ready_serving_and_terminating() {
    for (publishes, ready) in [(false, [true, false, false]), (true, [true, true, true])] {
        let mut world = World::new(36);
        world.create(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "ns"},
            "spec": {"clusterIP": "None", "selector": {"app": "web"}, "publishNotReadyAddresses": publishes, "ports": [{"name": "q", "port": 1, "targetPort": "query"}]},
        }));
        for (name, is_ready) in [("a", true), ("b", false), ("c", true)] {
            pod(&mut world, name, is_ready);
        }
        world.settle();
        world.silent.extend(["n1", "n2", "n3"].map(str::to_owned));
        world.delete(POD, "c", None);
        world.rest();
        let slice = world.list(SLICE).remove(0);
        assert_eq!(slice["ports"], json!([{"name": "q", "port": 9030, "protocol": "TCP"}]));
        assert_eq!(label(&slice, "service.kubernetes.io/headless"), Some(""));
        let of = |field: &str| items(&slice, "/endpoints").iter().map(|endpoint| endpoint["conditions"][field] == true).collect::<Vec<_>>();
        assert_eq!(of("ready"), ready, "publishes {publishes}");
        assert_eq!(of("serving"), [true, false, true]);
        assert_eq!(of("terminating"), [false, false, true]);
        let legacy = world.must(crate::kinds::ENDPOINTS, "web");
        let (addresses, unready) = if publishes { (3, 0) } else { (1, 1) };
        assert_eq!(items(&legacy, "/subsets/0/addresses").len(), addresses);
        assert_eq!(items(&legacy, "/subsets/0/notReadyAddresses").len(), unready);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_counts_pods_or_the_scale_of_their_owner() {
    for (rule, counts) in [
        (json!({"minAvailable": 2}), [3, 2, 1]),
        (json!({"minAvailable": "50%"}), [3, 2, 1]),
        (json!({"maxUnavailable": 1}), [3, 2, 1]),
        (json!({"maxUnavailable": 0}), [3, 3, 0]),
    ] {
        let mut world = World::new(36);
        world.create(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "ns"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
        }));
        let mut spec = rule.clone();
        set(&mut spec, &["selector", "matchLabels", "app"], "web");
        world.create(
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "ns"}, "spec": spec}),
        );
        world.settle();
        let budget = world.must(BUDGET, "b");
        let of = |field: &str| number(&budget, &format!("/status/{field}")).unwrap_or(-1);
        assert_eq!([of("expectedPods"), of("desiredHealthy"), of("disruptionsAllowed")], counts, "{rule}");
        assert_eq!(of("currentHealthy"), 3);
    }
}
