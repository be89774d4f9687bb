//! A session with one frontend: typed statements, one a call.

use std::time::Duration;

use tokio::time::error::Elapsed;

use crate::error::Error;
use crate::literal::{double_quoted, identifier, properties, quoted};
use crate::rows::{Backend, BackendDisk, Broker, DatabaseHealth, Frontend, FrontendSetting};
use crate::table::Table;
use crate::transport::{Answer, Connection, Endpoint, Login, Password, Transport};

/// Deadline of a statement. Whatever is decided on a statement's answer is at most this old.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// Deadline of statistics that walk over every tablet.
pub const SLOW_STATEMENT_LIMIT: Duration = Duration::from_mins(1);

/// A MySQL session with one frontend.
///
/// After a deadline or a broken connection the session is spent: every later call fails, since an
/// answer that arrives late would be taken for the answer to another statement.
pub struct Session {
    connection: Box<dyn Connection>,
    endpoint: Endpoint,
    spent: Option<String>,
}

impl Session {
    /// Logs in to a frontend.
    pub async fn open(transport: &dyn Transport, endpoint: Endpoint, login: &Login) -> Result<Self, Error> {
        let opened = tokio::time::timeout(STATEMENT_LIMIT, transport.connect(endpoint, login)).await;
        let connection = opened.map_err(|_| Error::Timeout { endpoint: endpoint.to_string(), limit: STATEMENT_LIMIT })??;
        Ok(Self { connection, endpoint, spent: None })
    }

    /// Which frontend this is.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Ends the session politely.
    pub async fn close(self) {
        // Nothing depends on the goodbye; a frontend that hangs must not hold us up.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.close()).await;
    }

    /// All registered frontends as this one sees them.
    pub async fn frontends(&mut self) -> Result<Vec<Frontend>, Error> {
        Frontend::read(&self.table("SHOW FRONTENDS", "SHOW FRONTENDS").await?)
    }

    /// All registered backends and compute nodes.
    pub async fn backends(&mut self) -> Result<Vec<Backend>, Error> {
        Backend::read(&self.table("SHOW BACKENDS", "SHOW BACKENDS").await?)
    }

    /// All registered brokers.
    pub async fn brokers(&mut self) -> Result<Vec<Broker>, Error> {
        Broker::read(&self.table("SHOW BROKER", "SHOW BROKER").await?)
    }

    /// The storage paths of one backend.
    pub async fn backend_disks(&mut self, backend_id: u64) -> Result<Vec<BackendDisk>, Error> {
        let statement = format!("SHOW PROC {}", double_quoted(&format!("/backends/{backend_id}")));
        BackendDisk::read(&self.table("SHOW PROC /backends/<id>", &statement).await?)
    }

    /// Health of the tablets, one entry a database. Walks over every tablet: at most once in 20 s.
    pub async fn tablet_health(&mut self) -> Result<Vec<DatabaseHealth>, Error> {
        let answer = self.run_within("SHOW PROC \"/cluster_health/tablet_health\"", SLOW_STATEMENT_LIMIT).await?;
        DatabaseHealth::read(&Table::new("SHOW PROC /cluster_health/tablet_health", answer)?)
    }

    /// Settings of a frontend whose key is like the pattern.
    pub async fn frontend_settings(&mut self, pattern: &str) -> Result<Vec<FrontendSetting>, Error> {
        let statement = format!("ADMIN SHOW FRONTEND CONFIG LIKE {}", quoted(pattern));
        FrontendSetting::read(&self.table("ADMIN SHOW FRONTEND CONFIG", &statement).await?)
    }

    /// Changes one setting until the next restart. A key for the master only is forwarded to it by Doris.
    pub async fn set_frontend_setting(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.run(&format!("ADMIN SET FRONTEND CONFIG {}", properties([(key, value)]))).await.map(drop)
    }

    /// Changes one setting on every frontend that is alive, until its next restart.
    pub async fn set_all_frontends_setting(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.run(&format!("ADMIN SET ALL FRONTENDS CONFIG {}", properties([(key, value)]))).await.map(drop)
    }

    /// A variable's value, if the server knows the variable.
    pub async fn variable(&mut self, name: &str) -> Result<Option<String>, Error> {
        let statement = format!("SHOW GLOBAL VARIABLES LIKE {}", quoted(name));
        let values = self.table("SHOW GLOBAL VARIABLES", &statement).await?.read(|row| {
            let is_asked = row.required("Variable_name")?.eq_ignore_ascii_case(name);
            Ok(is_asked.then(|| row.text("Value").unwrap_or_default().to_owned()))
        })?;
        Ok(values.into_iter().flatten().next())
    }

