//! HTTP of a backend.

use std::fmt::Write;

use bytes::Bytes;
use http::{Request, Response};

use crate::process::ProcessId;
use crate::state::State;
use crate::truth::note_setting;
use crate::world::World;

/// Answers a request.
pub(crate) fn respond(world: &World, id: ProcessId, request: &Request<Bytes>) -> Response<Bytes> {
    let mut state = world.state();
    if request.uri().path() == "/api/update_config" {
        return update_config(&mut state, id, request);
    }
    let Some(be) = state.be(id) else { return reply(503, "text/plain", String::new()) };
    match request.uri().path() {
        "/api/health" => {
            let (status, text) = match (be.version.from_line(4, 1), be.work.stopping) {
                (false, _) => ("OK", "To Be Added"),
                (true, false) => ("OK", "OK"),
                (true, true) => ("Server is not available", "Server is shutting down"),
            };
            reply(200, "application/json", format!("{{\"status\": \"{status}\",\"msg\": \"{text}\"}}"))
        }
        "/api/show_config" => show_config(be, request),
        "/api/be_version_info" => {
            reply(200, "application/json", format!("{{\"beVersionInfo\":{{\"dorisBuildVersion\":\"{}\"}}}}", be.version.build()))
        }
        "/metrics" => {
            let mut text = work(be);
            text.push_str("# TYPE doris_be_disks_total_capacity gauge\n");
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

/// What it is busy with.
fn work(be: &super::Be) -> String {
    let fragments = if be.version.from_line(2, 1) { "doris_be_fragment_instance_count" } else { "doris_be_plan_fragment_count" };
    let loads = be.work.loads.len();
    let numbers = [
        (fragments, be.work.fragments.len()),
        ("doris_be_load_channel_count", loads),
        ("doris_be_streaming_load_current_processing", loads),
    ];
    let mut text = String::new();
    for (name, value) in numbers {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
    }
    text
}

/// Name, type, value and whether it can be changed of every key, or of the one asked for.
fn show_config(be: &super::Be, request: &Request<Bytes>) -> Response<Bytes> {
    let query = request.uri().query().unwrap_or_default();
    let only = query.split('&').find_map(|pair| pair.strip_prefix("conf_item="));
    let shown = be.conf.shown().filter(|shown| only.is_none_or(|only| only == shown.name));
    let rows: Vec<_> = shown.map(|key| serde_json::json!([key.name, key.kind, key.value, key.mutable.to_string()])).collect();
    reply(200, "application/json", serde_json::Value::Array(rows).to_string())
}

/// Changes settings of the running process; the answer tells of each key.
fn update_config(state: &mut State, id: ProcessId, request: &Request<Bytes>) -> Response<Bytes> {
    if request.method() != http::Method::POST {
        return reply(405, "text/plain", String::new());
    }
    let pairs: Vec<_> = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
    let persist = pairs.contains(&("persist", "true"));
    let mut results = Vec::new();
    for (key, value) in pairs.into_iter().filter(|(key, _)| *key != "persist") {
        let Some(be) = state.be_mut(id) else { return reply(503, "text/plain", String::new()) };
        let set = be.conf.set(key, value);
        if set.is_ok() {
            note_setting(state, id, key, value, persist);
        }
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
