//! Good and bad specs against both halves of every rule: the CEL text in the definition and the
//! Rust function.

mod structure;

use std::collections::BTreeSet;

use doris_api::DorisCluster;
use doris_api::validation::{validate, validate_update};
use kube_cel::{CompiledSchema, Validator, WarningKind, apply_defaults, compile_schema, estimate_rule_cost};
use serde_json::{Value, json};

fn table(text: &str) -> Vec<Value> {
    serde_saphyr::from_str(text).expect("a table")
}

fn base() -> Value {
    json!({
        "version": "2.1.7",
        "fe": {"replicas": 3, "storage": {"size": "20Gi"}},
        "be": {"replicas": 3, "storage": [{"name": "data", "medium": "SSD", "size": "100Gi"}]},
    })
}

fn merge(base: &mut Value, patch: &Value) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge(base.entry(key.clone()).or_insert(json!({})), value);
                }
            }
        }
        (base, patch) => *base = patch.clone(),
    }
}

/// A cluster as the server sees it after defaulting.
fn cluster(schema: &Value, patch: &Value, metadata: &Value) -> Value {
    let mut spec = base();
    merge(&mut spec, patch);
    let metadata = if metadata.is_null() { json!({"name": "demo"}) } else { metadata.clone() };
    apply_defaults(schema, &json!({"apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisCluster", "metadata": metadata, "spec": spec}))
}

