//! Recorded requests asked again of any API server, and how two servers' answers differ.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube_sim::conformance::normalise;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::recording::{Recording, Sent};

/// The built-in controllers take their time: the garbage collector looks for new kinds every half minute.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);
/// Prefix of our own field managers; those of the users in recordings.
const OUR_MANAGERS: [&str; 4] = ["doris-", "git", "gitops", "somebody"];

/// Why a request can't be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came.
    #[error("{request}: {source}")]
    Unanswered {
        /// The request.
        request: String,
        /// What is wrong.
        source: kube::Error,
    },
    /// The recorded request is none.
    #[error("{request}: {source}")]
    NoRequest {
        /// The request.
        request: String,
        /// What is wrong.
        source: http::Error,
    },
}

/// A server's answer, without what time, chance and the built-in controllers decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// HTTP status.
    pub code: u16,
    /// The body.
    pub body: Value,
}

impl Sent {
    /// As in `PATCH /apis/apps/v1/namespaces/default/statefulsets/demo-be`.
    pub fn title(&self) -> String {
        format!("{} {}", self.method, self.path_alone())
    }

    fn path_alone(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Whether the object was there, as the recorded answer tells. Nothing when it does not.
    fn presumes_object(&self) -> Option<bool> {
        match (self.method.as_str(), self.status) {
            ("PATCH" | "PUT" | "DELETE", 200) => Some(true),
            ("PATCH" | "POST", 201) | (_, 404) => Some(false),
            _ => None,
        }
    }

    /// Path of the object that it is about: without subresource. `None` if it is about a collection.
    fn object(&self) -> Option<String> {
        let parts: Vec<&str> = self.path_alone().split('/').collect();
        let collection = match parts.as_slice() {
            ["", "api", _, "namespaces", _, _, ..] => 6,
            ["", "apis", _, _, "namespaces", _, _, ..] => 7,
            _ => return None,
        };
        // A new object's name stands in its body alone.
        let named = serde_json::from_slice::<Value>(&self.body).ok();
        let name = parts.get(collection).copied().or_else(|| named.as_ref()?["metadata"]["name"].as_str())?;
        Some(format!("{}/{name}", parts[..collection].join("/")))
    }
}

/// Asks everything of a server, in order.
pub async fn replay(client: &Client, recording: &Recording) -> Result<Vec<Answered>, Error> {
    let mut answers = Vec::new();
    for sent in &recording.sent {
        until_it_can_be_asked(client, sent).await?;
        let (code, body) = ask_again(client, recording, sent).await?;
        answers.push(Answered { code, body: plain(body) });
    }
    Ok(answers)
}

/// Waits, as the recorded controller did, until the built-in controllers have made or removed the object that a request is about.
async fn until_it_can_be_asked(client: &Client, sent: &Sent) -> Result<(), Error> {
    let Some((object, is_to_exist)) = sent.object().zip(sent.presumes_object()) else { return Ok(()) };
    let end = Instant::now() + PATIENCE;
    while get(client, &object).await?.is_object() != is_to_exist && Instant::now() < end {
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn ask_again(client: &Client, recording: &Recording, sent: &Sent) -> Result<(u16, Value), Error> {
    let mut body = String::from_utf8_lossy(&sent.body).into_owned();
    for (uid, path) in recording.objects.iter().filter(|(uid, _)| !uid.is_empty()) {
        if body.contains(uid.as_str()) {
            let now = get(client, path).await?;
            body = body.replace(uid.as_str(), now["metadata"]["uid"].as_str().unwrap_or(uid));
        }
    }
    if let (Some(object), Ok(mut document)) = (sent.object(), serde_json::from_str::<Value>(&body)) {
        let carriers: Vec<&str> = ["/metadata/resourceVersion", "/preconditions/resourceVersion"]
            .into_iter()
            .filter(|pointer| document.pointer(pointer).is_some())
            .collect();
        if !carriers.is_empty() {
            let now = get(client, &object).await?["metadata"]["resourceVersion"].clone();
            for pointer in carriers {
                if let Some(version) = document.pointer_mut(pointer).filter(|_| now.is_string()) {
                    *version = now.clone();
                }
            }
            body = document.to_string();
        }
    }
    ask(client, &sent.method, &sent.path, &sent.content_type, body).await
}

/// An object as it is now; nothing if it is not there.
async fn get(client: &Client, path: &str) -> Result<Value, Error> {
    let (code, body) = ask(client, "GET", path, "", String::new()).await?;
    Ok(if code == 200 { body } else { Value::Null })
}

async fn ask(client: &Client, method: &str, path: &str, content_type: &str, body: String) -> Result<(u16, Value), Error> {
    let title = || format!("{method} {path}");
    let mut request = Request::builder().method(method).uri(path).header("Accept", "application/json");
    if !content_type.is_empty() {
        request = request.header("Content-Type", content_type);
    }
    let request = request.body(Body::from(body.into_bytes())).map_err(|source| Error::NoRequest { request: title(), source })?;
    let unanswered = |source| Error::Unanswered { request: title(), source };
    let answer = client.send(request).await.map_err(unanswered)?;
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.map_err(unanswered)?.to_bytes();
    Ok((code, serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()))))
}

/// The answer without what differs from run to run on one and the same server: values that are drawn or allocated, times, and what the
/// built-in controllers, who work beside it, wrote to the object meanwhile. What a list holds depends on them altogether.
fn plain(mut body: Value) -> Value {
    if body.get("items").is_some() {
        return json!({"kind": body["kind"], "apiVersion": body["apiVersion"]});
    }
    let is_ours = body["kind"] == "DorisCluster";
    let is_object = body.get("metadata").is_some() && body["kind"] != "Status";
    if let Some(fields) = body.as_object_mut().filter(|_| is_object && !is_ours) {
        fields.shift_remove("status");
    }
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        keep_our_managers(metadata);
    }
    normalise(&body, "")
}

