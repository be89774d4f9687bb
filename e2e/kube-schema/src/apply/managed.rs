//! The `managedFields` of an object.
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::fields::Set;

/// Who manages: an applier by name and subresource, an updater by API version too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    /// `Apply` sorts before `Update`, as the server lists them.
    pub operation: &'static str,
    pub name: String,
    pub api_version: String,
    pub subresource: String,
}

impl Manager {
    pub(super) fn applier(name: &str, subresource: &str) -> Self {
        Self { operation: "Apply", name: name.to_owned(), api_version: String::new(), subresource: subresource.to_owned() }
    }

    pub(super) fn updater(name: &str, api_version: &str, subresource: &str) -> Self {
        Self { operation: "Update", name: name.to_owned(), api_version: api_version.to_owned(), subresource: subresource.to_owned() }
    }
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub fields: Set,
    pub api_version: String,
    pub time: String,
}

/// All managers of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Managed(pub BTreeMap<Manager, Entry>);

impl Managed {
    pub(super) fn read(object: &Value) -> Self {
        let mut out = BTreeMap::new();
        for entry in crate::value::list(object, "metadata.managedFields") {
            let text = |key: &str| crate::value::text(entry, key);
            let manager = if text("operation") == "Apply" {
                Manager::applier(text("manager"), text("subresource"))
            } else {
                Manager::updater(text("manager"), text("apiVersion"), text("subresource"))
            };
            let fields = entry.get("fieldsV1").map(Set::from_json).unwrap_or_default();
            let (api_version, time) = (text("apiVersion").to_owned(), text("time").to_owned());
            out.insert(manager, Entry { fields, api_version, time });
        }
        Self(out)
    }

    pub(super) fn write(self, object: &mut Value) {
        let mut entries: Vec<(Manager, Entry)> = self.0.into_iter().filter(|(_, e)| !e.fields.is_empty()).collect();
        entries.sort_by(|(a, x), (b, y)| (a.operation, &x.time, a).cmp(&(b.operation, &y.time, b)));
        let Some(meta) = crate::value::child(object, "metadata").and_then(Value::as_object_mut) else { return };
        if entries.is_empty() {
            meta.shift_remove("managedFields");
            return;
        }
        let list = entries.into_iter().map(|(manager, entry)| to_json(&manager, &entry)).collect();
        meta.insert("managedFields".to_owned(), Value::Array(list));
    }

    pub(super) fn owned_by(&self, name: &str) -> Set {
        let own = self.0.iter().filter(|(m, _)| m.name == name);
        own.fold(Set::default(), |set, (_, entry)| set.union(&entry.fields))
    }
}

fn to_json(manager: &Manager, entry: &Entry) -> Value {
    let mut out = Map::new();
    out.insert("manager".into(), json!(manager.name));
    out.insert("operation".into(), json!(manager.operation));
    out.insert("apiVersion".into(), json!(entry.api_version));
    out.insert("time".into(), json!(entry.time));
    out.insert("fieldsType".into(), json!("FieldsV1"));
    out.insert("fieldsV1".into(), entry.fields.to_json());
    if !manager.subresource.is_empty() {
        out.insert("subresource".into(), json!(manager.subresource));
    }
    Value::Object(out)
}

/// Whether two objects are the same but for times of managers and the resourceVersion.
pub(super) fn is_unchanged(a: &Value, b: &Value) -> bool {
    let (Some(x), Some(y)) = (a.as_object(), b.as_object()) else { return a == b };
    x.len() == y.len()
        && x.iter().all(|(key, value)| match (key.as_str(), y.get(key)) {
            ("metadata", Some(other)) => same_metadata(value, other),
            (_, Some(other)) => value == other,
            (_, None) => false,
        })
}

fn same_metadata(a: &Value, b: &Value) -> bool {
    let (Some(x), Some(y)) = (a.as_object(), b.as_object()) else { return a == b };
    let keys = |m: &Map<String, Value>| m.keys().filter(|k| *k != "resourceVersion").count();
    keys(x) == keys(y)
        && x.iter().filter(|(k, _)| *k != "resourceVersion").all(|(key, value)| match (key.as_str(), y.get(key)) {
            ("managedFields", Some(other)) => same_managers(value, other),
            (_, Some(other)) => value == other,
            (_, None) => false,
        })
}

fn same_managers(a: &Value, b: &Value) -> bool {
    let strip = |list: &Value| -> Vec<Value> {
        let entries = list.as_array().cloned().unwrap_or_default().into_iter();
        let mut out: Vec<Value> = entries
            .map(|mut e| {
                if let Value::Object(map) = &mut e {
                    map.shift_remove("time");
                }
                e
            })
            .collect();
        out.sort_by_cached_key(Value::to_string);
        out
    };
    a == b || strip(a) == strip(b)
}
