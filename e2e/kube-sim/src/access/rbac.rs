//! Role-based access control over the stored roles and bindings.

use serde_json::Value;

use super::{Attributes, User};
use crate::store::{Store, text};

/// The store's collections of roles and bindings.
pub const ROLES: &str = "roles.rbac.authorization.k8s.io";
/// Cluster roles.
pub const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// Why a request is allowed, or `None` when it is not.
pub fn allows(store: &Store, user: &User, wanted: &Attributes) -> Option<String> {
    if user.is_unbound() {
        return Some(String::new());
    }
    for (rules, reason) in grants(store, user, &wanted.namespace) {
        if rules.is_some_and(|rules| rules.iter().any(|rule| rule_allows(rule, wanted))) {
            return Some(reason());
        }
    }
    None
}

/// All rules that hold for a user in a namespace.
pub fn rules_of<'a>(store: &'a Store, user: &'a User, namespace: &'a str) -> Vec<&'a Value> {
    grants(store, user, namespace).filter_map(|(rules, _)| rules).flatten().collect()
}

type Grant<'a> = (Option<&'a Vec<Value>>, Box<dyn FnOnce() -> String + 'a>);

fn grants<'a>(store: &'a Store, user: &'a User, namespace: &'a str) -> impl Iterator<Item = Grant<'a>> {
    let in_cluster = store.list(CLUSTER_BINDINGS, None);
    let in_namespace = store.list(BINDINGS, Some(namespace)).filter(move |_| !namespace.is_empty());
    in_cluster.chain(in_namespace).filter_map(move |binding| {
        let subject = binding["subjects"].as_array()?.iter().find(|subject| applies(subject, user, text(binding, "namespace")))?;
        let reason = Box::new(move || explain(binding, subject));
        Some((role_of(store, binding).and_then(|role| role["rules"].as_array()), reason as Box<dyn FnOnce() -> String>))
    })
}

fn role_of<'a>(store: &'a Store, binding: &Value) -> Option<&'a Value> {
    let name = binding["roleRef"]["name"].as_str()?;
    let role = match binding["roleRef"]["kind"].as_str()? {
        "ClusterRole" => store.get(CLUSTER_ROLES, "", name),
        _ => store.get(ROLES, text(binding, "namespace"), name),
    };
    role.map(|role| &**role)
}

fn explain(binding: &Value, subject: &Value) -> String {
    let kind = binding["kind"].as_str().unwrap_or_default();
    let role = &binding["roleRef"];
    let full = |name: &str, namespace: &str| if namespace.is_empty() { name.to_owned() } else { format!("{name}/{namespace}") };
    format!(
        "RBAC: allowed by {kind} \"{}\" of {} \"{}\" to {} \"{}\"",
        full(text(binding, "name"), text(binding, "namespace")),
        role["kind"].as_str().unwrap_or_default(),
        role["name"].as_str().unwrap_or_default(),
        subject["kind"].as_str().unwrap_or_default(),
        full(subject["name"].as_str().unwrap_or_default(), subject["namespace"].as_str().unwrap_or_default()),
    )
}

fn applies(subject: &Value, user: &User, binding_namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => name == user.name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or(binding_namespace);
            user.as_service_account() == Some((namespace, name))
        }
        _ => false,
    }
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    rule[field].as_array().is_some_and(|values| values.iter().any(|value| value == wanted || value == "*"))
}

/// One rule allows the request.
pub fn rule_allows(rule: &Value, wanted: &Attributes) -> bool {
    if !has(rule, "verbs", &wanted.verb) {
        return false;
    }
    if wanted.resource.is_empty() {
        return rule["nonResourceURLs"].as_array().is_some_and(|urls| {
            urls.iter().filter_map(Value::as_str).any(|url| match url.strip_suffix('*') {
                Some(prefix) => wanted.path.starts_with(prefix),
                None => wanted.path == url,
            })
        });
    }
    has(rule, "apiGroups", &wanted.group) && resource_matches(rule, wanted) && name_matches(rule, wanted)
}

fn resource_matches(rule: &Value, wanted: &Attributes) -> bool {
    let path = wanted.resource_path();
    rule["resources"].as_array().is_some_and(|resources| {
        resources.iter().filter_map(Value::as_str).any(|resource| {
            resource == "*"
                || resource == path
                || (!wanted.subresource.is_empty() && resource.strip_prefix("*/") == Some(wanted.subresource.as_str()))
        })
    })
}

fn name_matches(rule: &Value, wanted: &Attributes) -> bool {
    match rule["resourceNames"].as_array() {
        Some(names) if !names.is_empty() => names.iter().any(|name| name == &wanted.name),
        _ => true,
    }
}

/// The rules that an aggregated cluster role should have, if it aggregates at all.
pub fn aggregated_rules(store: &Store, role: &Value) -> Option<Vec<Value>> {
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors.iter().filter_map(crate::selector::Selector::from_object) {
        for other in store.list(CLUSTER_ROLES, None) {
            if text(other, "name") != text(role, "name") && selector.matches(other) {
                for rule in other["rules"].as_array().into_iter().flatten() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted(verb: &str, resource: &str, subresource: &str, name: &str) -> Attributes {
        Attributes {
            verb: verb.into(),
            group: "apps".into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: "n".into(),
            name: name.into(),
            path: String::new(),
        }
    }

    #[test]
    fn rules_match_resources_subresources_and_names() {
        let scale = json!({"apiGroups": ["apps"], "resources": ["statefulsets/scale"], "verbs": ["*"]});
        assert!(rule_allows(&scale, &wanted("get", "statefulsets", "scale", "s")));
        assert!(!rule_allows(&scale, &wanted("get", "statefulsets", "", "s")));
        let any_scale = json!({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["get"]});
        assert!(rule_allows(&any_scale, &wanted("get", "deployments", "scale", "s")));
        let named = json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["only"], "verbs": ["get"]});
        assert!(rule_allows(&named, &wanted("get", "deployments", "", "only")));
        assert!(!rule_allows(&named, &wanted("get", "deployments", "", "other")));
        assert!(!rule_allows(&named, &wanted("get", "deployments", "", "")));
    }

    #[test]
    fn paths_match_with_a_trailing_star() {
        let rule = json!({"nonResourceURLs": ["/healthz", "/metrics*"], "verbs": ["get"]});
        let path = |path: &str| Attributes { verb: "get".into(), path: path.into(), ..Attributes::default() };
        assert!(rule_allows(&rule, &path("/healthz")));
        assert!(rule_allows(&rule, &path("/metrics/cadvisor")));
        assert!(!rule_allows(&rule, &path("/healthz/etcd")));
    }
}
