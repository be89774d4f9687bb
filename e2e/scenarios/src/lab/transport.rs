//! Doris' administration interface answered by the model in the same process, and fault plans before any such interface.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use doris_client::{Answer, Connection, Endpoint, Error, HttpAnswer, HttpRequest, Login, Transport};
use doris_sim::{SqlError, World};

use super::faults::{Fault, Faults, Verdict};

/// How long a caller waits for an answer that does not come.
const DEADLINE: Duration = Duration::from_secs(10);

/// Requests that change something.
const CHANGING: [&str; 2] = ["/api/_set_config", "/api/update_config"];

/// A way into the model from one address.
#[derive(Clone)]
pub struct Model {
    world: World,
    from: IpAddr,
}

/// A way into the model from one address, under a fault plan.
pub type SimTransport = Faulted<Model>;

impl SimTransport {
    /// Connects a process from an address, under a fault plan.
    pub fn new(world: World, from: IpAddr, faults: Faults, process: &str) -> Self {
        Self::before(Model { world, from }, faults, process)
    }
}

#[async_trait]
impl Transport for Model {
    async fn connect(&self, endpoint: Endpoint, login: &Login) -> Result<Box<dyn Connection>, Error> {
        let connecting = self.world.connect(self.from, endpoint.ip, endpoint.port, &login.user, login.password.reveal());
        let session = within(endpoint, connecting).await?.map_err(|error| connect_error(endpoint, error))?;
        Ok(Box::new(SimConnection { session, endpoint }))
    }

    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        let endpoint = request.endpoint;
        let malformed = |cause: String| Error::Malformed { what: request.path.clone(), cause };
        let mut builder = http::Request::builder().method(request.method).uri(&request.path);
        if let Some(login) = &request.login {
            let credentials = STANDARD.encode(format!("{}:{}", login.user, login.password.reveal()));
            builder = builder.header("Authorization", format!("Basic {credentials}"));
        }
        let message = builder.body(Bytes::new()).map_err(|error| malformed(error.to_string()))?;
        let answer = within(endpoint, self.world.http(self.from, endpoint.ip, endpoint.port, message)).await?;
        let answer = answer.map_err(|error| Error::Connect { endpoint: endpoint.to_string(), cause: error.to_string() })?;
        let status = answer.status().as_u16();
        let body = String::from_utf8(answer.into_body().to_vec()).map_err(|error| malformed(error.to_string()))?;
        Ok(HttpAnswer { status, body })
    }

    async fn port_is_open(&self, endpoint: Endpoint) -> bool {
        self.world.port_open(self.from, endpoint.ip, endpoint.port)
    }
}

async fn within<T>(endpoint: Endpoint, call: impl Future<Output = T>) -> Result<T, Error> {
    let late = || Error::Timeout { endpoint: endpoint.to_string(), limit: DEADLINE };
    tokio::time::timeout(DEADLINE, call).await.map_err(|_| late())
}

struct SimConnection {
    session: doris_sim::Session,
    endpoint: Endpoint,
}

#[async_trait]
impl Connection for SimConnection {
    async fn query(&mut self, statement: &str) -> Result<Answer, Error> {
        let answer = self.session.query(statement).await.map_err(|error| statement_error(self.endpoint, error))?;
        Ok(match answer {
            doris_sim::Answer::Ok { affected } => Answer::Done { affected },
            doris_sim::Answer::Rows(rows) => {
                Answer::Rows { columns: rows.columns.into_iter().map(|column| column.name).collect(), rows: rows.rows }
            }
        })
    }

    async fn close(self: Box<Self>) {}
}

/// Any way to Doris under a fault plan: each statement is a step of it.
#[derive(Clone)]
pub struct Faulted<T> {
    inner: T,
    faults: Faults,
    process: String,
}

impl<T> Faulted<T> {
    /// Puts a plan between a process and Doris.
    pub fn before(inner: T, faults: Faults, process: &str) -> Self {
        Self { inner, faults, process: process.to_owned() }
    }
}

