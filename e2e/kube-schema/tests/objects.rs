//! Built-in types: decoding, defaults, patches, validation.
use std::sync::Arc;

use kube_schema::decode::{FieldValidation, check_type, decode};
use kube_schema::patch::{json_patch, merge_patch, strategic_merge};
use kube_schema::prepare::{Scope, for_create, for_update};
use kube_schema::{Gvk, Kind, defaults, validate};
use proptest::prelude::*;
use serde_json::{Value, json};

fn kind(api_version: &str, kind: &str) -> Arc<Kind> {
    Kind::builtin(&Gvk::parse(api_version, kind), 36).expect("a built-in type")
}

fn created(api_version: &str, name: &str, spec: &Value) -> (Arc<Kind>, Value) {
    let kind = kind(api_version, name);
    let body = json!({"apiVersion": api_version, "kind": name, "metadata": {"name": "d"}, "spec": spec});
    let mut object = decode(&kind, body, FieldValidation::Ignore).expect("an object").object;
    for_create(&kind, &mut object);
    defaults::apply(&kind, &mut object);
    (kind, object)
}

fn stateful_set(replicas: i64) -> Value {
    json!({"serviceName": "d", "replicas": replicas, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}],
            "livenessProbe": {"tcpSocket": {"port": 1}}, "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}}]})
}

#[test]
fn a_stateful_set_gets_the_servers_defaults() {
    let (kind, object) = created("apps/v1", "StatefulSet", &stateful_set(0));
    assert!(validate::create(&kind, &object).is_empty());
    insta::assert_json_snapshot!(object);
}

#[test]
fn old_servers_do_not_know_young_fields() {
    let kind = Kind::builtin(&Gvk::parse("apps/v1", "StatefulSet"), 25).unwrap();
    let mut spec = stateful_set(1);
    spec["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Retain", "whenScaled": "Delete"});
    let body = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "d"}, "spec": spec});
    let mut decoded = decode(&kind, body, FieldValidation::Warn).unwrap();
    assert_eq!(decoded.warnings, ["unknown field \"spec.persistentVolumeClaimRetentionPolicy\""]);
    defaults::apply(&kind, &mut decoded.object);
    assert!(decoded.object["spec"].get("persistentVolumeClaimRetentionPolicy").is_none());
}

#[test]
fn bodies_that_are_no_such_object_are_refused() {
    let config_map = kind("v1", "ConfigMap");
    let table = [
        (
            json!({"apiVersion": "v1", "kind": "Secret"}),
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (json!({"apiVersion": "v2", "kind": "ConfigMap"}), "the API version in the data (v2) does not match the expected API version (v1)"),
    ];
    for (mut body, wanted) in table {
        assert_eq!(check_type(&config_map, &mut body).unwrap_err().message, wanted);
    }
    let bad = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"user": "not base64!"}});
    let wanted = "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 3";
    assert_eq!(decode(&kind("v1", "Secret"), bad, FieldValidation::Warn).unwrap_err().message, wanted);
}

#[test]
fn what_may_not_change_does_not() {
    let (kind, old) = created("apps/v1", "StatefulSet", &stateful_set(1));
    let change = |patch: Value| {
        let mut new = old.clone();
        merge_patch(&mut new, &patch).unwrap();
        for_update(&kind, &mut new, &old, Scope::Main);
        let errors = validate::update(&kind, &new, &old);
        (new["metadata"]["generation"].clone(), errors.iter().map(|e| e.field.clone()).collect::<Vec<_>>())
    };
    assert_eq!(change(json!({"spec": {"replicas": 2}})), (json!(2), vec![]));
    assert_eq!(change(json!({"metadata": {"labels": {"x": "y"}}, "status": {"replicas": 9}})), (json!(1), vec![]));
    assert_eq!(change(json!({"spec": {"serviceName": "other"}})).1, ["spec"]);
    assert_eq!(change(json!({"spec": {"replicas": -1}})).1, ["spec.replicas"]);
    let selector = json!({"spec": {"selector": {"matchLabels": {"a": "c"}}}});
    assert_eq!(change(selector).1, ["spec.template.metadata.labels", "spec"]);
}

#[test]
fn a_status_write_changes_the_status_alone() {
    let (kind, old) = created("apps/v1", "StatefulSet", &stateful_set(1));
    let mut new = old.clone();
    merge_patch(&mut new, &json!({"spec": {"replicas": 5}, "metadata": {"labels": {"x": "y"}}, "status": {"replicas": 3}})).unwrap();
    for_update(&kind, &mut new, &old, Scope::Status);
    assert_eq!(new["status"]["replicas"], json!(3));
    assert_eq!((&new["spec"], &new["metadata"]), (&old["spec"], &old["metadata"]));
}

