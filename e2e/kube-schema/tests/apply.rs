//! Server-side apply: who owns what, who conflicts with whom, and what goes when an owner lets go.
use kube_schema::apply::{Apply, apply, is_unchanged, track_update};
use kube_schema::decode::{FieldValidation, decode};
use kube_schema::{ApiError, Gvk, Kind, defaults};
use serde_json::{Value, json};
use std::sync::Arc;

fn kind(api_version: &str, kind: &str) -> Arc<Kind> {
    Kind::builtin(&Gvk::parse(api_version, kind), 36).expect("a built-in type")
}

#[derive(Clone)]
struct Server {
    kind: Arc<Kind>,
    live: Option<Value>,
}

impl Server {
    fn new(api_version: &str, name: &str) -> Self {
        Self { kind: kind(api_version, name), live: None }
    }

    fn apply(&mut self, manager: &str, config: &Value, force: bool) -> Result<&Value, ApiError> {
        let request =
            Apply { kind: &self.kind, live: self.live.as_ref(), config, manager, subresource: "", force, now: "2026-01-01T00:00:00Z" };
        let merged = apply(request)?;
        let mut object = decode(&self.kind, merged, FieldValidation::Ignore)?.object;
        defaults::apply(&self.kind, &mut object);
        Ok(self.live.insert(object))
    }

    fn update(&mut self, manager: &str, mut object: Value) -> &Value {
        track_update(&self.kind, self.live.as_ref(), &mut object, manager, "", "2026-01-01T00:00:00Z");
        self.live.insert(object)
    }

    fn owned(&self) -> Value {
        let entries = self.live.as_ref().and_then(|l| l["metadata"]["managedFields"].as_array()).cloned().unwrap_or_default();
        let mut list: Vec<Value> = entries.iter().map(|e| json!([e["manager"], e["operation"], e["fieldsV1"]])).collect();
        list.sort_by_key(Value::to_string);
        Value::Array(list)
    }
}

fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[test]
fn a_manager_owns_what_it_applies_and_loses_what_it_leaves_out() {
    let mut server = Server::new("v1", "ConfigMap");
    server.apply("one", &config_map(&json!({"x": "1", "y": "2"})), false).unwrap();
    assert_eq!(server.owned(), json!([["one", "Apply", {"f:data": {"f:x": {}, "f:y": {}}}]]));
    let after = server.apply("one", &config_map(&json!({"x": "1"})), false).unwrap();
    assert_eq!(after["data"], json!({"x": "1"}));
    let after = server.apply("two", &config_map(&json!({"z": "9"})), false).unwrap();
    assert_eq!(after["data"], json!({"x": "1", "z": "9"}));
    let refused = server.apply("two", &config_map(&json!({"x": "5"})), false).unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (409, "Apply failed with 1 conflict: conflict with \"one\": .data.x"));
    server.apply("two", &config_map(&json!({"x": "5", "z": "9"})), true).unwrap();
    assert_eq!(server.owned(), json!([["two", "Apply", {"f:data": {"f:x": {}, "f:z": {}}}]]));
    server.apply("one", &config_map(&json!({})), false).unwrap();
    assert_eq!(server.owned(), json!([["one", "Apply", {"f:data": {}}], ["two", "Apply", {"f:data": {"f:x": {}, "f:z": {}}}]]));
    server.apply("one", &config_map(&json!({"x": "5", "z": "9"})), false).unwrap();
    server.apply("two", &config_map(&json!({"z": "9"})), false).unwrap();
    let after = server.apply("one", &config_map(&json!({"z": "9"})), false).unwrap();
    assert_eq!(after["data"], json!({"z": "9"}));
}

#[test]
fn what_kubectl_applied_by_itself_is_its_own_when_it_comes_back() {
    let mut server = Server::new("v1", "ConfigMap");
    let mut noted = server.apply("helm", &config_map(&json!({"x": "1", "y": "2"})), false).unwrap().clone();
    // kubectl's own apply changes nothing but its note.
    noted["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": config_map(&json!({"x": "1", "y": "1"})).to_string()});
    server.update("kubectl-client-side-apply", noted);
    let other = |x: &str| config_map(&json!({"x": x}));
    assert!(server.clone().apply("somebody", &other("5"), false).is_err());
    assert_eq!(server.clone().apply("kubectl", &other("5"), false).unwrap()["data"], json!({"x": "5", "y": "2"}));
    let refused = server.apply("kubectl", &config_map(&json!({"x": "5", "y": "5"})), false).unwrap_err();
    assert!(refused.message.contains("conflicts with \"helm\""), "another changed y since: {}", refused.message);
}

