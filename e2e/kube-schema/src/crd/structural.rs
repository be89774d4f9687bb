//! What the server demands of the schema in a definition.
use serde_json::{Map, Value, json};

use super::cel_types;
use super::cel_values::compile;
use crate::error::FieldError;

/// The place of a schema node in a definition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// A field, an element or a map's value: it has a type.
    Value,
    /// Below `allOf`, `anyOf`, `oneOf` or `not`: it only narrows.
    Alternative,
}

/// What is wrong with a schema. `minor` tells which rules are known.
pub(super) fn validate(schema: &Value, path: &str, minor: u32) -> Vec<FieldError> {
    let mut walk = Walk { minor, errors: Vec::new() };
    walk.node(schema, path, Place::Root, true);
    walk.errors
}

struct Walk {
    minor: u32,
    errors: Vec<FieldError>,
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Walk {
    /// `correlatable` tells whether an update can find the old value of the node.
    fn node(&mut self, schema: &Value, path: &str, place: Place, correlatable: bool) {
        self.kind(schema, path, place);
        self.forbidden(schema, path, place);
        self.list(schema, path);
        self.map(schema, path);
        self.pattern(schema, path);
        self.rules(schema, path, place, correlatable);
        let required_default = schema.get("default").filter(|_| place != Place::Alternative);
        if let Some(default) = required_default {
            self.default(schema, default, path);
        }
        self.children(schema, path, place, correlatable);
    }

    fn kind(&mut self, schema: &Value, path: &str, place: Place) {
        let kind = text(schema, "type");
        let open = flag(schema, "x-kubernetes-int-or-string") || flag(schema, "x-kubernetes-preserve-unknown-fields");
        match place {
            Place::Root if kind != "object" => {
                let field = format!("{path}.type");
                if kind.is_empty() {
                    self.errors.push(FieldError::required(field, "must not be empty at the root"));
                } else {
                    self.errors.push(FieldError::invalid(field, &json!(kind), "must be object at the root"));
                }
            }
            Place::Value if kind.is_empty() && !open => {
                let what = if path.rsplit('.').next() == Some("items") {
                    "must not be empty for specified array items"
                } else {
                    "must not be empty for specified object fields"
                };
                self.errors.push(FieldError::required(format!("{path}.type"), what));
            }
            Place::Alternative if !kind.is_empty() && !open => {
                self.errors.push(FieldError::forbidden(format!("{path}.type"), "must be empty to be structural"));
            }
            _ => {}
        }
        if !kind.is_empty() && !matches!(kind, "string" | "number" | "integer" | "boolean" | "array" | "object") {
            let allowed = ["array", "boolean", "integer", "number", "object", "string"];
            self.errors.push(FieldError::not_supported(format!("{path}.type"), &json!(kind), &allowed));
        }
        if kind == "array" && schema.get("items").is_none() && place != Place::Alternative {
            self.errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
        }
    }

    fn forbidden(&mut self, schema: &Value, path: &str, place: Place) {
        if flag(schema, "uniqueItems") {
            self.errors.push(FieldError::forbidden(
                format!("{path}.uniqueItems"),
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            ));
        }
        if schema.get("properties").is_some() && schema.get("additionalProperties").is_some_and(|a| !a.is_null()) {
            let field = format!("{path}.additionalProperties");
            if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
                self.errors.push(FieldError::forbidden(field, "additionalProperties cannot be set to false"));
            } else {
                self.errors.push(FieldError::forbidden(field, "additionalProperties and properties are mutual exclusive"));
            }
        }
        for key in ["$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id"] {
            if schema.get(key).is_some() {
                self.errors.push(FieldError::forbidden(format!("{path}.{key}"), &format!("{key} is not supported")));
            }
        }
        if place == Place::Alternative {
            for key in
                ["default", "nullable", "description", "title", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"]
            {
                if schema.get(key).is_some_and(|v| !v.is_null() && *v != json!("") && *v != json!(false)) {
                    self.errors.push(FieldError::forbidden(format!("{path}.{key}"), "must be undefined to be structural"));
                }
            }
        }
    }

    fn list(&mut self, schema: &Value, path: &str) {
        let list_type = text(schema, "x-kubernetes-list-type");
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
        let empty = json!({});
        let items = schema.get("items").unwrap_or(&empty);
        match list_type {
            "" | "atomic" => {}
            "set" => self.set_items(items, path),
            "map" => self.list_keys(items, keys.map_or(&[], Vec::as_slice), path),
            other => {
                let field = format!("{path}.x-kubernetes-list-type");
                self.errors.push(FieldError::not_supported(field, &json!(other), &["atomic", "map", "set"]));
            }
        }
        if list_type != "map" && keys.is_some_and(|k| !k.is_empty()) {
            let field = format!("{path}.x-kubernetes-list-type");
            if list_type.is_empty() {
                self.errors.push(FieldError::required(field, "must be map if x-kubernetes-list-map-keys is non-empty"));
            } else {
                let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
                self.errors.push(FieldError::invalid(field, &json!(list_type), detail));
            }
        }
        if !list_type.is_empty() && text(schema, "type") != "array" {
            let detail = "must be array if x-kubernetes-list-type is specified";
            let field = format!("{path}.type");
            match text(schema, "type") {
                "" => self.errors.push(FieldError::required(field, detail)),
                kind => self.errors.push(FieldError::invalid(field, &json!(kind), detail)),
            }
        }
    }

    fn set_items(&mut self, items: &Value, path: &str) {
        let atomic = match text(items, "type") {
            "object" => text(items, "x-kubernetes-map-type") == "atomic",
            "array" => matches!(text(items, "x-kubernetes-list-type"), "" | "atomic"),
            _ => true,
        };
        if !atomic {
            let detail = "items in set must be atomic";
            let (key, what) =
                if text(items, "type") == "object" { ("x-kubernetes-map-type", "granular") } else { ("x-kubernetes-list-type", "map") };
            self.errors.push(FieldError::invalid(format!("{path}.items.{key}"), &json!(what), detail));
        }
        if flag(items, "nullable") {
            self.errors
                .push(FieldError::forbidden(format!("{path}.items.nullable"), "cannot be nullable when x-kubernetes-list-type is set"));
        }
    }

    fn list_keys(&mut self, items: &Value, keys: &[Value], path: &str) {
        if keys.is_empty() {
            let detail = "must not be empty if x-kubernetes-list-type is map";
            self.errors.push(FieldError::required(format!("{path}.x-kubernetes-list-map-keys"), detail));
        }
        if text(items, "type") != "object" {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            let field = format!("{path}.items.type");
            self.errors.push(FieldError::invalid(field, &json!(text(items, "type")), detail));
            return;
        }
        let required: Vec<&str> = items.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (index, key) in keys.iter().filter_map(Value::as_str).enumerate() {
            let Some(property) = items.get("properties").and_then(|p| p.get(key)) else {
                let field = format!("{path}.x-kubernetes-list-map-keys[{index}]");
                self.errors.push(FieldError::invalid(field, &json!(key), "entries must all be names of item properties"));
                continue;
            };
            let here = format!("{path}.items.properties[{key}]");
            if matches!(text(property, "type"), "array" | "object") {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                self.errors.push(FieldError::invalid(format!("{here}.type"), &json!(text(property, "type")), detail));
            }
            if property.get("default").is_none() && !required.contains(&key) {
                let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.errors.push(FieldError::required(format!("{here}.default"), detail));
            }
            if flag(property, "nullable") {
                let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                self.errors.push(FieldError::forbidden(format!("{here}.nullable"), detail));
            }
        }
    }

    fn map(&mut self, schema: &Value, path: &str) {
        let kind = text(schema, "x-kubernetes-map-type");
        if !kind.is_empty() && !matches!(kind, "atomic" | "granular") {
            let field = format!("{path}.x-kubernetes-map-type");
            self.errors.push(FieldError::not_supported(field, &json!(kind), &["atomic", "granular"]));
        }
        if flag(schema, "x-kubernetes-int-or-string") && !text(schema, "type").is_empty() {
            let detail = "type must be empty if x-kubernetes-int-or-string is true";
            self.errors.push(FieldError::forbidden(format!("{path}.type"), detail));
        }
    }

    fn pattern(&mut self, schema: &Value, path: &str) {
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return };
        if regex::Regex::new(pattern).is_err() {
            let detail = "must be a valid regular expression, but isn't: error parsing regexp";
            self.errors.push(FieldError::invalid(format!("{path}.pattern"), &json!(pattern), detail));
        }
    }

