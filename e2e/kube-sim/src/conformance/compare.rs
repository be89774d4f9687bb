//! What must agree, and what should.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Separates texts from the rest of an answer. Lists without an order of their own are sorted.
pub fn split(answer: &Value, step: &Value) -> (Value, BTreeMap<&'static str, Value>) {
    let (mut must, mut texts) = (answer.clone(), BTreeMap::new());
    if let Some(warnings) = must.as_object_mut().and_then(|fields| fields.remove("warnings")) {
        texts.insert("warnings", warnings);
    }
    if step["sort"] == true {
        sort(must.pointer_mut("/events"));
    }
    sort(must.pointer_mut("/body/metadata/managedFields"));
    if let Some(body) = must.get_mut("body").filter(|body| body["kind"] == "Status" && body["status"] == "Failure") {
        let message = body.as_object_mut().and_then(|fields| fields.remove("message"));
        texts.insert("message", message.unwrap_or_default());
        sort(body.pointer_mut("/details/causes"));
        let causes = body.pointer_mut("/details/causes").and_then(Value::as_array_mut).into_iter().flatten();
        let messages: Vec<Value> =
            causes.filter_map(Value::as_object_mut).map(|cause| cause.remove("message").unwrap_or_default()).collect();
        if !messages.is_empty() {
            texts.insert("causes", messages.into());
        }
    }
    (must, texts)
}

fn sort(list: Option<&mut Value>) {
    if let Some(items) = list.and_then(Value::as_array_mut) {
        items.sort_by_key(sorted_text);
    }
}

/// JSON with sorted keys.
pub fn sorted_text(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let ordered: BTreeMap<&String, Value> = fields.iter().map(|(key, value)| (key, sorted(value))).collect();
                json!(ordered)
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

/// Where two values differ.
pub fn differences(want: &Value, got: &Value, at: &str, found: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(wanted), Value::Object(given)) => {
            for (key, value) in wanted {
                match given.get(key) {
                    Some(other) => differences(value, other, &format!("{at}.{key}"), found),
                    None => found.push(format!("{at}.{key}: missing, want {value}")),
                }
            }
            for (key, value) in given.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                found.push(format!("{at}.{key}: unexpected {value}"));
            }
        }
        (Value::Array(wanted), Value::Array(given)) if wanted.len() == given.len() => {
            for (index, (value, other)) in wanted.iter().zip(given).enumerate() {
                differences(value, other, &format!("{at}[{index}]"), found);
            }
        }
        (Value::Array(wanted), Value::Array(given)) => {
            found.push(format!("{at}: {} items, want {}: {got} / {want}", given.len(), wanted.len()));
        }
        _ if want == got => {}
        _ => found.push(format!("{at}: {got}, want {want}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_refusals_are_set_apart_and_the_rest_must_agree() {
        let step = json!({});
        let answer = |text: &str, reason: &str| json!({"code": 422, "body": {"kind": "Status", "status": "Failure", "message": text, "details": {"causes": [{"reason": reason, "message": text}]}}});
        let (first, texts) = split(&answer("a", "R"), &step);
        let (second, _) = split(&answer("b", "R"), &step);
        assert_eq!(first, second);
        assert_eq!(texts["message"], "a");
        let (other, _) = split(&answer("a", "Q"), &step);
        let mut found = Vec::new();
        differences(&first, &other, "", &mut found);
        assert_eq!(found, [".body.details.causes[0].reason: \"Q\", want \"R\""]);
    }

    #[test]
    fn a_missing_an_unexpected_and_a_different_field_are_found() {
        let mut found = Vec::new();
        differences(&json!({"a": 1, "b": [1, 2], "c": null}), &json!({"b": [1], "c": null, "d": 2}), "", &mut found);
        assert_eq!(found, [".a: missing, want 1", ".b: 1 items, want 2: [1] / [1,2]", ".d: unexpected 2"]);
    }
}
