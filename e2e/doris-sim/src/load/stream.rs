//! Stream load: a client hands data to a backend, which leads the load.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;

use super::{Batch, Leader, LoadError, transaction, wal};
use crate::answer::SqlError;
use crate::be::Piece;
use crate::catalog::{Backend, Coordinator, Priv};
use crate::fe::Fe;
use crate::process::ProcessId;
use crate::session::{Proof, authenticate};
use crate::state::{Reach, State};
use crate::truth::Work;
use crate::world::World;

/// Where a client asks when no frontend is there that could listen elsewhere.
const HTTP_PORT: u16 = 8030;

/// A stream load as a client asks for it.
#[derive(Clone)]
pub struct StreamLoad {
    /// Account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
    /// Label: at most one load of it ever counts.
    pub label: String,
    /// Rows.
    pub rows: u64,
    /// Bytes of one copy, over all tablets.
    pub bytes: u64,
    /// How long the data flows; `None` takes the usual time.
    pub duration: Option<Duration>,
    /// `group_commit`: acknowledged from the backend's write-ahead log, committed some time later. From 2.1 on.
    pub group_commit: bool,
}

impl StreamLoad {
    /// One row of 100 bytes as root without a password.
    pub fn new(database: impl Into<String>, table: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            user: "root".to_owned(),
            password: String::new(),
            database: database.into(),
            table: table.into(),
            label: label.into(),
            rows: 1,
            bytes: 100,
            duration: None,
            group_commit: false,
        }
    }
}

impl std::fmt::Debug for StreamLoad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "load {} of {} rows into {}.{} as {}", self.label, self.rows, self.database, self.table, self.user)
    }
}

/// What a load that counts came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStatus {
    /// Visible.
    Success,
    /// Committed, and visible some time later.
    PublishTimeout,
    /// In a write-ahead log.
    Logged,
}

/// A load that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadResult {
    /// How far it is.
    pub status: LoadStatus,
    /// Its transaction; 0 while it lies in a log.
    pub txn: u64,
    /// Backend that led it.
    pub coordinator: String,
}

impl World {
    /// Loads through the frontend at an address, which sends the client on to a backend of its choice.
    pub async fn stream_load(&self, from: IpAddr, fe: IpAddr, load: &StreamLoad) -> Result<LoadResult, LoadError> {
        let table = format!("{}.{}", load.database, load.table);
        let result = self.try_stream_load(from, fe, load).await;
        let reason = result.as_ref().err().map(ToString::to_string);
        self.note_work(fe, Work::Load, &load.user, &table, reason);
        result
    }

    async fn try_stream_load(&self, from: IpAddr, fe: IpAddr, load: &StreamLoad) -> Result<LoadResult, LoadError> {
        let port = self.state().frontends().find(|(_, peer)| peer.ip == fe).map_or(HTTP_PORT, |(_, peer)| peer.http_port);
        let frontend = self.dial(from, fe, port).await.map_err(unreachable)?;
        let (host, port) = {
            let mut state = self.state();
            enter(&mut state, frontend, from, load)?;
            choose(&mut state, frontend)?
        };
        let ip = self.resolve(&host).ok_or(LoadError::NoRoute)?;
        let backend = self.dial(from, ip, port).await.map_err(unreachable)?;
        tokio::select! {
            biased;
            () = self.ended(backend) => Err(LoadError::Lost),
            result = serve(self, backend, load) => result,
        }
    }
}

fn unreachable(reach: Reach) -> LoadError {
    if reach == Reach::NoRoute { LoadError::NoRoute } else { LoadError::Refused }
}

fn enter(state: &mut State, frontend: ProcessId, from: IpAddr, load: &StreamLoad) -> Result<(), LoadError> {
    let now = state.clock.now_ms();
    let fe = state.fe_mut(frontend).ok_or(LoadError::Refused)?;
    let denied = |error: SqlError| LoadError::Denied(error.to_string());
    let identity = authenticate(fe, now, from, &load.user, &Proof::Password(&load.password)).map_err(denied)?;
    let allowed = fe.catalog.user(&identity).is_some_and(|user| user.has_on(&load.database, Priv::Load));
    allowed
        .then_some(())
        .ok_or_else(|| LoadError::Denied(format!("Access denied; user '{}' may not load into {}", load.user, load.database)))
}

/// Backends that may lead a load.
pub(super) fn leaders(fe: &Fe) -> Vec<&Backend> {
    let newest = fe.version.from_line(4, 1);
    let fit = |row: &&Backend| row.alive && row.stores() && !row.load_disabled && !row.decommissioned && !(newest && row.stopping);
    fe.catalog.backends.values().filter(fit).collect()
}

/// Where a frontend sends a client.
fn choose(state: &mut State, frontend: ProcessId) -> Result<(String, u16), LoadError> {
    let number = state.rng.usize(..);
    let fe = state.fe(frontend).ok_or(LoadError::Refused)?;
    let fit = leaders(fe);
    let chosen = fit.get(number % fit.len().max(1)).ok_or_else(|| LoadError::Refusal("No backend load available".to_owned()))?;
    let port = u16::try_from(chosen.http_port).map_err(|_| LoadError::Refusal("No backend load available".to_owned()))?;
    Ok((chosen.host.clone(), port))
}

