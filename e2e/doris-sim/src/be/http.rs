//! HTTP of a backend.

use std::fmt::Write;

use bytes::Bytes;
use http::{Request, Response};

use crate::process::ProcessId;
use crate::world::World;

/// Answers a request.
pub(crate) fn respond(world: &World, id: ProcessId, request: &Request<Bytes>) -> Response<Bytes> {
    let state = world.state();
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

fn reply(status: u16, kind: &str, body: String) -> Response<Bytes> {
    let response = Response::builder().status(status).header("Content-Type", kind).body(Bytes::from(body));
    response.unwrap_or_else(|_| Response::new(Bytes::new()))
}
