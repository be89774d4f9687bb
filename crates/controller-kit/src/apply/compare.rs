//! Which fields of a sent document an answer does not have.

use serde_json::Value;

/// Keys by which the API tells the items of a list apart, the most specific first.
const ITEM_KEYS: [&str; 8] = ["containerPort", "port", "mountPath", "devicePath", "name", "type", "key", "uid"];

/// The paths of fields whose values were not taken as they were sent.
pub(super) fn overridden(sent: &Value, live: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare(sent, live, &mut String::new(), &mut paths);
    paths
}

fn compare(sent: &Value, live: &Value, path: &mut String, paths: &mut Vec<String>) {
    match (sent, live) {
        // Something empty says nothing; the server leaves it out.
        (Value::Null, _) => {}
        (Value::Object(fields), Value::Null) if fields.is_empty() => {}
        (Value::Array(items), Value::Null) if items.is_empty() => {}
        (Value::Object(fields), Value::Object(answered)) => {
            for (name, value) in fields {
                if is_write_only(path, name) {
                    continue;
                }
                let length = path.len();
                path.push('.');
                path.push_str(name);
                compare(value, answered.get(name).unwrap_or(&Value::Null), path, paths);
                path.truncate(length);
            }
        }
        (Value::Array(items), Value::Array(answered)) => {
            for (index, item) in items.iter().enumerate() {
                let length = path.len();
                path.push('[');
                path.push_str(&label(item, index));
                path.push(']');
                match counterpart(item, index, items, answered) {
                    Some(counterpart) => compare(item, counterpart, path, paths),
                    None => paths.push(path.clone()),
                }
                path.truncate(length);
            }
        }
        (sent, live) if same_scalar(sent, live) => {}
        _ => paths.push(path.clone()),
    }
}

/// Fields that the server takes and never shows again.
fn is_write_only(path: &str, name: &str) -> bool {
    path.is_empty() && ["apiVersion", "kind", "stringData"].contains(&name)
}

/// The item of the answer that an item was sent for: injectors put their own in between and before.
fn counterpart<'a>(item: &Value, index: usize, items: &[Value], answered: &'a [Value]) -> Option<&'a Value> {
    if !item.is_object() {
        return answered
            .get(index)
            .filter(|other| same_scalar(item, other))
            .or_else(|| answered.iter().find(|other| same_scalar(item, other)));
    }
    let key = ITEM_KEYS.iter().find(|key| items.iter().all(|other| other.get(key).is_some_and(|value| !value.is_null())));
    match key {
        Some(key) => answered
            .iter()
            .filter(|other| other.get(key).is_some_and(|value| same_scalar(&item[*key], value)))
            // Two ports of one number differ in their protocol; prefer the one that fits whole.
            .min_by_key(|other| overridden(item, other).len()),
        None => answered.get(index),
    }
}

fn label(item: &Value, index: usize) -> String {
    ["name", "type", "mountPath"]
        .iter()
        .find_map(|key| item.get(key).and_then(Value::as_str))
        .map_or_else(|| index.to_string(), str::to_owned)
}

/// Whether two values mean the same to the API: quantities are written canonically by the server.
fn same_scalar(sent: &Value, live: &Value) -> bool {
    if sent == live {
        return true;
    }
    if let (Value::Number(sent), Value::Number(live)) = (sent, live) {
        return sent.as_f64() == live.as_f64();
    }
    match (quantity(sent), quantity(live)) {
        (Some(sent), Some(live)) => sent.partial_cmp(&live) == Some(std::cmp::Ordering::Equal),
        _ => false,
    }
}

fn quantity(value: &Value) -> Option<kube_quantity::ParsedQuantity> {
    let text = match value {
        Value::String(text) if text.starts_with(|first: char| first.is_ascii_digit()) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    kube_quantity::ParsedQuantity::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::overridden;
    use serde_json::{Value, json};

    #[test]
    fn only_values_that_were_not_taken_are_named() {
        let cases: [(Value, Value, &[&str]); 11] = [
            (json!({"a": 1}), json!({"a": 1, "b": 2}), &[]),
            (json!({"a": 1}), json!({"a": 2}), &[".a"]),
            (json!({"a": {}}), json!({}), &[]),
            (json!({"a": []}), json!({}), &[]),
            (json!({"a": null}), json!({"a": 1}), &[]),
            (json!({"cpu": "1000m"}), json!({"cpu": "1"}), &[]),
            (json!({"memory": "1Gi"}), json!({"memory": "2Gi"}), &[".memory"]),
            (json!({"c": [{"name": "be", "image": "x"}]}), json!({"c": [{"name": "proxy"}, {"name": "be", "image": "x", "d": 1}]}), &[]),
            (json!({"c": [{"name": "be", "image": "x"}]}), json!({"c": [{"name": "be", "image": "y"}]}), &[".c[be].image"]),
            (json!({"c": [{"name": "be"}]}), json!({"c": [{"name": "proxy"}]}), &[".c[be]"]),
            (
                json!({"p": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}),
                json!({"p": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}),
                &[],
            ),
        ];
        for (sent, live, expected) in cases {
            assert_eq!(overridden(&sent, &live), expected, "{sent} {live}");
        }
    }

    #[test]
    fn what_is_never_shown_again_is_not_missed() {
        assert!(overridden(&json!({"kind": "Secret", "stringData": {"a": "b"}}), &json!({"data": {"a": "Yg=="}})).is_empty());
    }
}
