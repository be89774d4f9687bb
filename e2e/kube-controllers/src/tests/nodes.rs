use serde_json::{Value, json};

use crate::kinds::{NODE, POD};
use crate::pods::condition;
use crate::testing::World;
use crate::value::{is_deleting, items, set, text};

fn pod(world: &mut World, name: &str, spec: &Value) {
    let mut spec = spec.clone();
    if spec.get("containers").is_none() {
        spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": "1"}}}]);
    }
    world.create(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "ns", "labels": {"app": name}}, "spec": spec}),
    );
}

fn node_of(world: &World, pod: &str) -> String {
    text(&world.must(POD, pod), "/spec/nodeName").to_owned()
}

fn taints(world: &World, node: &str) -> Vec<String> {
    let node = world.must(NODE, node);
    items(&node, "/spec/taints").iter().map(|taint| format!("{}:{}", text(taint, "/key"), text(taint, "/effect"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_tainted_and_its_pods_leave_after_their_toleration() {
    let mut world = World::new(36);
    let toleration = json!({"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5});
    pod(&mut world, "p", &json!({"nodeSelector": {"kubernetes.io/hostname": "n1"}, "tolerations": [toleration]}));
    world.settle();
    world.silent.insert("n1".into());
    world.pass(38).await;
    assert!(taints(&world, "n1").is_empty());
    world.pass(3).await;
    assert_eq!(taints(&world, "n1"), ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]);
    let ready = |world: &World| {
        condition(&world.must(NODE, "n1"), "Ready").map(|ready| (text(ready, "/status").to_owned(), text(ready, "/reason").to_owned()))
    };
    assert_eq!(ready(&world), Some(("Unknown".into(), "NodeStatusUnknown".into())));
    assert!(!crate::pods::is_ready(&world.must(POD, "p")));
    assert!(!is_deleting(&world.must(POD, "p")));
    world.pass(6).await;
    let pod = world.must(POD, "p");
    assert!(is_deleting(&pod), "the pod waits for a kubelet that does not answer");
    assert_eq!(condition(&pod, "DisruptionTarget").map(|target| text(target, "/reason")), Some("DeletionByTaintManager"));
    assert_eq!(text(&pod, "/status/phase"), "Running");
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_out_of_service_are_removed_at_once() {
    let mut world = World::new(36);
    pod(
        &mut world,
        "p",
        &json!({"nodeSelector": {"kubernetes.io/hostname": "n1"}, "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]}),
    );
    world.settle();
    world.silent.insert("n1".into());
    world.pass(42).await;
    assert!(!is_deleting(&world.must(POD, "p")));
    world.edit(NODE, "n1", |node| {
        let mut taints = items(node, "/spec/taints").to_vec();
        taints.push(json!({"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}));
        set(node, &["spec", "taints"], taints);
    });
    world.settle();
    assert!(world.get(POD, "p").is_none());
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_are_removed_after_quarantine() {
    let mut world = World::new(36);
    pod(&mut world, "p", &json!({"nodeSelector": {"kubernetes.io/hostname": "n1"}}));
    world.settle();
    world.delete(NODE, "n1", None);
    world.pass(38).await;
    assert!(world.get(POD, "p").is_some());
    world.pass(4).await;
    assert!(world.get(POD, "p").is_none());
}

#[tokio::test(start_paused = true)]
async fn pods_go_where_they_fit() {
    let host = |name: &str| json!({"nodeSelector": {"kubernetes.io/hostname": name}});
    let mut world = World::new(36);
    pod(&mut world, "selected", &host("n2"));
    pod(&mut world, "too-big", &json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "64"}}}]}));
    pod(&mut world, "nowhere", &host("n9"));
    world.settle();
    assert_eq!(node_of(&world, "selected"), "n2");
    let said = |world: &World, pod: &str| {
        condition(&world.must(POD, pod), "PodScheduled").map(|entry| text(entry, "/message").to_owned()).unwrap_or_default()
    };
    let unhelpful = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
    assert_eq!(said(&world, "too-big"), format!("0/3 nodes are available: 3 Insufficient cpu. {unhelpful}"));
    assert_eq!(
        said(&world, "nowhere"),
        format!("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. {unhelpful}")
    );
    assert!(world.events("nowhere").iter().any(|event| event.starts_with("FailedScheduling 0/3 nodes are available")));
    world.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n9", "labels": {"kubernetes.io/hostname": "n9"}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    world.settle();
    assert_eq!(node_of(&world, "nowhere"), "n9", "a new node gives a stuck pod another chance");
}

#[tokio::test(start_paused = true)]
async fn anti_affinity_keeps_pods_apart_and_affinity_together() {
    let term = |app: &str| json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"});
    let required = |kind: &str, app: &str| json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term(app)]}}});
    let mut world = World::new(36);
    pod(&mut world, "first", &json!({}));
    world.settle();
    pod(&mut world, "apart", &required("podAntiAffinity", "first"));
    pod(&mut world, "near", &required("podAffinity", "first"));
    pod(&mut world, "hostile", &required("podAntiAffinity", "late"));
    world.settle();
    assert_ne!(node_of(&world, "apart"), node_of(&world, "first"));
    assert_eq!(node_of(&world, "near"), node_of(&world, "first"));
    pod(&mut world, "late", &json!({"nodeName": null}));
    world.settle();
    assert_ne!(node_of(&world, "late"), node_of(&world, "hostile"), "what runs already is not disturbed by a newcomer");
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_a_claim_that_is_not_there() {
    let mut world = World::new(36);
    pod(&mut world, "p", &json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}));
    world.settle();
    assert_eq!(node_of(&world, "p"), "");
    world.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "late"}, "provisioner": "kube-sim.local/hostpath", "volumeBindingMode": "WaitForFirstConsumer"}));
    world.create(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "late", "resources": {"requests": {"storage": "1Gi"}}},
    }));
    world.settle();
    let node = node_of(&world, "p");
    assert!(!node.is_empty());
    let volume = world.list(crate::kinds::VOLUME).remove(0);
    assert_eq!(text(&volume, "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0"), node);
}