    /// Changes a variable for every session to come.
    pub async fn set_global_variable(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_plain {
            return Err(crate::table::malformed("SET GLOBAL", format!("{name:?} is not the name of a variable")));
        }
        self.run(&format!("SET GLOBAL {name} = {}", quoted(value))).await.map(drop)
    }

    /// The build that the frontend says it is, for example `Doris version doris-2.1.7-rc03-443e87e203`.
    pub async fn version_comment(&mut self) -> Result<String, Error> {
        self.table("select @@version_comment", "select @@version_comment").await?.single().map(str::to_owned)
    }

    /// Whether later `SHOW` statements of this session are answered by the master or by this frontend itself.
    pub async fn set_forward_to_master(&mut self, forward: bool) -> Result<(), Error> {
        self.run(&format!("SET forward_to_master={forward}")).await.map(drop)
    }

    /// Makes a database the one that names without one mean.
    pub async fn use_database(&mut self, name: &str) -> Result<(), Error> {
        self.run(&format!("USE {}", identifier(name))).await.map(drop)
    }

    /// Runs a statement of somebody else's under a deadline of its own; tells how many rows it changed or returned. The
    /// error of a refusal has Doris' words, which may repeat the statement.
    pub async fn run_counted(&mut self, statement: &str, limit: Duration) -> Result<u64, Error> {
        self.spend()?;
        let counted = tokio::time::timeout(limit, self.connection.count_within(statement, limit)).await;
        self.answered(counted, limit)
    }

    /// Runs a statement and reads its rows.
    pub(crate) async fn table(&mut self, what: &'static str, statement: &str) -> Result<Table, Error> {
        Table::new(what, self.run(statement).await?)
    }

    /// Runs one statement under the ordinary deadline.
    pub(crate) async fn run(&mut self, statement: &str) -> Result<Answer, Error> {
        self.run_within(statement, STATEMENT_LIMIT).await
    }

    /// Runs a statement that carries a password. Doris repeats statements in its error texts, so
    /// whatever shows a piece of the password is withheld.
    pub(crate) async fn run_secret(&mut self, statement: &str, password: &Password) -> Result<(), Error> {
        match self.run(statement).await {
            Ok(_) => Ok(()),
            Err(Error::Refused { code, state, message }) => {
                let message = if shows_piece_of(&message, password) { WITHHELD.to_owned() } else { message };
                Err(Error::Refused { code, state, message })
            }
            Err(Error::Malformed { what, .. }) => Err(Error::Malformed { what, cause: WITHHELD.to_owned() }),
            Err(other) => Err(other),
        }
    }

    /// Runs one statement under a deadline of its own.
    pub(crate) async fn run_within(&mut self, statement: &str, limit: Duration) -> Result<Answer, Error> {
        self.spend()?;
        let answer = tokio::time::timeout(limit, self.connection.query_within(statement, limit)).await;
        self.answered(answer, limit)
    }

    /// Spent until the answer is here: a caller that drops its future leaves an answer under way.
    fn spend(&mut self) -> Result<(), Error> {
        if let Some(cause) = &self.spent {
            return Err(Error::Lost { endpoint: self.endpoint.to_string(), cause: cause.clone() });
        }
        self.spent = Some("an earlier statement was not answered".to_owned());
        Ok(())
    }

    /// The session can be used again after an answer, and after none else.
    fn answered<T>(&mut self, answer: Result<Result<T, Error>, Elapsed>, limit: Duration) -> Result<T, Error> {
        let answer = answer.unwrap_or_else(|_| Err(Error::Timeout { endpoint: self.endpoint.to_string(), limit }));
        if matches!(answer, Ok(_) | Err(Error::Refused { .. })) {
            self.spent = None;
        }
        answer
    }
}

const WITHHELD: &str = "the text of the answer is withheld, it shows a password";

/// Whether any four characters in a row of the password stand in the text (all of it, if it is shorter).
fn shows_piece_of(text: &str, password: &Password) -> bool {
    let secret: Vec<char> = password.reveal().chars().collect();
    let length = secret.len().min(4);
    length > 0 && secret.windows(length).any(|piece| text.contains(&piece.iter().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::shows_piece_of;
    use crate::transport::Password;

    #[test]
    fn a_piece_of_a_password_is_found_in_a_text() {
        let password = Password::new("Aa1!bcdefghijklm");
        assert!(shows_piece_of("Syntax error near 'Aa1!bc", &password));
        assert!(shows_piece_of("... jklm'", &password));
        assert!(!shows_piece_of("Violate password policy: validate_password_length", &password));
        assert!(!shows_piece_of("anything", &Password::new("")));
        assert!(shows_piece_of("IDENTIFIED BY 'x'", &Password::new("x")));
    }
}
