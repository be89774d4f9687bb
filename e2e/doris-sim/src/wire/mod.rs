//! Real sockets: open exactly while the model says that a port is open.

mod mysql;
mod packet;
mod web;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::process::{ProcessId, ProcessState};
use crate::state::Body;
use crate::world::World;

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    MySql,
    Http,
    /// A port between members: it accepts and says nothing.
    Silent,
}

/// Keeps the sockets of a process as the model has its ports.
pub(crate) fn serve(world: &World, id: ProcessId) {
    let world = world.clone();
    // Not part of the process, so that it can close the sockets when that ends.
    tokio::spawn(async move {
        let mut changes = world.changes();
        let mut listeners: BTreeMap<u16, AbortHandle> = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            let Some((running, ports)) = wanted(&world, id) else { break };
            listeners.retain(|port, listener| {
                let keep = ports.contains_key(port);
                if !keep {
                    listener.abort();
                }
                keep
            });
            for (port, (address, protocol)) in ports {
                if !listeners.contains_key(&port)
                    && let Ok(socket) = listen(address)
                {
                    listeners.insert(port, tokio::spawn(accept(world.clone(), id, socket, protocol)).abort_handle());
                }
            }
            if !running || changes.changed().await.is_err() {
                break;
            }
        }
        listeners.values().for_each(AbortHandle::abort);
    });
}

/// A listener that takes an address again right after its last owner.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

type Ports = BTreeMap<u16, (SocketAddr, Protocol)>;

fn wanted(world: &World, id: ProcessId) -> Option<(bool, Ports)> {
    let state = world.state();
    let proc = state.procs.get(&id)?;
    let protocol = |port: u16| match &proc.body {
        Body::Fe(fe) if port == fe.query_port => Protocol::MySql,
        Body::Fe(fe) if port == fe.http_port => Protocol::Http,
        Body::Be(be) if port == be.http_port() => Protocol::Http,
        _ => Protocol::Silent,
    };
    let ports = proc.ports.iter().map(|port| (*port, (SocketAddr::new(proc.ip, *port), protocol(*port)))).collect();
    Some((*proc.state.borrow() == ProcessState::Running, ports))
}

async fn accept(world: World, id: ProcessId, listener: TcpListener, protocol: Protocol) {
    while let Ok((stream, peer)) = listener.accept().await {
        let world = world.clone();
        tokio::spawn(async move {
            // A client that goes away in the middle is no concern of the server.
            let serve = async {
                match protocol {
                    Protocol::MySql => drop(mysql::serve(&world, id, stream, peer).await),
                    Protocol::Http => web::serve(&world, id, stream, peer).await,
                    Protocol::Silent => web::hold(stream).await,
                }
            };
            tokio::select! {
                () = serve => {}
                () = world.ended(id) => {}
            }
        });
    }
}