#[async_trait]
impl<T: Transport> Transport for Faulted<T> {
    async fn connect(&self, endpoint: Endpoint, login: &Login) -> Result<Box<dyn Connection>, Error> {
        let inner = self.inner.connect(endpoint, login).await?;
        Ok(Box::new(FaultedConnection { inner, endpoint, faults: self.faults.clone(), process: self.process.clone() }))
    }

    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        let path = request.path.split('?').next().unwrap_or_default();
        if !CHANGING.contains(&path) {
            return self.inner.http(request).await;
        }
        if self.faults.is_dead(&self.process) {
            return std::future::pending().await;
        }
        let endpoint = request.endpoint.to_string();
        match self.faults.step(format!("HTTP {path}")) {
            Verdict::Go => self.inner.http(request).await,
            Verdict::Hit(Fault::CrashBefore) => {
                self.faults.kill(&self.process);
                std::future::pending().await
            }
            Verdict::Hit(Fault::CrashAfter) => {
                // Whether Doris refused is not known to the dead.
                let _ = self.inner.http(request).await;
                self.faults.kill(&self.process);
                std::future::pending().await
            }
            Verdict::Hit(Fault::Refuse(status)) => Ok(HttpAnswer { status, body: String::new() }),
            Verdict::Hit(Fault::LoseAnswer) => {
                let _ = self.inner.http(request).await;
                Err(Error::Lost { endpoint, cause: "the connection was cut by the fault plan".into() })
            }
            Verdict::Hit(Fault::Late) => {
                tokio::time::sleep(DEADLINE).await;
                let _ = self.inner.http(request).await;
                Err(Error::Timeout { endpoint, limit: DEADLINE })
            }
        }
    }

    async fn port_is_open(&self, endpoint: Endpoint) -> bool {
        self.inner.port_is_open(endpoint).await
    }
}

struct FaultedConnection {
    inner: Box<dyn Connection>,
    endpoint: Endpoint,
    faults: Faults,
    process: String,
}

impl FaultedConnection {
    async fn carry_out(&mut self, statement: &str, limit: Option<Duration>) -> Result<Answer, Error> {
        match limit {
            Some(limit) => self.inner.query_within(statement, limit).await,
            None => self.inner.query(statement).await,
        }
    }

    fn lost(&self) -> Error {
        Error::Lost { endpoint: self.endpoint.to_string(), cause: "the connection was cut by the fault plan".into() }
    }

    async fn under_the_plan(&mut self, statement: &str, limit: Option<Duration>) -> Result<Answer, Error> {
        if self.faults.is_dead(&self.process) {
            return std::future::pending().await;
        }
        self.faults.note_statement(self.endpoint.ip, statement);
        match self.faults.step(format!("SQL {}", first_words(statement))) {
            Verdict::Go => self.carry_out(statement, limit).await,
            Verdict::Hit(Fault::CrashBefore) => {
                self.faults.kill(&self.process);
                std::future::pending().await
            }
            Verdict::Hit(Fault::CrashAfter) => {
                // Whether Doris refused the statement is not known to the dead.
                let _ = self.carry_out(statement, limit).await;
                self.faults.kill(&self.process);
                std::future::pending().await
            }
            Verdict::Hit(Fault::Refuse(_)) => Err(self.lost()),
            Verdict::Hit(Fault::LoseAnswer | Fault::Late) => {
                let _ = self.carry_out(statement, limit).await;
                Err(self.lost())
            }
        }
    }
}

#[async_trait]
impl Connection for FaultedConnection {
    async fn query(&mut self, statement: &str) -> Result<Answer, Error> {
        self.under_the_plan(statement, None).await
    }

    async fn query_within(&mut self, statement: &str, limit: Duration) -> Result<Answer, Error> {
        self.under_the_plan(statement, Some(limit)).await
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}

/// What a statement is about, without its values.
fn first_words(statement: &str) -> String {
    statement.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn connect_error(endpoint: Endpoint, error: SqlError) -> Error {
    match error {
        SqlError::Server { code, state, text } => Error::Refused { code, state: state.to_owned(), message: text },
        other => Error::Connect { endpoint: endpoint.to_string(), cause: other.to_string() },
    }
}

fn statement_error(endpoint: Endpoint, error: SqlError) -> Error {
    match error {
        SqlError::Server { code, state, text } => Error::Refused { code, state: state.to_owned(), message: text },
        other => Error::Lost { endpoint: endpoint.to_string(), cause: other.to_string() },
    }
}
