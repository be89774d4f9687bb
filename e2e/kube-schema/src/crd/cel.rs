//! Validation rules of schema nodes in the Common Expression Language.
use kube_cel::{CompiledSchema, ErrorKind, Rule, compile_schema};
use serde_json::{Map, Value};

use super::openapi::correlated;
use crate::Kind;
use crate::error::FieldError;
use crate::schema::Schema;

/// First minor version whose rules name a field and a reason of their own.
const FIELD_PATH_SINCE: u32 = 28;
/// First minor version whose messages stand alone, without the type of the value.
const BARE_MESSAGE_SINCE: u32 = 33;

/// The rules of one schema node, compiled.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    /// Compares with the old value.
    is_transition: bool,
    /// The node with this rule alone.
    schema: CompiledSchema,
}

impl Rules {
    /// Compiles the rules of a node; rules that do not compile are left to the validation of the definition.
    pub(crate) fn read(json: &Value) -> Option<Self> {
        let list = json.get("x-kubernetes-validations")?.as_array()?;
        let bare = without_rules(json);
        let rules: Vec<Compiled> = list.iter().filter_map(|rule| Compiled::new(&bare, rule)).collect();
        (!rules.is_empty()).then_some(Self { rules })
    }
}

impl Compiled {
    fn new(bare: &Value, rule: &Value) -> Option<Self> {
        let mut plain = rule.clone();
        // Paths are put together here, not by the evaluator.
        plain.as_object_mut()?.shift_remove("fieldPath");
        let mut node = bare.clone();
        node.as_object_mut()?.insert("x-kubernetes-validations".to_owned(), Value::Array(vec![plain]));
        let schema = compile_schema(&node);
        let is_transition = schema.validations.first()?.as_ref().ok()?.is_transition_rule;
        Some(Self { rule: serde_json::from_value(rule.clone()).ok()?, is_transition, schema })
    }
}

/// A schema as the evaluator needs it to convert values: neither rules, nor defaults, nor prose.
fn without_rules(json: &Value) -> Value {
    const KEYS: &[&str] =
        &["type", "format", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"];
    let mut out = Map::new();
    for (key, value) in json.as_object().into_iter().flatten() {
        let kept = match key.as_str() {
            "properties" => Value::Object(value.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), without_rules(v))).collect()),
            "items" | "additionalProperties" if value.is_object() => without_rules(value),
            "additionalProperties" => value.clone(),
            k if KEYS.contains(&k) => value.clone(),
            _ => continue,
        };
        out.insert(key.clone(), kept);
    }
    Value::Object(out)
}

/// Whether any node below has rules.
pub(super) fn has_rules(schema: &Schema) -> bool {
    schema.checks.as_ref().is_some_and(|c| c.rules.is_some())
        || schema.properties.values().any(|p| has_rules(p))
        || schema.items.as_deref().is_some_and(has_rules)
        || schema.values.as_deref().is_some_and(has_rules)
}

/// What the rules refuse.
pub(super) fn validate(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    Walk { minor: kind.minor, errors: &mut errors }.value(&kind.schema, object, old, "");
    errors
}

struct Walk<'a> {
    minor: u32,
    errors: &'a mut Vec<FieldError>,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: &str) {
        if value.is_null() {
            return;
        }
        if let Some(rules) = schema.checks.as_ref().and_then(|c| c.rules.as_ref()) {
            for rule in &rules.rules {
                self.rule(rule, value, old, path);
            }
        }
        match value {
            Value::Object(map) => {
                for (name, child) in map {
                    let Some(child_schema) = schema.field(name) else { continue };
                    let here = match (path.is_empty(), schema.properties.contains_key(name)) {
                        (true, _) => name.clone(),
                        (false, true) => format!("{path}.{name}"),
                        (false, false) => format!("{path}[{name}]"),
                    };
                    self.value(child_schema, child, old.and_then(|o| o.get(name)), &here);
                }
            }
            Value::Array(list) => {
                if let Some(items) = &schema.items {
                    for (index, item) in list.iter().enumerate() {
                        self.value(items, item, correlated(schema, item, old), &format!("{path}[{index}]"));
                    }
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, rule: &Compiled, value: &Value, old: Option<&Value>, path: &str) {
        // What an update leaves as it was is forgiven, unless the rule is about change.
        if self.minor >= 30 && !rule.is_transition && old == Some(value) {
            return;
        }
        if let Err(found) = kube_cel::validate_compiled(&rule.schema, value, old) {
            for error in found {
                let text = match error.kind {
                    ErrorKind::ValidationFailure => error.message,
                    _ => format!("{} evaluating rule: {}", error.message, rule.rule.message.as_deref().unwrap_or(&rule.rule.rule)),
                };
                self.refuse(rule, &text, value, path);
            }
        }
    }

    fn refuse(&mut self, rule: &Compiled, text: &str, value: &Value, path: &str) {
        let own_path = rule.rule.field_path.as_deref().filter(|_| self.minor >= FIELD_PATH_SINCE);
        let field = match (path.is_empty(), own_path) {
            (true, Some(own)) => own.trim_start_matches('.').to_owned(),
            (true, None) => "<nil>".to_owned(),
            (false, own) => format!("{path}{}", own.unwrap_or_default()),
        };
        let reason = rule.rule.reason.as_deref().filter(|_| self.minor >= FIELD_PATH_SINCE);
        let error = match reason {
            Some("FieldValueForbidden") => FieldError::forbidden(field, text),
            Some("FieldValueRequired") => FieldError::required(field, text),
            Some("FieldValueDuplicate") => {
                let mut error = FieldError::duplicate(field, value);
                error.message = format!("Duplicate value: {text}");
                error
            }
            _ if self.minor >= BARE_MESSAGE_SINCE => FieldError::invalid_text(field, text),
            _ => FieldError::invalid_text(field, &format!("\"{}\": {text}", type_name(value))),
        };
        self.errors.push(error);
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Null => "null",
    }
}
