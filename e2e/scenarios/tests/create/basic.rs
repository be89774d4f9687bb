//! The spec that is enough, on every Kubernetes and every Doris.

use std::time::Duration;

use doris_sim::MemberKind;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, Secret, Service};
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use scenarios::lab::look::mentions;
use scenarios::lab::{Controller, Lab, Settings, basic, cluster, is_ready};
use serde_json::{Value, json};

/// Keys of the identity Secret that hold a password or its hash.
const PASSWORDS: [&str; 6] =
    ["operator.current", "root.generated", "root.applied", "admin.generated", "admin.applied", "initial-root-password"];

#[tokio::test(start_paused = true)]
async fn create_basic() {
    let (lab, _controller) = create(Settings::default(), "2.1.7").await;
    services_lead_to_members(&lab).await;
    claims_are_kept(&lab).await;
    passwords_are_in_the_identity_alone(&lab).await;
    assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "an idle minute");
}

#[tokio::test(start_paused = true)]
async fn create_basic_on_every_kubernetes() {
    for kubernetes_minor in [16, 21, 25, 33, 36] {
        println!("Kubernetes 1.{kubernetes_minor}");
        let (lab, _controller) = create(Settings { kubernetes_minor, ..Settings::default() }, "2.1.7").await;
        budgets_are_there(&lab, kubernetes_minor).await;
        assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "an idle minute on 1.{kubernetes_minor}");
    }
}

#[tokio::test(start_paused = true)]
async fn create_basic_on_every_doris() {
    for version in ["2.0.15", "2.1.7", "3.0.3", "4.0.0"] {
        println!("Doris {version}");
        let (lab, _controller) = create(Settings::default(), version).await;
        assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "an idle minute with {version}");
    }
}

/// Creates the basic cluster and checks what Doris and Kubernetes have.
async fn create(settings: Settings, version: &str) -> (Lab, Controller) {
    let lab = Lab::new(settings).await;
    let controller = lab.start_controller();
    lab.apply(&cluster("demo", basic(version))).await.expect("the spec is accepted");
    let demo = lab.until("Ready", "demo", Duration::from_mins(2), is_ready).await;
    assert_eq!(lab.founded_ids("demo").len(), 1, "founded once");
    assert_eq!(lab.alive("demo", MemberKind::Follower), ["demo-fe-0", "demo-fe-1", "demo-fe-2"]);
    assert_eq!(lab.alive("demo", MemberKind::Observer), Vec::<String>::new());
    assert_eq!(lab.alive("demo", MemberKind::Backend), ["demo-be-0", "demo-be-1", "demo-be-2"]);
    assert_eq!(lab.alive("demo", MemberKind::Broker), Vec::<String>::new());
    for member in lab.processes("demo") {
        assert!(member.is_running(), "nothing had to be restarted: {member:#?}");
    }
    let status = serde_json::to_value(&demo.status).expect("a status is JSON");
    assert_eq!(status["master"].as_str(), lab.master_pod("demo").as_deref(), "{status:#}");
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.expect("pods are listed");
    assert_eq!(pods.items.len(), 6);
    (lab, controller)
}

async fn services_lead_to_members(lab: &Lab) {
    let services =
        lab.api::<Service>().list(&ListParams::default().labels("doris-operator.dev/cluster")).await.expect("Services are listed");
    let mut found: Vec<(String, bool)> = services
        .iter()
        .map(|service| (service.name_any(), service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")))
        .collect();
    found.sort();
    let expected = [("demo-be", false), ("demo-be-members", true), ("demo-fe", false), ("demo-fe-members", true)];
    assert_eq!(found, expected.map(|(name, headless)| (name.to_owned(), headless)));
    for (service, members) in [("demo-fe", 3), ("demo-fe-members", 3), ("demo-be", 3), ("demo-be-members", 3)] {
        let slices: kube::Api<k8s_openapi::api::discovery::v1::EndpointSlice> = lab.api();
        let slices =
            slices.list(&ListParams::default().labels(&format!("kubernetes.io/service-name={service}"))).await.expect("slices are listed");
        let ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
        };
        assert_eq!(slices.iter().flat_map(|slice| slice.endpoints.iter()).filter(ready).count(), members, "{service}: {slices:#?}");
    }
}

async fn claims_are_kept(lab: &Lab) {
    let claims = lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims are listed");
    assert_eq!(claims.items.len(), 6);
    for claim in claims {
        assert!(claim.owner_references().is_empty(), "a claim outlives the cluster: {claim:#?}");
    }
    let identity = lab.api::<Secret>().get("demo-identity").await.expect("there is an identity");
    assert!(identity.owner_references().is_empty(), "the identity outlives the cluster");
}

#[tokio::test(start_paused = true)]
async fn claims_tell_whose_they_are() {
    let (lab, _controller) = create(Settings::default(), "2.1.7").await;
    let claims = lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims are listed");
    let identity = lab.secret("demo-identity", "identity").await;
    assert!(identity.is_some(), "the identity has an id");
    for claim in &claims {
        assert_eq!(claim.annotations().get("doris-operator.dev/identity").cloned(), identity, "{}", claim.name_any());
    }
}

/// Passwords stand in the Secret and nowhere else: not in the cluster, Events, pods or configuration.
async fn passwords_are_in_the_identity_alone(lab: &Lab) {
    let mut elsewhere: Vec<Value> = vec![serde_json::to_value(lab.cluster("default", "demo").await).expect("JSON")];
    elsewhere.extend(all::<Event>(lab).await);
    elsewhere.extend(all::<Pod>(lab).await);
    elsewhere.extend(all::<StatefulSet>(lab).await);
    elsewhere.extend(all::<k8s_openapi::api::core::v1::ConfigMap>(lab).await);
    for key in PASSWORDS {
        let password = lab.secret("demo-identity", key).await.expect("the identity has every password");
        assert!(password.len() >= 16, "{key} is long enough");
        for object in &elsewhere {
            assert!(!mentions(object, &password), "{key} stands in {object:#}");
        }
    }
}

async fn all<K>(lab: &Lab) -> Vec<Value>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let list = lab.api::<K>().list(&ListParams::default()).await.expect("objects are listed");
    list.items.iter().map(|object| serde_json::to_value(object).expect("JSON")).collect()
}

async fn budgets_are_there(lab: &Lab, minor: u32) {
    let version = if minor >= 21 { "v1" } else { "v1beta1" };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("policy", version, "PodDisruptionBudget"));
    let budgets: kube::Api<DynamicObject> = kube::Api::namespaced_with(lab.client.clone(), "default", &resource);
    let budgets = budgets.list(&ListParams::default()).await.expect("budgets are listed");
    let least =
        |name: &str| budgets.iter().find(|budget| budget.name_any() == name).map(|budget| budget.data["spec"]["minAvailable"].clone());
    assert_eq!(least("demo-fe"), Some(json!(2)), "a majority on 1.{minor}");
    assert_eq!(least("demo-be"), Some(json!(2)), "on 1.{minor}");
}
