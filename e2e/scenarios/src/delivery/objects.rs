//! Rendered objects, found by kind and name.

use std::collections::BTreeMap;

use serde_json::Value;

/// Kinds that have no namespace, of those that are delivered.
const CLUSTER_WIDE: [&str; 4] = ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace"];
/// What Helm adds and others do not.
const HELMS_LABELS: [&str; 3] = ["helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"];
const HELMS_ANNOTATION: &str = "helm.sh/resource-policy";

/// Objects by kind, namespace and name: `Deployment doris-operator/x`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects(pub BTreeMap<String, Value>);

impl Objects {
    /// Reads what a tool rendered. An object that is there twice is an error of what rendered it.
    pub fn read(text: &str) -> Self {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
        let mut objects = BTreeMap::new();
        for object in documents.into_iter().filter(|document| !document.is_null()) {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let name = format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
            assert!(objects.insert(name.clone(), object).is_none(), "{name} is there twice");
        }
        Self(objects)
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Those of one kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.values().filter(move |object| object["kind"] == kind)
    }

    /// Names of those that belong to no namespace.
    pub fn cluster_wide(&self) -> Vec<&str> {
        self.0.iter().filter(|(_, object)| CLUSTER_WIDE.iter().any(|kind| object["kind"] == *kind)).map(|(name, _)| name.as_str()).collect()
    }

    /// The same without what only Helm writes.
    #[must_use]
    pub fn without_helm(mut self) -> Self {
        for object in self.0.values_mut() {
            let metadata = &mut object["metadata"];
            if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
                labels.retain(|name, _| !HELMS_LABELS.contains(&name.as_str()));
            }
            let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { continue };
            annotations.remove(HELMS_ANNOTATION);
            if annotations.is_empty() {
                metadata.as_object_mut().map(|metadata| metadata.remove("annotations"));
            }
        }
        self
    }
}

/// Where two documents first differ, and how; `None` if they do not.
pub fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let extra = other.keys().find(|key| !one.contains_key(*key));
            let below = one.iter().find_map(|(key, value)| {
                let path = format!("{path}.{key}");
                other.get(key).map_or_else(|| Some(format!("{path} is only in one: {value}")), |other| difference(&path, value, other))
            });
            below.or_else(|| extra.map(|key| format!("{path}.{key} is only in the other: {}", other[key])))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().find_map(|(index, (one, other))| difference(&format!("{path}[{index}]"), one, other))
        }
        // YAML has one kind of number.
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => None,
        _ if one == other => None,
        _ => Some(format!("{path}: {one} and {other}")),
    }
}
