//! Validation rules of schema nodes in the Common Expression Language.
use std::fmt;
use std::sync::Arc;

use kube_cel::Rule;
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

use super::cel_values::{compile, convert, with_functions};
use super::openapi::correlated;
use crate::Kind;
use crate::error::FieldError;
use crate::schema::Schema;

/// First minor version whose rules name a field and a reason of their own.
const FIELD_PATH_SINCE: u32 = 28;
/// First minor version that forgives what an update leaves as it was.
const RATCHETING_SINCE: u32 = 30;
/// First minor version whose messages stand alone, without the type of the value.
const BARE_MESSAGE_SINCE: u32 = 33;

/// The rules of one schema node, compiled.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Compiled>,
}

struct Compiled {
    rule: Rule,
    program: Arc<Program>,
    message: Option<Arc<Program>>,
    /// Compares with the old value.
    is_transition: bool,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule.rule)
    }
}

impl Rules {
    /// Compiles the rules of a node; rules that do not compile are left to the validation of the definition.
    pub(crate) fn read(json: &Value) -> Option<Self> {
        let list = json.get("x-kubernetes-validations")?.as_array()?;
        let rules: Vec<Compiled> = list.iter().filter_map(Compiled::new).collect();
        (!rules.is_empty()).then_some(Self { rules })
    }
}

impl Compiled {
    fn new(rule: &Value) -> Option<Self> {
        let rule: Rule = serde_json::from_value(rule.clone()).ok()?;
        let program = compile(&rule.rule).ok()?;
        let message = rule.message_expression.as_deref().and_then(|m| compile(m).ok());
        let is_transition = program.references().has_variable("oldSelf");
        Some(Self { rule, program, message, is_transition })
    }

    /// The text of the refusal, if the rule refuses.
    fn refusal(&self, scope: &Context<'_>) -> Option<String> {
        let shown = || self.rule.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.rule.rule));
        match self.program.execute(scope) {
            Ok(Cel::Bool(true)) => None,
            Ok(Cel::Bool(false)) => match self.message.as_ref().map(|m| m.execute(scope)) {
                Some(Ok(Cel::String(text))) if !text.trim().is_empty() => Some(text.as_str().to_owned()),
                _ => Some(shown()),
            },
            Ok(_) => Some(format!("rule did not evaluate to bool: {}", self.rule.rule)),
            Err(error) => {
                let rule = self.rule.message.as_deref().unwrap_or(&self.rule.rule);
                Some(format!("{error} evaluating rule: {rule}"))
            }
        }
    }
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
            self.rules(rules, schema, value, old, path);
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

    fn rules(&mut self, rules: &Rules, schema: &Schema, value: &Value, old: Option<&Value>, path: &str) {
        // What an update leaves as it was is forgiven, unless the rule is about change.
        let forgiven = self.minor >= RATCHETING_SINCE && old == Some(value);
        let applies = |rule: &&Compiled| {
            let optional = rule.rule.optional_old_self == Some(true);
            if rule.is_transition { old.is_some() || optional } else { !forgiven }
        };
        let due: Vec<&Compiled> = rules.rules.iter().filter(applies).collect();
        if due.is_empty() {
            return;
        }
        let this = convert(Some(schema), value);
        let before = old.map(|o| if o == value { this.clone() } else { convert(Some(schema), o) });
        let refusals: Vec<(&Compiled, String)> = with_functions(|functions| {
            let mut scope = functions.new_inner_scope();
            scope.add_variable_from_value("self", this);
            scope.add_variable_from_value("oldSelf", before.unwrap_or(Cel::Null));
            due.into_iter().filter_map(|rule| Some((rule, rule.refusal(&scope)?))).collect()
        });
        for (rule, text) in refusals {
            self.refuse(rule, &text, value, path);
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
