//! The state that a run ends in: as wanted, quiet, truthful, and the same as without faults.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doris_api::{Component, DorisCluster, DorisClusterSpec, labels, names};
use doris_sim::{FrontendFacts, MemberFacts, MemberKind};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Map, Value};

use super::operations::is_switch;
use crate::lab::{Lab, is_ready};

/// For this long nothing may be written once a cluster is ready.
const QUIET: Duration = Duration::from_secs(120);

/// Statements that only ask, or say how this session is to be answered.
const ASKING: [&str; 5] = ["SQL SHOW", "SQL SELECT", "SQL ADMIN SHOW", "SQL SET forward_to_master", "SQL SET time_zone"];

/// Whether a step of a controller only asks.
pub fn is_asking(step: &str) -> bool {
    ASKING.iter().any(|asking| step.starts_with(asking))
}

/// Fields whose values follow from time or chance.
const VOLATILE: [&str; 41] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "observedGeneration",
    "managedFields",
    "lastTransitionTime",
    "lastProbeTime",
    "lastUpdateTime",
    "startTime",
    "startedAt",
    "finishedAt",
    "clusterIP",
    "clusterIPs",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "ip",
    "ips",
    "containerID",
    "volumeName",
    "nodeName",
    "nodePort",
    "healthCheckNodePort",
    "currentRevision",
    "currentReplicas",
    "updateRevision",
    "controller-revision-hash",
    "backendId",
    "podUid",
    "journalId",
    "volume.kubernetes.io/selected-node",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "doris-operator.dev/incarnation",
    "doris-operator.dev/config-notes",
    "since",
    "selfLink",
    "message",
    // Who is elected after a restart.
    "master",
];

/// A state, without what time and chance decide.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndState {
    /// Objects by kind and name.
    pub objects: BTreeMap<String, Value>,
    /// Members as the master has them registered.
    pub members: Vec<String>,
}

impl EndState {
    /// How this state differs from another: one sentence for each object.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let names = self.objects.keys().chain(other.objects.keys().filter(|name| !self.objects.contains_key(*name)));
        for name in names {
            match (self.objects.get(name), other.objects.get(name)) {
                (Some(here), Some(there)) => {
                    found.extend(difference(here, there, "").map(|difference| format!("same-end: {name}: {difference}")));
                }
                (Some(_), None) => found.push(format!("same-end: {name} is missing")),
                (None, _) => found.push(format!("same-end: {name} is there, and it is not without faults")),
            }
        }
        if self.members != other.members {
            found.push(format!("same-end: Doris' members are {:?}, and without faults {:?}", other.members, self.members));
        }
        found
    }
}

/// The first place where two values differ.
fn difference(here: &Value, there: &Value, path: &str) -> Option<String> {
    match (here, there) {
        (Value::Object(here), Value::Object(there)) => {
            let missing =
                there.keys().find(|key| !here.contains_key(*key)).map(|key| format!("{path}.{key} is {} instead of nothing", there[key]));
            here.iter()
                .find_map(|(key, value)| match there.get(key) {
                    Some(other) => difference(value, other, &format!("{path}.{key}")),
                    None => Some(format!("{path}.{key} is missing, it was {value}")),
                })
                .or(missing)
        }
        (Value::Array(here), Value::Array(there)) if here.len() == there.len() => {
            here.iter().zip(there).enumerate().find_map(|(index, (here, there))| difference(here, there, &format!("{path}[{index}]")))
        }
        _ => (here != there).then(|| format!("{path} is {there} instead of {here}")),
    }
}

/// Takes the state of a cluster.
pub async fn state(lab: &Lab, name: &str) -> Result<EndState, kube::Error> {
    let chance = random_values(lab, name).await?;
    let mut objects = BTreeMap::new();
    for kind in kinds() {
        let api: Api<DynamicObject> = Api::namespaced_with(lab.client.clone(), "default", &kind);
        for object in api.list(&ListParams::default()).await? {
            let is_identity = kind.kind == "Secret" && object.name_any() == format!("{name}-identity");
            let key = format!("{} {}", kind.kind, object.name_any());
            let mut value = serde_json::to_value(&object).unwrap_or_default();
            if is_identity {
                value = identity_shape(&value);
            }
            objects.insert(key, normal(value, &chance));
        }
    }
    Ok(EndState { objects, members: members(lab) })
}

