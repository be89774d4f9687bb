//! Bounds, patterns, alternatives and rules of one schema node.
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::Rules;
use crate::schema::Schema;

/// What a custom resource's schema demands of a value beyond its type.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Checks {
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
    pub exclusive_minimum: bool,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<f64>,
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub min_items: Option<usize>,
    pub max_items: Option<usize>,
    pub min_properties: Option<usize>,
    pub max_properties: Option<usize>,
    pub pattern: Option<Regex>,
    pub all_of: Vec<Arc<Schema>>,
    pub any_of: Vec<Arc<Schema>>,
    pub one_of: Vec<Arc<Schema>>,
    pub not: Option<Arc<Schema>>,
    /// Rules in the Common Expression Language.
    pub rules: Option<Rules>,
}

impl Checks {
    /// Reads a schema node; `None` when it demands nothing.
    pub(crate) fn read(json: &Value, build: fn(&Value) -> Schema) -> Option<Arc<Self>> {
        const KEYS: &[&str] = &[
            "minimum",
            "maximum",
            "multipleOf",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minProperties",
            "maxProperties",
            "pattern",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "x-kubernetes-validations",
        ];
        if !KEYS.iter().any(|k| json.get(*k).is_some()) {
            return None;
        }
        let number = |key: &str| json.get(key).and_then(Value::as_f64);
        let size = |key: &str| json.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let flag = |key: &str| json.get(key).and_then(Value::as_bool).unwrap_or(false);
        let many = |key: &str| -> Vec<Arc<Schema>> {
            json.get(key).and_then(Value::as_array).into_iter().flatten().map(|s| Arc::new(build(s))).collect()
        };
        Some(Arc::new(Self {
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            min_length: size("minLength"),
            max_length: size("maxLength"),
            min_items: size("minItems"),
            max_items: size("maxItems"),
            min_properties: size("minProperties"),
            max_properties: size("maxProperties"),
            pattern: json.get("pattern").and_then(Value::as_str).and_then(|p| Regex::new(p).ok()),
            all_of: many("allOf"),
            any_of: many("anyOf"),
            one_of: many("oneOf"),
            not: json.get("not").map(|s| Arc::new(build(s))),
            rules: Rules::read(json),
        }))
    }
}
