//! A frontend that has an answer for each statement, and refuses the others as Doris does.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use doris_client::{Answer, Connection, Endpoint, Error, HttpAnswer, HttpRequest, Login, Password, Session, Transport};

/// What it answers, and what it was asked.
#[derive(Clone, Default)]
pub struct Server {
    answers: BTreeMap<String, Answer>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers a statement; a later answer to the same one replaces the first.
    pub fn on(mut self, statement: &str, answer: Answer) -> Self {
        self.answers.insert(statement.to_owned(), answer);
        self
    }

    /// A session with it.
    pub async fn session(&self) -> Session {
        let endpoint = Endpoint { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 9030 };
        let login = Login { user: "operator".to_owned(), password: Password::new("x") };
        Session::open(self, endpoint, &login).await.expect("everybody is let in")
    }

    /// Statements that it was sent.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panicked").clone()
    }
}

#[async_trait]
impl Transport for Server {
    async fn connect(&self, _: Endpoint, _: &Login) -> Result<Box<dyn Connection>, Error> {
        Ok(Box::new(self.clone()))
    }

    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        self.asked.lock().expect("no thread panicked").push(request.path);
        Ok(HttpAnswer { status: 404, body: String::new() })
    }

    async fn port_is_open(&self, _: Endpoint) -> bool {
        true
    }
}

#[async_trait]
impl Connection for Server {
    async fn query(&mut self, statement: &str) -> Result<Answer, Error> {
        self.asked.lock().expect("no thread panicked").push(statement.to_owned());
        if statement.starts_with("SET ") {
            return Ok(Answer::Done { affected: 0 });
        }
        let message = format!("errCode = 2, detailMessage = no answer to {statement}");
        self.answers.get(statement).cloned().ok_or(Error::Refused { code: 1105, state: "HY000".to_owned(), message })
    }

    async fn close(self: Box<Self>) {}
}

/// Rows from lines of cells; `NULL` stands for NULL.
pub fn rows(columns: &str, lines: &[&str]) -> Answer {
    let cell = |text: &str| (text != "NULL").then(|| text.to_owned());
    Answer::Rows {
        columns: columns.split('|').map(str::to_owned).collect(),
        rows: lines.iter().map(|line| line.split('|').map(cell).collect()).collect(),
    }
}
