//! Administration interface of Apache Doris: SQL over the MySQL protocol and the HTTP endpoints
//! of frontends and backends.

mod error;
mod transport;

pub use error::Error;
pub use transport::{Answer, Connection, Endpoint, HttpAnswer, HttpRequest, Login, Password, Transport};
