//! A server of Leases in memory, for tests: versions, conflicts, and faults on demand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

#[derive(Default)]
pub(super) struct State {
    pub(super) leases: BTreeMap<String, Value>,
    pub(super) writes: usize,
    /// Requests are never answered.
    pub(super) silent: bool,
    /// Requests and answers are under way for up to half a second.
    pub(super) slow: Option<fastrand::Rng>,
    /// What happens just after the next write of a Lease: its name, and whose holder is another from then on.
    pub(super) then: Option<(&'static str, (&'static str, &'static str))>,
    version: u64,
}

#[derive(Clone, Default)]
pub(super) struct Server(pub(super) Arc<Mutex<State>>);

impl Server {
    pub(super) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    pub(super) fn spec(&self, name: &str, field: &str) -> Value {
        self.0.lock().expect("no panic").leases[name]["spec"][field].clone()
    }

    pub(super) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.0.lock().expect("no panic");
        state.version += 1;
        let version = state.version.to_string();
        let lease = state.leases.get_mut(name).expect("the lease");
        change(lease);
        lease["metadata"]["resourceVersion"] = json!(version);
    }

    async fn answer(&self, request: http::Request<Body>) -> http::Response<Body> {
        if self.0.lock().expect("no panic").silent {
            std::future::pending::<()>().await;
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let sent: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        self.pause().await;
        let (code, answer) = self.handle(parts.method.as_str(), parts.uri.path(), sent);
        self.pause().await;
        http::Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).expect("a response")
    }

    async fn pause(&self) {
        let pause = self.0.lock().expect("no panic").slow.as_mut().map(|random| random.u64(..500));
        if let Some(pause) = pause {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        }
    }

    fn handle(&self, method: &str, path: &str, mut sent: Value) -> (u16, Value) {
        let mut state = self.0.lock().expect("no panic");
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let found = state.leases.get(&name).cloned();
        match (method, found) {
            ("GET", Some(lease)) => (200, lease),
            ("GET" | "PUT", None) => failure(404, "NotFound"),
            ("PUT", Some(lease)) if lease["metadata"]["resourceVersion"] != sent["metadata"]["resourceVersion"] => failure(409, "Conflict"),
            ("PUT", Some(lease)) => {
                sent["metadata"]["uid"] = lease["metadata"]["uid"].clone();
                state.store(&name, sent)
            }
            ("POST", _) => {
                let name = sent["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                if state.leases.contains_key(&name) {
                    return failure(409, "AlreadyExists");
                }
                sent["metadata"]["uid"] = json!(format!("uid-{}", state.version));
                state.store(&name, sent)
            }
            _ => failure(405, "MethodNotAllowed"),
        }
    }
}

impl State {
    fn store(&mut self, name: &str, mut lease: Value) -> (u16, Value) {
        self.version += 1;
        self.writes += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.leases.insert(name.to_owned(), lease.clone());
        if let Some((_, (other, holder))) = self.then.take_if(|(awaited, _)| *awaited == name) {
            self.version += 1;
            let other = self.leases.get_mut(other).expect("the lease");
            other["spec"]["holderIdentity"] = json!(holder);
            other["metadata"]["resourceVersion"] = json!(self.version.to_string());
        }
        (200, lease)
    }
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}))
}
