//! Services: one that gives members their names, one for clients.

use doris_api::cluster::{ConfigValue, ServiceSettings, ServiceType};
use doris_api::ports::{self, Port};
use doris_api::{Component, labels, names};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Context;

/// Ports that clients use.
const FOR_CLIENTS: [&str; 4] = ["http", "query", "https", "arrow-flight"];

/// The headless Service of a component. Names resolve before pods are ready: a member looks up
/// its own before it starts.
pub fn members_service(context: &Context<'_>, component: Component) -> Service {
    Service {
        metadata: context.component_metadata(names::members_service(&context.name, component), component),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(labels::selector(&context.name, component)),
            ports: Some(service_ports(context, component, |_| true, None)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The Service for clients: it leads to members that are ready and not drained. Followers and
/// observers share one; brokers have none.
pub fn access_service(context: &Context<'_>, component: Component) -> Option<Service> {
    let settings = &context.spec().member(component)?.service;
    if component == Component::FeObserver {
        return None;
    }
    let name = names::access_service(&context.name, component)?;
    let mut metadata = context.component_metadata(name, component);
    metadata.annotations = (!settings.annotations.is_empty()).then(|| settings.annotations.clone());
    Some(Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(settings.type_.name().to_owned()),
            selector: Some(labels::access_selector(&context.name, component)),
            ports: Some(service_ports(context, component, |port| FOR_CLIENTS.contains(&port.name), Some(settings))),
            external_traffic_policy: settings.external_traffic_policy.map(|policy| policy.name().to_owned()),
            load_balancer_class: settings.load_balancer_class.clone(),
            load_balancer_source_ranges: (!settings.source_ranges.is_empty()).then(|| settings.source_ranges.clone()),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

fn service_ports(
    context: &Context<'_>,
    component: Component,
    wanted: impl Fn(&Port) -> bool,
    settings: Option<&ServiceSettings>,
) -> Vec<ServicePort> {
    let member = context.spec().member(component);
    let config = |key: &str| member.and_then(|member| member.config.get(key)).map(ConfigValue::as_str);
    let open = ports::of(component.process()).iter().filter(|port| port.is_open(config) && wanted(port));
    open.map(|port| ServicePort {
        name: Some(port.name.to_owned()),
        port: i32::from(port.number(config)),
        target_port: Some(IntOrString::String(port.name.to_owned())),
        protocol: Some("TCP".to_owned()),
        node_port: settings.and_then(|settings| node_port(settings, port.name)),
        ..ServicePort::default()
    })
    .collect()
}

fn node_port(settings: &ServiceSettings, name: &str) -> Option<i32> {
    if settings.type_ == ServiceType::ClusterIP {
        return None;
    }
    settings.node_ports.iter().find(|port| port.name == name).map(|port| port.port)
}
