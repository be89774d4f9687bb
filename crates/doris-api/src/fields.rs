//! The page of the documentation that lists every field, made from the definitions: what servers check and `kubectl explain` tells.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::crd::{CURRENT_MINOR, CrdError, crds, is_embedded};

/// Where the page is, from the repository's root.
pub const PAGE: &str = "docs/src/fields.md";
/// Components that share the settings of their members.
const COMPONENTS: [&str; 4] = ["fe", "be", "cn", "broker"];
/// An embedded type of so few fields is shown with their names.
const FEW: usize = 4;
const RULES: &str = "x-kubernetes-validations";
const HEAD: &str = "# Every field

<!-- Made from the types: cargo run --bin fields. A test holds that this page is current. -->

What `kubectl explain dcr.spec` tells, on one page. `a.b` is a field in an object, `a[]` each entry of a list. A type \"as in Kubernetes\" has the
fields that Kubernetes gives it. Where no default is named and none is said to be required, a field may be left out and then says nothing.

A field that is not here is refused by name (`kubectl apply` validates strictly). What the server refuses beyond types and limits stands at the end
of each kind; a server that knows no such rules ([which](real-cluster.md#the-custom-resources)) leaves them to the controller, which says the same sentence
in the condition `Stalled`.
";

/// The page.
///
/// # Errors
/// The definitions can't be made.
pub fn page() -> Result<String, CrdError> {
    let mut text = HEAD.to_owned();
    for definition in crds(CURRENT_MINOR)? {
        let names = definition.spec.names.clone();
        let definition = serde_json::to_value(definition)?;
        let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").ok_or(CrdError::NoSchema)?;
        let short = names.short_names.unwrap_or_default().join(", ");
        push(&mut text, &format!("\n## {}\n\n{} Short name: `{short}`.\n", names.kind, said(schema)));
        write_spec(&mut text, schema.pointer("/properties/spec").ok_or(CrdError::NoSchema)?);
        push(&mut text, "\n### status\n\nWritten by the controllers, for reading.\n\n");
        write_table(&mut text, schema.pointer("/properties/status").ok_or(CrdError::NoSchema)?, &["field", "type", "says"], &|_| true);
        push(&mut text, &format!("\n### What is refused of a {}\n\n", names.kind));
        for sentence in refusals(schema) {
            push(&mut text, &format!("- {}\n", cell(&sentence)));
        }
    }
    Ok(text)
}

fn push(text: &mut String, more: &str) {
    text.push_str(more);
}

fn write_spec(text: &mut String, spec: &Value) {
    let columns = ["field", "type", "default", "says"];
    let is_component = |name: &str| COMPONENTS.contains(&name) && spec.pointer(&format!("/properties/{name}/properties/service")).is_some();
    push(text, "\n### spec\n\n");
    write_table(text, spec, &columns, &|name| !is_component(name));
    let components: Vec<(&str, &Value)> =
        COMPONENTS.into_iter().filter(|name| is_component(name)).map(|name| (name, property(spec, name))).collect();
    let Some((_, first)) = components.first() else { return };
    let is_shared = |name: &str| {
        let wanted = shape(property(first, name));
        components.iter().all(|(_, component)| shape(property(component, name)) == wanted)
    };
    for (name, component) in &components {
        push(text, &format!("\n### spec.{name}\n\n{}\n\n", said(component)));
        write_table(text, component, &columns, &|field| !is_shared(field));
    }
    push(text, "\n### What every component has\n\nIn `spec.fe`, `spec.be`, `spec.cn` and `spec.broker` alike.\n\n");
    write_table(text, first, &columns, &is_shared);
}

fn property<'a>(schema: &'a Value, name: &str) -> &'a Value {
    &schema["properties"][name]
}

/// A schema without its rules: their sentences name the place.
fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != RULES);
            Value::Object(kept.map(|(name, value)| (name.clone(), shape(value))).collect())
        }
        Value::Array(items) => items.iter().map(shape).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

fn write_table(text: &mut String, schema: &Value, columns: &[&str], wanted: &dyn Fn(&str) -> bool) {
    let rule = vec!["---"; columns.len()].join("|");
    push(text, &format!("| {} |\n|{rule}|\n", columns.join(" | ")));
    write_rows(text, schema, "", columns.len() > 3, wanted);
}

