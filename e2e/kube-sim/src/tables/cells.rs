//! Cells that take more than a look at one field.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age, builtin};
use crate::ops::scale::selector_text;
use crate::store::text;

/// What stands where there is nothing.
pub const NONE: &str = "<none>";

/// A text, empty when absent.
pub fn field(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}

/// A text cell.
pub fn word(value: &Value) -> Value {
    value.as_str().unwrap_or_default().into()
}

/// A number cell.
pub fn number(value: &Value) -> Value {
    value.as_i64().unwrap_or_default().into()
}

/// Any value as text.
pub fn shown(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).into()
}

/// A text, or `<none>`.
pub fn or_none(text: String) -> Value {
    if text.is_empty() { NONE.into() } else { text.into() }
}

/// A text, or `<unset>`.
pub fn or_unset(text: String) -> Value {
    if text.is_empty() { "<unset>".into() } else { text.into() }
}

/// A number or percentage, or `N/A`.
pub fn or_not_available(value: &Value) -> Value {
    if value.is_null() { "N/A".into() } else { shown(value) }
}

/// Texts of list entries, joined by commas; empty ones are left out.
pub fn list(values: &Value, show: impl Fn(&Value) -> String) -> String {
    let texts = values.as_array().into_iter().flatten().map(show).filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join(",")
}

/// `1/3`.
pub fn ratio(part: &Value, whole: &Value) -> Value {
    format!("{}/{}", part.as_i64().unwrap_or_default(), whole.as_i64().unwrap_or_default()).into()
}

/// How many entries maps have together.
pub fn count(maps: &[&Value]) -> Value {
    maps.iter().filter_map(|map| map.as_object()).map(serde_json::Map::len).sum::<usize>().into()
}

/// Names and images of containers.
pub fn containers(pod: &Value) -> (Value, Value) {
    let list = &pod["containers"];
    (self::list(list, |container| field(container, "name")).into(), self::list(list, |container| field(container, "image")).into())
}

/// `statefulset.apps/name` of the owner that controls an object.
pub fn controller(object: &Value) -> Value {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner["controller"] == true) else { return NONE.into() };
    let kind = field(owner, "kind").to_lowercase();
    let version = field(owner, "apiVersion");
    match version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", field(owner, "name")).into(),
        None => format!("{kind}/{}", field(owner, "name")).into(),
    }
}

/// `RWO,ROX`.
pub fn access_modes(modes: &Value) -> Value {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO".to_owned(),
        Some("ReadOnlyMany") => "ROX".to_owned(),
        Some("ReadWriteMany") => "RWX".to_owned(),
        Some("ReadWriteOncePod") => "RWOP".to_owned(),
        _ => String::new(),
    };
    list(modes, short).into()
}

/// A claim that is being deleted says so.
pub fn claim_phase(claim: &Value) -> Value {
    if claim["metadata"]["deletionTimestamp"].is_string() { "Terminating".into() } else { word(&claim["status"]["phase"]) }
}

/// `namespace/name` of the claim of a volume.
pub fn claim_of(spec: &Value) -> Value {
    let claim = &spec["claimRef"];
    if claim.is_object() { format!("{}/{}", field(claim, "namespace"), field(claim, "name")).into() } else { "".into() }
}

/// A pod's cells after the name.
pub fn pod(pod: &Value, old: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let statuses = || status["containerStatuses"].as_array().into_iter().flatten();
    let ready = statuses().filter(|container| container["ready"] == true).count();
    let total = spec["containers"].as_array().map_or(0, Vec::len);
    let restarts: i64 = statuses().filter_map(|container| container["restartCount"].as_i64()).sum();
    let last = statuses().filter_map(|container| container["lastState"]["terminated"]["finishedAt"].as_str()).max();
    let restarts = match last {
        Some(last) if restarts > 0 => format!("{restarts} ({} ago)", age(last, now)),
        _ => restarts.to_string(),
    };
    vec![
        format!("{ready}/{total}").into(),
        pod_status(pod).into(),
        restarts.into(),
        old,
        or_none(field(status, "podIP")),
        or_none(field(spec, "nodeName")),
        or_none(field(status, "nominatedNodeName")),
        NONE.into(),
    ]
}

fn pod_status(pod: &Value) -> String {
    let status = &pod["status"];
    let mut reason = field(status, "reason");
    if reason.is_empty() {
        reason = field(status, "phase");
    }
    for container in status["containerStatuses"].as_array().into_iter().flatten() {
        for state in ["waiting", "terminated"] {
            let found = field(&container["state"][state], "reason");
            if !found.is_empty() {
                reason = found;
            }
        }
    }
    let inits = status["initContainerStatuses"].as_array().into_iter().flatten();
    let total = pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
    for (index, container) in inits.enumerate() {
        if container["state"]["terminated"]["exitCode"] == 0 || container["started"] == true {
            continue;
        }
        let waiting = field(&container["state"]["waiting"], "reason");
        reason = match waiting.as_str() {
            "" | "PodInitializing" => format!("Init:{index}/{total}"),
            other => format!("Init:{other}"),
        };
        break;
    }
    if pod["metadata"]["deletionTimestamp"].is_string() { "Terminating".to_owned() } else { reason }
}

