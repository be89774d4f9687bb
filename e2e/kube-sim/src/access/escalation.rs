//! Nobody grants more than they hold, unless they may `escalate` or `bind`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Attributes, User, rbac};
use crate::registry::Resource;
use crate::status::ApiStatus;
use crate::store::{Store, text};

/// Refuses a role or binding that grants what the user does not hold.
pub fn check(store: &Store, user: &User, resource: &Resource, object: &Value) -> Result<(), ApiStatus> {
    if user.is_unbound() || &*resource.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let namespace = text(object, "namespace");
    let ask = |verb: &str, plural: &str, name: &str| Attributes {
        verb: verb.to_owned(),
        group: resource.group.to_string(),
        resource: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    let rules = match &*resource.plural {
        "roles" | "clusterroles" => {
            if rbac::allows(store, user, &ask("escalate", &resource.plural, text(object, "name"))).is_some() {
                return Ok(());
            }
            object["rules"].as_array().cloned().unwrap_or_default()
        }
        _ => {
            let name = object["roleRef"]["name"].as_str().unwrap_or_default();
            let cluster = object["roleRef"]["kind"] == "ClusterRole";
            let plural = if cluster { "clusterroles" } else { "roles" };
            if rbac::allows(store, user, &ask("bind", plural, name)).is_some() {
                return Ok(());
            }
            let role = if cluster { store.get(rbac::CLUSTER_ROLES, "", name) } else { store.get(rbac::ROLES, namespace, name) };
            let Some(role) = role else {
                let text = format!("{plural}.rbac.authorization.k8s.io \"{name}\" not found");
                return Err(ApiStatus::new(404, "NotFound", text));
            };
            role["rules"].as_array().cloned().unwrap_or_default()
        }
    };
    let held = rbac::rules_of(store, user, namespace);
    let missing = missing(&rules, &held);
    if missing.is_empty() {
        return Ok(());
    }
    let groups = user.groups.iter().map(|group| format!("\"{group}\"")).collect::<Vec<_>>().join(" ");
    let text = format!(
        "user \"{}\" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        missing.join("\n")
    );
    Err(ApiStatus::forbidden(resource, crate::store::text(object, "name"), &text))
}

/// What of `wanted` no rule of `held` covers, as the server prints it.
fn missing(wanted: &[Value], held: &[&Value]) -> Vec<String> {
    let mut found: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
    for rule in wanted {
        for verb in texts(rule, "verbs") {
            for url in texts(rule, "nonResourceURLs") {
                let attributes = Attributes { verb: verb.clone(), path: url.clone(), ..Attributes::default() };
                if !held.iter().any(|rule| rbac::rule_allows(rule, &attributes)) {
                    found.entry((String::new(), url, String::new())).or_default().push(verb.clone());
                }
            }
            for single in singles(rule, &verb) {
                if !held.iter().any(|rule| rbac::rule_allows(rule, &single)) {
                    found.entry((single.group.clone(), single.resource_path(), single.name.clone())).or_default().push(verb.clone());
                }
            }
        }
    }
    found.into_iter().map(|((group, resource, name), verbs)| print(&group, &resource, &name, &verbs)).collect()
}

fn print(group: &str, resource: &str, name: &str, verbs: &[String]) -> String {
    let verbs = verbs.iter().map(|verb| format!("\"{verb}\"")).collect::<Vec<_>>().join(" ");
    if resource.starts_with('/') {
        return format!("{{NonResourceURLs:[\"{resource}\"], Verbs:[{verbs}]}}");
    }
    let names = if name.is_empty() { String::new() } else { format!(", ResourceNames:[\"{name}\"]") };
    format!("{{APIGroups:[\"{group}\"], Resources:[\"{resource}\"]{names}, Verbs:[{verbs}]}}")
}

fn singles(rule: &Value, verb: &str) -> Vec<Attributes> {
    let mut names = texts(rule, "resourceNames");
    if names.is_empty() {
        names.push(String::new());
    }
    let mut found = Vec::new();
    for group in texts(rule, "apiGroups") {
        for resource in texts(rule, "resources") {
            let (plural, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
            for name in &names {
                found.push(Attributes {
                    verb: verb.to_owned(),
                    group: group.clone(),
                    resource: plural.to_owned(),
                    subresource: subresource.to_owned(),
                    name: name.clone(),
                    ..Attributes::default()
                });
            }
        }
    }
    found
}

fn texts(rule: &Value, field: &str) -> Vec<String> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_held_is_listed_by_resource() {
        let wanted = [json!({"apiGroups": [""], "resources": ["pods", "endpoints"], "verbs": ["get", "list"]})];
        let held = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]});
        assert_eq!(missing(&wanted, &[&held]), [r#"{APIGroups:[""], Resources:["endpoints"], Verbs:["get" "list"]}"#]);
        assert!(missing(&wanted, &[&json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})]).is_empty());
    }
}
