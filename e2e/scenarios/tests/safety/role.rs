//! The role that is delivered with the controller: what it uses, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use doris_api::initializer::Phase;
use doris_api::{DorisCluster, DorisInitializer};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use kube_sim::Identity;
use scenarios::lab::look::condition;
use scenarios::lab::{ControllerOptions, Lab, Right, Settings, cluster, delivered_role, full};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn controller_runs_with_exactly_its_own_role() {
    let role = delivered_role();
    let mut used = BTreeSet::new();
    // An old server takes Events in another group.
    for kubernetes_minor in [36, 16] {
        used.extend(work(&role, kubernetes_minor).await);
    }
    let allowed: BTreeSet<Right> = role
        .rules
        .iter()
        .flatten()
        .flat_map(|rule| {
            let each = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
            let (verbs, groups, resources) = (rule.verbs.clone(), each(&rule.api_groups), each(&rule.resources));
            let pairs =
                groups.into_iter().flat_map(move |group| resources.clone().into_iter().map(move |resource| (group.clone(), resource)));
            pairs.flat_map(move |(group, resource)| {
                verbs.clone().into_iter().map(move |verb| (verb, group.clone(), resource.clone())).collect::<Vec<_>>()
            })
        })
        .collect();
    assert_eq!(allowed.difference(&used).collect::<Vec<_>>(), Vec::<&Right>::new(), "rights that are not used");
}

/// All that the controller does, with this role alone; the rights that it used.
async fn work(role: &ClusterRole, kubernetes_minor: u32) -> BTreeSet<Right> {
    let lab = Lab::new(Settings { kubernetes_minor, ..Settings::default() }).await;
    Api::all(lab.client.clone()).create(&PostParams::default(), role).await.expect("the role is created");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "controller"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role.metadata.name},
        "subjects": [{"kind": "ServiceAccount", "namespace": "doris-operator", "name": "cluster-controller"}],
    });
    let binding: ClusterRoleBinding = serde_json::from_value(binding).expect("a binding");
    Api::all(lab.client.clone()).create(&PostParams::default(), &binding).await.expect("the role is bound");
    let identity = Identity::service_account("doris-operator", "cluster-controller");
    let _controller = lab.start_controller_with(ControllerOptions { identity, elected: true, ..ControllerOptions::default() });

    let mut spec = full("2.1.7");
    spec["auth"] = json!({"rootPassword": {"name": "root", "key": "password"}});
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    let told = |cluster: &DorisCluster| condition(cluster, "Stalled").is_some_and(|(_, reason, _)| reason == "SecretMissing");
    lab.until("the missing Secret is told", "demo", Duration::from_mins(1), told).await;
    // Another trouble and the first one again: the same Event counts on.
    give(&lab, &json!({"other": "x"})).await;
    let told = |cluster: &DorisCluster| condition(cluster, "Stalled").is_some_and(|(_, _, message)| message.contains("has no key"));
    lab.until("the missing key is told", "demo", Duration::from_mins(1), told).await;
    // An Event is folded into the one before for five minutes, and counted on after them.
    tokio::time::sleep(Duration::from_secs(330)).await;
    lab.api::<Secret>().delete("root", &DeleteParams::default()).await.expect("the Secret is deleted");
    tokio::time::sleep(Duration::from_secs(30)).await;
    refuse_pods(&lab).await;
    lab.until_ready("demo").await;
    initialize(&lab).await;
    edit::<ConfigMap>(&lab).await;
    edit::<Service>(&lab).await;
    edit::<StatefulSet>(&lab).await;
    edit::<NetworkPolicy>(&lab).await;
    if kubernetes_minor >= 21 {
        edit::<PodDisruptionBudget>(&lab).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    // What is not wanted any more: a component with all that was made for it, policies, budgets.
    spec["networkPolicy"] = json!({"enabled": false});
    spec["podDisruptionBudget"] = json!({"enabled": false});
    spec["broker"] = json!(null);
    // A member with a volume that is deleted after it.
    spec["fe"]["observers"] = json!(1);
    spec["scaleIn"] = json!({"volumes": "Delete"});
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    tokio::time::sleep(Duration::from_mins(3)).await;
    lab.until_ready("demo").await;
    // A change that running pods have to be made anew for.
    spec["fe"]["labels"] = json!({"example.com/round": "2"});
    lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    // A volume grows, and its set is made anew.
    spec["fe"]["storage"]["size"] = json!("30Gi");
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    // Objects that go and come back.
    let ours = ListParams::default().labels("doris-operator.dev/cluster=demo");
    lab.api::<ConfigMap>().delete_collection(&DeleteParams::default(), &ours).await.expect("ConfigMaps are deleted");
    lab.api::<Service>().delete("demo-fe", &DeleteParams::default()).await.expect("the Service is deleted");
    tokio::time::sleep(Duration::from_mins(1)).await;
    lab.until_ready("demo").await;
    lab.api::<DorisCluster>().delete("demo", &DeleteParams::background()).await.expect("the cluster is deleted");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(lab.denials(), Vec::<String>::new(), "on 1.{kubernetes_minor}");
    let mut used = lab.rights();
    // Whoever applies an object that is not there needs the right to create it as well.
    let created: Vec<Right> = used
        .iter()
        .filter(|(verb, _, resource)| verb == "patch" && !resource.contains('/'))
        .map(|(_, group, resource)| ("create".to_owned(), group.clone(), resource.clone()))
        .collect();
    used.extend(created);
    used
}

