//! Custom resources: definitions, validation, pruning, defaults and rules.
use std::sync::Arc;

use kube_schema::crd::Definition;
use kube_schema::decode::{FieldValidation, decode};
use kube_schema::{FieldError, Kind, defaults, validate};
use serde_json::{Value, json};

fn schema() -> Value {
    json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"],
            "x-kubernetes-validations": [
                {"rule": "!has(self.max) || self.size <= self.max", "message": "size must not exceed max"},
                {"rule": "self.mode == oldSelf.mode", "message": "mode is immutable", "fieldPath": ".mode"}],
            "properties": {
                "size": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 100},
                "max": {"type": "integer"},
                "mode": {"type": "string", "enum": ["Fast", "Safe"], "default": "Safe"},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "quantity": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"],
                        "x-kubernetes-validations": [{"rule": "self.port >= oldSelf.port", "message": "ports only grow"}],
                        "properties": {"name": {"type": "string"}, "port": {"type": "integer", "default": 80}}}},
                "nullable": {"type": "string", "nullable": true}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}})
}

fn definition(schema: &Value) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"}}}]}})
}

fn widget(minor: u32) -> Arc<Kind> {
    Arc::clone(&Definition::parse(&definition(&schema()), minor).expect("a good definition").versions[0].kind)
}

fn object(spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "n"}, "spec": spec})
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    let mut list: Vec<String> = errors.iter().map(ToString::to_string).collect();
    list.sort();
    list
}

fn create(kind: &Kind, spec: &Value) -> Vec<String> {
    let mut object = decode(kind, object(spec), FieldValidation::Ignore).expect("an object").object;
    defaults::apply(kind, &mut object);
    texts(&validate::create(kind, &object))
}

const UNCHECKED: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

#[test]
fn objects_are_refused_in_the_servers_words() {
    let kind = widget(36);
    let table = [
        (json!({"size": 1}), vec![]),
        (json!({}), vec![UNCHECKED, "spec.size: Required value"]),
        (
            json!({"size": "one"}),
            vec![
                ".spec.size: Invalid value: 0: .spec.size accessor error: one is of the type string, expected int64",
                UNCHECKED,
                "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
            ],
        ),
        (json!({"size": 101}), vec!["spec.size: Invalid value: 101: spec.size in body should be less than or equal to 100"]),
        (
            json!({"size": 1, "mode": "Turbo"}),
            vec![UNCHECKED, "spec.mode: Unsupported value: \"Turbo\": supported values: \"Fast\", \"Safe\""],
        ),
        (json!({"size": 1, "name": "TOOLONGNAME"}), vec![UNCHECKED, "spec.name: Too long: may not be more than 5 bytes"]),
        (json!({"size": 1, "name": "A"}), vec!["spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"]),
        (json!({"size": 5, "max": 3}), vec!["spec: Invalid value: size must not exceed max"]),
        (json!({"size": 1, "tags": ["x", "x"]}), vec!["spec.tags[1]: Duplicate value: \"x\""]),
        (json!({"size": 1, "ports": [{"name": "p"}, {"name": "p"}]}), vec!["spec.ports[1]: Duplicate value: {\"name\":\"p\"}"]),
        (
            json!({"size": -1, "mode": 3, "map": {"k": 1}}),
            vec![
                ".spec.size: Invalid value: -1: should be a non-negative integer",
                UNCHECKED,
                "spec.map.k: Invalid value: \"integer\": spec.map.k in body must be of type string: \"integer\"",
                "spec.mode: Invalid value: \"integer\": spec.mode in body must be of type string: \"integer\"",
                "spec.mode: Unsupported value: 3: supported values: \"Fast\", \"Safe\"",
                "spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0",
            ],
        ),
    ];
    for (spec, wanted) in table {
        assert_eq!(create(&kind, &spec), wanted, "{spec}");
    }
}

#[test]
fn rules_about_change_see_the_old_value() {
    let kind = widget(36);
    let old = object(&json!({"size": 1, "mode": "Safe", "ports": [{"name": "a", "port": 5}, {"name": "b", "port": 9}]}));
    let new = object(&json!({"size": 1, "mode": "Fast", "ports": [{"name": "b", "port": 8}, {"name": "a", "port": 6}]}));
    let wanted = ["spec.mode: Invalid value: mode is immutable", "spec.ports[0]: Invalid value: ports only grow"];
    assert_eq!(texts(&validate::update(&kind, &new, &old)), wanted);
    assert_eq!(texts(&validate::update(&kind, &old, &old)), Vec::<String>::new());
}

#[test]
fn old_servers_check_rules_otherwise_or_not_at_all() {
    assert_eq!(create(&widget(30), &json!({"size": 5, "max": 3})), ["spec: Invalid value: \"object\": size must not exceed max"]);
    assert_eq!(create(&widget(24), &json!({"size": 5, "max": 3})), Vec::<String>::new());
    let (old, new) = (object(&json!({"size": 1, "mode": "Safe"})), object(&json!({"size": 1, "mode": "Fast"})));
    assert_eq!(texts(&validate::update(&widget(25), &new, &old)), ["spec: Invalid value: \"object\": mode is immutable"]);
}

