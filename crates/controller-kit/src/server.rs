//! Health and metrics over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::watch::WatchHealth;

/// Tells whether the process can do its work, or why not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the endpoints tell about.
#[derive(Clone)]
pub struct Endpoints {
    /// Behind `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Behind `/healthz`: fails when a watch is dead, so that the process is restarted.
    pub watches: WatchHealth,
    /// Behind `/readyz`, which also fails while a watch has been failing for a while.
    pub ready: Readiness,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn router(endpoints: Endpoints) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics)).with_state(endpoints)
}

/// Listens on an address and serves until stopped. Tells the address, for port 0.
pub async fn serve(
    address: SocketAddr,
    endpoints: Endpoints,
    stop: CancellationToken,
) -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let served = tokio::spawn(async move {
        let server = axum::serve(listener, router(endpoints)).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = server.await {
            tracing::error!(error = %error, "the health and metrics server ended");
        }
    });
    Ok((bound, served))
}

async fn healthz(State(endpoints): State<Endpoints>) -> Response {
    let dead = endpoints.watches.dead();
    if dead.is_empty() {
        return "ok".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("nothing but errors for too long: {}", dead.join(", "))).into_response()
}

async fn readyz(State(endpoints): State<Endpoints>) -> Response {
    let stale = endpoints.watches.stale();
    if !stale.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("what is known of these is old: {}", stale.join(", "))).into_response();
    }
    match (endpoints.ready)() {
        Ok(()) => "ok".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

async fn metrics(State(endpoints): State<Endpoints>) -> Response {
    match endpoints.metrics.render() {
        Ok(body) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