fn write_rows(text: &mut String, schema: &Value, prefix: &str, has_default: bool, wanted: &dyn Fn(&str) -> bool) {
    let required = |name: &str| schema["required"].as_array().is_some_and(|required| required.iter().any(|one| one == name));
    for (name, field) in schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| wanted(name)) {
        let path = format!("{prefix}{name}");
        let default = match field.get("default") {
            _ if required(name) => "**required**".to_owned(),
            Some(Value::Object(_) | Value::Array(_)) | None => String::new(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
        };
        let default = if has_default { format!(" {default} |") } else { String::new() };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{path}` | {} |{default} {} |", kind(name, field), cell(&said(field)));
        if is_embedded(name) {
            continue;
        }
        if field["properties"].is_object() {
            write_rows(text, field, &format!("{path}."), has_default, &|_| true);
        }
        if field["items"]["properties"].is_object() {
            write_rows(text, &field["items"], &format!("{path}[]."), has_default, &|_| true);
        }
    }
}

/// The description of a node, on one line.
fn said(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in a table: a bar would end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The type of a field in words, with its limits.
fn kind(name: &str, field: &Value) -> String {
    let mut words = base(name, field);
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        words = format!("one of {}", values.join(", "));
    }
    let number = |key: &str| field[key].as_f64();
    match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => words = format!("{words}, {least} to {most}"),
        (Some(least), None) => words = format!("{words}, at least {least}"),
        (None, Some(most)) => words = format!("{words}, at most {most}"),
        (None, None) => {}
    }
    for key in ["maxItems", "maxProperties"] {
        if let Some(most) = field[key].as_u64() {
            words = format!("{words}, at most {most}");
        }
    }
    words
}

fn base(name: &str, field: &Value) -> String {
    if field["x-kubernetes-int-or-string"] == true {
        return "number or text".to_owned();
    }
    let as_known = if is_embedded(name) { few(field).unwrap_or_else(|| ", as in Kubernetes".to_owned()) } else { String::new() };
    match field["type"].as_str() {
        Some("array") => format!("list of {}{as_known}", many(&field["items"])),
        Some("object") => match field.get("additionalProperties") {
            Some(values) => format!("map of {}{as_known}", many(values)),
            None => format!("object{as_known}"),
        },
        Some("string") if field["format"] == "date-time" => "time".to_owned(),
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

fn many(items: &Value) -> &'static str {
    if items["x-kubernetes-int-or-string"] == true {
        return "numbers or texts";
    }
    match items["type"].as_str() {
        Some("string") => "texts",
        Some("object") => "objects",
        Some("integer" | "number") => "numbers",
        _ => "values",
    }
}

/// The names of an embedded type's fields, if they are few.
fn few(field: &Value) -> Option<String> {
    let of = |schema: &Value| -> Option<Map<String, Value>> { schema["properties"].as_object().cloned() };
    let fields = of(field).or_else(|| of(&field["items"]))?;
    (fields.len() <= FEW).then(|| format!(" {{{}}}", fields.keys().cloned().collect::<Vec<_>>().join(", ")))
}

/// Sentences of the rules, each once: what is said of every component has `COMPONENT` in its place.
fn refusals(schema: &Value) -> Vec<String> {
    fn collect(node: &Value, found: &mut Vec<String>) {
        match node {
            Value::Object(fields) => {
                let rules = fields.get(RULES).and_then(Value::as_array).into_iter().flatten();
                found.extend(rules.filter_map(|rule| rule["message"].as_str()).map(str::to_owned));
                fields.values().for_each(|below| collect(below, found));
            }
            Value::Array(items) => items.iter().for_each(|below| collect(below, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(schema, &mut found);
    let said: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let in_general = |sentence: &str| -> String {
        let general = |place: &str| {
            let words = sentence.split(' ').map(|word| match word.strip_prefix(place) {
                Some(rest) if rest.starts_with(['.', ':']) => format!("COMPONENT{rest}"),
                _ => word.to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let place = COMPONENTS.into_iter().find(|place| sentence.strip_prefix(place).is_some_and(|rest| rest.starts_with(['.', ':'])));
        let Some(place) = place else { return sentence.to_owned() };
        let general = general(place);
        let others = COMPONENTS.into_iter().filter(|other| *other != place);
        if others.into_iter().any(|other| said.contains(general.replace("COMPONENT", other).as_str())) {
            general
        } else {
            sentence.to_owned()
        }
    };
    let sentences: BTreeSet<String> = found.iter().map(|sentence| in_general(sentence)).collect();
    sentences.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{kind, page, refusals};

    #[test]
    fn types_are_told_with_their_limits() {
        let cases = [
            ("replicas", json!({"type": "integer", "minimum": 1, "maximum": 7}), "integer, 1 to 7"),
            ("medium", json!({"type": "string", "enum": ["SSD", "HDD"]}), "one of `SSD`, `HDD`"),
            ("config", json!({"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": true}}), "map of numbers or texts"),
            ("password", json!({"type": "object", "properties": {"key": {}, "name": {}}}), "object {key, name}"),
            ("storage", json!({"type": "array", "items": {"type": "object"}, "maxItems": 16}), "list of objects, at most 16"),
        ];
        for (name, field, wanted) in cases {
            assert_eq!(kind(name, &field), wanted);
        }
    }

    #[test]
    fn what_is_refused_of_every_component_is_said_once() {
        let rule = |message: &str| json!({"x-kubernetes-validations": [{"message": message}]});
        let schema = json!({"properties": {
            "fe": rule("fe.replicas counts FOLLOWERs"),
            "be": rule("be.volumes must name one of be.disks"),
            "cn": rule("cn.volumes must name one of cn.disks"),
        }});
        assert_eq!(refusals(&schema), ["COMPONENT.volumes must name one of COMPONENT.disks", "fe.replicas counts FOLLOWERs"]);
    }

    #[test]
    fn each_field_of_both_kinds_is_there_with_a_description() {
        let page = page().expect("a page");
        for line in page.lines().filter(|line| line.starts_with("| `") && !line.contains("as in Kubernetes")) {
            assert!(!line.ends_with("|  |"), "nothing is said of {line}");
        }
        for field in ["| `storage[].medium` |", "| `sql[].configMap` |", "| `operation.blockedBy[].rule` |", "| `service.type` |"] {
            assert!(page.contains(field), "{field}");
        }
    }
}
