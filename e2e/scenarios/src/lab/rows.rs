//! A table with rows: what was loaded has to be there whatever happens to the cluster.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;

use doris_api::names;
use doris_sim::StreamLoad;

use super::Lab;

/// Rows that are loaded.
const ROWS: u64 = 80;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

impl Lab {
    /// Makes a table of a cluster that is ready, with so many copies of everything, and loads rows. Tells whether it could.
    pub async fn load_rows(&self, cluster: &str, copies: i64) -> bool {
        let Some(master) = self.master_pod(cluster) else { return false };
        let table = format!("CREATE TABLE d.t (k int) DISTRIBUTED BY HASH(k) BUCKETS 4 PROPERTIES (\"replication_num\" = \"{copies}\")");
        for statement in ["CREATE DATABASE d", &table] {
            if self.sql(cluster, &master, statement).await.is_err() {
                return false;
            }
        }
        let Some(password) = self.secret(&names::identity(cluster), "root.applied").await else { return false };
        let Some(address) = self.nodes.address("default", &master) else { return false };
        let load = StreamLoad { password, rows: ROWS, ..StreamLoad::new("d", "t", "load") };
        let is_loaded = self.world.stream_load(CLIENT, address.into(), &load).await.is_ok();
        self.has_rows.store(is_loaded, Ordering::Relaxed);
        is_loaded
    }

    /// `rows-stay`: what was loaded is there.
    pub async fn rows_stay(&self, cluster: &str) -> Option<String> {
        if !self.has_rows.load(Ordering::Relaxed) {
            return None;
        }
        let Some(master) = self.master_pod(cluster) else { return Some("rows-stay: no frontend can be asked for them".to_owned()) };
        let rows = self.sql(cluster, &master, "SELECT count(*) FROM d.t").await;
        let found = rows.map(|rows| rows.first().and_then(|row| row.values().next().cloned()).unwrap_or_default());
        (found.as_deref() != Ok(&ROWS.to_string())).then(|| format!("rows-stay: {ROWS} rows were loaded, and the table has {found:?}"))
    }
}
