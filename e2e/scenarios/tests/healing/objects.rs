//! Objects that people and tools change or delete by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use scenarios::lab::{ControllerOptions, Lab, Settings, basic, cluster};
use serde_json::{Value, json};

use crate::told::told;

/// Kinds that a cluster owns objects of.
const KINDS: [(&str, &str, &str); 5] = [
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("apps", "v1", "StatefulSet"),
];
const SOON: Duration = Duration::from_mins(1);

fn api(lab: &Lab, (group, version, kind): (&str, &str, &str)) -> Api<DynamicObject> {
    Api::namespaced_with(lab.client.clone(), "default", &ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)))
}

/// What we say of an object: no status, nothing that the server counts, no field that it allocates anew.
fn content(object: &DynamicObject) -> Value {
    let mut data = object.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("status");
    }
    for allocated in ["/spec/clusterIP", "/spec/clusterIPs"] {
        if let Some(address) = data.pointer_mut(allocated).filter(|address| !address.to_string().contains("None")) {
            *address = Value::Null;
        }
    }
    json!({"labels": object.labels(), "annotations": object.annotations(), "owners": object.owner_references(), "data": data})
}

/// Our objects of a kind by name.
async fn owned(lab: &Lab, kind: (&str, &str, &str)) -> BTreeMap<String, DynamicObject> {
    let list = api(lab, kind).list(&ListParams::default().labels("doris-operator.dev/cluster=demo")).await.expect("objects are listed");
    list.into_iter().filter(|object| !object.owner_references().is_empty()).map(|object| (object.name_any(), object)).collect()
}