fn schema() -> Value {
    let crd = doris_api::crd::doris_cluster(doris_api::crd::CURRENT_MINOR).expect("a definition");
    let crd = serde_json::to_value(crd).expect("JSON");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn compiled() -> (Value, CompiledSchema) {
    let schema = schema();
    let rules = compile_schema(&schema);
    assert!(!rules.has_errors(), "{:?}", rules.compilation_errors());
    (schema, rules)
}

fn cel(schema: &CompiledSchema, new: &Value, old: Option<&Value>) -> BTreeSet<String> {
    match Validator::new().validate_compiled(schema, new, old) {
        Ok(()) => BTreeSet::new(),
        Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
    }
}

fn rust(new: &Value, old: Option<&Value>) -> BTreeSet<String> {
    let typed = |value: &Value| serde_json::from_value::<DorisCluster>(value.clone()).expect("a cluster");
    let violations = match old {
        Some(old) => validate_update(&typed(new), &typed(old)),
        None => validate(&typed(new)),
    };
    violations.into_iter().map(|violation| violation.message).collect()
}

#[test]
fn good_specs_pass_both_halves() {
    let (schema, rules) = compiled();
    for case in table(include_str!("specs/good.yaml")) {
        let cluster = cluster(&schema, &case["patch"], &case["metadata"]);
        let none = BTreeSet::new();
        assert_eq!(structure::errors(&schema, &cluster), Vec::<String>::new(), "{}", case["name"]);
        assert_eq!(cel(&rules, &cluster, None), none, "CEL: {}", case["name"]);
        assert_eq!(rust(&cluster, None), none, "Rust: {}", case["name"]);
    }
}

#[test]
fn bad_specs_are_refused_by_both_halves_with_one_sentence() {
    let (schema, rules) = compiled();
    let cases = table(include_str!("specs/bad.yaml"));
    assert!(cases.len() >= 30);
    for case in cases {
        let (name, cluster) = (&case["name"], cluster(&schema, &case["patch"], &case["metadata"]));
        let errors = structure::errors(&schema, &cluster);
        let Some(says) = case["says"].as_str() else {
            assert_eq!(errors.len(), 1, "{name}: {errors:?}");
            assert!(errors[0].starts_with(case["field"].as_str().expect("a field")), "{name}: {errors:?}");
            continue;
        };
        assert_eq!(errors, Vec::<String>::new(), "{name}: the schema refuses before any rule runs");
        let (cel, rust) = (cel(&rules, &cluster, None), rust(&cluster, None));
        assert!(cel.iter().any(|message| message.contains(says)), "{name}: {cel:?}");
        assert_eq!(cel, rust, "{name}");
    }
}

#[test]
fn bad_changes_are_refused_by_both_halves_with_one_sentence() {
    let (schema, rules) = compiled();
    for case in table(include_str!("specs/changes.yaml")) {
        let of = |side: &str| cluster(&schema, &case[side], &Value::Null);
        let (name, old, new) = (&case["name"], of("from"), of("to"));
        assert_eq!(structure::errors(&schema, &new), Vec::<String>::new(), "{name}");
        assert_eq!(cel(&rules, &new, None), BTreeSet::new(), "{name}: it is good by itself");
        let (cel, rust) = (cel(&rules, &new, Some(&old)), rust(&new, Some(&old)));
        assert!(cel.iter().any(|message| message.contains(case["says"].as_str().expect("a sentence"))), "{name}: {cel:?}");
        assert_eq!(cel, rust, "{name}");
        assert_eq!(rust_unchanged(&old), BTreeSet::new(), "{name}: no change breaks no rule");
    }
}

fn rust_unchanged(cluster: &Value) -> BTreeSet<String> {
    rust(cluster, Some(cluster))
}

#[test]
fn every_rule_is_broken_by_some_spec_of_the_tables() {
    let (schema, rules) = compiled();
    let mut broken = BTreeSet::new();
    for case in table(include_str!("specs/bad.yaml")) {
        broken.extend(cel(&rules, &cluster(&schema, &case["patch"], &case["metadata"]), None));
    }
    for case in table(include_str!("specs/changes.yaml")) {
        let of = |side: &str| cluster(&schema, &case[side], &Value::Null);
        broken.extend(cel(&rules, &of("to"), Some(&of("from"))));
    }
    // A rule that stands at several components is one rule: it is known by its CEL text.
    let (mut tried, mut all) = (BTreeSet::new(), BTreeSet::new());
    each_rule(&schema, &mut |rule| {
        let text = rule["rule"].as_str().expect("a rule").to_owned();
        if broken.contains(rule["message"].as_str().expect("a message")) {
            tried.insert(text.clone());
        }
        all.insert(text);
    });
    assert_eq!(all.difference(&tried).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_rule_names_a_field_that_exists() {
    each_rule_with_schema(&schema(), &mut |node, rule| {
        let Some(path) = rule["fieldPath"].as_str() else { return };
        let field = path.trim_start_matches('.');
        assert!(node["properties"].get(field).is_some(), "{path}: {rule}");
        assert!(!rule["message"].as_str().expect("a message").contains("{at}"), "{rule}");
    });
}

#[test]
fn no_rule_is_estimated_to_cost_too_much() {
    let mut dear = Vec::new();
    each_rule_with_schema(&schema(), &mut |node, rule| {
        let text = rule["rule"].as_str().expect("a rule");
        let warnings = estimate_rule_cost(text, &compile_schema(node));
        dear.extend(
            warnings
                .into_iter()
                .filter(|warning| warning.kind == WarningKind::CostExceeded)
                .map(|warning| format!("{text}: {}", warning.message)),
        );
    });
    assert_eq!(dear, Vec::<String>::new());
}

/// Calls a function with each rule of a schema.
fn each_rule(schema: &Value, call: &mut impl FnMut(&Value)) {
    each_rule_with_schema(schema, &mut |_, rule| call(rule));
}

/// Calls a function with each rule of a schema and the schema that it stands in.
fn each_rule_with_schema(schema: &Value, call: &mut impl FnMut(&Value, &Value)) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        call(schema, rule);
    }
    for below in ["items", "additionalProperties"].iter().filter_map(|key| schema.get(*key)) {
        each_rule_with_schema(below, call);
    }
    for below in schema["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        each_rule_with_schema(below, call);
    }
}
