//! The real transport against sockets that misbehave. Each test waits on sockets only, for fractions of a second.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use doris_client::{Deadlines, Endpoint, Error, HttpRequest, Login, Password, Transport, WireTransport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn transport() -> WireTransport {
    let short = Duration::from_millis(300);
    WireTransport::new(Deadlines { connect: short, login: short, read: short }).expect("a client")
}

async fn listener() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, Endpoint { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port })
}

fn login() -> Login {
    Login { user: "root".to_owned(), password: Password::new("Sw0rdfish!Sw0rdfish") }
}

fn request(endpoint: Endpoint) -> HttpRequest {
    HttpRequest { endpoint, method: "GET", path: "/api/bootstrap?secret=1".to_owned(), login: Some(login()) }
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    let (listener, endpoint) = listener().await;
    drop(listener);
    let transport = transport();
    assert!(matches!(transport.connect(endpoint, &login()).await.err(), Some(Error::Connect { .. })));
    assert!(matches!(transport.http(request(endpoint)).await, Err(Error::Connect { .. })));
    assert!(!transport.port_is_open(endpoint).await);
}

#[tokio::test]
async fn a_silent_server_ends_in_a_deadline() {
    let (listener, endpoint) = listener().await;
    let transport = transport();
    assert!(transport.port_is_open(endpoint).await);
    assert!(matches!(transport.connect(endpoint, &login()).await.err(), Some(Error::Timeout { .. })));
    let error = transport.http(request(endpoint)).await.expect_err("nobody answers");
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    drop(listener);
}

#[tokio::test]
async fn a_server_that_speaks_no_mysql_is_an_error() {
    let (listener, endpoint) = listener().await;
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("sent");
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    });
    let error = transport().connect(endpoint, &login()).await.err().expect("no handshake");
    assert!(matches!(error, Error::Connect { .. } | Error::Timeout { .. }), "{error}");
    server.abort();
}

#[tokio::test]
async fn a_refused_login_keeps_its_code_and_hides_the_password() {
    let (listener, endpoint) = listener().await;
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        socket.write_all(&greeting()).await.expect("sent");
        let mut login = [0; 512];
        let _ = socket.read(&mut login).await.expect("the login");
        let mut refusal = b"\xff\x15\x04#28000Access denied for user 'root@10.0.0.1' (using password: YES)".to_vec();
        let length = u8::try_from(refusal.len()).expect("short");
        let mut packet = vec![length, 0, 0, 2];
        packet.append(&mut refusal);
        socket.write_all(&packet).await.expect("sent");
    });
    let error = transport().connect(endpoint, &login()).await.err().expect("refused");
    assert!(error.is_login_refused(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("Sw0rd"));
    server.await.expect("the server ended");
}

/// The greeting of a frontend: protocol 10, version 5.7.99, `mysql_native_password`.
fn greeting() -> Vec<u8> {
    let mut body = b"\x0a5.7.99\0\x01\0\0\0abcdefgh\0".to_vec();
    body.extend_from_slice(&[0x8c, 0x82, 33, 0, 0, 0x08, 0, 21]);
    body.extend_from_slice(&[0; 10]);
    body.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
    let mut packet = vec![u8::try_from(body.len()).expect("short"), 0, 0, 0];
    packet.append(&mut body);
    packet
}
