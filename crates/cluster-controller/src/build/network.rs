//! `NetworkPolicies`: who may connect to a cluster's ports.

use std::collections::BTreeMap;

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

/// One policy for each program: its internal ports for this cluster and the controllers alone,
/// since whoever reaches port 9010 may join the frontends.
pub fn network_policies(context: &Context<'_>) -> Vec<NetworkPolicy> {
    let spec = context.spec();
    if !spec.network_policy.enabled {
        return Vec::new();
    }
    let processes = [
        (Process::Fe, Some(Component::Fe)),
        (Process::Be, if spec.be.is_some() { Some(Component::Be) } else { spec.cn.as_ref().map(|_| Component::Cn) }),
        (Process::Broker, spec.broker.as_ref().map(|_| Component::Broker)),
    ];
    processes.into_iter().filter(|(_, component)| component.is_some()).map(|(process, _)| policy(context, process)).collect()
}

fn policy(context: &Context<'_>, process: Process) -> NetworkPolicy {
    let settings = &context.spec().network_policy;
    let (for_clients, internal): (Vec<_>, Vec<_>) =
        open_ports(context, process).into_iter().partition(|(port, _)| FOR_CLIENTS.contains(&port.name));
    let members_and_controllers = [members(context), controllers(context)];
    let rule = |ports: Vec<(&Port, u16)>, from: Option<Vec<NetworkPolicyPeer>>| NetworkPolicyIngressRule {
        ports: Some(ports.into_iter().map(|(_, number)| port(number)).collect()),
        from,
    };
    let with = |peers: &[NetworkPolicyPeer]| members_and_controllers.iter().chain(peers).cloned().collect::<Vec<_>>();
    let mut ingress = vec![rule(internal, Some(with(&settings.internal)))];
    if !for_clients.is_empty() {
        // Without a list everyone is a client.
        ingress.insert(0, rule(for_clients, (!settings.clients.is_empty()).then(|| with(&settings.clients))));
    }
    NetworkPolicy {
        metadata: context.metadata(format!("{}-{process}", context.name), labels::of_cluster(&context.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(match_labels([(labels::CLUSTER, context.name.as_str()), (labels::PROCESS, process.name())])),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            egress: None,
        }),
    }
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
