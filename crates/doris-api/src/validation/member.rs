//! Rules about settings that every component has.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::rule::{NETWORK, Nodes, QUANTITY, Rule, Table};
use super::text;
use crate::DorisCluster;
use crate::cluster::{MemberSettings, ProbeSettings, ServiceSettings, ServiceType};
use crate::labels;

/// Places of the four components; followers and observers share theirs.
pub(super) const MEMBER_PLACES: &[&str] = &["spec.fe", "spec.be", "spec.cn", "spec.broker"];

/// Settings of every component that the cluster has.
pub(super) fn members(cluster: &DorisCluster) -> Nodes<'_, MemberSettings> {
    let spec = &cluster.spec;
    let optional = [
        ("spec.be", spec.be.as_ref().map(|be| &be.member)),
        ("spec.cn", spec.cn.as_ref().map(|cn| &cn.member)),
        ("spec.broker", spec.broker.as_ref().map(|broker| &broker.member)),
    ];
    let mut members = vec![("spec.fe".to_owned(), &spec.fe.member)];
    members.extend(optional.into_iter().filter_map(|(path, member)| member.map(|member| (path.to_owned(), member))));
    members
}

/// All components.
pub(super) static MEMBERS: Table<MemberSettings> = Table {
    places: MEMBER_PLACES,
    rules: || {
        vec![
            Rule::state(
                ".image",
                "{at}.image must name an image; leave it out to have it made from spec.image and spec.version",
                "!has(self.image) || self.image.matches('^[^ \\t\\r\\n]+$')",
                |member: &MemberSettings| member.image.as_deref().is_none_or(text::is_one_word),
            ),
            Rule::state(
                ".config",
                "{at}.config: keys are letters, digits, '_', '.' and '-', and start with a letter or '_'",
                "!has(self.config) || self.config.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_.-]*$'))",
                |member: &MemberSettings| member.config.keys().all(|key| text::is_key(key)),
            ),
            Rule::state(
                ".config",
                "{at}.config: a value can't have more than one line",
                "!has(self.config) || self.config.all(k, !string(self.config[k]).contains('\\n') && !string(self.config[k]).contains('\\r'))",
                |member: &MemberSettings| member.config.values().all(|value| !value.as_str().contains(['\n', '\r'])),
            ),
            Rule::state(
                ".labels",
                "{at}.labels: labels that start with doris-operator.dev/ or app.kubernetes.io/ are the operator's",
                "!has(self.labels) || self.labels.all(k, !k.startsWith('doris-operator.dev/') && !k.startsWith('app.kubernetes.io/'))",
                |member: &MemberSettings| {
                    member.labels.keys().all(|key| !key.starts_with(labels::PREFIX) && !key.starts_with("app.kubernetes.io/"))
                },
            ),
            Rule::state(
                ".labels",
                "{at}.labels: a value has at most 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit",
                "!has(self.labels) || self.labels.all(k, self.labels[k].matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$'))",
                |member: &MemberSettings| member.labels.values().all(|value| text::is_label_value(value)),
            ),
            Rule::state(
                ".annotations",
                "{at}.annotations: annotations that start with doris-operator.dev/ are the operator's",
                "!has(self.annotations) || self.annotations.all(k, !k.startsWith('doris-operator.dev/'))",
                |member: &MemberSettings| member.annotations.keys().all(|key| !key.starts_with(labels::PREFIX)),
            ),
            Rule::state(
                ".volumeMounts",
                "{at}.volumeMounts: every mount must name one of {at}.volumes",
                "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))",
                |member: &MemberSettings| {
                    member.volume_mounts.iter().all(|mount| member.volumes.iter().any(|volume| volume.name == mount.name))
                },
            ),
            Rule::state(
                ".sidecars",
                "{at}: a sidecar and an init container can't have the same name",
                "!has(self.sidecars) || !has(self.initContainers) || self.sidecars.all(s, self.initContainers.all(i, i.name != s.name))",
                |member: &MemberSettings| {
                    member.sidecars.iter().all(|sidecar| member.init_containers.iter().all(|init| init.name != sidecar.name))
                },
            ),
        ]
    },
    nodes: members,
};

/// CPU and memory.
pub(super) static RESOURCES: Table<ResourceRequirements> = Table {
    places: &["spec.fe.resources", "spec.be.resources", "spec.cn.resources", "spec.broker.resources"],
    rules: || {
        vec![
            Rule::state(
                ".requests",
                "{at}.requests must be quantities such as 500m or 4Gi, not negative",
                "!has(self.requests) || self.requests.all(k, string(self.requests[k]).matches('^[0-9]+([.][0-9]+)?([KMGTPE]i|[numkMGTPE]?)$'))",
                |resources: &ResourceRequirements| are_quantities(resources.requests.as_ref()),
            ),
            Rule::state(
                ".limits",
                "{at}.limits must be quantities such as 2 or 8Gi, not negative",
                "!has(self.limits) || self.limits.all(k, string(self.limits[k]).matches('^[0-9]+([.][0-9]+)?([KMGTPE]i|[numkMGTPE]?)$'))",
                |resources: &ResourceRequirements| are_quantities(resources.limits.as_ref()),
            ),
            Rule::state(
                ".requests",
                "{at}.requests can't be more than {at}.limits",
                "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || !isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
                requests_within_limits,
            )
            .only_from(QUANTITY),
        ]
    },
    nodes: |cluster| {
        members(cluster)
            .into_iter()
            .filter_map(|(path, member)| member.resources.as_ref().map(|resources| (format!("{path}.resources"), resources)))
            .collect()
    },
};