#[test]
fn an_update_is_forgiven_what_it_leaves_as_it_was() {
    let kind = widget(36);
    let old = object(&json!({"size": 101, "mode": "Safe", "name": "TOOLONG"}));
    let mut new = old.clone();
    new["spec"]["map"] = json!({"k": "v"});
    assert_eq!(texts(&validate::update(&kind, &new, &old)), Vec::<String>::new());
    new["spec"]["size"] = json!(102);
    assert_eq!(texts(&validate::update(&kind, &new, &old)).len(), 1);
}

#[test]
fn unknown_fields_are_pruned_and_defaults_filled_in() {
    let kind = widget(36);
    let body =
        object(&json!({"size": 1, "unknown": "x", "free": {"kept": {"deep": 1}}, "ports": [{"name": "p", "junk": 1}], "nullable": null}));
    let mut decoded = decode(&kind, body.clone(), FieldValidation::Warn).unwrap();
    defaults::apply(&kind, &mut decoded.object);
    let wanted = json!({"size": 1, "mode": "Safe", "free": {"kept": {"deep": 1}}, "ports": [{"name": "p", "port": 80}], "nullable": null});
    assert_eq!(decoded.object["spec"], wanted);
    assert_eq!(decoded.warnings, ["unknown field \"spec.ports[0].junk\"", "unknown field \"spec.unknown\""]);
    let refused = decode(&kind, object(&json!({"size": 1, "unknown": "x"})), FieldValidation::Strict).unwrap_err();
    assert_eq!(
        refused.message,
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.unknown\""
    );
}

#[test]
fn bad_definitions_are_refused_where_they_are_bad() {
    let spec = |node: Value| json!({"type": "object", "properties": {"spec": node}});
    let at = "spec.validation.openAPIV3Schema.properties[spec]";
    let table = [
        (
            spec(json!({"type": "object", "properties": {"x": {}}})),
            format!("{at}.properties[x].type: Required value: must not be empty for specified object fields"),
        ),
        (
            spec(json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.nope > 1"}]})),
            format!(
                "{at}.x-kubernetes-validations[0].rule: Invalid value: {{\"Rule\":\"self.nope \\u003e 1\",\"Message\":\"\",\"MessageExpression\":\"\",\
                 \"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}}: compilation failed: ERROR: <input>:1:5: undefined field 'nope'\n \
                 | self.nope > 1\n | ....^"
            ),
        ),
        (
            spec(
                json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}}}}}),
            ),
            format!(
                "{at}.properties[l].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have \
                 a default or be a required property"
            ),
        ),
        (
            spec(json!({"type": "string", "default": 3})),
            format!("{at}.default: Invalid value: \"integer\": default in body must be of type string: \"integer\""),
        ),
    ];
    for (schema, wanted) in table {
        let errors = Definition::parse(&definition(&schema), 36).unwrap_err();
        assert_eq!(texts(&errors), [wanted]);
    }
    let mut misnamed = definition(&schema());
    misnamed["metadata"]["name"] = json!("wrong.name");
    let errors = Definition::parse(&misnamed, 36).unwrap_err();
    assert_eq!(texts(&errors), ["metadata.name: Invalid value: \"wrong.name\": must be spec.names.plural+\".\"+spec.group"]);
}

#[test]
fn rules_select_declared_fields_only() {
    let rule = |rule: &str| {
        let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}], "properties": {"spec": {"type": "object", "properties": {
            "l": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "p": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "q": {"x-kubernetes-int-or-string": true}, "a-b": {"type": "string"}}}}});
        Definition::parse(&definition(&schema), 36).map_err(|e| texts(&e).join(";"))
    };
    for good in [
        "self.metadata.name.size() <= 40",
        "!has(self.spec.l) || self.spec.l.all(i, i.name != '')",
        "!has(self.spec.m) || self.spec.m.all(k, k.startsWith('a'))",
        "!has(self.spec.q) || quantity(string(self.spec.q)).isGreaterThan(quantity('1Gi'))",
        "!has(self.spec.a__dash__b) || self.spec.a__dash__b == 'x'",
        "has(self.spec) == has(oldSelf.spec)",
    ] {
        rule(good).unwrap();
    }
    for (bad, why) in [
        ("self.metadata.labels.size() == 0", "undefined field 'labels'"),
        ("self.spec.l.all(i, i.nope == '')", "undefined field 'nope'"),
        ("self.spec.p.x == 1", "undefined field 'x'"),
        ("other.x == 1", "undeclared reference to 'other'"),
        ("self.spec.l.all(", "compilation failed"),
    ] {
        let error = rule(bad).map(|_| ()).unwrap_err();
        assert!(error.contains(why), "{bad}: {error}");
    }
}

#[test]
fn a_custom_resource_may_have_a_plain_finalizer_and_none_that_is_no_name() {
    let kind = widget(36);
    let held = |finalizer: &str| {
        let mut object = object(&json!({"size": 1, "mode": "Safe"}));
        object["metadata"]["finalizers"] = json!([finalizer]);
        validate::create(&kind, &object).len()
    };
    assert_eq!([held("resources-finalizer.argocd.argoproj.io"), held("example.com/hold")], [0, 0]);
    assert!(held("no name") > 0);
}
