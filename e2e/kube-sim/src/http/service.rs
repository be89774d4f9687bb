//! The simulator as a tower service, for clients in the same process and for the server.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Limited};
use tokio::sync::watch;

use super::handle::{Incoming, respond};
use crate::access::User;
use crate::sim::Inner;
use crate::status::ApiStatus;

/// Most bytes of a request's body, as on a real server.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Whom requests of a client come from.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The bearer token of each request tells.
    FromRequest,
    /// Somebody who needs no token.
    User(User),
}

impl Identity {
    /// The administrator.
    pub fn admin() -> Self {
        Self::User(User::admin())
    }

    /// A service account, bound by the roles it has.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::User(User::service_account(namespace, name))
    }
}

/// What belongs to one client.
#[derive(Debug)]
pub(super) struct Client {
    pub name: String,
    pub identity: Identity,
    pub held: watch::Sender<bool>,
}

/// One client's way to the simulator. Clones are the same client.
#[derive(Clone)]
pub struct SimService {
    inner: Arc<Inner>,
    client: Arc<Client>,
}

impl SimService {
    pub(crate) fn new(inner: Arc<Inner>, name: &str, identity: Identity) -> Self {
        Self { inner, client: Arc::new(Client { name: name.to_owned(), identity, held: watch::channel(false).0 }) }
    }

    /// Keeps watch events from this client, as a slow network would: its caches go stale. Released, they all arrive.
    pub fn hold_watches(&self, hold: bool) {
        self.client.held.send_replace(hold);
    }
}

type Answer = Result<Response<Body>, io::Error>;

impl<B> tower::Service<Request<B>> for SimService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, client) = (self.inner.clone(), self.client.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match Limited::new(body, MAX_BODY).collect().await {
                Ok(collected) => collected.to_bytes(),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    let text = format!("Request entity too large: limit is {MAX_BODY}");
                    let refusal = ApiStatus::new(413, "RequestEntityTooLarge", text);
                    return Ok(super::body::status(&refusal));
                }
                Err(error) => return Err(io::Error::other(error)),
            };
            let incoming = Incoming { method: parts.method, uri: parts.uri, headers: parts.headers, body };
            respond(&inner, &client, incoming).await
        })
    }
}

/// A header as text, empty when absent.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