/// SQL from a ConfigMap.
async fn initialize(lab: &Lab) {
    let map = json!({"metadata": {"name": "scripts"}, "data": {"a.sql": "CREATE DATABASE one"}});
    lab.api::<ConfigMap>().create(&PostParams::default(), &serde_json::from_value(map).expect("a ConfigMap")).await.expect("it is created");
    let spec = json!({"clusterRef": {"name": "demo"}, "sql": [{"configMap": {"name": "scripts", "key": "a.sql"}}]});
    let initializer: DorisInitializer = serde_json::from_value(json!({
        "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisInitializer", "metadata": {"name": "setup"}, "spec": spec,
    }))
    .expect("an initializer");
    lab.api::<DorisInitializer>().create(&PostParams::default(), &initializer).await.expect("it is created");
    let is_done = || async {
        let phase = lab.api::<DorisInitializer>().get("setup").await.ok().and_then(|found| found.status?.phase);
        if phase == Some(Phase::Succeeded) { Ok(()) } else { Err(format!("{phase:?}")) }
    };
    lab.eventually("the statements are run", Duration::from_mins(2), is_done).await;
}

/// Lets the cluster come to life in a namespace that has no room for it at first: why, only Events say.
async fn refuse_pods(lab: &Lab) {
    let quota = json!({"metadata": {"name": "team"}, "spec": {"hard": {"pods": "1"}}});
    let quota: ResourceQuota = serde_json::from_value(quota).expect("a quota");
    lab.api::<ResourceQuota>().create(&PostParams::default(), &quota).await.expect("the quota is created");
    give(lab, &json!({"password": "Correct-Horse-7"})).await;
    let told = |cluster: &DorisCluster| condition(cluster, "Stalled").is_some_and(|(_, reason, _)| reason == "QuotaExceeded");
    lab.until("the quota is told", "demo", Duration::from_mins(3), told).await;
    lab.api::<ResourceQuota>().delete("team", &DeleteParams::default()).await.expect("the quota is deleted");
}

async fn give(lab: &Lab, data: &serde_json::Value) {
    let secret = json!({"metadata": {"name": "root"}, "stringData": data});
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    lab.api::<Secret>().create(&PostParams::default(), &secret).await.expect("the Secret is created");
}

/// Takes a label off every object of a kind, by hand.
async fn edit<K>(lab: &Lab)
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let ours = ListParams::default().labels("doris-operator.dev/cluster=demo");
    let patch = Patch::Merge(json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}));
    for object in lab.api::<K>().list(&ours).await.expect("objects are listed") {
        lab.api::<K>().patch(&object.name_any(), &PatchParams::default(), &patch).await.expect("it is edited");
    }
}
