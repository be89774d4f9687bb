//! How bytes reach Doris: a narrow trait below the typed statements, so that the same
//! statements run over the network and against a model in the same process.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;

/// A password. It prints as `***` and is never serialised.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(String);

impl Password {
    /// Wraps a password.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The password itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty password.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// A Doris account and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Account name, for example `root`.
    pub user: String,
    /// Its password, empty where none is set.
    pub password: Password,
}

/// An address of a process. Members are always reached by pod IP, never through a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Address of the pod.
    pub ip: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.ip, self.port).fmt(formatter)
    }
}

/// The answer to one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The statement was done and has no rows.
    Done {
        /// Rows it changed.
        affected: u64,
    },
    /// Columns and rows, all as text; `None` is SQL NULL.
    Rows {
        /// Column names in the order of the server.
        columns: Vec<String>,
        /// One entry a row, each as long as `columns`.
        rows: Vec<Vec<Option<String>>>,
    },
}

/// An HTTP request to a Doris process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Where to.
    pub endpoint: Endpoint,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Basic authentication, if any.
    pub login: Option<Login>,
}

/// What an HTTP request was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Body as text.
    pub body: String,
}

/// The way to Doris processes. Every call ends within its own deadline.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Opens a MySQL session.
    async fn connect(&self, endpoint: Endpoint, login: &Login) -> Result<Box<dyn Connection>, Error>;
    /// Sends one HTTP request.
    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, Error>;
    /// Whether a TCP connection to the port is accepted.
    async fn port_is_open(&self, endpoint: Endpoint) -> bool;
}

/// One MySQL session. Text protocol, one statement a call.
#[async_trait]
pub trait Connection: Send {
    /// Runs one statement under the transport's deadline. After an error of the connection
    /// (not of the statement) its outcome is unknown and has to be read back.
    async fn query(&mut self, statement: &str) -> Result<Answer, Error>;
    /// Runs a statement that is known to be slow (statistics over all tablets) under a longer
    /// deadline. A transport without deadlines of its own answers as for [`Connection::query`].
    async fn query_within(&mut self, statement: &str, limit: Duration) -> Result<Answer, Error> {
        let _ = limit;
        self.query(statement).await
    }
    /// Runs a statement of any length under a deadline of its own and tells how many rows it changed or returned; the
    /// rows themselves are thrown away as they come.
    async fn count_within(&mut self, statement: &str, limit: Duration) -> Result<u64, Error> {
        Ok(match self.query_within(statement, limit).await? {
            Answer::Done { affected } => affected,
            Answer::Rows { rows, .. } => u64::try_from(rows.len()).unwrap_or(u64::MAX),
        })
    }
    /// Ends the session politely.
    async fn close(self: Box<Self>);
}