/// Leads a load as a backend.
pub(super) async fn serve(world: &World, backend: ProcessId, load: &StreamLoad) -> Result<LoadResult, LoadError> {
    world.awake(backend).await;
    let piece = Piece::load(world, backend, &load.label).ok_or(LoadError::Lost)?;
    let coordinator = world.state().be(backend).map(|be| be.fqdn.clone()).unwrap_or_default();
    if load.group_commit && world.state().be(backend).is_some_and(|be| be.version.from_line(2, 1)) {
        wal::accept(world, backend, load)?;
        return Ok(LoadResult { status: LoadStatus::Logged, txn: 0, coordinator });
    }
    let (master, leader) = master_of(&world.state(), backend)?;
    let batch = batch_of(world, load);
    let (txn, visible) = transaction::load(world, master, &leader, &batch).await?;
    drop(piece);
    let status = if visible { LoadStatus::Success } else { LoadStatus::PublishTimeout };
    Ok(LoadResult { status, txn, coordinator })
}

pub(super) fn batch_of(world: &World, load: &StreamLoad) -> Batch {
    Batch {
        database: load.database.clone(),
        table: load.table.clone(),
        label: load.label.clone(),
        rows: load.rows,
        bytes: load.bytes,
        duration: load.duration.unwrap_or(world.state().timing.load),
    }
}

/// The master that a backend obeys, and what the backend is called there.
pub(super) fn master_of(state: &State, backend: ProcessId) -> Result<(ProcessId, Leader), LoadError> {
    let failed = |text: &str| LoadError::Failed(format!("[THRIFT_RPC_ERROR]failed to call frontend service, {text}"));
    let be = state.be(backend).ok_or(LoadError::Lost)?;
    let obeyed = be.obeyed.as_ref().ok_or_else(|| failed("have not get FE Master heartbeat yet"))?;
    let Reach::Open(master) = state.reach_host(backend, &obeyed.host, obeyed.rpc_port) else {
        return Err(failed("master does not answer"));
    };
    let fe = state.fe(master).filter(|fe| fe.is_master()).ok_or_else(|| failed("not the master"))?;
    let row = fe.catalog.backends.values().find(|row| row.host == obeyed.own_host).ok_or_else(|| failed("unknown backend"))?;
    Ok((master, Leader { process: backend, name: Coordinator::Backend { id: row.id, start_ms: row.start_ms } }))
}

/// Answers `PUT /api/<database>/<table>/_stream_load` at a frontend or a backend; `None` for any other path.
pub(crate) async fn respond(world: &World, id: ProcessId, from: IpAddr, request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let mut parts = request.uri().path().trim_start_matches("/api/").split('/');
    let (database, table) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    if parts.next() != Some("_stream_load") {
        return None;
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let credentials = header("authorization").and_then(|text| text.strip_prefix("Basic "));
    let decoded = credentials.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (user, password) = text.split_once(':').unwrap_or_default();
    let body = request.body();
    let label = header("label").map_or_else(|| world.state().uuid(), str::to_owned);
    let load = StreamLoad {
        user: user.to_owned(),
        password: password.to_owned(),
        rows: body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64,
        bytes: body.len() as u64,
        group_commit: header("group_commit").is_some_and(|mode| mode != "off_mode"),
        ..StreamLoad::new(database, table, label)
    };
    if world.state().fe(id).is_some() {
        return Some(redirect(world, id, from, request, &load));
    }
    let result = serve(world, id, &load).await;
    let reason = result.as_ref().err().map(ToString::to_string);
    let address = world.state().be(id).map(|be| be.ip);
    if let Some(address) = address {
        world.note_work(address, Work::Load, &load.user, &format!("{}.{}", load.database, load.table), reason);
    }
    Some(reply(200, &told(&load, &result)))
}

fn redirect(world: &World, id: ProcessId, from: IpAddr, request: &Request<Bytes>, load: &StreamLoad) -> Response<Bytes> {
    let mut state = world.state();
    let chosen = enter(&mut state, id, from, load).and_then(|()| choose(&mut state, id));
    match chosen {
        Ok((host, port)) => {
            let mut response = reply(307, &json!({}));
            let location = format!("http://{host}:{port}{}", request.uri());
            if let Ok(value) = http::HeaderValue::try_from(location) {
                response.headers_mut().insert("location", value);
            }
            response
        }
        Err(LoadError::Denied(text)) => reply(401, &json!({"msg": "Unauthorized", "code": 401, "data": text, "count": 0})),
        Err(error) => reply(200, &json!({"status": "FAILED", "msg": error.to_string()})),
    }
}

fn told(load: &StreamLoad, result: &Result<LoadResult, LoadError>) -> serde_json::Value {
    let (status, txn, existing, message) = match result {
        Ok(result) => {
            let status = if result.status == LoadStatus::PublishTimeout { "Publish Timeout" } else { "Success" };
            (status, i64::try_from(result.txn).unwrap_or(-1), None, "OK".to_owned())
        }
        Err(error @ LoadError::LabelInUse { state, .. }) => {
            let running = ["PREPARE", "COMMITTED"].contains(&state.as_str());
            ("Label Already Exists", -1, Some(if running { "RUNNING" } else { "FINISHED" }), error.to_string())
        }
        Err(error) => ("Fail", -1, None, error.to_string()),
    };
    let rows = if result.is_ok() { load.rows } else { 0 };
    let mut body = json!({
        "TxnId": txn, "Label": load.label, "Comment": "", "TwoPhaseCommit": "false", "Status": status, "Message": message,
        "NumberTotalRows": rows, "NumberLoadedRows": rows, "NumberFilteredRows": 0, "NumberUnselectedRows": 0, "LoadBytes": load.bytes,
    });
    if let (Some(existing), Some(map)) = (existing, body.as_object_mut()) {
        map.insert("ExistingJobStatus".to_owned(), json!(existing));
    }
    body
}

fn reply(status: u16, body: &serde_json::Value) -> Response<Bytes> {
    let response = Response::builder().status(status).header("Content-Type", "application/json");
    response.body(Bytes::from(body.to_string())).unwrap_or_else(|_| Response::new(Bytes::new()))
}
