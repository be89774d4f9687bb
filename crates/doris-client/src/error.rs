//! What can go wrong when talking to Doris.

use std::time::Duration;

/// An error of the connection or a refusal by Doris. No variant ever carries a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("cannot connect to {endpoint}: {cause}")]
    Connect {
        /// Address and port.
        endpoint: String,
        /// The system's words.
        cause: String,
    },
    /// The deadline passed; what was sent may still take effect.
    #[error("no answer from {endpoint} within {} s", .limit.as_secs_f32())]
    Timeout {
        /// Address and port.
        endpoint: String,
        /// The deadline.
        limit: Duration,
    },
    /// The connection broke; what was sent may have taken effect.
    #[error("connection to {endpoint} lost: {cause}")]
    Lost {
        /// Address and port.
        endpoint: String,
        /// The system's words.
        cause: String,
    },
    /// Doris refused the statement or the login.
    #[error("{message} (error {code})")]
    Refused {
        /// MySQL error code, for example 1045.
        code: u16,
        /// SQLSTATE.
        state: String,
        /// Doris' text.
        message: String,
    },
    /// The answer does not have the form that was expected.
    #[error("unexpected answer to {what}: {cause}")]
    Malformed {
        /// The statement or path, without values.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
}
