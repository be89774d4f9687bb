//! The HTTP endpoints of frontends and backends. Doris answers 200 to nearly everything: what
//! counts is the `code` in the body.

use std::time::Duration;

use serde_json::Value;

use crate::error::Error;
use crate::literal::MemberAddress;
use crate::metrics;
use crate::rows::BackendSetting;
use crate::table::malformed;
use crate::transport::{Endpoint, HttpRequest, Login, Transport};

/// Deadline of a look at one process.
pub const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// Deadline of a request that Doris has to work for.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What a frontend says of itself to `SHOW_HA`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HighAvailability {
    /// `MASTER`, `FOLLOWER`, `OBSERVER`, `UNKNOWN`, ...
    pub role: String,
    /// Whom it takes for the master.
    pub master: Option<String>,
    /// Voting members of the metadata group, without the leader.
    pub electable_nodes: Vec<String>,
    /// Non-voting members of the metadata group.
    pub observer_nodes: Vec<String>,
    /// Whether it takes itself for ready.
    pub is_ready: bool,
    /// Journal id of its last metadata image.
    pub last_checkpoint_version: Option<u64>,
}

/// What a frontend's `/metrics` says about leadership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrontendMetrics {
    /// Whether it takes itself for the master.
    pub is_master: Option<bool>,
    /// The newest journal entry it has.
    pub max_journal_id: Option<u64>,
}

/// Whether the frontend is ready to serve (`/api/bootstrap`). Never a proof of a master.
pub async fn is_bootstrapped(transport: &dyn Transport, endpoint: Endpoint) -> Result<bool, Error> {
    let answer = get(transport, endpoint, "/api/bootstrap".to_owned(), None, PROBE_LIMIT).await?;
    Ok(envelope("/api/bootstrap", &answer)?.0 == 0)
}

/// Role and metadata group as the frontend sees them. It asks the group, so it can hang.
pub async fn high_availability(transport: &dyn Transport, endpoint: Endpoint, login: Option<&Login>) -> Result<HighAvailability, Error> {
    const WHAT: &str = "SHOW_HA";
    let body = get(transport, endpoint, "/api/show_meta_info?action=SHOW_HA".to_owned(), login, PROBE_LIMIT).await?;
    let data = data(WHAT, &body)?;
    let text = |key: &str| data.get(key).and_then(Value::as_str).map(str::trim);
    Ok(HighAvailability {
        role: text("role").ok_or_else(|| malformed(WHAT, "no role"))?.to_owned(),
        master: text("master").filter(|name| !name.is_empty()).map(str::to_owned),
        electable_nodes: hosts(text("electable_nodes").unwrap_or_default()),
        observer_nodes: hosts(text("observer_nodes").unwrap_or_default()),
        is_ready: text("is_ready") == Some("true"),
        last_checkpoint_version: text("last_checkpoint_version").and_then(|number| number.parse().ok()),
    })
}

/// A list of hosts, with or without ports, by whatever separator the version uses.
fn hosts(text: &str) -> Vec<String> {
    text.split([',', ';', ' ', '[', ']', '\n'])
        .map(|entry| entry.rsplit_once(':').map_or(entry, |(host, _)| host))
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Leadership and journal as the frontend's own metrics have them.
pub async fn frontend_metrics(transport: &dyn Transport, endpoint: Endpoint) -> Result<FrontendMetrics, Error> {
    let body = get(transport, endpoint, "/metrics".to_owned(), None, PROBE_LIMIT).await?;
    Ok(FrontendMetrics {
        is_master: metrics::count(&body, "node_info", Some(("type", "is_master"))).map(|number| number == 1),
        max_journal_id: metrics::count(&body, "doris_fe_max_journal_id", None),
    })
}

/// Whether a backend's HTTP server answers that it is well.
pub async fn backend_is_healthy(transport: &dyn Transport, endpoint: Endpoint) -> Result<bool, Error> {
    let body = get(transport, endpoint, "/api/health".to_owned(), None, PROBE_LIMIT).await?;
    let value: Value = serde_json::from_str(&body).map_err(|error| malformed("/api/health", error.to_string()))?;
    Ok(value.get("status").and_then(Value::as_str) == Some("OK"))
}

/// What a backend works on, by its own metrics. Which of them there are differs between versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendWork {
    /// Parts of queries.
    pub fragments: Option<u64>,
    /// Loads that it leads.
    pub loads: Option<u64>,
}

