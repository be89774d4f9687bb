//! Argo CD's health script, run by the Lua that Argo CD has, over every status that a cluster shows on its way: as the script stands in
//! the file, and as it stands in Argo CD's ConfigMap.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doris_api::{DorisCluster, DorisInitializer};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::watcher::{self, Event, watcher};
use scenarios::delivery::root;
use scenarios::lab::look::condition;
use scenarios::lab::{Lab, Settings, basic, cluster};
use serde_json::{Value, json};

use crate::harness::lua;

/// What a script gets: the libraries that Argo CD opens, and nothing of ours.
const RUN: &str = r#"
local chunk = assert(loadfile(script))
for _, case in ipairs(cases) do
  local allowed = { obj = case, ipairs = ipairs, pairs = pairs, type = type, tostring = tostring, tonumber = tonumber, table = table,
                    next = next, select = select, unpack = unpack, error = error, assert = assert, pcall = pcall }
  setfenv(chunk, allowed)
  local answer = chunk()
  print(answer.status .. "\t" .. (string.gsub(answer.message, "%s+", " ")))
end
"#;

/// Every version of every object of ours that a lab showed.
type Seen = Arc<Mutex<Vec<Value>>>;

#[test]
fn health_is_never_unknown_and_never_better_than_the_cluster_is() {
    let Some(lua) = lua() else { return };
    let seen = recorded();
    assert!(seen.len() > 20, "{}", seen.len());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (object, (status, message)) in seen.iter().zip(health(&lua, &root().join("deploy/gitops/argocd/health/doris.lua"), &seen)) {
        let holds = |type_: &str| {
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|condition| {
                condition["type"] == type_
                    && condition["status"] == "True"
                    && condition["observedGeneration"] == object["metadata"]["generation"]
            })
        };
        let expected: &[&str] = match () {
            () if holds("Stalled") => &["Degraded"],
            () if holds("Suspended") => &["Suspended"],
            () if holds("Ready") => &["Healthy"],
            () => &["Progressing"],
        };
        assert!(expected.contains(&status.as_str()), "{status} ({message}) of {object:#}");
        *counts.entry(status).or_default() += 1;
    }
    println!("{counts:?}");
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["Degraded", "Healthy", "Progressing", "Suspended"]);
}

#[test]
fn what_other_controllers_say_is_bad_is_bad() {
    let Some(lua) = lua() else { return };
    let of = |type_: &str, status: &str| json!({"type": type_, "status": status, "observedGeneration": 3, "message": type_});
    let object = |conditions: Value| json!({"metadata": {"name": "demo", "generation": 3}, "status": {"conditions": conditions}});
    let cases = [
        (object(json!([of("Ready", "True"), of("FrontendQuorum", "False")])), "Degraded"),
        (object(json!([of("Ready", "True"), of("DataHealthy", "False")])), "Degraded"),
        (object(json!([of("Ready", "True"), of("DataHealthy", "True")])), "Healthy"),
        (object(json!([of("Ready", "True"), of("Stalled", "False"), of("BackupFresh", "False")])), "Healthy"),
        (object(json!([])), "Progressing"),
        (json!({"metadata": {"name": "demo", "generation": 1}}), "Progressing"),
        (json!({"metadata": {"name": "demo", "generation": 3, "deletionTimestamp": "2026-01-01T00:00:00Z"}}), "Progressing"),
    ];
    let objects: Vec<Value> = cases.iter().map(|(object, _)| object.clone()).collect();
    let found = health(&lua, &root().join("deploy/gitops/argocd/health/doris.lua"), &objects);
    for ((object, expected), (status, message)) in cases.iter().zip(found) {
        assert_eq!(status, *expected, "{message}: {object:#}");
    }
}

#[test]
fn argo_cd_gets_the_script_that_is_tested() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a file");
    let script = read("deploy/gitops/argocd/health/doris.lua");
    let map: Value = serde_saphyr::from_str(&read("deploy/gitops/argocd/argocd-cm.yaml")).expect("YAML");
    for kind in ["DorisCluster", "DorisInitializer"] {
        assert_eq!(map["data"][format!("resource.customizations.health.doris-operator.dev_{kind}")], script.as_str(), "{kind}");
    }
}

