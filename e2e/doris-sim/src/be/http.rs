//! HTTP of a backend.

use std::fmt::Write;

use bytes::Bytes;
use http::{Request, Response};

use crate::process::ProcessId;
use crate::state::State;
use crate::world::World;

/// Answers a request.
pub(crate) fn respond(world: &World, id: ProcessId, request: &Request<Bytes>) -> Response<Bytes> {
    let mut state = world.state();
    if request.uri().path() == "/api/update_config" {
        return update_config(&mut state, id, request);
    }
    let Some(be) = state.be(id) else { return reply(503, "text/plain", String::new()) };
    match request.uri().path() {
        "/api/health" => reply(200, "application/json", "{\"status\": \"OK\",\"msg\": \"To Be Added\"}".to_owned()),
        "/api/be_version_info" => {
            reply(200, "application/json", format!("{{\"beVersionInfo\":{{\"dorisBuildVersion\":\"{}\"}}}}", be.version.build()))
        }
        "/metrics" => {
            let mut text = String::from("# TYPE doris_be_disks_total_capacity gauge\n");
            for disk in be.disks() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "doris_be_disks_total_capacity{{path=\"{}\"}} {}", disk.path, disk.total);
                let _ = writeln!(text, "doris_be_disks_avail_capacity{{path=\"{}\"}} {}", disk.path, disk.available);
                let _ = writeln!(text, "doris_be_disks_local_used_capacity{{path=\"{}\"}} {}", disk.path, disk.data_used);
                let _ = writeln!(text, "doris_be_disks_state{{path=\"{}\"}} {}", disk.path, u8::from(disk.online));
            }
            reply(200, "text/plain", text)
        }
        _ => reply(404, "text/plain", String::new()),
    }
}

/// Changes settings of the running process; the answer tells of each key.
fn update_config(state: &mut State, id: ProcessId, request: &Request<Bytes>) -> Response<Bytes> {
    if request.method() != http::Method::POST {
        return reply(405, "text/plain", String::new());
    }
    let Some(be) = state.be_mut(id) else { return reply(503, "text/plain", String::new()) };
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut results = Vec::new();
    for (key, value) in pairs.filter(|(key, _)| *key != "persist") {
        let set = be.set_config(key, value);
        let (status, message) = match &set {
            Ok(()) => ("OK", ""),
            Err(text) => ("BAD", text.as_str()),
        };
        results.push(serde_json::json!({"config_name": key, "status": status, "msg": message}));
    }
    reply(200, "application/json", serde_json::Value::Array(results).to_string())
}

fn reply(status: u16, kind: &str, body: String) -> Response<Bytes> {
    let response = Response::builder().status(status).header("Content-Type", kind).body(Bytes::from(body));
    response.unwrap_or_else(|_| Response::new(Bytes::new()))
}