fn kinds() -> Vec<ApiResource> {
    let kind = |group, version, kind| ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    vec![
        kind("", "v1", "Secret"),
        kind("", "v1", "Pod"),
        kind("", "v1", "PersistentVolumeClaim"),
        kind("", "v1", "ConfigMap"),
        kind("", "v1", "Service"),
        kind("apps", "v1", "StatefulSet"),
        kind("networking.k8s.io", "v1", "NetworkPolicy"),
        kind("doris-operator.dev", "v1beta1", "DorisCluster"),
    ]
}

/// Phase, members and the keys there are.
fn identity_shape(secret: &Value) -> Value {
    let data = secret.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let text = |key: &str| decoded(data.get(key)).unwrap_or_default();
    let names = |key: &str| {
        let map: Map<String, Value> = serde_json::from_str(&text(key)).unwrap_or_default();
        Value::from(map.keys().cloned().collect::<Vec<_>>())
    };
    serde_json::json!({
        "metadata": secret.get("metadata"),
        "phase": text("phase"),
        "epoch": text("epoch"),
        "keys": data.keys().collect::<Vec<_>>(),
        "frontends": names("frontends"),
        "backends": names("backends"),
    })
}

fn decoded(value: Option<&Value>) -> Option<String> {
    STANDARD.decode(value?.as_str()?).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// What the identity drew by chance, with the words that stand for it.
async fn random_values(lab: &Lab, name: &str) -> Result<Vec<(String, String)>, kube::Error> {
    let secrets: Api<DynamicObject> = Api::namespaced_with(lab.client.clone(), "default", &kinds()[0]);
    let Some(identity) = secrets.get_opt(&format!("{name}-identity")).await? else { return Ok(Vec::new()) };
    let value = |key: &str| decoded(identity.data.pointer(&format!("/data/{key}"))).filter(|value| !value.is_empty());
    let named = ["identity", "cluster-id"].into_iter().filter_map(|key| Some((value(key)?, format!("<{key}>"))));
    Ok(named.collect())
}

fn normal(value: Value, chance: &[(String, String)]) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
            let kept = kept.map(|(key, value)| {
                let value = if key == doris_api::member::TICKET_ANNOTATION { ticket_shape(&value) } else { normal(value, chance) };
                (key, value)
            });
            let mut kept: Vec<(String, Value)> = kept.collect();
            kept.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(kept.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(|value| normal(value, chance)).collect()),
        Value::String(text) => Value::String(chance.iter().fold(text, |text, (value, word)| text.replace(value, word))),
        other => other,
    }
}

/// A ticket without uid and incarnation.
fn ticket_shape(value: &Value) -> Value {
    let parts: Vec<&str> = value.as_str().unwrap_or_default().splitn(5, ':').collect();
    let shape = match parts[..] {
        ["join", _, _, role, helpers] => format!("join {role} {helpers}"),
        [kind, ..] => kind.to_owned(),
        [] => String::new(),
    };
    Value::String(shape)
}

fn master(members: &[MemberFacts]) -> Option<&FrontendFacts> {
    members.iter().filter(|member| member.is_running()).filter_map(MemberFacts::frontend).find(|fe| fe.says_master && fe.ready)
}

/// Members as the master has them.
fn members(lab: &Lab) -> Vec<String> {
    let facts = lab.world.members();
    let Some(master) = master(&facts) else { return Vec::new() };
    let row = |row: &doris_sim::RegisteredMember| {
        format!("{:?} {}:{} alive={} leaving={}", row.kind, row.host, row.port, row.alive, row.decommissioned)
    };
    let mut rows: Vec<String> = master.registered.iter().map(row).collect();
    rows.sort();
    rows
}