#[test]
fn updates_own_what_they_change_and_take_it_from_appliers() {
    let mut server = Server::new("v1", "ConfigMap");
    server.update("creator", config_map(&json!({"x": "1", "keep": "me"})));
    assert_eq!(server.owned(), json!([["creator", "Update", {"f:data": {".": {}, "f:keep": {}, "f:x": {}}}]]));
    let refused = server.apply("applier", &config_map(&json!({"x": "2"})), false).unwrap_err();
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"creator\" using v1: .data.x");
    let mut forced = server.apply("applier", &config_map(&json!({"x": "2"})), true).unwrap().clone();
    forced["data"]["x"] = json!("3");
    server.update("editor", forced);
    let expected = json!([
        ["creator", "Update", {"f:data": {".": {}, "f:keep": {}}}],
        ["editor", "Update", {"f:data": {"f:x": {}}}]
    ]);
    assert_eq!(server.owned(), expected);
    let mut put = config_map(&json!({"only": "this"}));
    put["metadata"] = server.live.as_ref().unwrap()["metadata"].clone();
    server.update("putter", put);
    assert_eq!(server.owned(), json!([["creator", "Update", {"f:data": {}}], ["putter", "Update", {"f:data": {"f:only": {}}}]]));
}

fn template(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "p"}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}})
}

#[test]
fn keyed_lists_are_owned_element_by_element() {
    let mut server = Server::new("v1", "PodTemplate");
    let own = json!({"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}],
        "ports": [{"containerPort": 80, "name": "http"}], "args": ["x"]}]});
    server.apply("owner", &template(&own), false).unwrap();
    let expected = json!([["owner", "Apply", {"f:template": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {
        "k:{\"name\":\"c\"}": {".": {}, "f:args": {}, "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {}, "f:name": {}, "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:name": {}}}}}}}}]]);
    assert_eq!(server.owned(), expected);
    let injected = json!({"containers": [{"name": "c", "env": [{"name": "EXTRA", "value": "x"}]}]});
    let after = server.apply("injector", &template(&injected), false).unwrap();
    let env = &after["template"]["spec"]["containers"][0]["env"];
    assert_eq!(*env, json!([{"name": "A", "value": "1"}, {"name": "EXTRA", "value": "x"}]));
    let taken = json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "2"}], "args": ["y"]}]});
    let refused = server.apply("injector", &template(&taken), false).unwrap_err();
    let lines = "Apply failed with 2 conflicts: conflicts with \"owner\":\n- .template.spec.containers[name=\"c\"].args\n\
                 - .template.spec.containers[name=\"c\"].env[name=\"A\"].value";
    assert_eq!(refused.message, lines);
    let after = server.apply("owner", &template(&json!({"containers": [{"name": "c", "image": "i"}]})), false).unwrap();
    let container = &after["template"]["spec"]["containers"][0];
    assert_eq!(container["env"], json!([{"name": "EXTRA", "value": "x"}]));
    assert!(container.get("ports").is_none() && container.get("args").is_none());
}

#[test]
fn what_does_not_fit_the_schema_is_no_apply() {
    let duplicate = json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]});
    let mut bogus = config_map(&json!({"x": "1"}));
    bogus["bogus"] = json!("1");
    let table = [
        (
            "PodTemplate",
            template(&duplicate),
            "(/p; /v1, Kind=PodTemplate): .template.spec.containers[name=\"c\"].env: duplicate entries for key [name=\"A\"]",
        ),
        ("ConfigMap", bogus, "(/a; /v1, Kind=ConfigMap): .bogus: field not declared in schema"),
    ];
    for (name, config, problem) in table {
        let refused = Server::new("v1", name).apply("m", &config, false).unwrap_err();
        assert_eq!((refused.code, refused.message), (500, format!("failed to create typed patch object {problem}")));
    }
    let mut managed = config_map(&json!({}));
    managed["metadata"]["managedFields"] = json!([]);
    assert_eq!(Server::new("v1", "ConfigMap").apply("m", &managed, false).unwrap_err().message, "metadata.managedFields must be nil");
}

