//! Clusters with data that members leave.

#![allow(clippy::needless_pass_by_value, reason = "callers make the spec in place")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use doris_api::DorisCluster;
use doris_sim::{MemberKind, StreamLoad};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::lab::{Controller, Lab, Settings, cluster, is_ready, merge};
use serde_json::{Value, json};

pub const VERSIONS: [&str; 3] = ["2.0.15", "2.1.7", "3.0.3"];
/// Longer than any scale in of a test takes.
pub const LONG: Duration = Duration::from_mins(40);
pub const GIB: u64 = 1 << 30;
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));

/// A cluster that is ready, with the controller that made it. Waits are short: every second is simulated.
pub struct Stage {
    pub lab: Lab,
    pub spec: Value,
    _controller: Controller,
}

impl Stage {
    pub async fn new(mut spec: Value, patch: Value) -> Self {
        merge(&mut spec, &json!({"update": {"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5}}}));
        merge(&mut spec, &patch);
        let lab = Lab::new(Settings::default()).await;
        let controller = lab.start_controller();
        lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        // Until Doris has made its own tables.
        tokio::time::sleep(Duration::from_secs(30)).await;
        Self { lab, spec, _controller: controller }
    }

    /// Changes the spec.
    pub async fn change(&mut self, patch: Value) -> DorisCluster {
        merge(&mut self.spec, &patch);
        self.lab.apply(&cluster("demo", self.spec.clone())).await.expect("the spec is accepted")
    }

    /// Changes the spec and waits until all is as it says.
    pub async fn change_and_wait(&mut self, patch: Value) -> DorisCluster {
        let changed = self.change(patch).await;
        let generation = changed.metadata.generation;
        let done = move |seen: &DorisCluster| seen.metadata.generation == generation && is_ready(seen);
        self.lab.until("it is as the spec says", "demo", LONG, done).await
    }

    pub async fn sql(&self, statement: &str) -> Vec<BTreeMap<String, String>> {
        let master = self.lab.master_pod("demo").expect("one master");
        self.lab.sql("demo", &master, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// A table `d.<name>` of four tablets with so many bytes in each copy.
    pub async fn table(&self, name: &str, copies: usize, bytes: u64) {
        self.sql("CREATE DATABASE IF NOT EXISTS d").await;
        self.sql(&format!(
            "CREATE TABLE d.{name} (k int) DISTRIBUTED BY HASH(k) BUCKETS 8 PROPERTIES (\"replication_num\" = \"{copies}\")"
        ))
        .await;
        let password = self.lab.secret("demo-identity", "root.applied").await.expect("root's password");
        let master = self.lab.master_pod("demo").expect("one master");
        let address = self.lab.nodes.address("default", &master).expect("it runs");
        let load = StreamLoad { password, rows: 80, bytes, ..StreamLoad::new("d", name, format!("load-{name}")) };
        self.lab.world.stream_load(CLIENT, address.into(), &load).await.expect("the load succeeds");
    }

    pub async fn rows_of(&self, table: &str) -> String {
        self.sql(&format!("SELECT count(*) FROM d.{table}")).await[0].values().next().cloned().unwrap_or_default()
    }

    /// A cell of a backend's row; `None` once it is not registered.
    pub async fn backend(&self, pod: &str, column: &str) -> Option<String> {
        let rows = self.sql("SHOW BACKENDS").await;
        let row = rows.iter().find(|row| row["Host"].starts_with(&format!("{pod}.")))?;
        row.get(column).cloned()
    }

    pub async fn tablets(&self, pod: &str) -> u64 {
        self.backend(pod, "TabletNum").await.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub async fn pods(&self) -> Vec<String> {
        let list = self.lab.api::<Pod>().list(&ListParams::default()).await.expect("pods are listed");
        list.iter().map(kube::ResourceExt::name_any).collect()
    }

    pub async fn uid(&self, pod: &str) -> Option<String> {
        self.lab.api::<Pod>().get_opt(pod).await.expect("pods are read").and_then(|pod| pod.uid())
    }

    pub async fn replicas(&self, set: &str) -> Option<i32> {
        let set = self.lab.api::<StatefulSet>().get_opt(set).await.expect("sets are read")?;
        set.spec.and_then(|spec| spec.replicas)
    }

    /// Claims by name with their labels.
    pub async fn claims(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let list = self.lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims are listed");
        list.iter().map(|claim| (claim.name_any(), claim.labels().clone())).collect()
    }

    pub fn members(&self, kind: MemberKind) -> Vec<String> {
        self.lab.alive("demo", kind)
    }

    /// No rule was ever broken, no tablet is lost, and nothing more is written.
    pub async fn all_is_well(&self) {
        self.all_is_well_but(&[]).await;
    }

    /// The same, but for what these oracles are known to find.
    pub async fn all_is_well_but(&self, known: &[&str]) {
        for drop in self.lab.world.backend_drops() {
            assert!(drop.destroyed.is_empty(), "data went with {}: {:?}", drop.host, drop.destroyed);
        }
        assert_eq!(self.lab.world.unreadable_tablets(), Vec::new());
        let broken: Vec<String> =
            self.lab.broken_rules().into_iter().filter(|rule| !known.iter().any(|oracle| rule.starts_with(oracle))).collect();
        assert_eq!(broken, Vec::<String>::new());
        let before = self.lab.cluster("default", "demo").await.and_then(|demo| demo.status);
        let writes = self.lab.idle(Duration::from_mins(2)).await;
        let after = self.lab.cluster("default", "demo").await.and_then(|demo| demo.status);
        assert_eq!(writes, Vec::<String>::new(), "an idle time\n{before:#?}\n{after:#?}");
        assert_eq!(after.and_then(|status| status.operation), None);
    }
}

/// What the status tells: all waits and stalls.
pub fn told(seen: &DorisCluster) -> String {
    let conditions = seen.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().map(|condition| condition.message.as_str()).collect::<Vec<_>>().join("\n")
}