fn are_quantities(quantities: Option<&BTreeMap<String, Quantity>>) -> bool {
    quantities.is_none_or(|quantities| quantities.values().all(|quantity| text::is_quantity(&quantity.0)))
}

fn requests_within_limits(resources: &ResourceRequirements) -> bool {
    let (Some(requests), Some(limits)) = (&resources.requests, &resources.limits) else { return true };
    requests.iter().all(|(name, request)| limits.get(name).is_none_or(|limit| text::not_smaller(limit, request)))
}

/// Thresholds of probes.
pub(super) static PROBES: Table<ProbeSettings> = Table {
    places: &[
        "spec.fe.probes.startup",
        "spec.fe.probes.liveness",
        "spec.fe.probes.readiness",
        "spec.be.probes.startup",
        "spec.be.probes.liveness",
        "spec.be.probes.readiness",
        "spec.cn.probes.startup",
        "spec.cn.probes.liveness",
        "spec.cn.probes.readiness",
        "spec.broker.probes.startup",
        "spec.broker.probes.liveness",
        "spec.broker.probes.readiness",
    ],
    rules: || {
        vec![Rule::state(
            ".timeoutSeconds",
            "{at}.timeoutSeconds can't be more than periodSeconds: probes would pile up",
            "!has(self.timeoutSeconds) || !has(self.periodSeconds) || self.timeoutSeconds <= self.periodSeconds",
            |probe: &ProbeSettings| match (probe.timeout_seconds, probe.period_seconds) {
                (Some(timeout), Some(period)) => timeout <= period,
                _ => true,
            },
        )]
    },
    nodes: probes,
};

fn probes(cluster: &DorisCluster) -> Nodes<'_, ProbeSettings> {
    let mut nodes = Vec::new();
    for (path, member) in members(cluster) {
        let probes = &member.probes;
        for (name, probe) in [("startup", &probes.startup), ("liveness", &probes.liveness), ("readiness", &probes.readiness)] {
            nodes.extend(probe.as_ref().map(|probe| (format!("{path}.probes.{name}"), probe)));
        }
    }
    nodes
}

/// Services for clients.
pub(super) static SERVICES: Table<ServiceSettings> = Table {
    places: &["spec.fe.service", "spec.be.service", "spec.cn.service", "spec.broker.service"],
    rules: || {
        vec![
            Rule::state(
                ".nodePorts",
                "{at}.nodePorts need type NodePort or LoadBalancer",
                "!has(self.nodePorts) || self.nodePorts.size() == 0 || self.type != 'ClusterIP'",
                |service: &ServiceSettings| service.node_ports.is_empty() || service.type_ != ServiceType::ClusterIP,
            ),
            Rule::state(
                ".nodePorts",
                "{at}.nodePorts: two ports can't share a number",
                "!has(self.nodePorts) || self.nodePorts.all(p, self.nodePorts.exists_one(q, q.port == p.port))",
                |service: &ServiceSettings| {
                    let ports = &service.node_ports;
                    ports.iter().all(|port| ports.iter().filter(|other| other.port == port.port).count() == 1)
                },
            ),
            Rule::state(
                ".nodePorts",
                "{at}.nodePorts: known names are http, https, query and arrow-flight",
                "!has(self.nodePorts) || self.nodePorts.all(p, p.name in ['http', 'https', 'query', 'arrow-flight'])",
                |service: &ServiceSettings| {
                    service.node_ports.iter().all(|port| matches!(port.name.as_str(), "http" | "https" | "query" | "arrow-flight"))
                },
            ),
            Rule::state(
                ".externalTrafficPolicy",
                "{at}.externalTrafficPolicy needs type NodePort or LoadBalancer",
                "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
                |service: &ServiceSettings| service.external_traffic_policy.is_none() || service.type_ != ServiceType::ClusterIP,
            ),
            Rule::state(
                ".loadBalancerClass",
                "{at}.loadBalancerClass needs type LoadBalancer",
                "!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
                |service: &ServiceSettings| service.load_balancer_class.is_none() || service.type_ == ServiceType::LoadBalancer,
            ),
            Rule::state(
                ".sourceRanges",
                "{at}.sourceRanges need type LoadBalancer",
                "!has(self.sourceRanges) || self.sourceRanges.size() == 0 || self.type == 'LoadBalancer'",
                |service: &ServiceSettings| service.source_ranges.is_empty() || service.type_ == ServiceType::LoadBalancer,
            ),
            Rule::state(
                ".sourceRanges",
                "{at}.sourceRanges must be networks such as 10.0.0.0/8",
                "!has(self.sourceRanges) || self.sourceRanges.all(r, isCIDR(r))",
                |service: &ServiceSettings| service.source_ranges.iter().all(|range| is_network(range)),
            )
            .only_from(NETWORK),
        ]
    },
    nodes: |cluster| members(cluster).into_iter().map(|(path, member)| (format!("{path}.service"), &member.service)).collect(),
};

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let most = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    digits && length.parse::<u8>().is_ok_and(|length| length <= most)
}
