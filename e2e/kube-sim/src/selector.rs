//! Label and field selectors.

mod parse;

use serde_json::Value;

use crate::registry::Resource;
use crate::status::ApiStatus;

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The label is there.
    Exists(String),
    /// The label is not there.
    Missing(String),
    /// The label has one of the values.
    In(String, Vec<String>),
    /// The label is absent or has none of the values.
    NotIn(String, Vec<String>),
    /// The label is a number above.
    Greater(String, i64),
    /// The label is a number below.
    Less(String, i64),
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = |key: &String| labels.get(key).and_then(Value::as_str);
        match self {
            Self::Exists(key) => value(key).is_some(),
            Self::Missing(key) => value(key).is_none(),
            Self::In(key, values) => value(key).is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Self::NotIn(key, values) => value(key).is_none_or(|value| values.iter().all(|wanted| wanted != value)),
            Self::Greater(key, bound) => value(key).and_then(|value| value.parse().ok()).is_some_and(|value: i64| value > *bound),
            Self::Less(key, bound) => value(key).and_then(|value| value.parse().ok()).is_some_and(|value: i64| value < *bound),
        }
    }
}

/// What a list or watch selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Requirement>,
    /// Field, whether it has to be equal, value.
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    /// From the query's `labelSelector` and `fieldSelector`.
    pub fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, ApiStatus> {
        let labels = parse::labels(labels)?;
        let mut selected = Vec::new();
        for term in fields.split(',').filter(|term| !term.is_empty()) {
            let (field, equal, value) = parse::field_term(term)?;
            check_field(resource, &field)?;
            selected.push((field, equal, value));
        }
        Ok(Self { labels, fields: selected })
    }

    /// From a `LabelSelector` object, as budgets and sets have them. An empty one selects everything, an absent one nothing.
    pub fn from_object(selector: &Value) -> Option<Self> {
        let selector = selector.as_object()?;
        let mut labels = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            labels.push(Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or_default().to_owned();
            let values = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
            labels.push(match expression["operator"].as_str() {
                Some("In") => Requirement::In(key, values),
                Some("NotIn") => Requirement::NotIn(key, values),
                Some("Exists") => Requirement::Exists(key),
                _ => Requirement::Missing(key),
            });
        }
        Some(Self { labels, fields: Vec::new() })
    }

    /// Everything is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The object, in the version of the request, is selected.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(|(field, equal, value)| (field_value(object, field) == *value) == *equal)
    }
}

/// Fields that a built-in kind can be selected by, besides name and namespace.
fn selectable(resource: &Resource) -> &'static [&'static str] {
    const POD: &[&str] = &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ];
    const EVENT: &[&str] = &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ];
    const REGARDING: &[&str] = &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ];
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => POD,
        ("", "events") => EVENT,
        ("events.k8s.io", "events") => REGARDING,
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("" | "apps", "replicationcontrollers" | "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    }
}

fn check_field(resource: &Resource, field: &str) -> Result<(), ApiStatus> {
    if field == "metadata.name" || field == "metadata.namespace" {
        return Ok(());
    }
    if let Some(custom) = &resource.custom {
        let known = custom.selectable.iter().any(|path| path.trim_start_matches('.') == field);
        return if known { Ok(()) } else { Err(ApiStatus::bad_request(format!("field label not supported: {field}"))) };
    }
    let fields = selectable(resource);
    if fields.contains(&field) {
        Ok(())
    } else if fields.is_empty() {
        let text = format!("\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
        Err(ApiStatus::bad_request(text))
    } else {
        Err(ApiStatus::bad_request(format!("field label not supported: {field}")))
    }
}

/// The value of a field as text; absent and empty are alike.
fn field_value(object: &Value, path: &str) -> String {
    if path == "source" {
        return object["source"]["component"].as_str().unwrap_or_default().to_owned();
    }
    let mut value = object;
    for part in path.split('.') {
        value = &value[part];
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null => match path {
            "spec.unschedulable" | "spec.hostNetwork" => "false".to_owned(),
            "status.replicas" | "status.successful" => "0".to_owned(),
            _ => String::new(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use serde_json::json;

    fn selected(labels: &str) -> Vec<&'static str> {
        let registry = Registry::builtin(36);
        let resource = registry.by_plural("", "v1", "configmaps").expect("built in");
        let selector = Selector::parse(resource, labels, "").expect("a good selector");
        let objects = [("a", json!({"app": "x", "n": "1"})), ("b", json!({"app": "y", "n": "5"})), ("c", json!({}))];
        objects.into_iter().filter(|(_, labels)| selector.matches(&json!({"metadata": {"labels": labels}}))).map(|(name, _)| name).collect()
    }

    #[test]
    fn label_selectors_select() {
        for (text, wanted) in [
            ("", vec!["a", "b", "c"]),
            ("app", vec!["a", "b"]),
            ("!app", vec!["c"]),
            ("app=x", vec!["a"]),
            ("app==x", vec!["a"]),
            ("app!=x", vec!["b", "c"]),
            ("app in (x, y),n", vec!["a", "b"]),
            ("app notin (x)", vec!["b", "c"]),
            ("n>2", vec!["b"]),
            ("n<2", vec!["a"]),
            ("app=", vec![]),
        ] {
            assert_eq!(selected(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_bad_selector_says_what_was_expected() {
        let registry = Registry::builtin(36);
        let resource = registry.by_plural("", "v1", "configmaps").expect("built in");
        let refused = Selector::parse(resource, "((bad", "").expect_err("not a selector");
        assert_eq!(refused.message, "found '(', expected: !, identifier, or 'end of string'");
    }
}
