//! The HTTP servers of frontends and backends.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::process::ProcessId;
use crate::world::World;

/// Largest request body that is read.
const LIMIT: usize = 1 << 20;

/// Serves one connection.
pub(super) async fn serve(world: &World, id: ProcessId, stream: TcpStream, peer: SocketAddr) {
    let world = world.clone();
    let app = Router::new().fallback(move |request: Request| {
        let world = world.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, LIMIT).await.unwrap_or_default();
            let response = world.respond(id, peer.ip(), http::Request::from_parts(head, body)).await;
            let (head, body) = response.into_parts();
            Response::from_parts(head, Body::from(body))
        }
    });
    let listener = Once { stream: Some((stream, peer)) }.tap_io(|_| {});
    // The listener hands out one connection and then waits for ever.
    drop(axum::serve(listener, app).await);
}

/// A listener of one connection.
struct Once {
    stream: Option<(TcpStream, SocketAddr)>,
}

impl axum::serve::Listener for Once {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.stream.take() {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

/// Keeps a connection that nothing is said on.
pub(super) async fn hold(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