/// `desired` and `truthful`: the members that the spec asks for are there and alive, and status says what is so.
pub fn truth(lab: &Lab, cluster: &DorisCluster) -> Vec<String> {
    let facts = lab.world.members();
    let Some(master) = master(&facts) else { return vec!["desired: no frontend leads".to_owned()] };
    let mut broken = Vec::new();
    let status = cluster.status.clone().unwrap_or_default();
    let alive = |kinds: &[MemberKind]| {
        let rows = master.registered.iter().filter(|row| kinds.contains(&row.kind));
        i32::try_from(rows.filter(|row| row.alive).count()).unwrap_or(i32::MAX)
    };
    let fe = (cluster.spec.fe.replicas + cluster.spec.fe.observers, alive(&[MemberKind::Follower, MemberKind::Observer]));
    let be = (cluster.spec.replicas(Component::Be) + cluster.spec.replicas(Component::Cn), alive(&[MemberKind::Backend]));
    for (what, (wanted, alive)) in [("frontends", fe), ("backends and compute nodes", be)] {
        if wanted != alive {
            broken.push(format!("desired: {alive} {what} are alive, {wanted} are wanted"));
        }
    }
    broken.extend(rows_and_pods(lab, master));
    let told = status.fe.as_ref().map_or(0, |fe| fe.alive);
    if told != fe.1 {
        broken.push(format!("truthful: status tells of {told} live frontends, there are {}", fe.1));
    }
    let leader = master.start.fqdn.split('.').next();
    if status.master.as_deref() != leader {
        broken.push(format!("truthful: status names {:?} as master, it is {leader:?}", status.master));
    }
    for condition in &status.conditions {
        let wanted = match condition.type_.as_str() {
            "Ready" => "True",
            "Reconciling" | "Stalled" => "False",
            _ => continue,
        };
        if condition.status != wanted {
            broken.push(format!("truthful: {} is {} although all is done: {}", condition.type_, condition.status, condition.message));
        }
    }
    broken
}

/// What every switch of operations is by Doris' own default.
const SWITCH_AT_REST: &str = "false";

/// `switches-back`: nothing that an operation switched stays switched. What the spec's own configuration says is no such thing, nor is
/// what it no longer says: a process that was started with a switch on has it off, as Doris itself would, when the key is taken out.
pub fn switches(lab: &Lab, spec: &DorisClusterSpec) -> Vec<String> {
    let facts = lab.world.members();
    let rows = master(&facts).map(|master| master.registered.as_slice()).unwrap_or_default();
    let kept_away = rows.iter().filter(|row| row.kept_away).map(|row| format!("switches-back: work is kept away from {}", row.host));
    let is_specified = |key: &str| spec.fe.member.config.contains_key(key);
    let settings = lab
        .world
        .live_settings()
        .into_iter()
        .filter(|setting| is_switch(&setting.key) && !is_specified(&setting.key) && setting.value != SWITCH_AT_REST);
    let told = |setting: doris_sim::LiveSetting| {
        format!("switches-back: {} is {} on {}, which was started with {}", setting.key, setting.value, setting.fqdn, setting.at_start)
    };
    kept_away.chain(settings.map(told)).collect()
}

/// `rows-are-pods`: whoever is registered has a process, and followers are an odd number.
fn rows_and_pods(lab: &Lab, master: &FrontendFacts) -> Vec<String> {
    let absent =
        |row: &&doris_sim::RegisteredMember| row.host.split('.').next().is_none_or(|pod| lab.nodes.address("default", pod).is_none());
    let rows = master.registered.iter().filter(absent);
    let mut broken: Vec<String> = rows.map(|row| format!("rows-are-pods: {} is registered and has no pod", row.host)).collect();
    let followers = master.registered.iter().filter(|row| row.kind == MemberKind::Follower).count();
    if followers.is_multiple_of(2) {
        broken.push(format!("rows-are-pods: {followers} followers are registered, an even number"));
    }
    broken
}