/// What a backend works on now.
pub async fn backend_work(transport: &dyn Transport, endpoint: Endpoint) -> Result<BackendWork, Error> {
    let body = get(transport, endpoint, "/metrics".to_owned(), None, PROBE_LIMIT).await?;
    let count = |name: &str| metrics::count(&body, name, None);
    Ok(BackendWork {
        fragments: count("doris_be_fragment_instance_count").or_else(|| count("doris_be_plan_fragment_count")),
        loads: count("doris_be_streaming_load_current_processing"),
    })
}

/// Changes one setting of one frontend; with `persist` also in its configuration file.
/// The answer's code is 0 whatever happened, so the lists in it are read.
pub async fn set_frontend_config(
    transport: &dyn Transport,
    endpoint: Endpoint,
    login: &Login,
    (key, value): (&str, &str),
    persist: bool,
) -> Result<(), Error> {
    const WHAT: &str = "/api/_set_config";
    let persisted = if persist { "&persist=true" } else { "" };
    let path = format!("{WHAT}?{}={}{persisted}", percent(key), percent(value));
    let body = get(transport, endpoint, path, Some(login), REQUEST_LIMIT).await?;
    let data = data(WHAT, &body)?;
    if data.get("set").and_then(|set| set.get(key)).is_some() {
        return Ok(());
    }
    let reason = data.pointer("/err/0/err_info").and_then(Value::as_str).unwrap_or("the key was not set");
    Err(refused(reason))
}

/// Settings of one backend, as its process has them. The login counts where the backend asks for one.
pub async fn backend_settings(transport: &dyn Transport, endpoint: Endpoint, login: &Login) -> Result<Vec<BackendSetting>, Error> {
    const WHAT: &str = "/api/show_config";
    let body = get(transport, endpoint, WHAT.to_owned(), Some(login), REQUEST_LIMIT).await?;
    let value: Value = serde_json::from_str(&body).map_err(|error| malformed(WHAT, error.to_string()))?;
    let rows = value.as_array().ok_or_else(|| malformed(WHAT, "no list"))?;
    let setting = |row: &Value| {
        let cell = |index: usize| row.get(index).and_then(Value::as_str).map(str::to_owned);
        let mutable = cell(3).is_some_and(|text| text.eq_ignore_ascii_case("true")) || row.get(3).and_then(Value::as_bool) == Some(true);
        Some(BackendSetting { key: cell(0)?, kind: cell(1)?, value: cell(2)?, mutable })
    };
    rows.iter().map(|row| setting(row).ok_or_else(|| malformed(WHAT, "a row that is no name, type and value"))).collect()
}

/// Changes one setting of one backend while it runs. The login counts where the backend asks for one.
pub async fn set_backend_config(
    transport: &dyn Transport,
    endpoint: Endpoint,
    login: &Login,
    (key, value): (&str, &str),
) -> Result<(), Error> {
    const WHAT: &str = "/api/update_config";
    let path = format!("{WHAT}?{}={}", percent(key), percent(value));
    let request = HttpRequest { endpoint, method: "POST", path, login: Some(login.clone()) };
    let body = send(transport, request, WHAT, REQUEST_LIMIT).await?;
    let answer: Value = serde_json::from_str(&body).map_err(|error| malformed(WHAT, error.to_string()))?;
    // One object, or a list with one object for each key.
    let entries: Vec<&Value> = answer.as_array().map_or_else(|| vec![&answer], |list| list.iter().collect());
    match entries.iter().find(|entry| entry.get("status").and_then(Value::as_str) != Some("OK")) {
        None if !entries.is_empty() => Ok(()),
        failed => Err(refused(failed.and_then(|entry| entry.get("msg")).and_then(Value::as_str).unwrap_or("no status in the answer"))),
    }
}

