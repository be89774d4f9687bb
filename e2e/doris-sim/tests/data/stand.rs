//! A cluster to try things on: frontends at 10.0.0.1 and up, backends at 10.0.0.11 and up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use doris_sim::{
    Answer, BeSpec, FeSpec, LoadError, LoadResult, Medium, NodeRole, ProcessHandle, Rows, Session, SqlError, StorageRoot, StreamLoad,
    Timing, Volume, VolumeDir, World, WorldOptions,
};
use tokio::time::{Instant, sleep};

pub const VERSIONS: [&str; 4] = ["2.0.15", "2.1.7", "3.0.3", "4.0.0"];
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99));
pub const GIB: u64 = 1 << 30;

pub fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

pub async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

pub struct Stand {
    pub world: World,
    pub version: String,
    metadata: Vec<Volume>,
    pub disks: BTreeMap<u8, Volume>,
    pub capacity: u64,
}

impl Stand {
    /// One frontend and some backends that have reported.
    pub async fn new(version: &str, backends: u8) -> Self {
        Self::seeded(version, 1, backends, 1).await
    }

    pub async fn seeded(version: &str, frontends: u8, backends: u8, seed: u64) -> Self {
        let world = World::new(WorldOptions { seed, timing: Timing::real(), ..WorldOptions::default() });
        let mut stand = Self {
            world,
            version: version.to_owned(),
            metadata: (0..frontends).map(|_| Volume::new()).collect(),
            disks: BTreeMap::new(),
            capacity: 1024 * GIB,
        };
        for n in 0..frontends {
            stand.world.set_name(&format!("fe-{n}.test"), ip(n + 1));
            if n > 0 {
                stand.good(&format!("ALTER SYSTEM ADD FOLLOWER \"fe-{n}.test:9010\"")).await;
            }
            stand.start_frontend(n, version);
            seconds(60).await;
        }
        for n in 0..backends {
            stand.add_backend(n, NodeRole::Mix).await;
        }
        seconds(150).await;
        stand
    }

    pub fn start_frontend(&self, n: u8, version: &str) -> ProcessHandle {
        let mut spec = FeSpec::new(format!("fe-{n}.test"), ip(n + 1), version, VolumeDir::root(&self.metadata[usize::from(n)]));
        spec.helpers = (n > 0).then(|| "fe-0.test:9010".to_owned()).into_iter().collect();
        self.world.start_fe(spec)
    }

    pub async fn add_backend(&mut self, n: u8, role: NodeRole) {
        self.world.set_name(&format!("be-{n}.test"), ip(n + 11));
        self.disks.insert(n, Volume::with_capacity(self.capacity));
        self.good(&format!("ALTER SYSTEM ADD BACKEND \"be-{n}.test:9050\"")).await;
        self.start_backend(n, role);
    }

    pub fn start_backend(&self, n: u8, role: NodeRole) -> ProcessHandle {
        self.world.start_be(BeSpec {
            fqdn: format!("be-{n}.test"),
            ip: ip(n + 11),
            version: self.version.clone(),
            storage: vec![StorageRoot::new("/data", &self.disks[&n], Medium::Ssd, self.capacity)],
            conf: BTreeMap::new(),
            role,
        })
    }

    pub fn backend(&self, n: u8) -> ProcessHandle {
        self.world.process_at(ip(n + 11)).expect("the backend runs")
    }

    pub async fn session(&self, frontend: u8) -> Result<Session, SqlError> {
        self.world.connect(CLIENT, ip(frontend + 1), 9030, "root", "").await
    }

    pub async fn sql(&self, text: &str) -> Result<Answer, SqlError> {
        self.session(0).await?.query(text).await
    }

    pub async fn good(&self, text: &str) -> Answer {
        match self.sql(text).await {
            Ok(answer) => answer,
            Err(error) => unreachable!("{text}: {error}"),
        }
    }

    /// The error's text of a statement that fails.
    pub async fn bad(&self, text: &str) -> String {
        match self.sql(text).await {
            Err(error) => error.to_string(),
            Ok(answer) => unreachable!("{text} succeeded: {answer:?}"),
        }
    }

    pub async fn rows(&self, text: &str) -> Rows {
        self.good(text).await.rows().cloned().unwrap_or_default()
    }

    /// A table of 4 tablets in database `d`.
    pub async fn table(&self, name: &str, properties: &str) {
        self.good("CREATE DATABASE IF NOT EXISTS d").await;
        self.good(&format!("CREATE TABLE d.{name} (k int) DISTRIBUTED BY HASH(k) BUCKETS 4 PROPERTIES ({properties})")).await;
    }

    pub async fn load(&self, table: &str, label: &str, rows: u64) -> Result<LoadResult, LoadError> {
        self.load_bytes(table, label, rows, rows * 100).await
    }

    pub async fn load_bytes(&self, table: &str, label: &str, rows: u64, bytes: u64) -> Result<LoadResult, LoadError> {
        self.world.stream_load(CLIENT, ip(1), &StreamLoad { rows, bytes, ..StreamLoad::new("d", table, label) }).await
    }

    pub async fn count(&self, table: &str) -> Result<u64, SqlError> {
        let answer = self.sql(&format!("SELECT count(*) FROM d.{table}")).await?;
        Ok(answer.rows().and_then(|rows| rows.rows[0][0].clone()).and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// A column of the last, total row of the tablet health.
    pub async fn health(&self, column: &str) -> u64 {
        let rows = self.rows("SHOW PROC '/cluster_health/tablet_health'").await;
        rows.value(rows.rows.len() - 1, column).and_then(|text| text.parse().ok()).expect("a number in a column that every version has")
    }

    /// A cell of a backend's row.
    pub async fn row(&self, n: u8, column: &str) -> Option<String> {
        let rows = self.rows("SHOW BACKENDS").await;
        let host = format!("be-{n}.test");
        let row = (0..rows.rows.len()).find(|row| rows.value(*row, "Host") == Some(&host))?;
        rows.value(row, column).map(str::to_owned)
    }

    pub async fn set(&self, key: &str, value: &str) {
        self.good(&format!("ADMIN SET FRONTEND CONFIG (\"{key}\" = \"{value}\")")).await;
    }

    /// Waits until something is so; how long that took.
    pub async fn until(&self, what: &str, within: u64, mut so: impl AsyncFnMut(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while !so(self).await {
            assert!(start.elapsed() < Duration::from_secs(within), "{what}: not within {within} s\n{:#?}", self.world.tablets());
            seconds(1).await;
        }
        start.elapsed()
    }

    pub async fn http(&self, to: IpAddr, port: u16, method: &str, path: &str) -> serde_json::Value {
        let request = http::Request::builder().method(method).uri(path).header("authorization", "Basic cm9vdDo=").body(Bytes::new());
        let response = self.world.http(CLIENT, to, port, request.expect("a good request")).await.expect("an answer");
        serde_json::from_slice(response.body()).expect("JSON")
    }

    /// Whether the tablet checker finds nothing to do.
    pub async fn is_healthy(&self) -> bool {
        self.health("HealthyNum").await == self.health("TabletNum").await
    }
}
