//! `NetworkPolicies`: who may connect to a cluster's ports.

use std::collections::{BTreeMap, BTreeSet};

use doris_api::cluster::ConfigValue;
use doris_api::ports::{self, Port};
use doris_api::{Component, Process, labels};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Context;

/// Ports that clients use; every other one is internal.
const FOR_CLIENTS: [&str; 4] = ["http", "query", "https", "arrow-flight"];
/// Label of a namespace's name, set by Kubernetes itself.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Label of the controllers' pods.
const CONTROLLERS: (&str, &str) = ("app.kubernetes.io/part-of", "doris-operator");

/// The policy of a cluster: internal ports for its own members and the controllers alone, since
/// whoever reaches port 9010 may join the frontends. One for all programs, unless a number that is
/// for clients with one program is internal with another: then one for each.
pub fn network_policies(context: &Context<'_>) -> Vec<NetworkPolicy> {
    if !context.spec().network_policy.enabled {
        return Vec::new();
    }
    let programs: Vec<(Process, Opened)> = [Process::Fe, Process::Be, Process::Broker]
        .into_iter()
        .map(|process| (process, opened(context, process)))
        .filter(|(_, opened)| !opened.internal.is_empty())
        .collect();
    let is_mixed = programs.iter().any(|(one, opened)| {
        let others = programs.iter().filter(|(other, _)| other != one);
        others.flat_map(|(_, other)| &other.internal).any(|number| opened.for_clients.contains(number))
    });
    if is_mixed {
        let one = |(process, opened): &(Process, Opened)| {
            let selected = [(labels::CLUSTER, context.name.as_str()), (labels::PROCESS, process.name())];
            policy(context, format!("{}-{process}", context.name), match_labels(selected), opened)
        };
        return programs.iter().map(one).collect();
    }
    let mut all = Opened::default();
    for (_, opened) in programs {
        all.for_clients.extend(opened.for_clients);
        all.internal.extend(opened.internal);
    }
    vec![policy(context, context.name.clone(), match_labels([(labels::CLUSTER, context.name.as_str())]), &all)]
}

/// Numbers of open ports.
#[derive(Debug, Default)]
struct Opened {
    for_clients: BTreeSet<u16>,
    internal: BTreeSet<u16>,
}

fn policy(context: &Context<'_>, name: String, selected: LabelSelector, opened: &Opened) -> NetworkPolicy {
    let settings = &context.spec().network_policy;
    let members_and_controllers = [members(context), controllers(context)];
    let rule = |ports: &BTreeSet<u16>, from: Option<Vec<NetworkPolicyPeer>>| NetworkPolicyIngressRule {
        ports: Some(ports.iter().map(|number| port(*number)).collect()),
        from,
    };
    let with = |peers: &[NetworkPolicyPeer]| members_and_controllers.iter().chain(peers).cloned().collect::<Vec<_>>();
    let mut ingress = vec![rule(&opened.internal, Some(with(&settings.internal)))];
    if !opened.for_clients.is_empty() {
        // Without a list everyone is a client.
        ingress.insert(0, rule(&opened.for_clients, (!settings.clients.is_empty()).then(|| with(&settings.clients))));
    }
    NetworkPolicy {
        metadata: context.metadata(name, labels::of_cluster(&context.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selected),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            egress: None,
        }),
    }
}

/// What a program has open; backends and compute nodes may differ.
fn opened(context: &Context<'_>, process: Process) -> Opened {
    let mut opened = Opened::default();
    for (port, number) in open_ports(context, process) {
        let place = if FOR_CLIENTS.contains(&port.name) { &mut opened.for_clients } else { &mut opened.internal };
        place.insert(number);
    }
    opened
}

/// Open ports of a program with their numbers; backends and compute nodes may differ.
fn open_ports(context: &Context<'_>, process: Process) -> Vec<(&'static Port, u16)> {
    let components = Component::ALL.into_iter().filter(|component| component.process() == process);
    let mut open: Vec<(&Port, u16)> = Vec::new();
    for member in components.filter_map(|component| context.spec().member(component)) {
        let config = |key: &str| member.config.get(key).map(ConfigValue::as_str);
        for port in ports::of(process).iter().filter(|port| port.is_open(config)) {
            let found = (port, port.number(config));
            if !open.contains(&found) {
                open.push(found);
            }
        }
    }
    open
}

fn members(context: &Context<'_>) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(match_labels([(labels::CLUSTER, context.name.as_str())])), ..NetworkPolicyPeer::default() }
}

fn controllers(context: &Context<'_>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        // Without a namespace the selector looks in the cluster's own.
        namespace_selector: context.operator_namespace.as_deref().map(|name| match_labels([(NAMESPACE_NAME, name)])),
        pod_selector: Some(match_labels([CONTROLLERS])),
        ..NetworkPolicyPeer::default()
    }
}

fn port(number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(number.into())), protocol: Some("TCP".to_owned()), end_port: None }
}

fn match_labels<const N: usize>(labels: [(&str, &str); N]) -> LabelSelector {
    let labels: BTreeMap<String, String> = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}
