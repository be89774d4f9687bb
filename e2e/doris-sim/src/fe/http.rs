//! HTTP of a frontend.

use std::net::IpAddr;

use base64::Engine;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Map, Value, json};

use super::{Fe, FeType, metrics};
use crate::answer::{Answer, Rows, SqlError};
use crate::bdb;
use crate::catalog::Priv;
use crate::process::ProcessId;
use crate::session::{Proof, Session, authenticate};
use crate::state::{Reach, State};
use crate::truth::note_setting;
use crate::world::World;

const NOT_FOUND: &str = "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=ISO-8859-1\"/>\n<title>Error 404 Not Found</title>\n</head>\n<body><h2>HTTP ERROR 404 Not Found</h2>\n</body>\n</html>\n";

/// Answers a request.
pub(crate) async fn respond(world: &World, id: ProcessId, from: IpAddr, request: Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path().to_owned();
    let query = pairs(request.uri().query().unwrap_or_default());
    let login = credentials(&request);
    let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    match path.as_str() {
        "/metrics" => {
            let text = metrics::text(&world.state(), id);
            return reply(200, "text/plain", text);
        }
        "/api/bootstrap" => return envelope(bootstrap(&world.state(), id, value("cluster_id"), value("token"))),
        "/api/health" => return health(&world.state(), id),
        "/api/show_meta_info" if value("action") == Some("SHOW_HA") => return envelope(ha(&world.state(), id)),
        "/role" | "/check" | "/version" | "/info" | "/image" | "/put" | "/journal_id" => {
            return node_request(&world.state(), id, from, &path, &request, value("host"), value("port"));
        }
        _ => {}
    }
    let known =
        ["/api/show_proc", "/api/_set_config", "/api/backends", "/api/check_decommission", "/api/get_wal_size", "/api/fe_version_info"];
    let node = path.strip_prefix("/rest/v2/manager/node/").filter(|node| ["frontends", "backends", "brokers"].contains(node));
    if !known.contains(&path.as_str()) && node.is_none() {
        return reply(404, "text/html;charset=iso-8859-1", NOT_FOUND.to_owned());
    }
    if path == "/api/fe_version_info" {
        return envelope(version_info(&world.state(), id));
    }
    let Some((user, password)) = login else { return envelope(Err((401, "Need auth information.".to_owned()))) };
    let mut session = match enter(world, id, from, &user, &password) {
        Ok(session) => session,
        Err(text) => return envelope(Err((401, text))),
    };
    let answer = match path.as_str() {
        "/api/show_proc" => proc(&mut session, value("path").unwrap_or("/")).await.map(|rows| json!(rows.rows)),
        "/api/_set_config" => set_config(world, id, &session, &query),
        "/api/backends" => Ok(backends(&world.state(), id, value("is_alive") == Some("true"))),
        "/api/check_decommission" => check_decommission(&world.state(), id, value("host_ports").unwrap_or_default()),
        "/api/get_wal_size" => wal_size(&world.state(), id, value("host_ports")),
        _ => proc(&mut session, &format!("/{}", node.unwrap_or_default())).await.map(|rows| {
            let names: Vec<_> = rows.columns.iter().map(|column| column.name.as_str()).collect();
            json!({"columnNames": names, "rows": rows.rows})
        }),
    };
    envelope(answer)
}

type Data = Result<Value, (u16, String)>;

/// Doris' envelope: the status is 200 whatever happened.
fn envelope(data: Data) -> Response<Bytes> {
    let body = match data {
        Ok(data) => json!({"msg": "success", "code": 0, "data": data, "count": 0}),
        Err((code, text)) => {
            let message = match code {
                401 => "Unauthorized",
                403 => "Bad Request",
                500 => "Internal Error",
                _ => "Error",
            };
            json!({"msg": message, "code": code, "data": text, "count": 0})
        }
    };
    reply(200, "application/json", body.to_string())
}

fn reply(status: u16, kind: &str, body: String) -> Response<Bytes> {
    let response = Response::builder().status(status).header("Content-Type", kind).header("Vary", "Access-Control-Request-Headers");
    response.body(Bytes::from(body)).unwrap_or_else(|_| Response::new(Bytes::new()))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let split = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(key), decode(value))
    };
    query.split('&').filter(|part| !part.is_empty()).map(split).collect()
}

