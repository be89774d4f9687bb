//! Random walks over the spec: one field changes, then another, at any moment; then the spec is left alone, and
//! everything has to become as it says.

use std::fmt;
use std::time::Duration;

use doris_api::DorisCluster;
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::oracles::end;
use super::oracles::logs::Logs;
use super::workloads::NAME;
use super::{Lab, Settings, cluster, is_ready, merge};

/// Longest time from the last change to `Ready`. A roll of all members of a small cluster takes some minutes.
const WITHIN: Duration = Duration::from_mins(60);

/// Versions that walks begin with.
const VERSIONS: [&str; 3] = ["2.0.15", "2.1.7", "3.0.3"];

/// Keys with values that they can have: component, key, values.
const KEYS: [(&str, &str, [&str; 2]); 12] = [
    ("fe", "disable_balance", ["true", "false"]),
    ("fe", "catalog_trash_expire_second", ["3600", "7200"]),
    ("fe", "max_running_txn_num_per_db", ["500", "2000"]),
    ("fe", "prefer_compute_node_for_external_table", ["false", "true"]),
    ("fe", "qe_max_connection", ["2048", "4096"]),
    ("fe", "JAVA_OPTS", ["-Xmx2g", "-Xmx3g"]),
    ("be", "max_tablet_version_num", ["3000", "4000"]),
    ("be", "disable_auto_compaction", ["true", "false"]),
    ("be", "mem_limit", ["70%", "80%"]),
    ("cn", "streaming_load_max_mb", ["20480", "40960"]),
    ("cn", "doris_scanner_thread_pool_thread_num", ["16", "24"]),
    ("be", "streaming_load_max_mb", ["20480", "40960"]),
];

/// One change of the spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// How long after the one before.
    pub after: Duration,
    /// What changes, as a merge patch.
    pub patch: Value,
}

/// A walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    /// Everything random follows from it.
    pub seed: u64,
    /// The spec that it begins with.
    pub start: Value,
    /// Whether the first change waits until the cluster is ready; others fall into its creation.
    pub is_created_first: bool,
    /// What changes, in order.
    pub changes: Vec<Change>,
}

impl Walk {
    /// The walk of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let start = start(&mut rng);
        let is_created_first = rng.u8(..4) > 0;
        let mut spec = start.clone();
        let mut changes = Vec::new();
        for _ in 0..rng.usize(1..=3) {
            let patch = patch(&mut rng, &spec);
            merge(&mut spec, &patch);
            changes.push(Change { after: pause(&mut rng), patch });
        }
        // Whatever holds changes back is taken away: the spec that is left alone can be reached.
        let free = json!({"update": {"paused": false, "strategy": "Rolling"}});
        changes.push(Change { after: pause(&mut rng), patch: free });
        Self { seed, start, is_created_first, changes }
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "SEED={} begins with {}", self.seed, self.start)?;
        writeln!(formatter, "  {}", if self.is_created_first { "once it is ready:" } else { "while it is created:" })?;
        for change in &self.changes {
            writeln!(formatter, "  after {:>5.1} s {}", change.after.as_secs_f64(), change.patch)?;
        }
        Ok(())
    }
}

