//! A controller's way to a real API server under a fault plan: a layer below the client, above the network.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::unfold;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::{Body, DynBody};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tower::{BoxError, Layer, Service};

use crate::lab::{Fault, Faults, faults::Verdict};

/// Longer than a caller waits that has a deadline.
const LATE: Duration = Duration::from_secs(40);
/// Shortest end of a name that is taken for a hash, when all of it is hexadecimal.
const HASH: usize = 8;

type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;
type Answer = Result<Response<AnswerBody>, BoxError>;

/// What goes wrong between one process and the API server.
#[derive(Clone, Debug)]
pub struct Link {
    /// The plan.
    pub faults: Faults,
    /// The process, by the name that the plan kills it by.
    pub process: String,
    /// While true, no watch tells anything.
    pub held: watch::Receiver<bool>,
}

impl<S> Layer<S> for Link {
    type Service = Linked<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Linked { inner, link: self.clone() }
    }
}

/// A way to the API server with a plan in it.
#[derive(Debug)]
pub struct Linked<S> {
    inner: S,
    link: Link,
}

impl<S> Service<Request<Body>> for Linked<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let step = step(request.method(), request.uri());
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        // Nothing is sent before the future is polled.
        let sending = self.inner.call(request);
        let link = self.link.clone();
        Box::pin(async move {
            if link.faults.is_dead(&link.process) {
                return std::future::pending().await;
            }
            let Some(step) = step else {
                let answer = sending.await?;
                return Ok(if is_watch { answer.map(|body| held_back(body, link.held)) } else { answer.map(BodyExt::boxed_unsync) });
            };
            match link.faults.step(&*step) {
                Verdict::Go => {
                    let answer = passed(sending).await?;
                    if answer.status() == StatusCode::CONFLICT {
                        link.faults.note_outdated(&step);
                    }
                    Ok(answer)
                }
                Verdict::Hit(fault) => link.hit(fault, sending).await,
            }
        })
    }
}

impl Link {
    async fn hit(&self, fault: Fault, sending: impl Future<Output = Result<Response<Box<DynBody>>, BoxError>> + Send + 'static) -> Answer {
        match fault {
            Fault::CrashBefore => {
                self.faults.kill(&self.process);
                std::future::pending().await
            }
            Fault::CrashAfter => {
                // Whether it was refused is not known to the dead.
                let _ = sending.await;
                self.faults.kill(&self.process);
                std::future::pending().await
            }
            Fault::Refuse(code) => refusal(code),
            Fault::LoseAnswer => {
                let _ = sending.await;
                Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset by peer").into())
            }
            Fault::Late => {
                let (told, answer) = oneshot::channel();
                // It arrives although the caller has gone; nobody may be there to hear the answer.
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await;
                    let _ = told.send(passed(sending).await);
                });
                answer.await?
            }
        }
    }
}

async fn passed(sending: impl Future<Output = Result<Response<Box<DynBody>>, BoxError>>) -> Answer {
    Ok(sending.await?.map(BodyExt::boxed_unsync))
}

/// What a watch tells, kept back while it is held.
fn held_back(body: Box<DynBody>, held: watch::Receiver<bool>) -> AnswerBody {
    let frames = unfold((body, held), |(mut body, mut held)| async move {
        let frame = body.frame().await?;
        // An error means that nobody is left who could hold it.
        let _ = held.wait_for(|held| !held).await;
        Some((frame, (body, held)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// As an API server refuses.
fn refusal(code: u16) -> Answer {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the fault plan says so", "reason": reason, "code": code,
    });
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never: Infallible| match never {}).boxed_unsync();
    Ok(Response::builder().status(code).header("Content-Type", "application/json").body(body)?)
}

/// The step that a request is, named as in the laboratory; a hash that ends a name is left out, for it covers the namespace. Reads
/// are none, and neither is the work on Leases.
fn step(method: &Method, uri: &Uri) -> Option<String> {
    if ![Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method) {
        return None;
    }
    let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let (["api", _, below @ ..] | ["apis", _, _, below @ ..]) = parts.as_slice() else { return None };
    let object = match below {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (resource, name) = match object {
        [resource] => ((*resource).to_owned(), String::new()),
        [resource, name] => ((*resource).to_owned(), without_hash(name)),
        [resource, name, subresource] => (format!("{resource}/{subresource}"), without_hash(name)),
        _ => return None,
    };
    (resource != "leases").then(|| format!("{method} {resource}/{name}"))
}

/// The name of an object without the hash of its content.
pub(super) fn without_hash(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((rest, hash)) if hash.len() >= HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => format!("{rest}-*"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::step;
    use http::{Method, Uri};

    #[test]
    fn a_step_is_named_by_what_it_writes() {
        for (method, path, expected) in [
            (Method::PATCH, "/apis/apps/v1/namespaces/a/statefulsets/demo-be?force=true", Some("PATCH statefulsets/demo-be")),
            (
                Method::PATCH,
                "/apis/doris-operator.dev/v1beta1/namespaces/a/dorisclusters/demo/status",
                Some("PATCH dorisclusters/status/demo"),
            ),
            (Method::PATCH, "/api/v1/namespaces/a/configmaps/demo-fe-conf-0a1b2c3d4e", Some("PATCH configmaps/demo-fe-conf-*")),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events", Some("POST events/")),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/a/leases/demo-operation", None),
            (Method::GET, "/api/v1/namespaces/a/pods/demo-fe-0", None),
            (Method::POST, "/version", None),
        ] {
            let uri: Uri = path.parse().expect("a path");
            assert_eq!(step(&method, &uri).as_deref(), expected, "{path}");
        }
    }
}