/// Status and message of each object by the script.
fn health(lua: &std::path::Path, script: &std::path::Path, objects: &[Value]) -> Vec<(String, String)> {
    let cases: Vec<String> = objects.iter().map(literal).collect();
    let program = format!("local script = {}\nlocal cases = {{\n{}\n}}\n{RUN}", quoted(&script.display().to_string()), cases.join(",\n"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), program).expect("written");
    let output = std::process::Command::new(lua).arg(file.path()).output().expect("Lua runs");
    let (printed, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complained}{printed}");
    let lines: Vec<_> = printed.lines().filter_map(|line| line.split_once('\t')).collect();
    assert_eq!(lines.len(), objects.len(), "{printed}{complained}");
    lines.into_iter().map(|(status, message)| (status.to_owned(), message.to_owned())).collect()
}

/// A JSON value as Lua writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("{{{}}}", items.iter().map(literal).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("[{}]={}", quoted(name), literal(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}

/// Each byte that is more than a letter or digit by its number.
fn quoted(text: &str) -> String {
    let escaped = text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("\\{byte:03}") });
    format!("\"{}\"", escaped.collect::<String>())
}

/// What our objects look like while a cluster comes up, lacks a Secret, is restarted, suspended and woken, and runs SQL.
fn recorded() -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let lab = Lab::new(Settings::default()).await;
        let seen = Seen::default();
        let clusters = follow(Api::<DorisCluster>::all(lab.client.clone()), seen.clone());
        let initializers = follow(Api::<DorisInitializer>::all(lab.client.clone()), seen.clone());
        let recording = tokio::spawn(async move { tokio::join!(clusters, initializers) });
        let _controller = lab.start_controller();
        live(&lab).await;
        recording.abort();
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    })
}

async fn live(lab: &Lab) {
    let mut spec = basic("2.1.7");
    spec["auth"] = json!({"rootPassword": {"name": "root", "key": "password"}});
    lab.apply(&cluster("demo", spec.clone())).await.expect("taken");
    let initializer = json!({
        "apiVersion": "doris-operator.dev/v1beta1", "kind": "DorisInitializer", "metadata": {"name": "setup"},
        "spec": {"clusterRef": {"name": "demo"}, "sql": [{"text": "CREATE DATABASE one"}]},
    });
    let initializer: DorisInitializer = serde_json::from_value(initializer).expect("an initializer");
    Api::default_namespaced(lab.client.clone()).create(&PostParams::default(), &initializer).await.expect("made");
    let is_stalled = |cluster: &DorisCluster| condition(cluster, "Stalled").is_some_and(|(status, _, _)| status == "True");
    lab.until("stalled", "demo", Duration::from_mins(2), is_stalled).await;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "root"}, "stringData": {"password": "Correct-Horse-7"}})).expect("one");
    Api::default_namespaced(lab.client.clone()).create(&PostParams::default(), &secret).await.expect("made");
    lab.until_ready("demo").await;
    spec["be"]["labels"] = json!({"example.com/round": "2"});
    lab.apply(&cluster("demo", spec.clone())).await.expect("taken");
    lab.until_ready("demo").await;
    spec["suspend"] = json!(true);
    lab.apply(&cluster("demo", spec.clone())).await.expect("taken");
    let is_suspended = |cluster: &DorisCluster| condition(cluster, "Suspended").is_some_and(|(status, _, _)| status == "True");
    lab.until("suspended", "demo", Duration::from_mins(15), is_suspended).await;
    spec["suspend"] = json!(false);
    lab.apply(&cluster("demo", spec)).await.expect("taken");
    lab.until_ready("demo").await;
}

async fn follow<K>(api: Api<K>, seen: Seen)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let mut events = watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
            let object = serde_json::to_value(&object).expect("JSON");
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(object);
        }
    }
}
