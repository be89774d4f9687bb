//! A world for one conversation, and what was seen in it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use doris_sim::{FeSpec, ProcessHandle, ProcessState, Signal, Timing, Volume, VolumeDir, World, WorldOptions};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::ask::{Ask, kept};
use crate::mysql::{Answered, Client, Login, Reply, dial};
use crate::words::{Words, type_name};

/// How long a member may take until it serves.
pub const START: Duration = Duration::from_mins(2);
/// How long anything else may take.
pub const SOON: Duration = Duration::from_secs(90);

/// A row by column.
pub type Row = BTreeMap<String, Option<String>>;

pub struct Stage {
    world: World,
    base: [u8; 3],
    words: Words,
    volumes: BTreeMap<u8, Volume>,
    members: BTreeMap<u8, ProcessHandle>,
    pub seen: Vec<Value>,
}

impl Stage {
    /// An empty stage on addresses `base.*`.
    pub fn new(base: [u8; 3], seed: u64) -> Self {
        let world = World::new(WorldOptions { seed, timing: Timing::fast(), wire: true, ..WorldOptions::default() });
        let mut names = Vec::new();
        for (kind, count) in [("fe", 5), ("be", 3)] {
            for n in 0..count {
                let (host, ip) = (host(kind, n), address(base, kind, n));
                world.set_name(&host, ip);
                names.push((format!("{kind}-{n}"), host, ip));
            }
        }
        Self { world, base, words: Words::new(&names), volumes: BTreeMap::new(), members: BTreeMap::new(), seen: Vec::new() }
    }

    // Members ---------------------------------------------------------------------------------

    pub fn ip(&self, n: u8) -> IpAddr {
        address(self.base, "fe", n)
    }

    /// `host:port` of a frontend in the group.
    pub fn fe(n: u8) -> String {
        format!("{}:9010", host("fe", n))
    }

    /// `host:port` of a backend's heartbeat.
    pub fn be(n: u8) -> String {
        format!("{}:9050", host("be", n))
    }

    pub async fn start(&mut self, n: u8) {
        self.start_with(n, None, &[]).await;
    }

