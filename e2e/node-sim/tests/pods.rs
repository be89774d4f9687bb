//! Pods, claims and nodes against the in-memory API server, on paused time.

#![allow(clippy::panic, reason = "a helper of tests tells of a failure by panicking")]

use std::sync::Arc;
use std::time::Duration;

use doris_sim::{Timing, World, WorldOptions};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod, Service};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use kube_sim::{Identity, KubeSim};
use node_sim::{Doris, NodeLoss, NodeSim, Options};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct Lab {
    _kube: KubeSim,
    client: Client,
    nodes: NodeSim,
    engine: Arc<Doris>,
}

fn lab() -> Lab {
    let clock = kube_sim::Clock::from_tokio("2026-06-01T00:00:00Z".parse().expect("a timestamp"));
    let kube = KubeSim::new(kube_sim::Options { clock: clock.clone(), storage_class: false, ..kube_sim::Options::default() });
    kube.spawn_controllers();
    let client = Client::new(kube.service("test", Identity::admin()), "default");
    let engine = Arc::new(Doris::new(World::new(WorldOptions { timing: Timing::fast(), ..WorldOptions::default() })));
    let options = Options { clock: Arc::new(move || clock.now()), ..Options::default() };
    let nodes = NodeSim::start(&Client::new(kube.service("nodes", Identity::admin()), "default"), engine.clone(), options);
    Lab { _kube: kube, client, nodes, engine }
}

impl Lab {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::default_namespaced(self.client.clone())
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + DeserializeOwned + Serialize + Clone + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(object).expect("an object of its kind");
        self.api::<K>().create(&PostParams::default(), &object).await.expect("the server takes it")
    }

    /// Waits until a pod looks as wanted.
    async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..2400 {
            let pod = self.api::<Pod>().get_opt(name).await.expect("the server answers");
            last = pod.map_or(Value::Null, |pod| serde_json::to_value(pod).expect("a pod"));
            if holds(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("{name}: {what} did not come: {last:#}");
    }

    async fn until_ready(&self, name: &str) -> Value {
        self.until(name, "Ready", |pod| condition(pod, "Ready")).await
    }
}

fn condition(pod: &Value, kind: &str) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn pod(name: &str, container: &Value) -> Value {
    let mut spec = json!({"name": "c", "image": "i:1"});
    let fields = container.as_object().cloned().unwrap_or_default();
    spec.as_object_mut().expect("an object").extend(fields);
    json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [spec]}})
}

