//! Queries and loads of the users' own accounts go on while every password of the operator's changes and members are
//! restarted one after the other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doris_sim::{Answer, LoadError, MemberFacts, SqlError, StreamLoad, World};
use scenarios::lab::{Lab, basic, is_ready};
use tokio::task::JoinSet;

use crate::people::{DESK, VERSIONS, asking, doors, lab, put, until_stored, with_passwords};

const APP: &str = "app";
const APP_PASSWORD: &str = "App-Password-1";
const ACCESS_DENIED: u16 = 1045;
const LONG: Duration = Duration::from_mins(30);

/// What clients met with.
#[derive(Debug, Default)]
struct Met {
    queries: u64,
    rows_loaded: u64,
    /// Lost connections and the like, after which a client comes again.
    interrupted: u64,
    denied: Vec<String>,
}

/// A client that goes from one frontend to the next.
struct Client {
    world: World,
    met: Arc<Mutex<Met>>,
}

impl Client {
    fn note(&self, change: impl FnOnce(&mut Met)) {
        change(&mut self.met.lock().expect("no holder panics"));
    }

    fn address(&self, turn: usize) -> Option<std::net::IpAddr> {
        let pod = format!("demo-fe-{}.", turn % 3);
        let members = self.world.members();
        let running = members.iter().filter(|member| member.is_running()).filter_map(MemberFacts::frontend);
        running.filter(|fe| fe.start.fqdn.starts_with(&pod)).map(|fe| fe.start.ip).next_back()
    }

    async fn queries(self) {
        for turn in 0.. {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let Some(ip) = self.address(turn) else { continue };
            let asked =
                async { self.world.connect(DESK, ip, 9030, APP, APP_PASSWORD).await?.query("SELECT count(*) FROM shop.orders").await };
            match tokio::time::timeout(Duration::from_secs(5), asked).await {
                Ok(Ok(Answer::Rows(_))) => self.note(|met| met.queries += 1),
                Ok(Err(SqlError::Server { code: ACCESS_DENIED, text, .. })) => self.note(|met| met.denied.push(text)),
                _ => self.note(|met| met.interrupted += 1),
            }
        }
    }

    async fn loads(self) {
        let mut label = 0;
        for turn in 0.. {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let Some(ip) = self.address(turn) else { continue };
            let load =
                StreamLoad { user: APP.into(), password: APP_PASSWORD.into(), ..StreamLoad::new("shop", "orders", format!("l{label}")) };
            match tokio::time::timeout(Duration::from_secs(20), self.world.stream_load(DESK, ip, &load)).await {
                Ok(Ok(_)) => self.note(|met| met.rows_loaded += load.rows),
                Ok(Err(LoadError::Denied(text))) => self.note(|met| met.denied.push(text)),
                // The same label again would count once; whether the first try counted is not asked here.
                _ => self.note(|met| met.interrupted += 1),
            }
            label += 1;
        }
    }
}

async fn root(lab: &Lab, statement: &str) {
    let master = lab.master_pod("demo").expect("one master");
    lab.sql("demo", &master, statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Restarts backends and frontends, whatever tables are away meanwhile.
fn rolled(version: &str, round: &str) -> serde_json::Value {
    let mut spec = with_passwords(basic(version));
    spec["update"] = serde_json::json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5}});
    for component in ["fe", "be"] {
        spec[component]["labels"] = serde_json::json!({"example.com/round": round});
    }
    spec
}

#[tokio::test(start_paused = true)]
async fn password_rotation_under_load() {
    for version in VERSIONS {
        let lab = lab("First-Root-1", "First-Admin-1").await;
        let _controller = lab.start_controller();
        lab.apply(&asking(rolled(version, "1"), "1")).await.expect("the spec is accepted");
        lab.until_ready("demo").await;
        root(&lab, "CREATE DATABASE shop").await;
        let three = "\"replication_num\" = \"3\"";
        root(&lab, &format!("CREATE TABLE shop.orders (k int) DISTRIBUTED BY HASH(k) BUCKETS 4 PROPERTIES ({three})")).await;
        root(&lab, &format!("CREATE USER '{APP}' IDENTIFIED BY '{APP_PASSWORD}'")).await;
        root(&lab, &format!("GRANT SELECT_PRIV, LOAD_PRIV ON shop.* TO '{APP}'")).await;
        let met = Arc::new(Mutex::new(Met::default()));
        let client = || Client { world: lab.world.clone(), met: met.clone() };
        let mut clients = JoinSet::new();
        clients.spawn(client().queries());
        clients.spawn(client().loads());
        tokio::time::sleep(Duration::from_secs(5)).await;

        let first = lab.secret("demo-identity", "operator.current").await.expect("a password");
        // Everything at once, and passwords again in the middle of the roll.
        put(&lab, "Second-Root-2", "Second-Admin-2").await;
        let changed = lab.apply(&asking(rolled(version, "2"), "2")).await.expect("the spec is accepted");
        let is_under_work = |seen: &doris_api::DorisCluster| {
            seen.status.as_ref().and_then(|status| status.operation.as_ref()).is_some_and(|operation| operation.done == Some(2))
        };
        lab.until("the roll is under way", "demo", LONG, is_under_work).await;
        put(&lab, "Third-Root-3", "Third-Admin-3").await;
        lab.apply(&asking(rolled(version, "2"), "3")).await.expect("the spec is accepted");
        lab.until("the roll is done", "demo", LONG, |seen| is_ready(seen) && seen.metadata.generation >= changed.metadata.generation).await;
        until_stored(&lab, "root.applied", Some("Third-Root-3")).await;
        until_stored(&lab, "admin.applied", Some("Third-Admin-3")).await;
        until_stored(&lab, "operator.next", None).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        lab.until_ready("demo").await;
        drop(clients);

        let met = std::mem::take(&mut *met.lock().expect("no holder panics"));
        println!("{version}: {} queries, {} rows loaded, {} interrupted", met.queries, met.rows_loaded, met.interrupted);
        assert_eq!(met.denied, Vec::<String>::new(), "{version}: the users' own accounts are nobody's business");
        assert!(met.queries > 100 && met.rows_loaded > 60, "{version}: {met:?}");
        assert!(met.interrupted * 4 < met.queries, "{version}: {met:?}");
        assert_eq!(doors(&lab, "root", "Third-Root-3"), (3, 3), "{version}");
        assert_ne!(lab.secret("demo-identity", "operator.current").await, Some(first), "{version}");
        assert_eq!(lab.broken_rules(), Vec::<String>::new(), "{version}");
    }
}
