//! Controllers that work in some namespaces only.

use std::time::Duration;

use controller_kit::scope::Reach;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kube_sim::Identity;
use scenarios::lab::{ControllerOptions, Lab, Settings};
use serde_json::json;

use crate::help::{Asked, Requests, bind, deliver_role, namespace, ready, resize, small};

/// Longer than a watch lives: one that should be gone would be opened anew meanwhile.
const LONG: Duration = Duration::from_mins(8);

fn reach(names: &[&str], selector: Option<&str>, denied: &[&str]) -> Reach {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Reach::new(&owned(names), selector, &owned(denied)).expect("a reach")
}

fn options(reach: Reach) -> ControllerOptions {
    let identity = Identity::service_account("doris-operator", "cluster-controller");
    ControllerOptions { identity, reach, ..ControllerOptions::default() }
}

/// All that is cluster-wide: the right to see namespaces.
async fn may_see_namespaces(lab: &Lab) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "namespaces"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}],
    });
    let role: ClusterRole = serde_json::from_value(role).expect("a role");
    Api::all(lab.client.clone()).create(&PostParams::default(), &role).await.expect("the role is created");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "namespaces"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "namespaces"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "doris-operator", "name": "cluster-controller"}],
    });
    let binding: ClusterRoleBinding = serde_json::from_value(binding).expect("a binding");
    Api::all(lab.client.clone()).create(&PostParams::default(), &binding).await.expect("the role is bound");
}

fn asked_in<'a>(asked: &'a [Asked], namespace: &str) -> Vec<&'a str> {
    asked.iter().filter(|asked| asked.namespace == namespace).map(|asked| asked.what.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn label_selected_namespaces_come_and_go() {
    let lab = Lab::new(Settings::default()).await;
    deliver_role(&lab).await;
    may_see_namespaces(&lab).await;
    let chosen = json!({"doris": "yes"});
    namespace(&lab, "a", &chosen).await;
    namespace(&lab, "b", &json!({})).await;
    namespace(&lab, "denied", &chosen).await;
    for name in ["a", "denied"] {
        bind(&lab, name, "cluster-controller").await;
    }
    for place in ["a", "b", "denied"] {
        lab.apply(&small(place, "demo")).await.expect("the spec is accepted");
    }
    let requests = Requests::of(&lab);
    let _controller = lab.start_controller_with(options(reach(&[], Some("doris=yes"), &["denied"])));
    ready(&lab, "a", "demo").await;
    assert_eq!(asked_in(&requests.take(), "b"), [] as [&str; 0], "b is not chosen");

    // A tenant that is chosen and has not given the rights yet is nobody else's trouble.
    namespace(&lab, "b", &chosen).await;
    tokio::time::sleep(LONG).await;
    let refused = requests.take().into_iter().filter(|asked| asked.status == 403).collect::<Vec<_>>();
    assert!(!refused.is_empty() && refused.iter().all(|asked| asked.namespace == "b"), "{refused:?}");
    resize(&lab, "a", "demo", 2).await;
    ready(&lab, "a", "demo").await;
    assert!(lab.cluster("b", "demo").await.expect("it is there").status.is_none(), "nothing is done in b");
    bind(&lab, "b", "cluster-controller").await;
    ready(&lab, "b", "demo").await;

    // Who is no longer chosen is left at once, watches and all: an open watch would outlive a right that was taken away.
    namespace(&lab, "a", &json!({})).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    requests.take();
    resize(&lab, "a", "demo", 3).await;
    tokio::time::sleep(LONG).await;
    let asked = requests.take();
    assert_eq!(asked_in(&asked, "a"), [] as [&str; 0], "a is left alone");
    assert!(!asked_in(&asked, "b").is_empty(), "watches of b go on");
    resize(&lab, "b", "demo", 2).await;
    ready(&lab, "b", "demo").await;

    namespace(&lab, "a", &chosen).await;
    let status = ready(&lab, "a", "demo").await.status.and_then(|status| status.be).expect("backends");
    assert_eq!((status.desired, status.alive), (3, 3), "what was asked for meanwhile is done");
    assert!(lab.cluster("denied", "demo").await.expect("it is there").status.is_none(), "a denied namespace is never worked in");
    assert_eq!(lab.broken_rules(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_are_deleted_and_made_again_are_worked_in_again() {
    let lab = Lab::new(Settings::default()).await;
    deliver_role(&lab).await;
    may_see_namespaces(&lab).await;
    let _controller = lab.start_controller_with(options(reach(&[], Some("doris"), &[])));
    for round in 0..2 {
        namespace(&lab, "a", &json!({"doris": ""})).await;
        bind(&lab, "a", "cluster-controller").await;
        lab.apply(&small("a", "demo")).await.expect("the spec is accepted");
        ready(&lab, "a", "demo").await;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(lab.client.clone());
        namespaces.delete("a", &DeleteParams::default()).await.expect("the namespace is deleted");
        tokio::time::timeout(Duration::from_mins(10), async {
            while namespaces.get_opt("a").await.expect("an answer").is_some() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("round {round}: the namespace does not go"));
    }
}

#[tokio::test(start_paused = true)]
async fn namespaced_mode_makes_no_cluster_wide_call() {
    let lab = Lab::new(Settings::default()).await;
    deliver_role(&lab).await;
    let requests = Requests::of(&lab);
    for place in ["default", "a", "b", "c"] {
        if place != "default" {
            namespace(&lab, place, &json!({})).await;
        }
        // The leader Lease is in default.
        if place != "c" {
            bind(&lab, place, "cluster-controller").await;
        }
    }
    for place in ["a", "b", "c"] {
        lab.apply(&small(place, "demo")).await.expect("the spec is accepted");
    }
    let _controller = lab.start_controller_with(ControllerOptions { elected: true, ..options(reach(&["a", "b"], None, &[])) });
    for place in ["a", "b"] {
        ready(&lab, place, "demo").await;
        resize(&lab, place, "demo", 2).await;
    }
    for place in ["a", "b"] {
        ready(&lab, place, "demo").await;
    }
    tokio::time::sleep(LONG).await;
    let strays: Vec<Asked> = requests
        .take()
        .into_iter()
        .filter(|asked| !["a", "b"].contains(&asked.namespace.as_str()) && !asked.what.contains("/namespaces/default/leases"))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    assert_eq!(lab.denials(), Vec::<String>::new());
    assert!(lab.cluster("c", "demo").await.expect("it is there").status.is_none());
}

#[tokio::test(start_paused = true)]
async fn of_all_namespaces_some_are_denied_and_nothing_of_them_is_even_sent() {
    let lab = Lab::new(Settings::default()).await;
    for place in ["a", "b"] {
        namespace(&lab, place, &json!({})).await;
        lab.apply(&small(place, "demo")).await.expect("the spec is accepted");
    }
    let requests = Requests::of(&lab);
    let _controller =
        lab.start_controller_with(ControllerOptions { reach: reach(&[], None, &["a", "kube-system"]), ..ControllerOptions::default() });
    ready(&lab, "b", "demo").await;
    tokio::time::sleep(LONG).await;
    let asked = requests.take();
    assert_eq!(asked_in(&asked, "a"), [] as [&str; 0]);
    let watches: Vec<&Asked> = asked.iter().filter(|asked| asked.namespace.is_empty()).collect();
    assert!(!watches.is_empty());
    for watch in watches {
        assert!(watch.what.contains("metadata.namespace%21%3Da%2Cmetadata.namespace%21%3Dkube-system"), "{}", watch.what);
    }
    assert!(lab.cluster("a", "demo").await.expect("it is there").status.is_none());
}
