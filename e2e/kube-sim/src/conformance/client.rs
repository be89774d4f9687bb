//! The HTTP side of a replay.

use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Trouble;

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long nothing may come before a watch has told all there is.
const QUIET: Duration = Duration::from_secs(1);

/// The server that is tried.
#[derive(Clone)]
pub struct Server {
    url: String,
    token: String,
    client: Client,
}

/// One request of a case.
#[derive(Clone, Debug, Default)]
pub(super) struct Call<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub body: Option<&'a Value>,
    pub content: Option<&'a str>,
    pub accept: Option<&'a str>,
    pub token: Option<&'a str>,
}

impl Server {
    /// A server by its address and an administrator's token, which may be empty. Certificates are not checked.
    pub fn new(url: &str, token: &str) -> Result<Self, Trouble> {
        let client = Client::builder().tls_danger_accept_invalid_certs(true).build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token: token.to_owned(), client })
    }

    async fn send(&self, call: &Call<'_>) -> Result<Response, Trouble> {
        let method = Method::from_bytes(call.method.as_bytes()).map_err(|error| Trouble::Case(error.to_string()))?;
        let mut request = self.client.request(method, format!("{}{}", self.url, call.path));
        request = request.header("accept", call.accept.unwrap_or("application/json"));
        let token = call.token.unwrap_or(&self.token);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = call.body {
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            request = request.header("content-type", call.content.unwrap_or("application/json")).body(text);
        }
        Ok(request.send().await?)
    }

    /// Status, body and warnings.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<(u16, Value, Vec<String>), Trouble> {
        let exchange = async {
            let response = self.send(call).await?;
            let code = response.status().as_u16();
            let warnings =
                response.headers().get_all("warning").iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
            Ok((code, parse(&response.text().await?), warnings))
        };
        tokio::time::timeout(DEADLINE, exchange).await.map_err(|_| Trouble::Case(format!("no answer to {} {}", call.method, call.path)))?
    }

    /// A watch that the server has begun, or refused.
    pub(super) async fn open(&self, path: &str) -> Result<Watch, Trouble> {
        let opened = tokio::time::timeout(DEADLINE, self.send(&Call { method: "GET", path, ..Call::default() })).await;
        let response = opened.map_err(|_| Trouble::Case(format!("no answer to a watch of {path}")))??;
        Ok(Watch { response, rest: Vec::new(), events: Vec::new() })
    }
}

/// An open watch.
pub(super) struct Watch {
    response: Response,
    /// The beginning of an event whose end has not come.
    rest: Vec<u8>,
    events: Vec<Value>,
}

impl Watch {
    /// Status and the events that come until there are `enough` or the time is over; a refusal's body instead of events.
    pub(super) async fn events(mut self, time: Duration, enough: usize) -> Result<(u16, Value), Trouble> {
        let end = Instant::now() + time;
        while self.is_open() && self.events.len() < enough && timeout_at(end, self.read()).await.unwrap_or(false) {}
        self.finish().await
    }

    /// The same, until nothing came for a while after it was asked for.
    pub(super) async fn events_until(mut self, mut asked: oneshot::Receiver<()>, enough: usize) -> Result<(u16, Value), Trouble> {
        let mut goes_on = self.is_open();
        while goes_on && self.events.len() < enough {
            tokio::select! {
                more = self.read() => goes_on = more,
                _ = &mut asked => break,
            }
        }
        while goes_on && self.events.len() < enough {
            goes_on = tokio::time::timeout(QUIET, self.read()).await.unwrap_or(false);
        }
        self.finish().await
    }

    fn is_open(&self) -> bool {
        self.response.status() == 200
    }

    /// Takes in what came; false when the server has ended the watch.
    async fn read(&mut self) -> bool {
        let Ok(Some(chunk)) = self.response.chunk().await else { return false };
        self.rest.extend_from_slice(&chunk);
        while let Some(at) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=at).collect();
            if !line.trim_ascii().is_empty() {
                self.events.push(parse(&String::from_utf8_lossy(&line)));
            }
        }
        true
    }

    async fn finish(self) -> Result<(u16, Value), Trouble> {
        let code = self.response.status().as_u16();
        let body = if code == 200 { self.events.into() } else { parse(&self.response.text().await?) };
        Ok((code, body))
    }
}

fn parse(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
