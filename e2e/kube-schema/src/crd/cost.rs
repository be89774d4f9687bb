//! What the rules of a definition may cost.
use kube_cel::{compile_schema, estimate_rule_cost};
use serde_json::Value;

/// Warnings of the library's cost estimate, each with the place of its rule. The estimate is coarse, so a definition is not refused for it:
/// it is for the authors of definitions.
pub fn cost_warnings(crd: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for version in crate::value::list(crd, "spec.versions") {
        if let Some(schema) = crate::value::at(version, "schema.openAPIV3Schema") {
            walk(schema, "", &mut out);
        }
    }
    out
}

fn walk(schema: &Value, path: &str, out: &mut Vec<String>) {
    if let Some(rules) = schema.get("x-kubernetes-validations").and_then(Value::as_array) {
        let compiled = compile_schema(schema);
        for rule in rules.iter().filter_map(|r| r.get("rule").and_then(Value::as_str)) {
            let warnings = estimate_rule_cost(rule, &compiled);
            out.extend(warnings.into_iter().map(|w| format!("{path}: {rule}: {}", w.message)));
        }
    }
    for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(child, &format!("{path}.{name}"), out);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(child) = schema.get(key).filter(|c| c.is_object()) {
            walk(child, &format!("{path}{mark}"), out);
        }
    }
}
