//! An API server for tests that answers by a function and keeps what it was asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

/// A request as the server got it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

type Handler = dyn FnMut(&Asked) -> (u16, Value) + Send;

#[derive(Clone)]
pub(crate) struct Fake {
    asked: Arc<Mutex<Vec<Asked>>>,
    handler: Arc<Mutex<Box<Handler>>>,
}

impl Fake {
    pub(crate) fn new(handler: impl FnMut(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        Self { asked: Arc::default(), handler: Arc::new(Mutex::new(Box::new(handler))) }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let fake = fake.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let asked = Asked {
                    method: parts.method.to_string(),
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                };
                let (code, answer) = (fake.handler.lock().expect("no panic"))(&asked);
                fake.asked.lock().expect("no panic").push(asked);
                // A watch is answered by lines.
                let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
                let response = http::Response::builder().status(code).body(Body::from(text.into_bytes()));
                Ok::<_, Infallible>(response.expect("a response"))
            }
        });
        kube::Client::new(service, "ns")
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// A refusal with causes (`reason`, `message`, `field`).
pub(crate) fn refusal(code: u16, message: &str, causes: &[(&str, &str, &str)]) -> (u16, Value) {
    let causes: Vec<Value> =
        causes.iter().map(|(reason, message, field)| json!({"reason": reason, "message": message, "field": field})).collect();
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": "X", "details": {"causes": causes}}),
    )
}
