//! Short hashes and generated names in the alphabet of the API machinery.

use serde_json::Value;

const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a pod template, letter for letter as Kubernetes 1.36 makes it: FNV-1a over all fields of the Go type as they lie in memory. Other
/// versions know other fields, so no one may rely on the very letters.
pub(crate) fn template_hash(template: &Value, collisions: i64) -> String {
    let form = kube_schema::go::dump("core/v1.PodTemplateSpec", template).unwrap_or_else(|| canonical(template));
    let collided = (collisions > 0).then_some(collisions).into_iter().flat_map(i64::to_le_bytes);
    let hash = form.bytes().chain(collided).fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
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
    fn templates_have_the_hashes_of_real_ones() {
        let plain = json!({
            "metadata": {"labels": {"app": "d"}},
            "spec": {
                "containers": [{"name": "c", "image": "i:1", "resources": {}, "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"}],
                "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "securityContext": {},
                "schedulerName": "default-scheduler",
            },
        });
        assert_eq!(template_hash(&plain, 0), "6b789bfb67");
        let richer = json!({
            "metadata": {"labels": {"app": "d"}},
            "spec": {
                "containers": [{"name": "c", "image": "i:1", "resources": {"limits": {"memory": "512Mi", "cpu": "1500m"}},
                    "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
                "volumes": [{"name": "v", "emptyDir": {}}], "securityContext": {},
            },
        });
        assert_eq!(template_hash(&richer, 0), "bcd8776c7");
    }

    #[test]
    fn a_hash_depends_on_content_and_collisions_but_not_on_the_order_of_keys() {
        let labels = |pairs: &[(&str, &str)]| {
            let labels: serde_json::Map<_, _> = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
            json!({"metadata": {"labels": labels}})
        };
        let hash = template_hash(&labels(&[("a", "1"), ("b", "2")]), 0);
        assert_eq!(hash, template_hash(&labels(&[("b", "2"), ("a", "1")]), 0));
        assert_ne!(hash, template_hash(&labels(&[("a", "1"), ("b", "3")]), 0));
        assert_ne!(hash, template_hash(&labels(&[("a", "1"), ("b", "2")]), 1));
    }
}
