//! The controller's rights: enough for everything that it does, and not one more.

use std::collections::BTreeSet;

use doris_api::initializer::Phase;
use doris_api::{Component, DorisCluster, DorisInitializer, names};
use k8s_openapi::api::core::v1::{ConfigMap, Event, LimitRange, PersistentVolumeClaim, Pod, ResourceQuota, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};
use scenarios::lab::{basic, cluster};
use scenarios::real::Place;
use serde_json::json;

use crate::audit::requests;
use crate::children::{Child, children};
use crate::harness::run;

/// Rights that only servers of other versions need, or situations that this scenario does not make.
const NOT_HERE: [(&str, &str, &str); 3] = [
    // The same Event again, minutes later.
    ("events.k8s.io", "events", "patch"),
    // Servers before 1.19 have no other Events.
    ("", "events", "create"),
    ("", "events", "patch"),
];

const BROKER: &str = "hdfs";

type Right = (String, String, String);

/// What the installed role allows.
async fn granted(place: &Place<'_>) -> BTreeSet<Right> {
    let role: ClusterRole =
        kube::Api::all(place.client.clone()).get("doris-operator-cluster-controller").await.expect("the delivered role");
    let mut rights = BTreeSet::new();
    for rule in role.rules.unwrap_or_default() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    rights
}

/// What was made use of. An apply of what is not there needs the right to create it as well.
fn used(place: &Place<'_>) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for request in requests(place) {
        if request.verb == "patch" && request.code == 201 {
            rights.insert((request.group.clone(), request.resource.clone(), "create".to_owned()));
        }
        rights.insert((request.group, request.resource, request.verb));
    }
    rights
}

#[test]
fn controller_runs_with_exactly_its_own_role() {
    run("controller_runs_with_its_own_role", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        let mut spec = basic("2.1.7");
        spec["broker"] = json!({"name": BROKER, "replicas": 1});
        spec["fe"]["observers"] = json!(1);
        place.apply(&cluster("demo", spec.clone())).await.expect("applied");
        place.until_ready("demo").await;
        an_observer_leaves(&place, spec).await;
        for child in children(&place, "demo").await {
            child.edit().await;
            place
                .until_so(&format!("{} is as before", child.title()), async || {
                    child.now().await.is_some_and(|now| child.is_as_before(&now))
                })
                .await;
        }
        a_secret_is_missing(&place).await;
        the_namespace_allows_no_pods(&place).await;
        less_is_asked_for(&place).await;
        a_frontend_is_restarted(&place).await;
        a_volume_grows(&place).await;
        sql_is_run(&place).await;
        controller.stop().await.expect("an end");

        let refused: Vec<_> = requests(&place).into_iter().filter(|request| request.code == 403).map(|request| request.title()).collect();
        assert!(refused.is_empty(), "{refused:?}");
        let (granted, used) = (granted(&place).await, used(&place));
        let not_here = NOT_HERE.map(|(group, resource, verb)| (group.to_owned(), resource.to_owned(), verb.to_owned()));
        let unused: Vec<_> = granted.iter().filter(|right| !used.contains(right) && !not_here.contains(right)).collect();
        assert!(unused.is_empty(), "rights that nothing needed: {unused:?}");
    });
}

/// What a person has to mend is told in an Event.
async fn a_secret_is_missing(place: &Place<'_>) {
    let mut spec = basic("2.1.7");
    spec["auth"] = json!({"rootPassword": {"name": "nobody-made-it", "key": "password"}});
    place.apply(&cluster("other", spec)).await.expect("applied");
    let is_stalled = |cluster: &doris_api::DorisCluster| {
        let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.reason == "SecretMissing")
    };
    place.until("stalled for want of a Secret", "other", is_stalled).await;
    let events = place.api::<Event>();
    let told = async || {
        events
            .list(&ListParams::default())
            .await
            .expect("events")
            .items
            .iter()
            .any(|event| event.reason.as_deref() == Some("SecretMissing"))
    };
    place.until_so("an Event tells of the missing Secret", told).await;
}

