//! Good and bad initializers against both halves of every rule.

mod structure;

use std::collections::BTreeSet;

use doris_api::DorisInitializer;
use doris_api::validation::{validate_initializer, validate_initializer_update};
use kube_cel::{Validator, WarningKind, apply_defaults, compile_schema, estimate_rule_cost};
use serde_json::{Value, json};

fn schema() -> Value {
    let crd = doris_api::crd::doris_initializer(doris_api::crd::CURRENT_MINOR).expect("a definition");
    let crd = serde_json::to_value(crd).expect("JSON");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn initializer(schema: &Value, change: &Value) -> Value {
    let mut spec = json!({"clusterRef": {"name": "demo"}, "sql": [{"text": "SELECT 1"}]});
    for (field, value) in change.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    let object = json!({"apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisInitializer", "metadata": {"name": "x"}, "spec": spec});
    apply_defaults(schema, &object)
}

fn cel(schema: &Value, new: &Value, old: Option<&Value>) -> BTreeSet<String> {
    match Validator::new().validate(schema, new, old) {
        Ok(()) => BTreeSet::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

fn rust(new: &Value, old: Option<&Value>) -> BTreeSet<String> {
    let typed = |value: &Value| serde_json::from_value::<DorisInitializer>(value.clone()).expect("an initializer");
    let violations = match old {
        Some(old) => validate_initializer_update(&typed(new), &typed(old)),
        None => validate_initializer(&typed(new)),
    };
    violations.into_iter().map(|violation| violation.message).collect()
}

#[test]
fn good_initializers_pass_both_halves() {
    let schema = schema();
    let key = json!({"name": "s", "key": "a.sql"});
    for change in [
        json!({}),
        json!({"sql": [{"name": "a", "text": ";"}, {"configMap": key}, {"secret": key}]}),
        json!({"run": "OnChange", "database": "shop", "user": {"name": "app", "password": key}}),
        json!({"retries": {"limit": 0}, "statementTimeoutSeconds": 1}),
    ] {
        let object = initializer(&schema, &change);
        assert_eq!(structure::errors(&schema, &object), Vec::<String>::new(), "{change}");
        assert_eq!(cel(&schema, &object, None), BTreeSet::new(), "{change}");
        assert_eq!(rust(&object, None), BTreeSet::new(), "{change}");
    }
}

#[test]
fn bad_initializers_are_refused_by_both_halves_with_one_sentence() {
    let schema = schema();
    let key = |name: &str, key: &str| json!({"name": name, "key": key});
    let mut broken = BTreeSet::new();
    for (change, says) in [
        (json!({"clusterRef": {"name": "No Name"}}), "clusterRef.name must be the name of a DorisCluster"),
        (json!({"sql": [{}]}), "sql: each source must have exactly one of text, configMap and secret"),
        (json!({"sql": [{"text": "a", "secret": key("s", "k")}]}), "exactly one of"),
        (json!({"sql": [{"secret": key("S", "k")}]}), "sql.secret.name must be the name of a Secret"),
        (json!({"sql": [{"secret": key("s", "a b")}]}), "sql.secret.key must be a key of the Secret"),
        (json!({"sql": [{"configMap": key("S", "k")}]}), "sql.configMap.name must be the name of a ConfigMap"),
        (json!({"sql": [{"configMap": key("s", "a/b")}]}), "sql.configMap.key must be a key of the ConfigMap"),
        (json!({"database": "a.b"}), "database must be a name"),
        (json!({"database": "a'b"}), "database must be a name"),
        (json!({"database": "a`b"}), "database must be a name"),
        (json!({"user": {"name": "a b", "password": key("s", "k")}}), "user.name must name a Doris account"),
        (json!({"user": {"name": "a", "password": key("s", "")}}), "user.password.key must be a key of the Secret"),
        (json!({"user": {"name": "a", "password": key("S", "k")}}), "user.password.name must be the name of a Secret"),
        (json!({"retries": {"delaySeconds": 60, "maxDelaySeconds": 30}}), "retries.maxDelaySeconds can't be less"),
    ] {
        let object = initializer(&schema, &change);
        assert_eq!(structure::errors(&schema, &object), Vec::<String>::new(), "{change}");
        let (cel, rust) = (cel(&schema, &object, None), rust(&object, None));
        assert!(cel.iter().any(|message| message.contains(says)), "{change}: {cel:?}");
        assert_eq!(cel, rust, "{change}");
        broken.extend(cel);
    }
    let (old, new) = (initializer(&schema, &json!({})), initializer(&schema, &json!({"clusterRef": {"name": "other"}})));
    let (cel, rust) = (cel(&schema, &new, Some(&old)), rust(&new, Some(&old)));
    assert_eq!(cel, rust);
    broken.extend(cel);
    let mut all = BTreeSet::new();
    each_rule(&schema, &mut |_, rule| {
        all.insert(rule["message"].as_str().expect("a message").to_owned());
    });
    assert_eq!(all, broken, "every rule is broken by some initializer");
}

#[test]
fn every_rule_names_a_field_that_exists_and_costs_little() {
    each_rule(&schema(), &mut |node, rule| {
        if let Some(path) = rule["fieldPath"].as_str() {
            assert!(node["properties"].get(path.trim_start_matches('.')).is_some(), "{path}: {rule}");
        }
        let text = rule["rule"].as_str().expect("a rule");
        let dear = estimate_rule_cost(text, &compile_schema(node)).into_iter().any(|warning| warning.kind == WarningKind::CostExceeded);
        assert!(!dear, "{text}");
    });
}

fn each_rule(schema: &Value, call: &mut impl FnMut(&Value, &Value)) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        call(schema, rule);
    }
    for below in ["items", "additionalProperties"].iter().filter_map(|key| schema.get(*key)) {
        each_rule(below, call);
    }
    for below in schema["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        each_rule(below, call);
    }
}
