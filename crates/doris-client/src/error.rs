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

impl Error {
    /// Whether the statement may have been done although no answer says so: its outcome has to be read back.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Lost { .. })
    }

    /// Whether the login was refused (wrong password, unknown account).
    pub fn is_login_refused(&self) -> bool {
        matches!(self, Self::Refused { code: 1045, .. })
    }

    /// Whether Doris refused because the wanted member or account is there already.
    pub fn says_already_exists(&self) -> bool {
        self.refusal_contains(&["already exist", "has already in brokers"])
    }

    /// Whether Doris refused because the member or account is not there. Doris writes both "exist" and "exists".
    pub fn says_does_not_exist(&self) -> bool {
        self.refusal_contains(&["does not exist", "has not in brokers"])
    }

    /// Whether the frontend has no master to work with at the moment.
    pub fn says_not_ready(&self) -> bool {
        self.refusal_contains(&["catalog is not ready", "Env is not ready", "Master FE is not ready", "ForwardToMasterException"])
    }

    /// Texts are searched for within the message, because its beginning differs between versions and paths.
    fn refusal_contains(&self, texts: &[&str]) -> bool {
        matches!(self, Self::Refused { message, .. } if texts.iter().any(|text| message.contains(text)))
    }
}
