//! The operator's client over the model, without sockets.

use std::net::IpAddr;

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use doris_client::{Answer, Connection, Endpoint, Error, HttpAnswer, HttpRequest, Login, Transport};
use doris_sim::{SqlError, World};

pub struct Direct {
    pub world: World,
    pub from: IpAddr,
}

#[async_trait]
impl Transport for Direct {
    async fn connect(&self, endpoint: Endpoint, login: &Login) -> Result<Box<dyn Connection>, Error> {
        let session = self.world.connect(self.from, endpoint.ip, endpoint.port, &login.user, login.password.reveal()).await;
        Ok(Box::new(DirectConnection { session: session.map_err(|error| failure(endpoint, error))?, endpoint }))
    }

    async fn http(&self, request: HttpRequest) -> Result<HttpAnswer, Error> {
        let malformed = |cause: String| Error::Malformed { what: request.path.clone(), cause };
        let mut builder = http::Request::builder().method(request.method).uri(&request.path);
        if let Some(login) = &request.login {
            let text = format!("{}:{}", login.user, login.password.reveal());
            builder = builder.header("Authorization", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)));
        }
        let message = builder.body(Bytes::new()).map_err(|error| malformed(error.to_string()))?;
        let answer = self.world.http(self.from, request.endpoint.ip, request.endpoint.port, message).await;
        let answer = answer.map_err(|error| malformed(error.to_string()))?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        Ok(HttpAnswer { status: answer.status().as_u16(), body })
    }

    async fn port_is_open(&self, endpoint: Endpoint) -> bool {
        self.world.port_open(self.from, endpoint.ip, endpoint.port)
    }
}

struct DirectConnection {
    session: doris_sim::Session,
    endpoint: Endpoint,
}

#[async_trait]
impl Connection for DirectConnection {
    async fn query(&mut self, statement: &str) -> Result<Answer, Error> {
        match self.session.query(statement).await.map_err(|error| failure(self.endpoint, error))? {
            doris_sim::Answer::Ok { affected } => Ok(Answer::Done { affected }),
            doris_sim::Answer::Rows(rows) => {
                Ok(Answer::Rows { columns: rows.columns.into_iter().map(|column| column.name).collect(), rows: rows.rows })
            }
        }
    }

    async fn close(self: Box<Self>) {}
}

fn failure(endpoint: Endpoint, error: SqlError) -> Error {
    match error {
        SqlError::Server { code, state, text } => Error::Refused { code, state: state.to_owned(), message: text },
        other => Error::Connect { endpoint: endpoint.to_string(), cause: other.to_string() },
    }
}
