//! What the API server itself refuses: the tables that hold both halves of every rule, sent to the real thing.

use doris_api::DorisCluster;
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::{Resource as _, ResourceExt as _};
use scenarios::lab::{basic, cluster, merge};
use scenarios::real::Place;
use serde_json::{Value, json};

use crate::harness::run;

const BAD: &str = include_str!("../../../../crates/doris-api/tests/specs/bad.yaml");
const GOOD: &str = include_str!("../../../../crates/doris-api/tests/specs/good.yaml");
const CHANGES: &str = include_str!("../../../../crates/doris-api/tests/specs/changes.yaml");

fn table(text: &str) -> Vec<Value> {
    serde_saphyr::from_str(text).expect("a table")
}

/// The basic example with a merge patch over its spec.
fn patched(patch: &Value, metadata: &Value) -> DynamicObject {
    let mut spec = basic("2.1.7");
    merge(&mut spec, patch);
    let mut object = serde_json::to_value(cluster("demo", basic("2.1.7"))).expect("JSON");
    object["spec"] = spec;
    if metadata.is_object() {
        merge(&mut object["metadata"], metadata);
    }
    object["metadata"].as_object_mut().expect("metadata").remove("namespace");
    serde_json::from_value(object).expect("an object")
}

struct Server {
    client: kube::Client,
    path: String,
}

impl Server {
    fn of(place: &Place<'_>) -> Self {
        Self { client: place.client.clone(), path: DorisCluster::url_path(&(), Some(&place.namespace)) }
    }

    /// What the server says to a new cluster that it is only asked about. It is created, not applied: an apply of a list with two
    /// entries of one key is answered by an internal error, before any rule is asked.
    async fn ask(&self, object: &DynamicObject) -> Result<(), String> {
        self.send("POST", &self.path, true, object).await.map(drop)
    }

    async fn create(&self, object: &DynamicObject) -> Result<DynamicObject, String> {
        self.send("POST", &self.path, false, object).await
    }

    /// What it says to a change of a cluster that is there.
    async fn ask_to_change(&self, from: &DynamicObject, to: &DynamicObject) -> Result<(), String> {
        let mut to = to.clone();
        to.metadata.resource_version.clone_from(&from.metadata.resource_version);
        self.send("PUT", &format!("{}/{}", self.path, to.name_any()), true, &to).await.map(drop)
    }

    /// Unknown fields are errors, as kubectl asks for; the client library's own calls can't ask for that.
    async fn send(&self, method: &str, path: &str, dry_run: bool, object: &DynamicObject) -> Result<DynamicObject, String> {
        let only_ask = if dry_run { "&dryRun=All" } else { "" };
        let body = serde_json::to_vec(object).expect("JSON");
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{path}?fieldValidation=Strict{only_ask}"))
            .header("Content-Type", "application/json")
            .body(body)
            .expect("a request");
        answer(self.client.request(request).await)
    }
}

fn answer<T>(result: kube::Result<T>) -> Result<T, String> {
    match result {
        Ok(answer) => Ok(answer),
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 400 => Err(status.message.clone()),
        Err(error) => panic!("that is no answer to a spec: {error}"),
    }
}

/// What is wrong with a refusal, if anything.
fn complaint(case: &Value, answer: &Result<(), String>) -> Option<String> {
    let name = &case["name"];
    let Err(message) = answer else { return Some(format!("{name} is accepted")) };
    let missing = ["field", "says"].into_iter().filter_map(|key| case[key].as_str()).find(|wanted| !message.contains(wanted));
    missing.map(|wanted| format!("{name}: no {wanted:?} in {message}"))
}

#[test]
fn spec_errors_are_refused_at_apply() {
    run("spec_errors_are_refused_at_apply", async |place| {
        let server = Server::of(&place);
        let mut complaints = Vec::new();
        for case in table(GOOD) {
            if let Err(message) = server.ask(&patched(&case["patch"], &case["metadata"])).await {
                complaints.push(format!("{} is refused: {message}", case["name"]));
            }
        }
        let bad = table(BAD);
        assert!(bad.len() >= 30, "{}", bad.len());
        for case in bad {
            let answer = server.ask(&patched(&case["patch"], &case["metadata"])).await;
            complaints.extend(complaint(&case, &answer));
        }
        for (number, case) in table(CHANGES).into_iter().enumerate() {
            let metadata = json!({"name": format!("change-{number}")});
            let from = match server.create(&patched(&case["from"], &metadata)).await {
                Ok(from) => from,
                Err(message) => {
                    complaints.push(format!("{}: the beginning is refused: {message}", case["name"]));
                    continue;
                }
            };
            let answer = server.ask_to_change(&from, &patched(&case["to"], &metadata)).await;
            complaints.extend(complaint(&case, &answer));
            Api::<DorisCluster>::delete(&place.api(), &format!("change-{number}"), &DeleteParams::default()).await.expect("deleted");
        }
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    });
}