    pub async fn start_with(&mut self, n: u8, helper: Option<u8>, conf: &[(&str, &str)]) {
        let volume = self.volumes.entry(n).or_default().clone();
        let mut spec = FeSpec::new(host("fe", n), self.ip(n), "3.0.2", VolumeDir::root(&volume));
        spec.helpers = helper.map(Self::fe).into_iter().collect();
        spec.conf.extend(conf.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.kill(n).await;
        self.members.insert(n, self.world.start_fe(spec));
    }

    pub async fn stop(&self, n: u8) {
        self.end(n, Signal::Term).await;
    }

    pub async fn kill(&self, n: u8) {
        self.end(n, Signal::Kill).await;
    }

    async fn end(&self, n: u8, signal: Signal) {
        let Some(member) = self.members.get(&n) else { return };
        member.signal(signal);
        member.wait().await;
        // The sockets follow the process a moment later.
        sleep(Duration::from_millis(50)).await;
    }

    /// Ends everyone.
    pub async fn clear(&self) {
        for n in self.members.keys() {
            self.kill(*n).await;
        }
    }

    pub fn state(&self, n: u8) -> String {
        match self.members.get(&n).map(ProcessHandle::state) {
            Some(ProcessState::Running) => "running".to_owned(),
            Some(ProcessState::Exited(code)) => format!("exited {code}"),
            None => "never started".to_owned(),
        }
    }

    pub fn wipe(&self, n: u8) {
        self.volumes.get(&n).inspect(|volume| volume.clear());
    }

    pub fn file(&self, n: u8, path: &str) -> String {
        self.volumes.get(&n).and_then(|volume| volume.read_text(path)).unwrap_or_else(|| "<absent>".to_owned())
    }

    // Talking ---------------------------------------------------------------------------------

    pub async fn connect(&self, n: u8, login: Login<'_>) -> Answered<Client> {
        Client::connect(client(self.base), self.ip(n), login).await
    }

    /// A session of root for several statements; that there is none is written down.
    pub async fn session(&mut self, n: u8, login: Login<'_>) -> Option<Client> {
        match self.connect(n, login).await {
            Ok(client) => Some(client),
            Err(failure) => {
                self.note("no session", format!("{failure:?}"));
                None
            }
        }
    }

    /// Rows of a statement that is not written down.
    pub async fn ask(&self, n: u8, sql: &str) -> Answered<Vec<Row>> {
        self.ask_as(n, sql, "").await
    }

    pub async fn ask_as(&self, n: u8, sql: &str, password: &str) -> Answered<Vec<Row>> {
        let mut client = self.connect(n, Login { limit: Duration::from_secs(10), ..Login::new("root", password) }).await?;
        match client.query(sql).await? {
            Reply::Done { .. } => Ok(Vec::new()),
            Reply::Rows { columns, rows } => {
                let names = || columns.iter().map(|column| column.name.clone());
                Ok(rows.into_iter().map(|row| names().zip(row).collect()).collect())
            }
        }
    }

    /// Whether any value of a statement's rows contains this text.
    pub async fn shows(&self, n: u8, sql: &str, text: &str) -> bool {
        let rows = self.ask(n, sql).await.unwrap_or_default();
        rows.iter().flat_map(|row| row.values().flatten()).any(|value| value.contains(text))
    }

    /// Asks on a connection of its own and writes the answer down.
    pub async fn tell(&mut self, ask: Ask) {
        let login = Login { limit: ask.limit, ..Login::new(ask.user, ask.password) };
        let answer = match self.connect(ask.on, login).await {
            Ok(mut client) => client.query(&ask.sql).await,
            Err(failure) => Err(failure),
        };
        self.write_answer(&ask, answer);
    }

    /// Asks on this connection and writes the answer down.
    pub async fn tell_on(&mut self, client: &mut Client, ask: Ask) {
        let answer = client.query(&ask.sql).await;
        self.write_answer(&ask, answer);
    }

    /// Asks root's plain question.
    pub async fn sql(&mut self, n: u8, sql: impl Into<String>) {
        self.tell(Ask::new(n, sql)).await;
    }

    fn write_answer(&mut self, ask: &Ask, answer: Answered<Reply>) {
        let mut step = Map::new();
        step.insert("sql".to_owned(), json!(ask.sql));
        step.insert("on".to_owned(), json!(ask.on));
        if ask.user != "root" {
            step.insert("as".to_owned(), json!(ask.user));
        }
        match answer {
            Ok(Reply::Done { affected }) => drop(step.insert("done".to_owned(), json!(affected))),
            Ok(Reply::Rows { columns, rows }) => {
                let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
                if ask.rows {
                    step.insert("rows".to_owned(), json!(kept(ask, &names, &rows)));
                }
                step.insert("columns".to_owned(), json!(names));
                step.insert("types".to_owned(), json!(columns.iter().map(|column| type_name(column.kind)).collect::<Vec<_>>()));
            }
            Err(failure) => drop(step.insert("refused".to_owned(), json!([failure.code, failure.state, failure.text]))),
        }
        self.add(Value::Object(step));
    }

    /// Sends a GET and writes the answer down, its body only if asked for.
    pub async fn http(&mut self, n: u8, path: &str, user: Option<&str>, with_body: bool) {
        let title = user.map_or_else(|| format!("GET {path}"), |user| format!("GET {path} as {user}"));
        let mut step = Map::from_iter([("http".to_owned(), json!(title)), ("on".to_owned(), json!(n))]);
        match timeout(Duration::from_secs(15), get(client(self.base), SocketAddr::new(self.ip(n), 8030), path, user)).await {
            Ok(Ok((status, body))) => {
                step.insert("status".to_owned(), json!(status));
                if with_body {
                    let text = || json!(body.chars().take(2000).collect::<String>());
                    step.insert("body".to_owned(), serde_json::from_str(&body).unwrap_or_else(|_| text()));
                }
            }
            Ok(Err(_)) => drop(step.insert("refused".to_owned(), json!(["closed", null, ""]))),
            Err(_) => drop(step.insert("refused".to_owned(), json!(["silent", null, ""]))),
        }
        self.add(Value::Object(step));
    }

    /// Writes down something seen that is neither a statement nor a request.
    pub fn note(&mut self, what: &str, value: impl Into<Value>) {
        self.add(json!({"seen": what, "is": value.into()}));
    }

    fn add(&mut self, step: Value) {
        self.seen.push(self.words.replace(step));
    }

    // Waiting ---------------------------------------------------------------------------------

    /// Waits for something to be true and writes down whether it became so.
    pub async fn until(&mut self, what: &str, within: Duration, check: impl AsyncFn(&Self) -> bool) {
        let end = Instant::now() + within;
        let came = loop {
            if check(self).await {
                break true;
            }
            if Instant::now() > end {
                break false;
            }
            sleep(Duration::from_millis(200)).await;
        };
        self.note(what, came);
    }

    pub async fn ready(&mut self, n: u8) {
        self.until(&format!("fe {n} answers SQL"), START, async |d| d.ask(n, "SHOW FRONTENDS").await.is_ok()).await;
    }

    /// Rows of the frontends by number, as one of them tells it; none when it does not answer.
    pub async fn frontends(&self, n: u8) -> BTreeMap<u8, Row> {
        let rows = self.ask(n, "SHOW FRONTENDS").await.unwrap_or_default();
        let number = |row: &Row| (0..5).find(|n| cell(row, "Host") == Some(&host("fe", *n)));
        rows.into_iter().filter_map(|row| Some((number(&row)?, row))).collect()
    }

    /// Whether one frontend says that a member is alive; `None` when it does not answer or does not know it.
    pub async fn alive(&self, n: u8, member: u8) -> Option<bool> {
        self.frontends(n).await.get(&member).map(|row| cell(row, "Alive") == Some("true"))
    }

    /// The member that any of these calls master, if it is one of them.
    pub async fn master(&self, among: &[u8]) -> Option<u8> {
        for n in among {
            let rows = self.frontends(*n).await;
            let master = rows.iter().find(|(member, row)| cell(row, "IsMaster") == Some("true") && among.contains(member));
            if let Some((member, _)) = master {
                return Some(*member);
            }
        }
        None
    }

    /// A fresh cluster: frontend 0 founds it, the others are added and join.
    pub async fn cluster(&mut self, followers: u8, observers: u8) {
        self.start(0).await;
        self.ready(0).await;
        for n in 1..followers + observers {
            let kind = if n < followers { "FOLLOWER" } else { "OBSERVER" };
            if let Err(failure) = self.ask(0, &format!("ALTER SYSTEM ADD {kind} \"{}\"", Self::fe(n))).await {
                self.note("not added", format!("{failure:?}"));
            }
            self.start_with(n, Some(0), &[]).await;
            self.until(&format!("fe {n} joined"), SOON, async |d| d.alive(0, n).await == Some(true) && d.ask(n, "SELECT 1").await.is_ok())
                .await;
        }
    }
}

pub fn cell<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column)?.as_deref()
}

fn host(kind: &str, n: u8) -> String {
    format!("{kind}-{n}.doris-sim.local")
}

fn address([a, b, c]: [u8; 3], kind: &str, n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, n + if kind == "fe" { 1 } else { 11 }))
}

/// Doris takes 127.0.0.1 for local, so clients come from elsewhere.
fn client([a, b, c]: [u8; 3]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, 250))
}

/// Status and body of a GET.
async fn get(from: IpAddr, to: SocketAddr, path: &str, user: Option<&str>) -> std::io::Result<(u16, String)> {
    let mut stream = dial(from, to).await?;
    let login = user.map(|user| base64::engine::general_purpose::STANDARD.encode(format!("{user}:")));
    let login = login.map(|login| format!("Authorization: Basic {login}\r\n")).unwrap_or_default();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{login}\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}
