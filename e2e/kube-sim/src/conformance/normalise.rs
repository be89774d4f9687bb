//! Values that differ from run to run become placeholders.

use serde_json::{Map, Value};

/// Fields whose value is replaced, whatever it is.
const VOLATILE: [(&str, &str); 15] = [
    ("uid", "<uid>"),
    ("resourceVersion", "<rv>"),
    ("clusterIP", "<ip>"),
    ("podIP", "<ip>"),
    ("hostIP", "<ip>"),
    ("nodePort", "<port>"),
    ("continue", "<continue>"),
    ("controller-uid", "<uid>"),
    ("batch.kubernetes.io/controller-uid", "<uid>"),
    ("pod-template-hash", "<hash>"),
    ("storageVersionHash", "<hash>"),
    ("controller-revision-hash", "<hash>"),
    ("currentRevision", "<hash>"),
    ("updateRevision", "<hash>"),
    ("selfLink", "<link>"),
];

/// Replaces what differs from run to run.
pub fn normalise(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.iter().map(|(key, value)| (key.clone(), field(key, value))).collect()),
        Value::Array(items) => items.iter().map(|item| normalise(item, "")).collect(),
        Value::String(text) => {
            let text = hide_times(&hide_uids(text));
            let generated = matches!(key, "name" | "generateName" | "podName");
            Value::String(if generated { hide_suffix(&text) } else { text })
        }
        other => other.clone(),
    }
}

fn field(key: &str, value: &Value) -> Value {
    if let Some((_, placeholder)) = VOLATILE.iter().find(|(name, _)| *name == key)
        && (value.is_string() || value.is_number())
    {
        let kept = value == "" || value == "None" || value == "0" || *value == 0;
        return if kept { value.clone() } else { Value::from(*placeholder) };
    }
    if matches!(key, "clusterIPs" | "podIPs" | "hostIPs") && *value != serde_json::json!(["None"]) {
        return "<ips>".into();
    }
    normalise(value, key)
}

fn hide_uids(text: &str) -> String {
    const PATTERN: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    let fits = |part: &[u8]| {
        part.iter().zip(PATTERN.bytes()).all(|(byte, wanted)| match wanted {
            b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            dash => *byte == dash,
        })
    };
    replace(text, |rest| rest.get(..PATTERN.len()).filter(|part| fits(part)).map(<[u8]>::len), "<uid>")
}

fn hide_times(text: &str) -> String {
    const PATTERN: &[u8] = b"0000-00-00T00:00:00";
    let found = |rest: &[u8]| {
        let start = rest.get(..PATTERN.len())?;
        let fits = start.iter().zip(PATTERN).all(|(byte, wanted)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted });
        let mut end = PATTERN.len();
        if fits && rest.get(end) == Some(&b'.') {
            end += 1 + rest[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        }
        (fits && rest.get(end) == Some(&b'Z')).then_some(end + 1)
    };
    replace(text, found, "<time>")
}

fn replace(text: &str, find: impl Fn(&[u8]) -> Option<usize>, with: &str) -> String {
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while at < text.len() {
        if let Some(length) = find(&text.as_bytes()[at..]) {
            out.push_str(with);
            at += length;
        } else {
            let letter = text[at..].chars().next().unwrap_or_default();
            out.push(letter);
            at += letter.len_utf8();
        }
    }
    out
}

fn hide_suffix(text: &str) -> String {
    match text.rsplit_once('-') {
        Some((start, suffix)) if suffix.len() == 5 && suffix.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)) => {
            format!("{start}-<gen>")
        }
        _ => text.to_owned(),
    }
}

/// Names the namespace of the run `<ns>`.
pub fn hide(value: &Value, namespace: &str) -> Value {
    match value {
        Value::String(text) => text.replace(namespace, "<ns>").into(),
        Value::Array(items) => items.iter().map(|item| hide(item, namespace)).collect(),
        Value::Object(fields) => {
            let hidden: Map<String, Value> =
                fields.iter().map(|(key, value)| (key.replace(namespace, "<ns>"), hide(value, namespace))).collect();
            hidden.into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_from_run_to_run_is_hidden() {
        let value = json!({"metadata": {"name": "web-x7k2q", "uid": "u", "resourceVersion": "5", "note": "at 2026-01-01T00:00:00.123Z by \
            11111111-2222-3333-4444-555555555555"}, "clusterIP": "None"});
        let wanted = json!({"metadata": {"name": "web-<gen>", "uid": "<uid>", "resourceVersion": "<rv>", "note": "at <time> by <uid>"},
            "clusterIP": "None"});
        assert_eq!(normalise(&value, ""), wanted);
    }
}