/// Undoes percent encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex =
            (*first == b'%').then(|| tail.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok())).flatten();
        if let Some(byte) = hex {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn credentials(request: &Request<Bytes>) -> Option<(String, String)> {
    let header = request.headers().get("authorization")?.to_str().ok()?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn enter(world: &World, id: ProcessId, from: IpAddr, user: &str, password: &str) -> Result<Session, String> {
    let checked = {
        let mut state = world.state();
        let now = state.clock.now_ms();
        let fe = state.fe_mut(id).ok_or_else(String::new)?;
        authenticate(fe, now, from, user, &Proof::Password(password))
    };
    let session = checked.and_then(|_| Session::login(world, id, from, user, password));
    session.map_err(|error| match error {
        SqlError::Server { text, .. } => text,
        other => other.to_string(),
    })
}

async fn proc(session: &mut Session, path: &str) -> Result<Rows, (u16, String)> {
    match session.query(&format!("SHOW PROC '{}'", path.replace('\'', ""))).await {
        Ok(Answer::Rows(rows)) => Ok(rows),
        Ok(Answer::Ok { .. }) => Ok(Rows::default()),
        Err(SqlError::Server { code: 1227, text, .. }) => Err((401, text)),
        Err(SqlError::Server { text, .. }) => Err((500, text)),
        Err(other) => Err((500, other.to_string())),
    }
}

fn bootstrap(state: &State, id: ProcessId, cluster_id: Option<&str>, token: Option<&str>) -> Data {
    let Some(fe) = state.fe(id) else { return Err((1, "not ready".to_owned())) };
    if !fe.is_ready() {
        return Err((1, "not ready".to_owned()));
    }
    let mut real = false;
    if let Some(cluster_id) = cluster_id {
        if cluster_id != fe.cluster_id.to_string() {
            return Err((1, format!("invalid cluster id: {cluster_id}")));
        }
        let token = token.unwrap_or_default();
        if token != fe.token {
            return Err((1, format!("invalid token: {token}")));
        }
        real = true;
    }
    let mut data = Map::new();
    let mut put = |key: &str, value: Value, empty: Value| drop(data.insert(key.to_owned(), if real { value } else { empty }));
    put("replayedJournalId", json!(fe.replayed), json!(0));
    put("queryPort", json!(fe.query_port), json!(0));
    put("rpcPort", json!(fe.rpc_port), json!(0));
    if let Some(port) = fe.version.arrow_port() {
        put("arrowFlightSqlPort", json!(port), json!(0));
    }
    put("version", json!(fe.version.build()), json!(""));
    Ok(Value::Object(data))
}

fn health(state: &State, id: ProcessId) -> Response<Bytes> {
    let Some(fe) = state.fe(id) else { return envelope(Err((1, "not ready".to_owned()))) };
    if fe.version.from_line(4, 1) && !fe.is_ready() {
        let body = json!({"msg": "Server is not ready", "code": 503, "data": null, "count": 0});
        return reply(503, "application/json", body.to_string());
    }
    let alive = fe.catalog.backends.values().filter(|backend| backend.alive).count();
    envelope(Ok(json!({"online_backend_num": alive, "total_backend_num": fe.catalog.backends.len()})))
}

/// What this frontend says of itself and of the group that it finds.
fn ha(state: &State, id: ProcessId) -> Data {
    let Some(fe) = state.fe(id) else { return Err((1, "not ready".to_owned())) };
    let leader = bdb::leader_view(state, id).and_then(|leader| state.fe(leader));
    let members = leader
        .and_then(|leader| leader.bdb.as_ref())
        .map(|bdb| bdb.log.members().values().cloned().collect::<Vec<_>>())
        .unwrap_or_default();
    let hosts = |electable: bool| {
        let fits = members.iter().filter(|member| member.electable == electable && leader.is_none_or(|leader| leader.name != member.name));
        fits.map(|member| member.host.clone()).collect::<Vec<_>>().join(",")
    };
    let role =
        if fe.kind == FeType::Master || fe.bdb.as_ref().is_some_and(|bdb| bdb.state.is_master()) { "MASTER" } else { fe.kind.name() };
    Ok(json!({
        "can_read": fe.can_read().to_string(),
        "role": role,
        "is_ready": fe.is_ready().to_string(),
        "electable_nodes": hosts(true),
        "last_checkpoint_version": fe.newest_image_id().unwrap_or(0).max(fe.checkpoint.0).to_string(),
        "last_checkpoint_time": fe.checkpoint.1.to_string(),
        "current_journal_id": fe.applied.to_string(),
        "observer_nodes": hosts(false),
        "master": leader.map_or("", |leader| &leader.host),
    }))
}

/// Requests between nodes: whoever names a member in its headers is believed.
fn node_request(
    state: &State,
    id: ProcessId,
    from: IpAddr,
    path: &str,
    request: &Request<Bytes>,
    host: Option<&str>,
    port: Option<&str>,
) -> Response<Bytes> {
    let Some(fe) = state.fe(id) else { return envelope(Err((500, "gone".to_owned()))) };
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let named = header("CLIENT_NODE_HOST").zip(header("CLIENT_NODE_PORT").and_then(|port| port.parse().ok()));
    let member = named.is_some_and(|(host, port)| fe.catalog.frontend_at(host, port).is_some());
    if !member {
        return envelope(Err((500, format!("invalid client host: {from}"))));
    }
    let mut response =
        reply(200, "text/plain", if path == "/version" { fe.meta.read_text("image/VERSION").unwrap_or_default() } else { String::new() });
    let headers: Vec<(&str, String)> = match path {
        "/check" => vec![("cluster_id", fe.cluster_id.to_string()), ("token", fe.token.clone())],
        "/role" => {
            let row = host.zip(port.and_then(|port| port.parse().ok())).and_then(|(host, port)| fe.catalog.frontend_at(host, port));
            vec![
                ("role", row.map_or("UNKNOWN", |row| row.role.name()).to_owned()),
                ("name", row.map(|row| row.name.clone()).unwrap_or_default()),
            ]
        }
        _ => Vec::new(),
    };
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn version_info(state: &State, id: ProcessId) -> Data {
    let version = state.fe(id).map(|fe| fe.version).ok_or((500, "gone".to_owned()))?;
    Ok(json!({"feVersionInfo": {
        "dorisBuildVersionPrefix": "doris",
        "dorisBuildVersionMajor": version.major,
        "dorisBuildVersionMinor": version.minor,
        "dorisBuildVersionPatch": version.patch,
        "dorisBuildVersionRcVersion": "rc01",
        "dorisBuildVersion": format!("doris-{version}-rc01"),
        "dorisBuildHash": version.hash(),
        "dorisBuildShortHash": version.hash(),
    }}))
}

/// Always says success: what happened stands in `set` and `err`. It changes this process alone, also what is the master's.
fn set_config(world: &World, id: ProcessId, session: &Session, query: &[(String, String)]) -> Data {
    let mut state = world.state();
    let fe = state.fe(id).ok_or_else(|| (500, "gone".to_owned()))?;
    if !fe.catalog.user(session.identity()).is_some_and(|user| user.has_global(Priv::Admin)) {
        return Err((401, "Access denied; you need (at least one of) the (ADMIN) privilege(s) for this operation".to_owned()));
    }
    let persist = query.iter().any(|(key, value)| key == "persist" && value == "true");
    let (mut set, mut errors) = (Map::new(), Vec::new());
    for (key, value) in query.iter().filter(|(key, _)| key != "persist" && key != "reset_persist") {
        let Some(fe) = state.fe_mut(id) else { return Err((500, "gone".to_owned())) };
        match fe.settings.set(key, value) {
            Ok(()) => {
                note_setting(&mut state, id, key, value, persist);
                set.insert(key.clone(), json!(value));
            }
            Err(text) => {
                let text = format!("errCode = 2, detailMessage = {text}");
                errors.push(json!({"config_name": key, "config_value": format!("[{value}]"), "err_info": text}));
            }
        }
    }
    Ok(json!({"set": set, "err": errors, "persist": if persist { "ok" } else { "" }}))
}

fn backends(state: &State, id: ProcessId, alive_only: bool) -> Value {
    let rows: Vec<_> = state.fe(id).map(|fe| fe.catalog.backends.values().cloned().collect()).unwrap_or_default();
    let rows = rows.iter().filter(|backend| backend.alive || !alive_only);
    json!({"backends": rows.map(|backend| json!({"ip": backend.host, "http_port": backend.http_port, "is_alive": backend.alive})).collect::<Vec<_>>()})
}

fn named<'a>(fe: &'a Fe, host_ports: &str) -> Result<Vec<&'a crate::catalog::Backend>, (u16, String)> {
    let find = |text: &str| {
        let (host, port) = text.rsplit_once(':')?;
        fe.catalog.backend_at(host, port.parse().ok()?)
    };
    host_ports
        .split(',')
        .map(|text| find(text).ok_or((1, format!("errCode = 2, detailMessage = Backend does not exist[{text}]"))))
        .collect()
}

fn check_decommission(state: &State, id: ProcessId, host_ports: &str) -> Data {
    let Some(fe) = state.fe(id) else { return Err((500, "gone".to_owned())) };
    let leaving: Vec<_> = named(fe, host_ports)?.into_iter().cloned().collect();
    match crate::sql::check_decommission(&fe.catalog, &leaving) {
        Ok(()) => Ok(json!(leaving.iter().map(|backend| format!("{}:{}", backend.host, backend.heartbeat_port)).collect::<Vec<_>>())),
        Err(SqlError::Server { text, .. }) => Err((1, text)),
        Err(other) => Err((1, other.to_string())),
    }
}

/// Write-ahead logs that backends still hold; each is asked.
fn wal_size(state: &State, id: ProcessId, host_ports: Option<&str>) -> Data {
    let Some(host_ports) = host_ports else { return Err((403, "No host:port specified".to_owned())) };
    let Some(fe) = state.fe(id) else { return Err((500, "gone".to_owned())) };
    let mut sizes = Vec::new();
    for backend in named(fe, host_ports)? {
        let address = format!("{}:{}", backend.host, backend.heartbeat_port);
        let reach = u16::try_from(backend.brpc_port).map_or(Reach::Refused, |port| state.reach_host(id, &backend.host, port));
        let Reach::Open(peer) = reach else {
            return Err((1, format!("fail to get wal queue size of {address}: {}", reach.java(&backend.host))));
        };
        let count = state.be(peer).map_or(0, |be| be.logs().len());
        sizes.push(json!(format!("{address}:{count}")));
    }
    Ok(Value::Array(sizes))
}
