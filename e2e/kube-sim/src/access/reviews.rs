//! Reviews: questions about access that are answered and not stored.

use serde_json::{Value, json};

use super::{Attributes, User, rbac};
use crate::status::{ApiStatus, Cause};
use crate::store::Store;

/// Answers a review of the given kind, or `None` when it is none.
pub fn answer(store: &Store, user: &User, kind: &str, namespace: &str, mut review: Value) -> Option<Result<Value, ApiStatus>> {
    let status = match kind {
        "SelfSubjectAccessReview" => access(store, user, &review["spec"]),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            if kind == "LocalSubjectAccessReview" && review["spec"]["resourceAttributes"]["namespace"].as_str() != Some(namespace) {
                let cause = Cause::new(
                    "FieldValueInvalid",
                    "spec.resourceAttributes.namespace",
                    format!("Invalid value: \"\": must match metadata.namespace: {namespace}"),
                );
                return Some(Err(ApiStatus::invalid("authorization.k8s.io", kind, "", vec![cause])));
            }
            access(store, &subject(&review["spec"]), &review["spec"])
        }
        "SelfSubjectRulesReview" => rules(store, user, review["spec"]["namespace"].as_str().unwrap_or_default()),
        "SelfSubjectReview" => json!({"userInfo": {"username": user.name, "groups": user.groups}}),
        _ => return None,
    };
    review["status"] = status;
    if review["metadata"].is_null() {
        review["metadata"] = json!({});
    }
    Some(Ok(review))
}

fn subject(spec: &Value) -> User {
    let groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    User { name: spec["user"].as_str().unwrap_or_default().to_owned(), groups }
}

fn access(store: &Store, user: &User, spec: &Value) -> Value {
    let word = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let wanted = if resource.is_object() {
        Attributes {
            verb: word(resource, "verb"),
            group: word(resource, "group"),
            resource: word(resource, "resource"),
            subresource: word(resource, "subresource"),
            namespace: word(resource, "namespace"),
            name: word(resource, "name"),
            path: String::new(),
        }
    } else {
        Attributes { verb: word(path, "verb"), path: word(path, "path"), ..Attributes::default() }
    };
    match rbac::allows(store, user, &wanted) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    }
}

fn rules(store: &Store, user: &User, namespace: &str) -> Value {
    let everything = [json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), json!({"verbs": ["*"], "nonResourceURLs": ["*"]})];
    let held: Vec<&Value> = if user.is_unbound() { everything.iter().collect() } else { rbac::rules_of(store, user, namespace) };
    let (paths, resources): (Vec<&Value>, Vec<&Value>) = held.into_iter().partition(|rule| rule["nonResourceURLs"].is_array());
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}