/// Small clusters: a run costs what its members do.
fn start(rng: &mut Rng) -> Value {
    let mut spec = json!({
        "version": VERSIONS[rng.usize(..VERSIONS.len())],
        "fe": {"replicas": if rng.u8(..6) == 0 { 3 } else { 1 }, "storage": {"size": "20Gi"}},
        "be": {"replicas": rng.i32(1..=2), "storage": [{"name": "data", "medium": "SSD", "size": "100Gi"}]},
        "update": {"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5, "backendSeconds": 45, "frontendSeconds": 45}},
    });
    if rng.u8(..4) == 0 {
        spec["cn"] = json!({"replicas": 1});
    }
    for _ in 0..rng.usize(..3) {
        let patch = key(rng, &spec);
        merge(&mut spec, &patch);
    }
    spec
}

/// Often at once, sometimes in the middle of what the change before began, sometimes after it.
fn pause(rng: &mut Rng) -> Duration {
    match rng.u8(..4) {
        0 => Duration::from_millis(rng.u64(..500)),
        1 => Duration::from_millis(rng.u64(500..10_000)),
        2 => Duration::from_secs(rng.u64(10..60)),
        _ => Duration::from_secs(rng.u64(60..300)),
    }
}

fn patch(rng: &mut Rng, spec: &Value) -> Value {
    let component = member(rng, spec);
    let number = rng.u8(..4);
    match rng.u8(..16) {
        0..=5 => key(rng, spec),
        6 => json!({component: {"labels": {"example.com/round": number.to_string()}}}),
        7 => json!({component: {"annotations": {"example.com/restarted-at": number.to_string()}}}),
        8 => json!({component: {"env": [{"name": "ROUND", "value": number.to_string()}]}}),
        9 => json!({component: {"resources": {"limits": {"memory": format!("{}Gi", 4 + number)}}}}),
        10 => grown(rng, spec),
        11 => json!({"update": {"paused": rng.bool()}}),
        12 => json!({"podDisruptionBudget": {"enabled": rng.bool()}}),
        13 => json!({"networkPolicy": {"enabled": rng.bool()}}),
        14 => json!({"update": {"strategy": if rng.bool() { "OnDelete" } else { "Rolling" }}}),
        _ => json!({"be": {"service": {"type": if rng.bool() { "NodePort" } else { "ClusterIP" }}}}),
    }
}

fn member<'a>(rng: &mut Rng, spec: &Value) -> &'a str {
    let there: Vec<&str> = ["fe", "be", "cn", "broker"].into_iter().filter(|component| spec.get(*component).is_some()).collect();
    there[rng.usize(..there.len())]
}

/// A key of the configuration is set, or taken out.
fn key(rng: &mut Rng, spec: &Value) -> Value {
    let there: Vec<_> = KEYS.iter().filter(|(component, ..)| spec.get(*component).is_some()).collect();
    let (component, key, values) = there[rng.usize(..there.len())];
    let is_set = spec[*component]["config"].get(*key).is_some();
    let value = if is_set && rng.bool() { Value::Null } else { json!(values[rng.usize(..2)]) };
    json!({*component: {"config": {*key: value}}})
}

/// More members.
fn grown(rng: &mut Rng, spec: &Value) -> Value {
    let replicas = |component: &str| spec[component]["replicas"].as_i64().unwrap_or(0);
    match rng.u8(..5) {
        0 => json!({"fe": {"observers": (spec["fe"]["observers"].as_i64().unwrap_or(0) + 1).min(2)}}),
        1 => json!({"fe": {"replicas": 3}}),
        2 => json!({"be": {"replicas": (replicas("be") + 1).min(3)}}),
        3 => json!({"broker": {"replicas": 1, "name": "hdfs_broker"}}),
        _ => json!({"cn": {"replicas": (replicas("cn") + 1).min(2)}}),
    }
}

/// Walks, and tells what was broken.
pub async fn run(walk: &Walk) -> Vec<String> {
    let (logs, guard) = Logs::capture();
    let lab = Lab::new(Settings { seed: walk.seed, ..Settings::default() }).await;
    let _controller = lab.start_controller();
    let mut broken = Vec::new();
    let mut spec = walk.start.clone();
    let mut applied = lab.apply(&cluster(NAME, spec.clone())).await;
    if walk.is_created_first && applied.is_ok() {
        broken.extend(ready(&lab, None).await);
    }
    for change in &walk.changes {
        tokio::time::sleep(change.after).await;
        merge(&mut spec, &change.patch);
        applied = lab.apply(&cluster(NAME, spec.clone())).await;
        if let Err(error) = &applied {
            broken.push(format!("walk: {} is not accepted: {error}", change.patch));
        }
    }
    if let Ok(applied) = &applied {
        broken.extend(ready(&lab, Some(applied)).await);
    }
    if broken.is_empty() {
        broken.extend(end::quiet(&lab, NAME).await);
        if let Some(cluster) = lab.cluster("default", NAME).await {
            broken.extend(end::truth(&lab, &cluster));
            broken.extend(end::in_force(&lab, &cluster).await);
        }
        if let Ok(end) = end::state(&lab, NAME).await {
            broken.extend(end::left_tickets(&end));
        }
        broken.extend(end::switches(&lab));
    }
    broken.extend(lab.broken_rules());
    broken.extend(logs.judge(&lab.passwords()));
    drop(guard);
    broken
}

/// Waits until the cluster is ready, at that generation or a later one; the sentence says why it is not.
async fn ready(lab: &Lab, at: Option<&DorisCluster>) -> Option<String> {
    let wanted = at.and_then(|cluster| cluster.metadata.generation).unwrap_or(0);
    let end = Instant::now() + WITHIN;
    loop {
        let cluster = lab.cluster("default", NAME).await;
        if cluster.as_ref().is_some_and(|cluster| cluster.metadata.generation >= Some(wanted) && is_ready(cluster)) {
            return None;
        }
        if Instant::now() >= end {
            let status = cluster.and_then(|cluster| cluster.status);
            let summary = status.and_then(|status| status.summary).unwrap_or_default();
            return Some(format!("desired: not ready within {WITHIN:?}: {summary}"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::Walk;

    #[test]
    fn a_seed_is_one_walk_and_seeds_are_many() {
        assert_eq!(Walk::of(7), Walk::of(7));
        let walks: std::collections::BTreeSet<String> = (0..50).map(|seed| format!("{:?}", Walk::of(seed).changes)).collect();
        assert!(walks.len() > 45, "{}", walks.len());
    }
}
