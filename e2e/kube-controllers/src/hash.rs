//! Short hashes and generated names in the alphabet of the API machinery.

use serde_json::Value;

const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of a template and a collision count that may be part of a name. Real servers hash an in-memory form that
/// differs between their versions, so no one may rely on the very letters.
pub(crate) fn template_hash(template: &Value, collisions: i64) -> String {
    let mut hash = 0x811c_9dc5_u32;
    for byte in canonical(template).bytes().chain((collisions > 0).then_some(collisions).into_iter().flat_map(i64::to_le_bytes)) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    encode(hash)
}

/// The hash of a revision, letter for letter as the real controllers make it: FNV-1 over the stored JSON and the collision count.
pub(crate) fn revision_hash(data: &Value, collisions: i64) -> String {
    // Go's JSON escapes what could end a script element.
    let json = canonical(data).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let hash = json
        .bytes()
        .chain(collisions.to_string().bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    encode(hash)
}

/// A number in letters that form no words.
fn encode(hash: u32) -> String {
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

/// JSON with sorted keys and without nulls.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            keys.sort_by_key(|(key, _)| *key);
            let fields: Vec<_> =
                keys.into_iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{revision_hash, template_hash};

    #[test]
    fn revisions_have_the_hashes_of_real_ones() {
        let container = |name: &str, image: &str| json!({"image": image, "imagePullPolicy": "IfNotPresent", "name": name, "resources": {}, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"});
        let spec = json!({
            "containers": [container("c", "i:1"), container("d", "j:2")], "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
        });
        let template = json!({"metadata": {"labels": {"app": "w"}}, "spec": spec, "$patch": "replace"});
        assert_eq!(revision_hash(&json!({"spec": {"template": template}}), 0), "8567566f7b");
    }

    #[test]
    fn a_hash_depends_on_content_and_collisions_but_not_on_the_order_of_keys() {
        let hash = template_hash(&json!({"a": 1, "b": [2]}), 0);
        assert_eq!(hash, template_hash(&json!({"b": [2], "a": 1, "c": null}), 0));
        assert_ne!(hash, template_hash(&json!({"a": 1, "b": [3]}), 0));
        assert_ne!(hash, template_hash(&json!({"a": 1, "b": [2]}), 1));
        assert!(hash.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)));
    }
}