fn keep_our_managers(metadata: &mut Map<String, Value>) {
    let Some(entries) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) else { return };
    let is_ours = |entry: &Value| OUR_MANAGERS.iter().any(|prefix| entry["manager"].as_str().unwrap_or_default().starts_with(prefix));
    entries.retain(is_ours);
    for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
        entry.shift_remove("time");
        if let Some(fields) = entry.get_mut("fieldsV1") {
            *fields = without_uids(fields);
        }
    }
    entries.sort_by_cached_key(|entry| format!("{} {} {}", entry["manager"], entry["subresource"], entry["operation"]));
}

/// Managed fields have uids in their keys.
fn without_uids(fields: &Value) -> Value {
    match normalise(&Value::from(fields.to_string()), "") {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}

/// Every place where two values differ: its path, the one and the other.
pub fn differences(here: &Value, there: &Value) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    walk(here, there, "", &mut found);
    found
}

fn walk(here: &Value, there: &Value, path: &str, found: &mut Vec<(String, Value, Value)>) {
    match (here, there) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            for key in keys {
                let nothing = Value::Null;
                walk(one.get(key).unwrap_or(&nothing), other.get(key).unwrap_or(&nothing), &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                walk(one, other, &format!("{path}[{index}]"), found);
            }
        }
        _ if here == there => {}
        _ => found.push((path.to_owned(), here.clone(), there.clone())),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::{Sent, differences, plain};

    fn sent(path: &str) -> Sent {
        let (method, content_type) = ("PATCH".to_owned(), String::new());
        Sent { method, path: path.to_owned(), content_type, body: Bytes::new(), status: 200, by_controller: true }
    }

    #[test]
    fn a_request_names_the_object_that_it_is_about() {
        for (path, object) in [
            ("/api/v1/namespaces/default/pods/a?force=true", Some("/api/v1/namespaces/default/pods/a")),
            ("/apis/apps/v1/namespaces/default/statefulsets/a/status", Some("/apis/apps/v1/namespaces/default/statefulsets/a")),
            ("/api/v1/namespaces/default/events", None),
            ("/version", None),
        ] {
            assert_eq!(sent(path).object().as_deref(), object, "{path}");
        }
    }

    #[test]
    fn every_difference_is_told_with_its_place() {
        let (one, other) = (json!({"a": [{"b": 1}], "c": 1}), json!({"a": [{"b": 2}], "d": 3}));
        let found = differences(&one, &other);
        let places: Vec<&str> = found.iter().map(|(path, _, _)| path.as_str()).collect();
        assert_eq!(places, [".a[0].b", ".c", ".d"]);
        assert_eq!(differences(&one, &one), []);
    }

    #[test]
    fn our_field_managers_count_and_the_work_of_built_in_controllers_does_not() {
        let object = |manager: &str, ready: u32| {
            let entries = json!([
                {
                    "manager": "doris-cluster-controller", "time": format!("2026-01-01T00:00:0{ready}Z"),
                    "fieldsV1": {format!(r#"k:{{"uid":"0000000{ready}-0000-4000-8000-000000000000"}}"#): {}},
                },
                {"manager": manager, "fieldsV1": {"f:status": {}}},
            ]);
            json!({"kind": "StatefulSet", "metadata": {"uid": format!("u{ready}"), "managedFields": entries}, "status": {"ready": ready}})
        };
        assert_eq!(plain(object("kube-controller-manager", 1)), plain(object("kubelet", 2)));
        assert_ne!(plain(object("gitops", 1)), plain(object("kubelet", 1)));
    }
}
