//! The simulator on a port.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use http::Response;
use tokio::net::TcpListener;
use tower::Service;

use super::service::Identity;
use crate::sim::KubeSim;

/// How long connections may take to finish what they are doing when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// Serves until the simulator is stopped.
pub async fn serve(sim: KubeSim, listener: TcpListener) -> io::Result<()> {
    let service = sim.service("", Identity::FromRequest);
    let stopped = sim.inner.stopped.clone();
    let answer = tower::service_fn(move |request: Request| {
        let mut service = service.clone();
        async move { Ok::<_, Infallible>(service.call(request).await.unwrap_or_else(broken)) }
    });
    let router = axum::Router::new().fallback_service(answer);
    let ended = stopped.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move { ended.cancelled().await });
    tokio::select! {
        result = async { server.await } => result,
        () = async { stopped.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// An answer whose body breaks off: the nearest to a broken connection that an HTTP server can send on purpose.
fn broken(error: io::Error) -> Response<Body> {
    let body = Body::from_stream(futures::stream::once(async move { Err::<bytes::Bytes, io::Error>(error) }));
    Response::new(body)
}