/// `in-force`: every running process has what the spec's configuration says, and so has the file that it would start with.
pub async fn in_force(lab: &Lab, cluster: &DorisCluster) -> Vec<String> {
    let mut broken = Vec::new();
    let spec = &cluster.spec;
    let pods: Api<Pod> = lab.api();
    let name = cluster.name_any();
    let list = pods.list(&ListParams::default().labels(&format!("{}={name}", labels::CLUSTER))).await;
    for pod in list.map(|list| list.items).unwrap_or_default() {
        let pod_name = pod.name_any();
        let Some((component, ordinal)) = names::parse_pod(&name, &pod_name) else { continue };
        let owner = if component == Component::FeObserver { Component::Fe } else { component };
        let Some(member) = spec.member(owner) else { continue };
        let mut wanted: BTreeMap<&str, &str> = member.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        if owner == Component::Fe && spec.cn.is_some() {
            wanted.entry("prefer_compute_node_for_external_table").or_insert("true");
        }
        let fqdn = names::member_fqdn(&name, component, ordinal, "default", &spec.cluster_domain);
        let file = configuration_of(lab, &pod, &format!("{name}-{owner}-conf-"), owner.process().config_file()).await;
        for (key, value) in wanted {
            let is_same = |found: &str| found.trim_matches('"').eq_ignore_ascii_case(value.trim_matches('"'));
            if let Some((found, _)) = lab.world.setting(&fqdn, key).filter(|(found, _)| !is_same(found)) {
                broken.push(format!("in-force: {pod_name} has {key} = {found} in its memory, the spec says {value}"));
            }
            let found = file.lines().filter_map(|line| line.split_once(" = ")).find(|(found, _)| *found == key).map(|(_, text)| text);
            if !found.is_some_and(is_same) {
                broken.push(format!("in-force: {pod_name} would start with {key} = {found:?}, the spec says {value}"));
            }
        }
    }
    broken
}

/// The rendered configuration that a pod mounts.
pub async fn configuration_of(lab: &Lab, pod: &Pod, prefix: &str, file: &str) -> String {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let sources = volumes.iter().filter_map(|volume| volume.projected.as_ref()).flat_map(|projected| projected.sources.iter().flatten());
    let mut names = sources.filter_map(|source| source.config_map.as_ref()).map(|map| map.name.clone());
    let Some(name) = names.find(|name| name.starts_with(prefix)) else { return String::new() };
    let config_map = lab.api::<ConfigMap>().get_opt(&name).await.ok().flatten();
    config_map.and_then(|map| map.data).and_then(|data| data.get(file).cloned()).unwrap_or_default()
}

/// `used-tickets-go`: no ticket to found is left on a pod of a founded cluster.
pub fn left_tickets(state: &EndState) -> Vec<String> {
    let pointer = "/metadata/annotations/doris-operator.dev~1ticket";
    let found = state.objects.iter().filter(|(_, object)| object.pointer(pointer).and_then(Value::as_str) == Some("found"));
    found.map(|(name, _)| format!("used-tickets-go: {name} still carries the ticket that founded the cluster")).collect()
}

/// `quiet`: a ready cluster is left alone, and stays ready.
pub async fn quiet(lab: &Lab, name: &str) -> Vec<String> {
    let (writes, steps) = (lab.writes().len(), lab.faults.steps());
    tokio::time::sleep(QUIET).await;
    let mut broken: Vec<String> =
        lab.writes().split_off(writes).into_iter().map(|write| format!("quiet: {write} in a ready cluster")).collect();
    let statements = lab.faults.log().split_off(steps).into_iter().filter(|step| step.starts_with("SQL") || step.starts_with("HTTP"));
    let changing = statements.filter(|step| !is_asking(step));
    broken.extend(changing.map(|statement| format!("quiet: {statement} in a ready cluster")));
    if !lab.cluster("default", name).await.as_ref().is_some_and(is_ready) {
        broken.push(format!("quiet: {name} was ready and is not any more"));
    }
    broken.dedup();
    broken
}

#[cfg(test)]
mod tests {
    use super::{difference, normal};
    use serde_json::json;

    #[test]
    fn what_time_and_chance_decide_does_not_count() {
        let chance = [("0f3a".to_owned(), "<identity>".to_owned())];
        let one = json!({"metadata": {"uid": "1", "labels": {"b": "x", "a": "id-0f3a"}}, "status": {"podIP": "10.0.0.1"}});
        let other = json!({"status": {"podIP": "10.0.0.2"}, "metadata": {"labels": {"a": "id-<identity>", "b": "x"}}});
        assert_eq!(normal(one, &chance), normal(other, &[]));
    }

    #[test]
    fn a_difference_is_told_with_its_place() {
        let (here, there) = (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2}]}));
        assert_eq!(difference(&here, &there, "").as_deref(), Some(".a[0].b is 2 instead of 1"));
        assert_eq!(difference(&here, &here, ""), None);
        assert_eq!(difference(&json!({}), &there, "").as_deref(), Some(r#".a is [{"b":2}] instead of nothing"#));
    }
}
