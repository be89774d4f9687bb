//! Watches pods be restarted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::lab::Lab;
use serde_json::Value;
use tokio::task::JoinHandle;

/// Pods that were made anew, in the order in which it happened.
pub struct Restarts {
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Restarts {
    /// Begins to watch the pods of a cluster.
    pub async fn of(lab: &Lab, cluster: &str) -> Self {
        let selector = format!("doris-operator.dev/cluster={cluster}");
        let pods = lab.api::<Pod>();
        let mut known = uids(&pods, &selector).await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(250)).await;
                let now = uids(&pods, &selector).await;
                let renewed = now.iter().filter(|(name, uid)| known.get(*name).is_some_and(|before| before != *uid));
                told.lock().unwrap_or_else(PoisonError::into_inner).extend(renewed.map(|(name, _)| name.clone()));
                // A pod that is missing for a moment is still the one that was known.
                known.extend(now);
            }
        });
        Self { seen, task }
    }

    /// Those so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Restarts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn uids(pods: &kube::Api<Pod>, selector: &str) -> BTreeMap<String, String> {
    let list = pods.list(&ListParams::default().labels(selector)).await.expect("pods are listed");
    list.into_iter().map(|pod| (pod.name_any(), pod.uid().unwrap_or_default())).collect()
}

/// The spec with little patience: the laboratory simulates every second of a wait.
pub fn hasty(mut spec: Value) -> Value {
    spec["update"] =
        serde_json::json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5, "backendSeconds": 45, "frontendSeconds": 45}});
    spec
}

/// The spec with a pod label on each of these components: a change that restarts and does nothing else.
pub fn labelled(mut spec: Value, components: &[&str], value: &str) -> Value {
    for component in components {
        spec[component]["labels"] = serde_json::json!({"example.com/round": value});
    }
    spec
}

/// The spec with little patience that keeps every table available.
pub fn brisk(mut spec: Value) -> Value {
    spec["update"] = serde_json::json!({"timeouts": {"drainSeconds": 20, "backendSeconds": 60, "frontendSeconds": 60}});
    spec
}

/// Makes a table in database `d`, with so many replicas and buckets.
pub async fn table(lab: &Lab, name: &str, replicas: u32, buckets: u32) {
    let master = lab.master_pod("demo").expect("one master");
    let create =
        format!("CREATE TABLE d.{name} (k INT) DISTRIBUTED BY HASH(k) BUCKETS {buckets} PROPERTIES (\"replication_num\" = \"{replicas}\")");
    for statement in ["CREATE DATABASE IF NOT EXISTS d", &create] {
        lab.sql("demo", &master, statement).await.expect("the master answers");
    }
}

/// Waits until Doris' own tables have their copies and nothing is being repaired.
pub async fn until_healthy(lab: &Lab) {
    lab.eventually("every tablet is healthy", Duration::from_mins(5), || async {
        let master = lab.master_pod("demo").ok_or("no master")?;
        let rows = lab.sql("demo", &master, "SHOW PROC '/cluster_health/tablet_health'").await?;
        let total = rows.last().ok_or("no rows")?;
        let is_copied = lab.world.tablets().iter().all(|tablet| tablet.table == "log" || tablet.wanted >= 3);
        if total["TabletNum"] == total["HealthyNum"] && is_copied { Ok(()) } else { Err(format!("{total:?}")) }
    })
    .await;
}