    fn rules(&mut self, schema: &Value, path: &str, place: Place, correlatable: bool) {
        let Some(rules) = schema.get("x-kubernetes-validations").and_then(Value::as_array) else { return };
        if self.minor < 25 {
            return;
        }
        if place == Place::Alternative {
            let field = format!("{path}.x-kubernetes-validations");
            self.errors.push(FieldError::forbidden(field, "must be empty to be structural"));
            return;
        }
        for (index, rule) in rules.iter().enumerate() {
            self.rule(schema, rule, &format!("{path}.x-kubernetes-validations[{index}]"), place, correlatable);
        }
    }

    fn rule(&mut self, schema: &Value, rule: &Value, path: &str, place: Place, correlatable: bool) {
        let source = text(rule, "rule");
        if source.trim().is_empty() {
            self.errors.push(FieldError::required(format!("{path}.rule"), "rule is not specified"));
            return;
        }
        let is_object = place == Place::Root || flag(schema, "x-kubernetes-embedded-resource");
        if let Some(problem) = compile_problem(source, schema, is_object) {
            self.errors.push(FieldError::invalid(format!("{path}.rule"), &print_rule(rule), &format!("compilation failed: {problem}")));
        } else if !correlatable && uses_old_self(source) {
            let detail = "oldSelf cannot be used on the uncorrelatable portion of the schema within";
            let within = path.rsplit_once(".x-kubernetes-validations").map_or(path, |(p, _)| p);
            self.errors.push(FieldError::invalid(format!("{path}.rule"), &json!(source), &format!("{detail} {within}")));
        }
        if let Some(expression) = rule.get("messageExpression").and_then(Value::as_str)
            && let Some(problem) = compile_problem(expression, schema, is_object)
        {
            let detail = format!("messageExpression compilation failed: {problem}");
            self.errors.push(FieldError::invalid(format!("{path}.messageExpression"), &print_rule(rule), &detail));
        }
        if let Some(own) = rule.get("fieldPath").and_then(Value::as_str)
            && !field_exists(schema, own)
        {
            let detail = "fieldPath must be a valid path: does not refer to a valid field";
            self.errors.push(FieldError::invalid(format!("{path}.fieldPath"), &json!(own), detail));
        }
        let reasons = ["FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate"];
        if let Some(reason) = rule.get("reason").filter(|r| !reasons.iter().any(|x| r == x)) {
            let allowed = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
            self.errors.push(FieldError::not_supported(format!("{path}.reason"), reason, &allowed));
        }
    }