#[test]
fn owner_references_are_owned_as_a_whole_and_sets_by_value() {
    let mut config = config_map(&json!({"x": "1"}));
    config["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"}]);
    config["metadata"]["finalizers"] = json!(["example.com/f"]);
    let mut server = Server::new("v1", "ConfigMap");
    server.apply("one", &config, false).unwrap();
    let expected = json!([["one", "Apply", {"f:data": {"f:x": {}}, "f:metadata": {
        "f:finalizers": {"v:\"example.com/f\"": {}}, "f:ownerReferences": {"k:{\"uid\":\"1\"}": {}}}}]]);
    assert_eq!(server.owned(), expected);
}

#[test]
fn structs_that_are_always_there_have_no_owner() {
    let mut server = Server::new("apps/v1", "Deployment");
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"l": "1"}},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    defaults::apply(&server.kind, &mut object);
    server.update("kubectl", object);
    let fields = server.live.as_ref().unwrap()["metadata"]["managedFields"][0]["fieldsV1"].clone();
    assert_eq!(fields["f:metadata"], json!({"f:labels": {".": {}, "f:l": {}}}));
    assert_eq!(
        fields["f:spec"]["f:strategy"],
        json!({"f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}}, "f:type": {}})
    );
    assert_eq!(fields["f:spec"]["f:selector"], json!({}));
    assert!(fields["f:spec"].get(".").is_none());
}

#[test]
fn the_order_of_two_managers_lists_is_live_first() {
    let mut server = Server::new("v1", "PodTemplate");
    let containers =
        |list: &[&str]| template(&json!({"containers": list.iter().map(|n| json!({"name": n, "image": "i"})).collect::<Vec<_>>()}));
    server.apply("a", &containers(&["proxy"]), false).unwrap();
    let after = server.apply("b", &containers(&["be"]), false).unwrap();
    let names: Vec<&str> = after["template"]["spec"]["containers"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    assert_eq!(names, ["proxy", "be"]);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn data() -> impl Strategy<Value = Value> {
        proptest::collection::btree_map("[a-d]", "[0-2]", 0..4).prop_map(|m| json!(m))
    }

    fn containers() -> impl Strategy<Value = Value> {
        let env = proptest::collection::btree_map("[A-C]", "[0-2]", 0..3);
        let one = env.prop_map(|env| env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>());
        proptest::collection::btree_map("[a-c]", one, 1..4).prop_map(|all| {
            let list: Vec<Value> = all.into_iter().map(|(name, env)| json!({"name": name, "image": "i", "env": env})).collect();
            template(&json!({"containers": list}))
        })
    }

    proptest! {
        #[test]
        fn applying_twice_changes_nothing(first in data(), second in data()) {
            let mut server = Server::new("v1", "ConfigMap");
            server.apply("other", &config_map(&first), false).unwrap();
            let once = server.apply("m", &config_map(&second), true).unwrap().clone();
            let twice = server.apply("m", &config_map(&second), true).unwrap().clone();
            prop_assert!(is_unchanged(&once, &twice));
        }

        #[test]
        fn applying_lists_twice_changes_nothing(first in containers(), second in containers()) {
            let mut server = Server::new("v1", "PodTemplate");
            server.apply("other", &first, false).unwrap();
            let once = server.apply("m", &second, true).unwrap().clone();
            let twice = server.apply("m", &second, true).unwrap().clone();
            prop_assert!(is_unchanged(&once, &twice));
        }

        #[test]
        fn what_all_managers_give_up_is_gone(first in containers(), second in containers()) {
            let mut server = Server::new("v1", "PodTemplate");
            server.apply("a", &first, true).unwrap();
            server.apply("b", &second, true).unwrap();
            let nothing = json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "p"}});
            server.apply("a", &nothing, true).unwrap();
            let after = server.apply("b", &nothing, true).unwrap();
            prop_assert!(after["template"]["spec"].get("containers").is_none());
        }
    }
}
