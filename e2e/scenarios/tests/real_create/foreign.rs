//! Others have their hands on our objects for good: an injector, a policy that overrides a value, a tool that owns fields.

use std::time::Duration;

use doris_api::{Component, names};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use scenarios::demo::manifest;
use scenarios::lab::{basic, cluster};
use scenarios::real::{Place, object};
use serde_json::{Value, json};

use crate::audit::requests;
use crate::harness::run;

/// More than the controller's own period between two looks at a cluster that is on its way.
const QUIET: Duration = Duration::from_secs(5);
/// Writes until Ready and quiet, with room; a storm is hundreds.
const MOST_WRITES: usize = 80;

/// An injector puts its container first, and a policy has another opinion of how long a member may take to stop.
fn policies(namespace: &str) -> Vec<Value> {
    let matches = |group: &str, resource: &str, operations: &[&str]| {
        json!({
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": operations, "resources": [resource]}],
        })
    };
    let policy = |name: &str, constraints: Value, mutation: Value| {
        let spec =
            json!({"matchConstraints": constraints, "failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [mutation]});
        let kind = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        [kind("MutatingAdmissionPolicy", spec), kind("MutatingAdmissionPolicyBinding", json!({"policyName": name}))]
    };
    let sidecar = "[JSONPatch{op: \"add\", path: \"/spec/containers/0\", value: Object.spec.containers{name: \"mesh\", image: \"mesh\"}}]";
    let grace =
        "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{terminationGracePeriodSeconds: 45}}}}";
    let inject = policy(
        "foreign-sidecar",
        matches("", "pods", &["CREATE"]),
        json!({"patchType": "JSONPatch", "jsonPatch": {"expression": sidecar}}),
    );
    let force = policy(
        "foreign-grace",
        matches("apps", "statefulsets", &["CREATE", "UPDATE"]),
        json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": grace}}),
    );
    inject.into_iter().chain(force).collect()
}

/// Installs the policies and waits until the server acts by them.
async fn install(place: &Place<'_>) {
    for policy in policies(&place.namespace) {
        manifest::apply(&place.client, "policies", &object(policy)).await.expect("applied");
    }
    let probe: Pod = object(json!({"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "own", "image": "own"}]}}));
    let only_ask = PostParams { dry_run: true, ..PostParams::default() };
    let pods = place.api::<Pod>();
    let is_injected = async || first_container(&pods.create(&only_ask, &probe).await.expect("an answer")) == "mesh";
    place.until_so("the policies are in force", is_injected).await;
}

fn first_container(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.containers.first()).map_or("", |container| container.name.as_str())
}

fn writes(place: &Place<'_>) -> Vec<String> {
    requests(place).into_iter().filter(crate::audit::Request::is_write).map(|request| request.title()).collect()
}

#[test]
fn foreign_fields_survive() {
    run("foreign_fields_survive", async |place| {
        install(&place).await;
        let controller = place.start_controller("one").await.expect("a controller");
        place.apply(&cluster("demo", basic("2.1.7"))).await.expect("applied");
        place.until_ready("demo").await;

        let labelled = |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": {"example.org/team": "data"}}});
        let (services, sets, gitops) = (place.api::<Service>(), place.api::<StatefulSet>(), PatchParams::apply("gitops"));
        let (service, set) = (names::set("demo", Component::Fe), names::set("demo", Component::Be));
        services.patch(&service, &gitops, &Patch::Apply(labelled("Service", "v1", &service))).await.expect("no conflict");
        sets.patch(&set, &gitops, &Patch::Apply(labelled("StatefulSet", "apps/v1", &set))).await.expect("no conflict");

        place
            .until_so("the controller has nothing to write", async || {
                let before = writes(&place).len();
                tokio::time::sleep(QUIET).await;
                writes(&place).len() == before
            })
            .await;
        let written = writes(&place);
        assert!(written.len() <= MOST_WRITES, "{}", written.join("\n"));
        // A status that was decided on an older version is refused as well, which is as it should be, and no quarrel about a field.
        let refused = requests(&place).into_iter().filter(|request| request.message.contains("conflict with"));
        let conflicts: Vec<_> = refused.map(|request| format!("{}: {}", request.title(), request.message)).collect();
        assert!(conflicts.is_empty(), "{conflicts:?}");

        let team = |labels: &std::collections::BTreeMap<String, String>| labels.get("example.org/team").cloned();
        assert_eq!(team(services.get(&service).await.expect("there").labels()).as_deref(), Some("data"));
        let set = sets.get(&set).await.expect("there");
        assert_eq!(team(set.labels()).as_deref(), Some("data"));
        let grace = set.spec.and_then(|spec| spec.template.spec?.termination_grace_period_seconds);
        assert_eq!(grace, Some(45), "the policy has the last word");
        for pod in place.api::<Pod>().list(&ListParams::default()).await.expect("pods") {
            assert_eq!(first_container(&pod), "mesh", "{}", pod.name_any());
        }
        place.until_ready("demo").await;
        controller.stop().await.expect("an end");
    });
}
