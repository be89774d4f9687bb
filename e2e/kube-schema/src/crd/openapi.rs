//! Validation of a custom resource against its schema, with the server's texts.
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{cel, scale};
use crate::Kind;
use crate::error::{FieldError, Reason};
use crate::fields::Element;
use crate::schema::{ListType, Schema, Type};

/// First minor version that forgives what an update leaves as it was.
const RATCHETING_SINCE: u32 = 30;
/// First minor version with rules in the Common Expression Language.
const CEL_SINCE: u32 = 25;

/// What is wrong with a custom resource; `old` for an update.
pub(crate) fn validate_object(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let ratchet = kind.minor >= RATCHETING_SINCE;
    let mut walk = Walk { ratchet, is_update: old.is_some() && ratchet, errors: Vec::new(), duplicates: Vec::new() };
    walk.fields(&kind.schema, object, old, "", true);
    let mut errors = walk.errors;
    errors.extend(walk.duplicates);
    errors.extend(scale::validate(kind, object));
    if kind.minor >= CEL_SINCE && cel::has_rules(&kind.schema) {
        if errors.iter().any(is_blocking) {
            let detail = "null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.push(FieldError::invalid_text("<nil>", detail));
        } else {
            errors.extend(cel::validate(kind, object, old));
        }
    }
    errors
}

/// What is wrong with a value, the rules in the Common Expression Language apart.
pub(super) fn validate_value(schema: &Schema, value: &Value) -> Vec<FieldError> {
    let mut walk = Walk { ratchet: false, is_update: false, errors: Vec::new(), duplicates: Vec::new() };
    walk.value(schema, value, None, "");
    walk.errors.extend(walk.duplicates);
    walk.errors
}

fn is_blocking(error: &FieldError) -> bool {
    matches!(error.reason, Reason::NotSupported | Reason::Required | Reason::TooLong | Reason::TooMany | Reason::TypeInvalid)
}

/// The element of the old list that an element of the new one continues.
pub(super) fn correlated<'a>(schema: &Schema, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let ListType::Map(_) = &schema.list else { return None };
    let wanted = Element::of_item(schema, item)?;
    old?.as_array()?.iter().find(|o| Element::of_item(schema, o).as_ref() == Some(&wanted))
}

struct Walk {
    ratchet: bool,
    is_update: bool,
    errors: Vec<FieldError>,
    /// Repeated elements are reported after everything else.
    duplicates: Vec<FieldError>,
}

impl Walk {
    fn value(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: &str) {
        if self.ratchet && old == Some(value) {
            return;
        }
        if value.is_null() && schema.nullable {
            return;
        }
        let fits = self.kind(schema, value, path);
        self.allowed(schema, value, path);
        if !fits {
            return;
        }
        self.bounds(schema, value, path);
        match value {
            Value::Object(_) => self.fields(schema, value, old, path, schema.embedded),
            Value::Array(list) => self.items(schema, list, old, path),
            _ => {}
        }
    }

    fn kind(&mut self, schema: &Schema, value: &Value, path: &str) -> bool {
        let wanted = match (schema.kind, value) {
            (Type::Any, _) if !value.is_null() => return true,
            (Type::Object, Value::Object(_))
            | (Type::Array, Value::Array(_))
            | (Type::Boolean, Value::Bool(_))
            | (Type::Number, Value::Number(_))
            | (Type::IntOrString | Type::Quantity, Value::String(_) | Value::Number(_)) => return true,
            (Type::String, Value::String(text)) => return self.format(schema, text, path),
            (Type::Integer, Value::Number(n)) if n.as_i64().is_some() || n.as_f64().is_some_and(|f| f.fract() == 0.0) => return true,
            (Type::Object, _) => "object",
            (Type::Array, _) => "array",
            (Type::Boolean, _) => "boolean",
            (Type::Number, _) => "number",
            (Type::String, _) => "string",
            (Type::Integer, _) => "integer",
            (Type::Any | Type::IntOrString | Type::Quantity, _) => "integer,string",
        };
        let found = json_type(value);
        let detail = format!("{} in body must be of type {wanted}: \"{found}\"", self.shown(path));
        self.errors.push(FieldError::type_invalid(path, found, &detail));
        false
    }