/// A job's cells after the name.
pub fn job(job: &Value, old: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&job["spec"], &job["status"]);
    let holds = |kind: &str| {
        let conditions = status["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == kind && condition["status"] == "True"))
    };
    let state = [("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended"), ("FailureTarget", "FailureTarget")]
        .into_iter()
        .find(|(kind, _)| holds(kind))
        .map_or("Running", |(_, shown)| shown);
    let done = status["succeeded"].as_i64().unwrap_or_default();
    let wanted = spec["completions"].as_i64().map_or_else(|| "1".to_owned(), |wanted| wanted.to_string());
    let started = field(status, "startTime");
    let took = if started.is_empty() { String::new() } else { builtin::between(&started, &field(status, "completionTime"), now) };
    let pod = containers(&spec["template"]["spec"]);
    vec![state.into(), format!("{done}/{wanted}").into(), took.into(), old, pod.0, pod.1, selector_text(&spec["selector"]).into()]
}

/// A cron job's cells after the name.
pub fn cron_job(job: &Value, old: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&job["spec"], &job["status"]);
    let last = field(status, "lastScheduleTime");
    let pod = containers(&spec["jobTemplate"]["spec"]["template"]["spec"]);
    vec![
        word(&spec["schedule"]),
        or_none(field(spec, "timeZone")),
        shown(&json!(spec["suspend"] == true)),
        status["active"].as_array().map_or(0, Vec::len).into(),
        if last.is_empty() { NONE.into() } else { age(&last, now).into() },
        old,
        pod.0,
        pod.1,
        NONE.into(),
    ]
}

/// A service's cells after the name.
pub fn service(service: &Value, old: Value) -> Vec<Value> {
    let spec = &service["spec"];
    let port = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_i64().filter(|node| *node != 0) {
            Some(node) => format!("{}:{node}/{protocol}", port["port"]),
            None => format!("{}/{protocol}", port["port"]),
        }
    };
    let ingress = list(&service["status"]["loadBalancer"]["ingress"], |entry| {
        entry["ip"].as_str().or(entry["hostname"].as_str()).unwrap_or_default().to_owned()
    });
    let external = match spec["type"].as_str() {
        Some("ExternalName") => field(spec, "externalName"),
        Some("LoadBalancer") if ingress.is_empty() => "<pending>".to_owned(),
        Some("LoadBalancer") => ingress,
        _ => list(&spec["externalIPs"], |address| address.as_str().unwrap_or_default().to_owned()),
    };
    vec![
        word(&spec["type"]),
        or_none(field(spec, "clusterIP")),
        or_none(external),
        or_none(list(&spec["ports"], port)),
        old,
        or_none(selector_text(&spec["selector"])),
    ]
}

/// A node's cells after the name.
pub fn node(node: &Value, old: Value) -> Vec<Value> {
    let status = &node["status"];
    let ready = status["conditions"].as_array().into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let mut state = match ready.and_then(|condition| condition["status"].as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = node["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    let address = |kind: &str| {
        let addresses = status["addresses"].as_array().into_iter().flatten();
        addresses.into_iter().find(|address| address["type"] == kind).map_or_else(String::new, |address| field(address, "address"))
    };
    let info = &status["nodeInfo"];
    let known = |name: &str| if field(info, name).is_empty() { "<unknown>".into() } else { Value::from(field(info, name)) };
    vec![
        state.into(),
        or_none(roles.join(",")),
        old,
        word(&info["kubeletVersion"]),
        or_none(address("InternalIP")),
        or_none(address("ExternalIP")),
        known("osImage"),
        known("kernelVersion"),
        known("containerRuntimeVersion"),
    ]
}

/// `10.0.0.1:80,10.0.0.2:80`.
pub fn endpoints(endpoints: &Value) -> Value {
    let mut found = Vec::new();
    for subset in endpoints["subsets"].as_array().into_iter().flatten() {
        for port in subset["ports"].as_array().into_iter().flatten() {
            for address in subset["addresses"].as_array().into_iter().flatten() {
                found.push(format!("{}:{}", field(address, "ip"), port["port"]));
            }
        }
    }
    or_none(found.join(","))
}

/// An event's cells after the name, in either group.
pub fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, new: &str| if event[core].is_null() { &event[new] } else { &event[core] }.clone();
    let about = either("involvedObject", "regarding");
    let time =
        [either("lastTimestamp", "deprecatedLastTimestamp"), event["series"]["lastObservedTime"].clone(), event["eventTime"].clone()]
            .into_iter()
            .find_map(|time| time.as_str().map(str::to_owned))
            .unwrap_or_else(|| text(event, "creationTimestamp").to_owned());
    let count = either("count", "deprecatedCount").as_i64().or_else(|| event["series"]["count"].as_i64()).unwrap_or(1);
    vec![
        age(&time, now).into(),
        word(&event["type"]),
        word(&event["reason"]),
        format!("{}/{}", field(&about, "kind").to_lowercase(), field(&about, "name")).into(),
        word(&either("message", "note")),
        count.into(),
    ]
}