/// A quota and then a limit range refuse pods: what the server says of it only in Events is told in the condition.
async fn the_namespace_allows_no_pods(place: &Place<'_>) {
    let quota = json!({"metadata": {"name": "team"}, "spec": {"hard": {"pods": "1"}}});
    let quota: ResourceQuota = serde_json::from_value(quota).expect("a quota");
    place.api::<ResourceQuota>().create(&PostParams::default(), &quota).await.expect("created");
    let enforced = async || {
        let found = place.api::<ResourceQuota>().get("team").await.expect("the quota");
        found.status.is_some_and(|status| status.used.is_some_and(|used| used.contains_key("pods")))
    };
    place.until_so("the quota is in force", enforced).await;
    let mut spec = basic("2.1.7");
    spec["fe"]["resources"] = json!({"limits": {"memory": "8Gi"}});
    place.apply(&cluster("tight", spec)).await.expect("applied");
    let says = |reason: &'static str, part: &'static str| {
        move |cluster: &doris_api::DorisCluster| {
            let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
            conditions
                .into_iter()
                .any(|condition| condition.type_ == "Stalled" && condition.reason == reason && condition.message.contains(part))
        }
    };
    place.until("the quota is told", "tight", says("QuotaExceeded", "exceeded quota: team")).await;
    let range = json!({"metadata": {"name": "team"}, "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}});
    let range: LimitRange = serde_json::from_value(range).expect("a limit range");
    place.api::<LimitRange>().create(&PostParams::default(), &range).await.expect("created");
    place.api::<ResourceQuota>().delete("team", &DeleteParams::default()).await.expect("deleted");
    place.until("the limit range is told", "tight", says("RefusedByServer", "A LimitRange of the namespace says so")).await;
    place.api::<LimitRange>().delete("team", &DeleteParams::default()).await.expect("deleted");
    place.api::<DorisCluster>().delete("tight", &DeleteParams::background()).await.expect("deleted");
}

/// A member goes, and its volume with it.
async fn an_observer_leaves(place: &Place<'_>, mut spec: serde_json::Value) {
    spec["fe"]["observers"] = json!(0);
    spec["scaleIn"] = json!({"volumes": "Delete"});
    place.apply(&cluster("demo", spec)).await.expect("applied");
    let claims = place.api::<PersistentVolumeClaim>();
    let claim = names::claim("demo", Component::FeObserver, names::FE_META_VOLUME, 0);
    place.until_so("its claim is gone", async || claims.get_opt(&claim).await.expect("an answer").is_none()).await;
    place.until_ready("demo").await;
}

/// Policies, budgets and a whole component are taken out of the spec.
async fn less_is_asked_for(place: &Place<'_>) {
    place.apply(&cluster("demo", less())).await.expect("applied");
    let is_told = |cluster: &doris_api::DorisCluster| {
        let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.type_ == "Reconciling" && condition.message.contains("demo-broker-0"))
    };
    place.until("kept by a member that is registered", "demo", is_told).await;
    drop_brokers(place).await;
    let is_unwanted = |child: &Child| {
        ["NetworkPolicy", "PodDisruptionBudget"].contains(&child.kind) || child.object.name_any().starts_with("demo-broker")
    };
    let are_gone = async || !children(place, "demo").await.iter().any(is_unwanted);
    place.until_so("what is not asked for is gone", are_gone).await;
    place.until_ready("demo").await;
}

/// A change that the running pods have to be made anew for.
async fn a_frontend_is_restarted(place: &Place<'_>) {
    let pods = place.api::<Pod>();
    let before = pods.get("demo-fe-0").await.expect("the frontend").uid();
    let mut spec = less();
    spec["fe"]["labels"] = json!({"example.com/round": "2"});
    place.apply(&cluster("demo", spec)).await.expect("applied");
    let is_another = async || pods.get_opt("demo-fe-0").await.expect("an answer").is_some_and(|pod| pod.uid() != before);
    place.until_so("the frontend is made anew", is_another).await;
    place.until_ready("demo").await;
}

/// Claims are asked to grow, and the set is made anew.
async fn a_volume_grows(place: &Place<'_>) {
    let mut spec = less();
    spec["fe"]["labels"] = json!({"example.com/round": "2"});
    spec["fe"]["storage"]["size"] = json!("30Gi");
    place.apply(&cluster("demo", spec)).await.expect("applied");
    place.until_ready("demo").await;
}

/// An initializer with its text in a ConfigMap.
async fn sql_is_run(place: &Place<'_>) {
    let map = json!({"metadata": {"name": "scripts"}, "data": {"a.sql": "CREATE DATABASE one"}});
    let map: ConfigMap = serde_json::from_value(map).expect("a ConfigMap");
    place.api::<ConfigMap>().create(&PostParams::default(), &map).await.expect("created");
    let spec = json!({"clusterRef": {"name": "demo"}, "sql": [{"configMap": {"name": "scripts", "key": "a.sql"}}]});
    let initializer: DorisInitializer = serde_json::from_value(json!({
        "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisInitializer", "metadata": {"name": "setup"}, "spec": spec,
    }))
    .expect("an initializer");
    let initializers = place.api::<DorisInitializer>();
    initializers.create(&PostParams::default(), &initializer).await.expect("created");
    let is_done =
        async || initializers.get("setup").await.is_ok_and(|found| found.status.and_then(|status| status.phase) == Some(Phase::Succeeded));
    place.until_so("the statements are run", is_done).await;
}

fn less() -> serde_json::Value {
    let mut spec = basic("2.1.7");
    spec["networkPolicy"] = json!({"enabled": false});
    spec["podDisruptionBudget"] = json!({"enabled": false});
    spec
}

/// What a person does who follows the condition.
async fn drop_brokers(place: &Place<'_>) {
    let identity: Secret = place.api().get(&names::identity("demo")).await.expect("the identity");
    let password = identity.data.and_then(|mut data| data.remove("root.applied")).expect("root's password");
    let password = String::from_utf8(password.0).expect("text");
    let demo: doris_api::DorisCluster = place.api().get("demo").await.expect("the cluster");
    let master = demo.status.and_then(|status| status.master).expect("a master");
    let address = place.stand.nodes.address(&place.namespace, &master).expect("the master runs");
    let world = place.stand.engine.world();
    let mut session = world.connect([10, 9, 9, 9].into(), address.into(), 9030, "root", &password).await.expect("root logs in");
    let host = names::member_fqdn("demo", Component::Broker, 0, &place.namespace, "cluster.local");
    session.query(&format!("ALTER SYSTEM DROP BROKER {BROKER} \"{host}:8000\"")).await.expect("dropped");
}