fn restarts(pod: &Value) -> i64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_on_a_node_of_its_own_address_and_goes_when_it_is_deleted() {
    let lab = lab();
    lab.create::<Pod>(pod("a", &json!({}))).await;
    lab.create::<Pod>(pod("b", &json!({}))).await;
    let (a, b) = (lab.until_ready("a").await, lab.until_ready("b").await);
    assert_ne!(a["status"]["podIP"], b["status"]["podIP"]);
    assert!(a["status"]["podIP"].as_str().is_some_and(|address| address.starts_with("127.64.")));
    assert!(condition(&a, "PodScheduled") && condition(&a, "Initialized") && condition(&a, "ContainersReady"));
    lab.api::<Pod>().delete("a", &DeleteParams::default()).await.expect("the server deletes");
    lab.until("a", "the end", Value::is_null).await;
    assert_eq!(lab.nodes.address("default", "a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_killed_container_restarts_at_once_and_then_backs_off() {
    let lab = lab();
    lab.create::<Pod>(pod("a", &json!({}))).await;
    lab.until_ready("a").await;
    assert!(lab.nodes.kill("default", "a", None));
    let seen = lab.until("a", "a restart", |pod| restarts(pod) == 1 && condition(pod, "Ready")).await;
    assert_eq!(seen["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    let before = tokio::time::Instant::now();
    lab.nodes.kill("default", "a", None);
    lab.until("a", "back-off", |pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    lab.until("a", "a second restart", |pod| restarts(pod) == 2 && condition(pod, "Ready")).await;
    assert!(before.elapsed() >= Duration::from_secs(10), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_keeps_a_pod_waiting_until_it_is_there() {
    let lab = lab();
    let mounted = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let mut object = pod("a", &mounted);
    object["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "late"}}]);
    lab.create::<Pod>(object).await;
    lab.create::<Pod>(pod("b", &json!({"env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "k"}}}]}))).await;
    let seen = lab
        .until("b", "the problem", |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        })
        .await;
    assert_eq!(seen["status"]["containerStatuses"][0]["state"]["waiting"]["message"], "configmap \"late\" not found");
    lab.until("a", "the wait", |pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating").await;
    lab.create::<ConfigMap>(json!({"metadata": {"name": "late"}, "data": {"k": "v"}})).await;
    lab.until_ready("a").await;
    lab.until_ready("b").await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_no_registry_has_is_told_and_pulled_when_it_appears() {
    let lab = lab();
    lab.nodes.miss_images(["i:1".to_owned()].into());
    lab.create::<Pod>(pod("a", &json!({}))).await;
    lab.until("a", "the problem", |pod| {
        let reason = pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str();
        matches!(reason, Some("ErrImagePull" | "ImagePullBackOff"))
    })
    .await;
    lab.nodes.miss_images([].into());
    lab.until_ready("a").await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_jobs_finish_with_the_status_they_are_told() {
    let lab = lab();
    for (name, exit, field) in [("good", "0", "succeeded"), ("bad", "3", "failed")] {
        lab.create::<Job>(json!({"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {
            "metadata": {"annotations": {"sim/exit": exit}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}))
            .await;
        let mut job = Value::Null;
        for _ in 0..400 {
            job = serde_json::to_value(lab.api::<Job>().get(name).await.expect("the job")).expect("a job");
            if job["status"][field] == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        assert_eq!(job["status"][field], 1, "{name}: {job:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_bound_for_its_pod_and_grows() {
    let lab = lab();
    lab.create::<PersistentVolumeClaim>(
        json!({"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "node-sim",
        "resources": {"requests": {"storage": "1Gi"}}}}),
    )
    .await;
    let mut object = pod("a", &json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}));
    object["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "d"}}]);
    lab.create::<Pod>(object).await;
    lab.until_ready("a").await;
    let claims = lab.api::<PersistentVolumeClaim>();
    let patch = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    claims.patch("d", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("the claim may grow");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let claim = serde_json::to_value(claims.get("d").await.expect("the claim")).expect("a claim");
    assert_eq!((&claim["status"]["phase"], &claim["status"]["capacity"]["storage"]), (&json!("Bound"), &json!("2Gi")));
}

/// A pod that tolerates everything was ready on a node that is lost now.
async fn lost(loss: NodeLoss) -> (Lab, String) {
    let lab = lab();
    let mut object = pod("a", &json!({}));
    object["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    lab.create::<Pod>(object).await;
    lab.until_ready("a").await;
    let node = lab.nodes.node_of("default", "a").expect("a node");
    lab.nodes.lose_node(&node, loss);
    lab.until("a", "the loss", |pod| !condition(pod, "Ready")).await;
    (lab, node)
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is_found_out_and_its_pods_run_again_when_it_returns() {
    let (lab, node) = lost(NodeLoss::PowerOff).await;
    assert_eq!(lab.nodes.address("default", "a"), None, "its processes are gone");
    lab.nodes.restore_node(&node);
    lab.until("a", "the return", |pod| condition(pod, "Ready") && restarts(pod) == 1).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let node: Node = Api::all(lab.client.clone()).get(&node).await.expect("the node");
    let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
    assert!(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_not_heard_of_tells_again_that_its_pods_are_ready() {
    let (lab, node) = lost(NodeLoss::Unreachable).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(lab.nodes.address("default", "a").is_some(), "its processes run on");
    lab.until("a", "nobody hears that they do", |pod| !condition(pod, "Ready")).await;
    lab.nodes.restore_node(&node);
    lab.until("a", "the return", |pod| condition(pod, "Ready") && restarts(pod) == 0).await;
}

fn frontend() -> Value {
    let probe = |kind: &str| json!({"exec": {"command": ["/bin/sh", "/opt/doris-operator/bin/probe.sh", kind, "fe"]}, "periodSeconds": 5});
    let variable = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    json!({"metadata": {"name": "fe-0", "labels": {"app": "fe"}}, "spec": {
        "hostname": "fe-0", "subdomain": "fe",
        "containers": [{"name": "fe", "image": "apache/doris:fe-3.0.3",
            "command": ["/bin/sh", "/opt/doris-operator/bin/start.sh", "fe"],
            "env": [variable("POD_UID", "metadata.uid"), {"name": "MEMBER_FQDN", "value": "fe-0.fe.default.svc.cluster.local"},
                {"name": "DORIS_IDENTITY", "value": "id1"}, {"name": "MEMBER_ROLE", "value": "FOLLOWER"}],
            "startupProbe": probe("startup"), "livenessProbe": probe("alive"), "readinessProbe": probe("ready"),
            "volumeMounts": [{"name": "meta", "mountPath": "/opt/apache-doris/fe/doris-meta"}, {"name": "pod", "mountPath": "/opt/doris-operator/pod"},
                {"name": "root", "mountPath": "/opt/doris-operator/root"}]}],
        "volumes": [{"name": "meta", "persistentVolumeClaim": {"claimName": "meta"}},
            {"name": "root", "configMap": {"name": "root"}},
            {"name": "pod", "downwardAPI": {"items": [{"path": "ticket", "fieldRef": {"fieldPath": "metadata.annotations['doris-operator.dev/ticket']"}}]}}]}})
}

#[tokio::test(start_paused = true)]
async fn a_frontend_founds_by_its_ticket_and_restarts_without_one() {
    let lab = lab();
    lab.create::<Service>(
        json!({"metadata": {"name": "fe"}, "spec": {"clusterIP": "None", "publishNotReadyAddresses": true, "selector": {"app": "fe"}}}),
    )
    .await;
    lab.create::<PersistentVolumeClaim>(
        json!({"metadata": {"name": "meta"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "node-sim",
        "resources": {"requests": {"storage": "1Gi"}}}}),
    )
    .await;
    let hash = "*0123456789012345678901234567890123456789";
    lab.create::<ConfigMap>(json!({"metadata": {"name": "root"}, "data": {"initial-root-password": hash}})).await;
    lab.create::<Pod>(frontend()).await;
    let waiting = lab.until("fe-0", "a started container", |pod| pod["status"]["containerStatuses"][0]["started"] == true).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!condition(&lab.until("fe-0", "the pod", |_| true).await, "Ready"), "the gate holds");
    let ticket = format!("found:{}:1", waiting["metadata"]["uid"].as_str().unwrap_or_default());
    let patch = json!({"metadata": {"annotations": {"doris-operator.dev/ticket": ticket}}});
    lab.api::<Pod>().patch("fe-0", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("the annotation");
    lab.until_ready("fe-0").await;
    assert!(lab.nodes.freeze("default", "fe-0", None, true));
    lab.until("fe-0", "not ready while frozen", |pod| !condition(pod, "Ready")).await;
    lab.nodes.freeze("default", "fe-0", None, false);
    let patch = json!({"metadata": {"annotations": {"doris-operator.dev/ticket": null}}});
    lab.api::<Pod>().patch("fe-0", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("the annotation goes");
    let before = restarts(&lab.until_ready("fe-0").await);
    lab.nodes.kill("default", "fe-0", None);
    lab.until("fe-0", "a restart on its metadata", |pod| restarts(pod) > before && condition(pod, "Ready")).await;
    assert!(lab.engine.world().resolve("fe-0.fe.default.svc.cluster.local").is_some());
}