/// Bytes of write-ahead log that backends still hold, by `host:port` as the server writes it.
pub async fn wal_sizes(
    transport: &dyn Transport,
    endpoint: Endpoint,
    login: &Login,
    backends: &[MemberAddress],
) -> Result<Vec<(String, u64)>, Error> {
    const WHAT: &str = "/api/get_wal_size";
    let path = format!("{WHAT}?host_ports={}", percent(&joined(backends)));
    let body = get(transport, endpoint, path, Some(login), REQUEST_LIMIT).await?;
    let entries = match data(WHAT, &body)? {
        Value::Array(entries) => entries,
        Value::Null => Vec::new(),
        other => return Err(malformed(WHAT, format!("{other} is not a list"))),
    };
    entries.iter().map(wal_size).collect()
}

/// An entry is the text `host:port:size`.
fn wal_size(entry: &Value) -> Result<(String, u64), Error> {
    entry
        .as_str()
        .and_then(|text| text.rsplit_once(':'))
        .and_then(|(address, size)| Some((address.to_owned(), size.trim().parse().ok()?)))
        .ok_or_else(|| malformed("/api/get_wal_size", format!("{entry} is no address with a size")))
}

/// Asks whether backends could be decommissioned: nothing if so, else Doris' reason. Changes nothing.
pub async fn check_decommission(
    transport: &dyn Transport,
    endpoint: Endpoint,
    login: &Login,
    backends: &[MemberAddress],
) -> Result<Option<String>, Error> {
    const WHAT: &str = "/api/check_decommission";
    let path = format!("{WHAT}?host_ports={}", percent(&joined(backends)));
    let body = get(transport, endpoint, path, Some(login), REQUEST_LIMIT).await?;
    match envelope(WHAT, &body)? {
        (0, Value::Array(_)) => Ok(None),
        (0 | 1, Value::String(reason)) => Ok(Some(reason)),
        (code, data) => Err(refusal(code, &data)),
    }
}

fn joined(members: &[MemberAddress]) -> String {
    members.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

async fn get(transport: &dyn Transport, endpoint: Endpoint, path: String, login: Option<&Login>, limit: Duration) -> Result<String, Error> {
    let what = path.split('?').next().unwrap_or_default().to_owned();
    send(transport, HttpRequest { endpoint, method: "GET", path, login: login.cloned() }, &what, limit).await
}

async fn send(transport: &dyn Transport, request: HttpRequest, what: &str, limit: Duration) -> Result<String, Error> {
    let endpoint = request.endpoint.to_string();
    let answer = tokio::time::timeout(limit, transport.http(request)).await.map_err(|_| Error::Timeout { endpoint, limit })??;
    match answer.status {
        200..=299 => Ok(answer.body),
        // Newer frontends say with the status that they are not ready, and why in the usual form.
        503 if answer.body.trim_start().starts_with('{') => Ok(answer.body),
        status => Err(malformed(what, format!("HTTP status {status}"))),
    }
}

/// The `code` and `data` of a frontend's answer.
fn envelope(what: &str, body: &str) -> Result<(i64, Value), Error> {
    let mut value: Value = serde_json::from_str(body).map_err(|error| malformed(what, error.to_string()))?;
    let code = value.get("code").and_then(Value::as_i64).ok_or_else(|| malformed(what, "no code in the answer"))?;
    Ok((code, value.get_mut("data").map(Value::take).unwrap_or_default()))
}

/// The data of a successful answer. A refusal can come with code 0 and a text for data.
fn data(what: &str, body: &str) -> Result<Value, Error> {
    match envelope(what, body)? {
        (0, Value::String(text)) => Err(refused(&text)),
        (0, data) => Ok(data),
        (code, data) => Err(refusal(code, &data)),
    }
}

fn refusal(code: i64, data: &Value) -> Error {
    let text = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
    match code {
        401 => Error::Refused { code: 1045, state: "28000".to_owned(), message: text },
        _ => refused(&text),
    }
}

/// A refusal over HTTP has no code of its own; it gets the one that the same refusal has in SQL.
fn refused(message: &str) -> Error {
    Error::Refused { code: 1105, state: "HY000".to_owned(), message: message.to_owned() }
}

/// Percent-encodes a part of a query.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:,".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 0x0f] {
                encoded.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    encoded
}
