//! Examples with comments made from the descriptions of the types.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::crd::{CURRENT_MINOR, CrdError, doris_cluster};

const WIDTH: usize = 100;
const HEAD: &str = "# Every field of a DorisCluster. The comments are the descriptions that `kubectl explain dcr.spec`
# shows; a real spec needs a fraction of this (see basic.yaml).
apiVersion: doris-operator.dev/v1beta1
kind: DorisCluster
metadata:
  name: full
spec:
";

/// The full example: the values of a spec, each with its description.
pub fn full(spec: &Value) -> Result<String, CrdError> {
    let crd = serde_json::to_value(doris_cluster(CURRENT_MINOR)?)?;
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").ok_or(CrdError::NoSchema)?;
    let mut text = HEAD.to_owned();
    if let Some(fields) = spec.as_object() {
        write_fields(&mut text, schema, fields, 2)?;
    }
    Ok(text)
}

fn write_fields(text: &mut String, schema: &Value, fields: &Map<String, Value>, indent: usize) -> Result<(), CrdError> {
    let pad = " ".repeat(indent);
    for (name, value) in fields {
        let field = schema.get("properties").and_then(|properties| properties.get(name));
        if let Some(description) = field.and_then(|field| field.get("description")).and_then(Value::as_str) {
            comment(text, description, &pad);
        }
        match (value, field) {
            (Value::Object(fields), field) if !fields.is_empty() => {
                line(text, &format!("{pad}{name}:"));
                write_fields(text, field.unwrap_or(&Value::Null), fields, indent + 2)?;
            }
            (Value::Array(items), _) if !items.is_empty() => {
                line(text, &format!("{pad}{name}:"));
                for item in items {
                    line(text, &format!("{pad}  - {}", flow(item)?));
                }
            }
            (value, _) => line(text, &format!("{pad}{name}: {}", flow(value)?)),
        }
    }
    Ok(())
}

/// A value on one line.
fn flow(value: &Value) -> Result<String, serde_json::Error> {
    Ok(match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(items) => {
            let items = items.iter().map(flow).collect::<Result<Vec<_>, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok(format!("{}: {}", flow(&Value::String(name.clone()))?, flow(value)?)));
            format!("{{{}}}", fields.collect::<Result<Vec<_>, serde_json::Error>>()?.join(", "))
        }
        // JSON is YAML.
        other => serde_json::to_string(other)?,
    })
}

/// Whether YAML reads a text as text though it has no quotes.
fn is_plain(text: &str) -> bool {
    let word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'));
    word && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan")
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn comment(text: &mut String, description: &str, pad: &str) {
    let mut width = 0;
    for word in description.split_whitespace() {
        if width == 0 || width + 1 + word.len() > WIDTH {
            if width > 0 {
                text.push('\n');
            }
            // Writing to a String cannot fail.
            let _ = write!(text, "{pad}# {word}");
            width = pad.len() + 2 + word.len();
        } else {
            let _ = write!(text, " {word}");
            width += 1 + word.len();
        }
    }
    text.push('\n');
}
