//! What the API server wrote down of one scenario's controller.

use scenarios::real::{ACCOUNT, Place};
use serde_json::Value;

/// A request of the controller.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: String,
    pub group: String,
    /// With its subresource, as rights name it.
    pub resource: String,
    pub name: String,
    pub code: u64,
    /// When it came.
    pub at: String,
    /// What a refusal says.
    pub message: String,
}

impl Request {
    /// As in `patch services/demo-fe`.
    pub fn title(&self) -> String {
        format!("{} {}/{}: {}", self.verb, self.resource, self.name, self.code)
    }

    /// Whether it changes something that others see: Leases and Events are left out.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete"].contains(&self.verb.as_str()) && !["leases", "events"].contains(&self.resource.as_str())
    }
}

/// Everything that the place's controller asked for, in order.
pub fn requests(place: &Place<'_>) -> Vec<Request> {
    let user = format!("system:serviceaccount:{}:{ACCOUNT}", place.namespace);
    let log = std::fs::read_to_string(place.stand.control_plane.audit_log_path()).expect("an audit log");
    let entries = log.lines().filter(|line| line.contains(&user)).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(|entry| entry["user"]["username"] == user.as_str()).filter_map(|entry| request(&entry)).collect()
}

fn request(entry: &Value) -> Option<Request> {
    let object = entry.get("objectRef")?;
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let resource = object["subresource"].as_str().map_or_else(|| text("resource"), |below| format!("{}/{below}", text("resource")));
    Some(Request {
        verb: entry["verb"].as_str()?.to_owned(),
        group: text("apiGroup"),
        resource,
        name: text("name"),
        code: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
        at: entry["requestReceivedTimestamp"].as_str().unwrap_or_default().to_owned(),
        message: entry["responseStatus"]["message"].as_str().unwrap_or_default().to_owned(),
    })
}