    /// A default fits its own schema.
    fn default(&mut self, schema: &Value, default: &Value, path: &str) {
        let holder = json!({"type": "object", "properties": {"default": schema}});
        let mut typed = crate::schema::from_openapi(&holder);
        std::sync::Arc::make_mut(&mut typed.properties).retain(|name, _| name == "default");
        for error in super::openapi::validate_value(&typed, &json!({"default": default})) {
            let field = format!("{path}.{}", error.field);
            self.errors.push(FieldError { field, ..error });
        }
    }

    fn children(&mut self, schema: &Value, path: &str, place: Place, correlatable: bool) {
        let below = if place == Place::Alternative { Place::Alternative } else { Place::Value };
        let object = place == Place::Root || flag(schema, "x-kubernetes-embedded-resource");
        let empty = Map::new();
        for (name, child) in schema.get("properties").and_then(Value::as_object).unwrap_or(&empty) {
            if object && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                continue;
            }
            self.node(child, &format!("{path}.properties[{name}]"), below, correlatable);
        }
        if let Some(items) = schema.get("items").filter(|i| i.is_object()) {
            let keyed = text(schema, "x-kubernetes-list-type") == "map";
            self.node(items, &format!("{path}.items"), below, correlatable && keyed);
        }
        if let Some(values) = schema.get("additionalProperties").filter(|a| a.is_object()) {
            self.node(values, &format!("{path}.additionalProperties"), below, correlatable);
        }
        // `anyOf` beside int-or-string says that again; it may name types.
        let int_or_string = flag(schema, "x-kubernetes-int-or-string");
        for key in ["allOf", "anyOf", "oneOf"] {
            for (index, child) in schema.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
                let mut child = child.clone();
                if let (true, Some(map)) = (int_or_string, child.as_object_mut()) {
                    map.shift_remove("type");
                    if let Some(Value::Array(list)) = map.get_mut("anyOf") {
                        list.retain(|c| c.get("type").is_none());
                    }
                }
                self.node(&child, &format!("{path}.{key}[{index}]"), Place::Alternative, false);
            }
        }
        if let Some(child) = schema.get("not").filter(|n| n.is_object()) {
            self.node(child, &format!("{path}.not"), Place::Alternative, false);
        }
    }
}

fn compile_problem(source: &str, schema: &Value, is_object: bool) -> Option<String> {
    match compile(source) {
        Ok(program) => cel_types::problem(source, program.expression(), schema, is_object, true),
        Err(problem) => Some(problem),
    }
}

fn uses_old_self(source: &str) -> bool {
    compile(source).is_ok_and(|p| p.references().has_variable("oldSelf"))
}

/// Whether a path of fields leads to a declared field.
pub(super) fn field_exists(schema: &Value, path: &str) -> bool {
    resolve(schema, path).is_some()
}

/// The schema at a path of fields.
pub(super) fn resolve<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let parsed = crate::jsonpath::JsonPath::parse(path)?;
    parsed.plain()?.into_iter().try_fold(schema, |node, name| {
        node.get("properties").and_then(|p| p.get(name)).or_else(|| node.get("additionalProperties").filter(|a| a.is_object()))
    })
}

/// A rule as the server's own type prints.
fn print_rule(rule: &Value) -> Value {
    let or_null = |key: &str| rule.get(key).cloned().unwrap_or_default();
    json!({
        "Rule": text(rule, "rule"),
        "Message": text(rule, "message"),
        "MessageExpression": text(rule, "messageExpression"),
        "Reason": or_null("reason"),
        "FieldPath": text(rule, "fieldPath"),
        "OptionalOldSelf": or_null("optionalOldSelf"),
    })
}