    /// A type error of an update names the field alone.
    fn shown<'a>(&self, path: &'a str) -> &'a str {
        if self.is_update { path.rsplit('.').next().unwrap_or(path) } else { path }
    }

    fn format(&mut self, schema: &Schema, text: &str, path: &str) -> bool {
        let valid = match schema.format.as_str() {
            "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
            "date" => text.parse::<jiff::civil::Date>().is_ok(),
            "byte" => text.len().is_multiple_of(4),
            "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
            "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
            "uuid" => text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]),
            _ => true,
        };
        if !valid {
            let detail = format!("{path} in body must be of type {}: \"{text}\"", schema.format);
            self.errors.push(FieldError::type_invalid(path, text, &detail));
        }
        valid
    }

    fn allowed(&mut self, schema: &Schema, value: &Value, path: &str) {
        if schema.allowed.is_empty() || schema.allowed.contains(value) {
            return;
        }
        let printed: Vec<String> = schema.allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        let refs: Vec<&str> = printed.iter().map(String::as_str).collect();
        self.errors.push(FieldError::not_supported(path, value, &refs));
    }

    fn invalid(&mut self, value: &Value, path: &str, detail: &str) {
        let detail = format!("{path} in body {detail}");
        self.errors.push(FieldError::invalid(path, value, &detail));
    }

    fn bounds(&mut self, schema: &Schema, value: &Value, path: &str) {
        let Some(checks) = schema.checks.clone() else { return };
        match value {
            Value::Number(number) => self.number(&checks, value, number.as_f64().unwrap_or(0.0), path),
            Value::String(text) => self.text(&checks, value, text, path),
            Value::Array(list) => self.size(checks.min_items, checks.max_items, list.len(), "items", path),
            Value::Object(map) => self.size(checks.min_properties, checks.max_properties, map.len(), "properties", path),
            _ => {}
        }
        self.alternatives(&checks, value, path);
    }

    fn number(&mut self, checks: &super::Checks, value: &Value, number: f64, path: &str) {
        if let Some(max) = checks.maximum {
            if number > max {
                self.invalid(value, path, &format!("should be less than or equal to {max}"));
            } else if checks.exclusive_maximum && number >= max {
                self.invalid(value, path, &format!("should be less than {max}"));
            }
        }
        if let Some(min) = checks.minimum {
            if number < min {
                self.invalid(value, path, &format!("should be greater than or equal to {min}"));
            } else if checks.exclusive_minimum && number <= min {
                self.invalid(value, path, &format!("should be greater than {min}"));
            }
        }
        if let Some(step) = checks.multiple_of.filter(|step| *step != 0.0)
            && (number / step).fract() != 0.0
        {
            self.invalid(value, path, &format!("should be a multiple of {step}"));
        }
    }

    /// Of several things wrong with a text the first is reported.
    fn text(&mut self, checks: &super::Checks, value: &Value, text: &str, path: &str) {
        let length = text.chars().count();
        if let Some(max) = checks.max_length.filter(|max| length > *max) {
            self.errors.push(FieldError::too_long(path, max));
        } else if let Some(min) = checks.min_length.filter(|min| length < *min) {
            self.invalid(value, path, &format!("should be at least {min} chars long"));
        } else if let Some(pattern) = checks.pattern.as_ref().filter(|p| !p.is_match(text)) {
            self.invalid(value, path, &format!("should match '{}'", pattern.as_str()));
        }
    }

    fn size(&mut self, min: Option<usize>, max: Option<usize>, found: usize, what: &str, path: &str) {
        if let Some(max) = max.filter(|max| found > *max) {
            self.errors.push(FieldError::too_many(path, found, max));
        }
        if let Some(min) = min.filter(|min| found < *min) {
            self.invalid(&json!(found), path, &format!("should have at least {min} {what}"));
        }
    }

    fn alternatives(&mut self, checks: &super::Checks, value: &Value, path: &str) {
        let fits = |schema: &Schema| {
            let mut probe = Walk { ratchet: false, is_update: false, errors: Vec::new(), duplicates: Vec::new() };
            probe.value(schema, value, None, path);
            probe.errors.is_empty()
        };
        let count = |list: &[std::sync::Arc<Schema>]| list.iter().filter(|s| fits(s)).count();
        let mut problems = Vec::new();
        if !checks.any_of.is_empty() && count(&checks.any_of) == 0 {
            problems.push("must validate at least one schema (anyOf)".to_owned());
        }
        if !checks.one_of.is_empty() {
            match count(&checks.one_of) {
                1 => {}
                0 => problems.push("must validate one and only one schema (oneOf). Found none valid".to_owned()),
                n => problems.push(format!("must validate one and only one schema (oneOf). Found {n} valid alternatives")),
            }
        }
        if count(&checks.all_of) < checks.all_of.len() {
            problems.push("must validate all the schemas (allOf)".to_owned());
        }
        if checks.not.as_deref().is_some_and(fits) {
            problems.push("must not validate the schema (not)".to_owned());
        }
        for problem in problems {
            self.errors.push(FieldError::invalid(path, &json!(""), &format!("\"{path}\" {problem}")));
        }
    }

    fn fields(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: &str, is_object: bool) {
        let Some(map) = value.as_object() else { return };
        let here = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for name in schema.required.iter() {
            let nullable = schema.property(name).is_some_and(|p| p.nullable);
            if map.get(name).is_none_or(|v| v.is_null() && !nullable) {
                self.errors.push(FieldError::required(here(name), ""));
            }
        }
        for (name, child) in map {
            if is_object && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                continue;
            }
            let Some(child_schema) = schema.field(name) else { continue };
            if child.is_null() && schema.required.contains(name) {
                continue;
            }
            self.value(child_schema, child, old.and_then(|o| o.get(name)), &here(name));
        }
    }

    fn items(&mut self, schema: &Schema, list: &[Value], old: Option<&Value>, path: &str) {
        let mut seen = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let here = format!("{path}[{index}]");
            if let Some(element) = Element::of_item(schema, item)
                && !seen.insert(element)
            {
                self.duplicates.push(FieldError::duplicate(here.clone(), &key_of(schema, item)));
            }
            if let Some(items) = &schema.items {
                self.value(items, item, correlated(schema, item, old), &here);
            }
        }
    }
}

fn key_of(schema: &Schema, item: &Value) -> Value {
    match &schema.list {
        ListType::Map(keys) => Value::Object(keys.iter().filter_map(|k| Some((k.clone(), item.get(k)?.clone()))).collect()),
        _ => item.clone(),
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
