//! The probes, with tables of the kernel and HTTP answers as they really look.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::harness::{Pod, shells};

const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

fn succeeds(pod: &Pod, what: &str, component: &str) -> bool {
    pod.command("probe.sh", &[what, component]).status().expect("a shell").success()
}

fn probed(shell: &[&'static str]) -> Pod {
    let mut pod = Pod::new(shell);
    let tables = pod.path("fake/net").to_string_lossy().into_owned();
    pod.set("PROC_NET", &tables);
    pod.set("EDIT_LOG_PORT", "9010");
    pod.write("fake/net/tcp", HEADER);
    pod
}

#[test]
fn a_listening_port_is_alive_and_a_connection_to_it_is_not() {
    for shell in shells() {
        let pod = probed(&shell);
        assert!(!succeeds(&pod, "alive", "fe") && !succeeds(&pod, "startup", "fe"));
        pod.write("fake/net/tcp", &format!("{HEADER}   0: 0100007F:2332 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 1\n"));
        assert!(!succeeds(&pod, "alive", "fe"), "{shell:?}: established is not listening");
        pod.write("fake/net/tcp", &format!("{HEADER}   0: 0100007F:2332 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n"));
        assert!(succeeds(&pod, "alive", "fe") && succeeds(&pod, "startup", "fe"), "{shell:?}");
        pod.write("fake/net/tcp", HEADER);
        pod.write(
            "fake/net/tcp6",
            &format!("{HEADER}   0: 00000000000000000000000000000000:2332 00000000000000000000000000000000:0000 0A 0 0 0 0 0 0 1\n"),
        );
        assert!(succeeds(&pod, "alive", "fe"), "{shell:?}: IPv6");
        assert!(!succeeds(&pod, "alive", "be"), "another component's port");
    }
}

#[test]
fn a_waiting_member_is_alive_and_one_that_left_the_gate_has_time_to_open_its_port() {
    for shell in shells() {
        let pod = probed(&shell);
        pod.write("opt/doris-operator/run/waiting", "the volume is empty\n");
        assert!(succeeds(&pod, "startup", "fe") && succeeds(&pod, "alive", "fe"));
        pod.remove("opt/doris-operator/run/waiting");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970").as_secs();
        pod.write("opt/doris-operator/run/starting", &format!("{}\n", now - 60));
        assert!(succeeds(&pod, "alive", "fe") && !succeeds(&pod, "startup", "fe"), "{shell:?}");
        pod.write("opt/doris-operator/run/starting", &format!("{}\n", now - 3600));
        assert!(!succeeds(&pod, "alive", "fe"), "{shell:?}: not for ever");
        pod.write("opt/doris-operator/run/starting", &format!("{now}\n"));
        pod.write("fake/net/tcp", &format!("{HEADER}   0: 0100007F:2332 00000000:0000 0A 0 0 0 0 0 0 1\n"));
        assert!(succeeds(&pod, "alive", "fe"));
        assert_eq!(pod.read("opt/doris-operator/run/starting"), None, "{shell:?}: the port was open once");
    }
}

/// Answers one request.
fn answer(status: &'static str, body: &'static str) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 1024];
        let read = stream.read(&mut request).expect("a request");
        assert!(read > 0);
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .expect("an open connection");
    });
    (port, server)
}

#[test]
fn a_frontend_is_ready_when_bootstrap_says_code_0() {
    for shell in shells() {
        for (status, body, ready) in [
            ("200 OK", "{\"msg\":\"success\",\"code\":0,\"data\":{\"replayedJournalId\":0},\"count\":0}", true),
            ("200 OK", "{\"msg\":\"Error\",\"code\":1,\"data\":\"not ready\",\"count\":0}", false),
            ("200 OK", "{\"msg\":\"success\",\"code\":03}", false),
            ("500 Internal Server Error", "{\"code\":0}", false),
        ] {
            let mut pod = probed(&shell);
            let (port, server) = answer(status, body);
            pod.set("HTTP_PORT", &port.to_string());
            assert_eq!(succeeds(&pod, "ready", "fe"), ready, "{shell:?} {body}");
            server.join().expect("a request was made");
        }
        let mut pod = probed(&shell);
        pod.set("HTTP_PORT", "1");
        assert!(!succeeds(&pod, "ready", "fe"), "nobody answers");
    }
}

#[test]
fn a_backend_is_ready_when_its_health_answers() {
    for shell in shells() {
        for (status, ready) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let mut pod = probed(&shell);
            let (port, server) = answer(status, "{\"status\":\"OK\"}");
            pod.set("HTTP_PORT", &port.to_string());
            assert_eq!(succeeds(&pod, "ready", "be"), ready, "{shell:?} {status}");
            server.join().expect("a request was made");
        }
    }
}
