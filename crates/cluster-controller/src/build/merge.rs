//! A user's pod template over the generated one: a strategic merge patch, as Kubernetes does it
//! for built-in types.

use serde_json::{Map, Value};

/// Lists whose items are merged by a key, and that key. Other lists are replaced as a whole.
const KEYED_LISTS: [(&str, &str); 12] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("imagePullSecrets", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("ports", "containerPort"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("resourceClaims", "name"),
];

/// Merges a patch over a value: objects by field, keyed lists by key, everything else replaced;
/// `null` removes a field, `$patch: delete` an item, `$patch: replace` starts an object anew.
pub fn strategic_merge(base: &mut Value, patch: &Value) {
    merge_field("", base, patch);
}

fn merge_field(name: &str, base: &mut Value, patch: &Value) {
    match (base, patch, merge_key(name)) {
        (Value::Object(base), Value::Object(patch), _) => merge_object(base, patch),
        (Value::Array(base), Value::Array(patch), Some(key)) => merge_list(base, patch, key),
        (base, patch, _) => *base = without_directives(patch),
    }
}

fn merge_key(list: &str) -> Option<&'static str> {
    KEYED_LISTS.iter().find(|(name, _)| *name == list).map(|(_, key)| *key)
}

fn merge_object(base: &mut Map<String, Value>, patch: &Map<String, Value>) {
    if patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        base.clear();
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        match (base.get_mut(name), value) {
            (_, Value::Null) => {
                base.shift_remove(name);
            }
            (Some(old), value) => merge_field(name, old, value),
            (None, value) => {
                base.insert(name.clone(), without_directives(value));
            }
        }
    }
}

fn merge_list(base: &mut Vec<Value>, patch: &[Value], key: &str) {
    for item in patch {
        let at = base.iter().position(|old| old.get(key) == item.get(key) && item.get(key).is_some());
        let deletes = item.get("$patch").and_then(Value::as_str) == Some("delete");
        match (at, deletes) {
            (Some(at), true) => drop(base.remove(at)),
            (Some(at), false) => merge_field("", &mut base[at], item),
            (None, true) => {}
            (None, false) => base.push(without_directives(item)),
        }
    }
}

/// The value as it is set where nothing was: without directives and without `null`.
fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, value)| !name.starts_with('$') && !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_directives(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_directives).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::strategic_merge;

    fn merged(mut base: Value, patch: &Value) -> Value {
        strategic_merge(&mut base, patch);
        base
    }

    #[test]
    fn each_kind_of_value_merges_in_its_own_way() {
        let cases = [
            ("fields are added", json!({"a": 1}), json!({"b": {"c": 2}}), json!({"a": 1, "b": {"c": 2}})),
            ("null removes", json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
            ("null is never set", json!({}), json!({"a": {"b": null}}), json!({"a": {}})),
            ("plain lists are replaced", json!({"args": ["x"]}), json!({"args": ["y"]}), json!({"args": ["y"]})),
            (
                "containers merge by name",
                json!({"containers": [{"name": "fe", "image": "a", "env": [{"name": "X", "value": "1"}]}]}),
                json!({"containers": [{"name": "fe", "env": [{"name": "Y", "value": "2"}]}, {"name": "new"}]}),
                json!({"containers": [{"name": "fe", "image": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}, {"name": "new"}]}),
            ),
            (
                "mounts merge by path",
                json!({"volumeMounts": [{"mountPath": "/a", "name": "x"}]}),
                json!({"volumeMounts": [{"mountPath": "/a", "name": "y"}]}),
                json!({"volumeMounts": [{"mountPath": "/a", "name": "y"}]}),
            ),
            (
                "items are deleted by directive",
                json!({"env": [{"name": "X"}, {"name": "Y"}]}),
                json!({"env": [{"name": "X", "$patch": "delete"}, {"name": "Z", "$patch": "delete"}]}),
                json!({"env": [{"name": "Y"}]}),
            ),
            (
                "objects are replaced by directive",
                json!({"a": {"x": 1}}),
                json!({"a": {"$patch": "replace", "y": 2}}),
                json!({"a": {"y": 2}}),
            ),
        ];
        for (name, base, patch, expected) in cases {
            assert_eq!(merged(base, &patch), expected, "{name}");
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        let pod = json!({"spec": {"containers": [{"name": "fe"}]}});
        assert_eq!(merged(pod.clone(), &json!({})), pod);
    }
}
