//! One step of a path, and paths as people read them.
use serde_json::Value;

use crate::schema::{ListType, Schema};

/// One step: `f:name`, `k:{"name":"c"}` or `v:"x"`, spelt as in `fieldsV1`. Ordering and equality are those of the spelling, which is canonical.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element(String);

impl Element {
    /// A field of an object.
    pub fn field(name: &str) -> Self {
        Self(format!("f:{name}"))
    }

    /// An element of a set.
    pub fn value(value: &Value) -> Self {
        Self(format!("v:{value}"))
    }

    /// An element of a list by its keys; defaults of absent keys count. `None` if a key is absent.
    pub fn key(keys: &[String], item_schema: Option<&Schema>, item: &Value) -> Option<Self> {
        let mut pairs = Vec::with_capacity(keys.len());
        for key in keys {
            let default = || item_schema.and_then(|s| s.property(key)).and_then(|p| p.default.as_ref());
            let value = item.get(key).filter(|v| !v.is_null()).or_else(default)?;
            pairs.push((key.as_str(), value));
        }
        pairs.sort_by_key(|(key, _)| *key);
        let body: Vec<String> = pairs.iter().map(|(key, value)| format!("{}:{value}", Value::from(*key))).collect();
        Some(Self(format!("k:{{{}}}", body.join(","))))
    }

    /// The element of a list that `item` is. `None` for atomic lists and items without their keys.
    pub(crate) fn of_item(list: &Schema, item: &Value) -> Option<Self> {
        match &list.list {
            ListType::Atomic => None,
            ListType::Set => Some(Self::value(item)),
            ListType::Map(keys) => Self::key(keys, list.items.as_deref(), item),
        }
    }

    /// Reads the spelling of `fieldsV1`.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The spelling of `fieldsV1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, if this is a field of an object.
    pub fn field_name(&self) -> Option<&str> {
        self.0.strip_prefix("f:")
    }
}

/// A path as error texts have it: `.spec.containers[name="c"].args`.
pub fn print_path(path: &[Element]) -> String {
    path.iter().map(print_element).collect()
}

fn print_element(element: &Element) -> String {
    let text = element.as_str();
    if let Some(name) = text.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = text.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let body = text.strip_prefix("k:").unwrap_or(text);
    match serde_json::from_str::<Value>(body) {
        Ok(Value::Object(keys)) => {
            let pairs: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", pairs.join(","))
        }
        _ => format!("[{body}]"),
    }
}