#[test]
fn strategic_patches_merge_lists_by_key() {
    let (kind, object) = created("apps/v1", "StatefulSet", &stateful_set(1));
    let patched = |patch: Value| {
        let mut new = object.clone();
        strategic_merge(&kind.schema, &mut new, &json!({"spec": {"template": {"spec": patch}}})).unwrap();
        new["spec"]["template"]["spec"].clone()
    };
    let names = |spec: &Value| -> Vec<String> {
        let list = spec["containers"].as_array().cloned().unwrap_or_default();
        list.iter().map(|c| c["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let both = patched(json!({"containers": [{"name": "c", "env": [{"name": "B", "value": "2"}]}, {"name": "side", "image": "s"}]}));
    assert_eq!(names(&both), ["c", "side"]);
    assert_eq!(both["containers"][0]["env"], json!([{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]));
    assert!(names(&patched(json!({"containers": [{"name": "c", "$patch": "delete"}]}))).is_empty());
    assert_eq!(names(&patched(json!({"containers": [{"$patch": "replace"}, {"name": "only", "image": "o"}]}))), ["only"]);
    let ordered = patched(
        json!({"$setElementOrder/containers": [{"name": "first"}, {"name": "c"}], "containers": [{"name": "first", "image": "f"}]}),
    );
    assert_eq!(names(&ordered), ["first", "c"]);
    let retained = patched(json!({"securityContext": {"$retainKeys": ["fsGroup"], "fsGroup": 1}}));
    assert_eq!(retained["securityContext"], json!({"fsGroup": 1}));
    let mut finalized = json!({"metadata": {"finalizers": ["a/b", "c/d"]}});
    strategic_merge(&kind.schema, &mut finalized, &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}})).unwrap();
    assert_eq!(finalized["metadata"]["finalizers"], json!(["c/d"]));
}

#[test]
fn json_patches_that_do_not_fit_change_nothing() {
    let original = json!({"data": {"x": "1"}});
    for patch in [json!([{"op": "test", "path": "/data/x", "value": "no"}]), json!([{"op": "remove", "path": "/data/z"}])] {
        let mut object = original.clone();
        let error = json_patch(&mut object, &patch).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (422, "the server rejected our request due to an error in our request"));
        assert_eq!(object, original);
    }
    let error = json_patch(&mut original.clone(), &json!({"not": "a list"})).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (400, "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp")
    );
}

#[test]
fn requests_over_limits_are_refused() {
    let resources = json!({"requests": {"cpu": "3", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1024Mi"}});
    let spec = json!({"containers": [{"name": "c", "image": "i", "resources": resources}]});
    let (kind, pod) = created("v1", "Pod", &spec);
    let errors: Vec<String> = validate::create(&kind, &pod).iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["spec.containers[0].resources.requests: Invalid value: \"3\": must be less than or equal to cpu limit of 2"]);
}

proptest! {
    #[test]
    fn defaults_are_filled_in_once(replicas in 0_i64..5, host in any::<bool>(), image in "[a-z]{1,5}(:[a-z0-9]{1,4})?") {
        for name in ["StatefulSet", "Deployment", "DaemonSet"] {
            let mut spec = stateful_set(replicas);
            spec["template"]["spec"]["hostNetwork"] = json!(host);
            spec["template"]["spec"]["containers"][0]["image"] = json!(image);
            let (kind, object) = created("apps/v1", name, &spec);
            let mut again = object.clone();
            defaults::apply(&kind, &mut again);
            prop_assert_eq!(&object, &again);
            let decoded = decode(&kind, object.clone(), FieldValidation::Strict).expect("a typed object").object;
            prop_assert_eq!(&object, &decoded);
        }
    }

    #[test]
    fn a_strategic_patch_applied_twice_is_applied_once(value in "[a-z]{0,3}", names in proptest::collection::btree_set("[a-d]", 1..4)) {
        let (kind, object) = created("apps/v1", "StatefulSet", &stateful_set(1));
        let env: Vec<Value> = names.iter().map(|n| json!({"name": n, "value": value})).collect();
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env}, {"name": "side", "image": value}]}}}});
        let mut once = object.clone();
        strategic_merge(&kind.schema, &mut once, &patch).expect("a good patch");
        let mut twice = once.clone();
        strategic_merge(&kind.schema, &mut twice, &patch).expect("a good patch");
        prop_assert_eq!(once, twice);
    }
}
