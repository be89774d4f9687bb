//! The way over the network.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, OptsBuilder, Row, Value};

use crate::error::Error;
use crate::session::{SLOW_STATEMENT_LIMIT, STATEMENT_LIMIT};
use crate::transport::{Answer, Connection, Endpoint, HttpAnswer, HttpRequest, Login, Transport};

/// No answer that we ask for is larger; a process that sends more is cut off.
const LARGEST_BODY: usize = 32 << 20;

/// A connection is kept for the requests of one round. The next round is half a minute away, and thousands of members would have
/// thousands of connections in the meantime, each with its buffers.
const IDLE_CONNECTION: Duration = Duration::from_secs(2);

/// How long the network may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Until a TCP connection stands.
    pub connect: Duration,
    /// Until a login is answered; a busy frontend was seen to take 2.5 s.
    pub login: Duration,
    /// Until a statement or request is answered.
    pub read: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), login: Duration::from_secs(5), read: STATEMENT_LIMIT }
    }
}

/// Doris over TCP: `mysql_async` and `reqwest`. Plain text, no proxies, no redirects.
#[derive(Clone, Debug)]
pub struct WireTransport {
    client: reqwest::Client,
    deadlines: Deadlines,
}

impl WireTransport {
    /// Sets up the HTTP client; connections are made when they are needed.
    pub fn new(deadlines: Deadlines) -> Result<Self, Error> {
        crate::install_tls_provider();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(deadlines.connect)
            .timeout(deadlines.read)
            .pool_idle_timeout(IDLE_CONNECTION)
            .build()
            .map_err(|error| Error::Connect { endpoint: "any".to_owned(), cause: causes(&error) })?;
        Ok(Self { client, deadlines })
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, reqwest::Error> {
        let url = format!("http://{}{}", request.endpoint, request.path);
        let method = if request.method == "POST" { reqwest::Method::POST } else { reqwest::Method::GET };
        let mut builder = self.client.request(method, url);
        if let Some(login) = &request.login {
            builder = builder.basic_auth(&login.user, Some(login.password.reveal()));
        }
        let mut response = builder.send().await?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_BODY {
                break;
            }
        }
        Ok(HttpAnswer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// An error with its causes, which `reqwest` leaves out of its text.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[async_trait]
impl Transport for WireTransport {
    async fn connect(&self, endpoint: Endpoint, login: &Login) -> Result<Box<dyn Connection>, Error> {
        let options = OptsBuilder::default()
            .ip_or_hostname(endpoint.ip.to_string())
            .tcp_port(endpoint.port)
            .user(Some(login.user.as_str()))
            .pass((!login.password.is_empty()).then(|| login.password.reveal()))
            // Doris has no `@@socket`: asking for it ends the login.
            .prefer_socket(false)
            .stmt_cache_size(0);
        let connected = within(endpoint, self.deadlines.login, Conn::new(options)).await?;
        let connection = connected.map_err(|error| match error {
            mysql_async::Error::Server(refusal) => refused(refusal),
            other => Error::Connect { endpoint: endpoint.to_string(), cause: other.to_string() },
        })?;
        Ok(Box::new(WireConnection { connection, endpoint, limit: self.deadlines.read }))
    }

    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        let (endpoint, limit) = (request.endpoint.to_string(), self.deadlines.read);
        self.send(request).await.map_err(|error| {
            // The address in the error repeats the query of the request.
            let error = error.without_url();
            if error.is_connect() {
                Error::Connect { endpoint, cause: causes(&error) }
            } else if error.is_timeout() {
                Error::Timeout { endpoint, limit }
            } else {
                Error::Lost { endpoint, cause: causes(&error) }
            }
        })
    }

    async fn port_is_open(&self, endpoint: Endpoint) -> bool {
        let address = std::net::SocketAddr::new(endpoint.ip, endpoint.port);
        matches!(tokio::time::timeout(self.deadlines.connect, tokio::net::TcpStream::connect(address)).await, Ok(Ok(_)))
    }
}

struct WireConnection {
    connection: Conn,
    endpoint: Endpoint,
    limit: Duration,
}

#[async_trait]
impl Connection for WireConnection {
    async fn query(&mut self, statement: &str) -> Result<Answer, Error> {
        self.query_within(statement, self.limit).await
    }

    async fn query_within(&mut self, statement: &str, limit: Duration) -> Result<Answer, Error> {
        let limit = limit.min(SLOW_STATEMENT_LIMIT);
        let endpoint = self.endpoint;
        within(endpoint, limit, ask(&mut self.connection, statement)).await?.map_err(|error| match error {
            mysql_async::Error::Server(refusal) => refused(refusal),
            other => lost(endpoint, &other),
        })
    }

    async fn count_within(&mut self, statement: &str, limit: Duration) -> Result<u64, Error> {
        let endpoint = self.endpoint;
        within(endpoint, limit, count(&mut self.connection, statement)).await?.map_err(|error| match error {
            mysql_async::Error::Server(refusal) => refused(refusal),
            other => lost(endpoint, &other),
        })
    }

    async fn close(self: Box<Self>) {
        // The goodbye is a courtesy; what matters was read back before.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.disconnect()).await;
    }
}

/// Text protocol only: prepared statements break Doris sessions.
async fn ask(connection: &mut Conn, statement: &str) -> Result<Answer, mysql_async::Error> {
    let mut result = connection.query_iter(statement).await?;
    let columns: Vec<String> = result.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
    if columns.is_empty() {
        let affected = result.affected_rows();
        result.drop_result().await?;
        return Ok(Answer::Done { affected });
    }
    let rows: Vec<Row> = result.collect().await?;
    result.drop_result().await?;
    let rows = rows.into_iter().map(|row| row.unwrap_raw().into_iter().map(cell).collect()).collect();
    Ok(Answer::Rows { columns, rows })
}

/// Rows may be more than fit into memory: each is dropped before the next one is read.
async fn count(connection: &mut Conn, statement: &str) -> Result<u64, mysql_async::Error> {
    let mut result = connection.query_iter(statement).await?;
    let mut rows = result.affected_rows();
    while let Some(_row) = result.next().await? {
        rows = rows.saturating_add(1);
    }
    result.drop_result().await?;
    Ok(rows)
}

fn cell(value: Option<Value>) -> Option<String> {
    match value? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        // The text protocol has no other values.
        other => Some(other.as_sql(true)),
    }
}

async fn within<T>(endpoint: Endpoint, limit: Duration, work: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.map_err(|_| Error::Timeout { endpoint: endpoint.to_string(), limit })
}

fn refused(refusal: mysql_async::ServerError) -> Error {
    Error::Refused { code: refusal.code, state: refusal.state, message: refusal.message }
}

fn lost(endpoint: Endpoint, cause: &dyn Display) -> Error {
    Error::Lost { endpoint: endpoint.to_string(), cause: cause.to_string() }
}