/// What a person might do to an object of a kind: a merge patch.
fn meddling(kind: &str, object: &DynamicObject) -> Vec<Value> {
    let unlabelled = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "hand"}}});
    let disowned = json!({"metadata": {"ownerReferences": null}});
    let inside = match kind {
        "ConfigMap" => {
            let key = object.data["data"].as_object().and_then(|data| data.keys().next().cloned()).unwrap_or_default();
            json!({"data": {key: "broken by hand"}})
        }
        "Service" => json!({"spec": {"selector": {"doris-operator.dev/cluster": "another"}}}),
        "NetworkPolicy" => json!({"spec": {"ingress": []}}),
        "PodDisruptionBudget" => json!({"spec": {"minAvailable": 0}}),
        _ => json!({"spec": {"replicas": 1, "template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
    };
    vec![unlabelled, disowned, inside]
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    let mut seen = 0;
    for kind in KINDS {
        let objects = owned(&lab, kind).await;
        assert!(!objects.is_empty(), "{kind:?}");
        for (name, object) in objects {
            seen += 1;
            for patch in meddling(kind.2, &object) {
                let edited = api(&lab, kind)
                    .patch(&name, &PatchParams { field_manager: Some("hand".into()), ..PatchParams::default() }, &Patch::Merge(&patch))
                    .await;
                match edited {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if status.code == 422 => {
                        assert_eq!(kind.2, "ConfigMap", "only what is immutable refuses: {status}");
                    }
                    Err(error) => panic!("{name}: {error}"),
                }
                comes_back(&lab, kind, &name, &object, &patch).await;
            }
            api(&lab, kind).delete(&name, &DeleteParams::background()).await.expect("it is deleted");
            comes_back(&lab, kind, &name, &object, &json!("deletion")).await;
        }
    }
    assert!(seen >= 12, "{seen} objects");
    lab.until_ready("demo").await;
    assert_eq!(lab.founded_ids("demo").len(), 1, "the cluster is the same");
    assert_eq!(lab.idle(Duration::from_mins(1)).await, Vec::<String>::new(), "an idle minute");
}

async fn comes_back(lab: &Lab, kind: (&str, &str, &str), name: &str, before: &DynamicObject, after: &Value) {
    let repaired = || async {
        let found = api(lab, kind).get_opt(name).await.map_err(|error| error.to_string())?.ok_or("it is not there")?;
        let (found, wanted) = (content(&found), content(before));
        if found == wanted { Ok(()) } else { Err(format!("{found:#}\ninstead of\n{wanted:#}")) }
    };
    lab.eventually(&format!("{} {name} comes back after {after}", kind.2), SOON, repaired).await;
}

#[tokio::test(start_paused = true)]
async fn foreign_fields_survive() {
    let lab = Lab::new(Settings::default()).await;
    // An injector puts its container first; a policy has its own idea of the grace period.
    let admission = |path: &str, object: &mut Value| {
        let Some(spec) = object.pointer_mut("/spec/template/spec").filter(|_| path.contains("/statefulsets")) else { return };
        spec["terminationGracePeriodSeconds"] = json!(77);
        if let Some(containers) =
            spec["containers"].as_array_mut().filter(|containers| containers.iter().all(|container| container["name"] != "proxy"))
        {
            containers.insert(0, json!({"name": "proxy", "image": "mesh/proxy:1", "resources": {"requests": {"cpu": "10m"}}}));
        }
    };
    let _controller = lab.start_controller_with(ControllerOptions { admission: Some(Arc::new(admission)), ..ControllerOptions::default() });
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    lab.until_ready("demo").await;
    for (name, set) in owned(&lab, KINDS[4]).await {
        let spec = &set.data["spec"]["template"]["spec"];
        assert_eq!(spec["containers"][0]["name"], "proxy", "{name}: {spec:#}");
        assert_eq!(spec["terminationGracePeriodSeconds"], 77, "{name}");
    }
    assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "admission is not argued with");
    let told = told(&lab, "AdmissionOverride").await;
    let of_sets = told.iter().filter(|note| note.contains(".spec.template.spec.terminationGracePeriodSeconds")).count();
    assert!(of_sets > 0 && of_sets == told.len(), "{told:?}");

    // A GitOps tool marks what it sees, and owns what it marks.
    let mark = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop"}, "labels": {"team": "shop"}}});
    let mut marked = Vec::new();
    for kind in KINDS {
        for name in owned(&lab, kind).await.into_keys() {
            let mut patch = mark.clone();
            let (group, version, name_of_kind) = kind;
            patch["apiVersion"] = if group.is_empty() { version.into() } else { format!("{group}/{version}").into() };
            patch["kind"] = name_of_kind.into();
            patch["metadata"]["name"] = name.as_str().into();
            api(&lab, kind).patch(&name, &PatchParams::apply("argocd"), &Patch::Apply(&patch)).await.expect("no field of ours is in it");
            marked.push((kind, name));
        }
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "foreign fields are no drift");
    // Our own change leaves them where they are.
    let mut spec = basic("2.1.7");
    spec["be"]["labels"] = json!({"tier": "hot"});
    spec["podDisruptionBudget"] = json!({"backendsAway": 0});
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5}});
    lab.apply(&cluster("demo", spec)).await.expect("the spec is accepted");
    let changed = || async {
        let budget = api(&lab, KINDS[3]).get("demo-be").await.map_err(|error| error.to_string())?;
        if budget.data["spec"]["minAvailable"] == 3 { Ok(()) } else { Err(budget.data.to_string()) }
    };
    lab.eventually("our change arrives", SOON, changed).await;
    // The label restarts the backends; only then is there nothing left to do.
    lab.until_ready("demo").await;
    for (kind, name) in marked {
        let object = api(&lab, kind).get(&name).await.expect("it is there");
        assert_eq!(object.annotations().get("argocd.argoproj.io/tracking-id").map(String::as_str), Some("shop"), "{kind:?} {name}");
        assert_eq!(object.labels().get("team").map(String::as_str), Some("shop"), "{kind:?} {name}");
    }
    assert_eq!(lab.idle(Duration::from_mins(2)).await, Vec::<String>::new(), "an idle time");
    assert_eq!(lab.refusals(409), Vec::<String>::new(), "nobody is in conflict");
}
