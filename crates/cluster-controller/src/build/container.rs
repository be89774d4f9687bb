//! Containers of a member's pod.

use doris_api::cluster::{MemberSettings, NamedContainer, NodeTuning};
use doris_api::member::env;
use doris_api::{Component, Process, names, ports};
use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, VolumeMount};
use kube_quantity::ParsedQuantity;

use super::config::storage_roots;
use super::probe::{add_probes, command};
use super::security::{container_context, privileged_context};
use super::{BuildError, Context};

/// What the kernel must allow a backend: `start_be.sh` refuses less.
const MAX_MAP_COUNT: u32 = 2_000_000;

/// The container that runs Doris.
pub(super) fn doris(context: &Context<'_>, component: Component, member: &MemberSettings, mounts: Vec<VolumeMount>) -> Container {
    let process = component.process();
    let mut container = base(context, component, member, mounts);
    process.name().clone_into(&mut container.name);
    container.command = Some(command("start.sh", &[process.name()]));
    container.ports = Some(open_ports(context, component));
    container.resources.clone_from(&member.resources);
    add_probes(&mut container, process, &member.probes, context.kubernetes_minor);
    container
}

/// Init containers: the operator's before the user's.
pub(super) fn init_containers(
    context: &Context<'_>,
    component: Component,
    member: &MemberSettings,
    mounts: &[VolumeMount],
) -> Result<Vec<Container>, BuildError> {
    let mut containers = Vec::new();
    if tunes_node(context, component) {
        containers.push(tune_node(context, component));
    }
    // Of these the controller has to know what is on their volumes; a compute node has only a cache.
    let inspected: Option<&[&str]> = match component {
        Component::Fe | Component::FeObserver => Some(&["inspect"]),
        Component::Be => Some(&["inspect", "be"]),
        Component::Cn | Component::Broker => None,
    };
    if let Some(words) = inspected {
        let mut inspect = base(context, component, member, mounts.to_vec());
        names::INSPECT_CONTAINER.clone_into(&mut inspect.name);
        inspect.command = Some(command("start.sh", words));
        containers.push(inspect);
    }
    containers.extend(user_containers(component, &member.init_containers)?);
    Ok(containers)
}

/// A user's containers.
pub(super) fn user_containers(component: Component, containers: &[NamedContainer]) -> Result<Vec<Container>, BuildError> {
    let typed = |container: &NamedContainer| {
        serde_json::to_value(container).and_then(serde_json::from_value).map_err(|source| BuildError::Container {
            component,
            name: container.name.clone(),
            source,
        })
    };
    containers.iter().map(typed).collect()
}

/// What the Doris container and the inspecting one share.
fn base(context: &Context<'_>, component: Component, member: &MemberSettings, mounts: Vec<VolumeMount>) -> Container {
    let mut env = own_env(context, component, member);
    env.extend(member.env.iter().cloned());
    Container {
        image: Some(context.image(component)),
        image_pull_policy: context.spec().image.pull_policy.map(|policy| policy.name().to_owned()),
        env: Some(env),
        volume_mounts: Some(mounts),
        security_context: Some(container_context(&context.spec().pod_security)),
        ..Container::default()
    }
}

fn own_env(context: &Context<'_>, component: Component, member: &MemberSettings) -> Vec<EnvVar> {
    let spec = context.spec();
    let domain = names::members_domain(&context.name, component, &context.namespace, &spec.cluster_domain);
    let mut all = vec![
        field(env::POD_NAME, "metadata.name"),
        field(env::POD_UID, "metadata.uid"),
        field(env::POD_IP, "status.podIP"),
        value(env::MEMBER_FQDN, format!("$({}).{domain}", env::POD_NAME)),
        value(env::IDENTITY, context.identity.id.clone()),
        value(env::ROLE, component.role().to_owned()),
    ];
    let port = |name, port| value(name, spec.port(component, port).to_string());
    match component.process() {
        Process::Fe => all.extend([
            port(env::EDIT_LOG_PORT, &ports::FE_EDIT_LOG),
            port(env::HTTP_PORT, &ports::FE_HTTP),
            value(env::VERSION, context.version(component)),
            value(env::IMAGE, context.image(component)),
        ]),
        Process::Be => {
            all.extend([port(env::HEARTBEAT_PORT, &ports::BE_HEARTBEAT), port(env::HTTP_PORT, &ports::BE_HTTP)]);
            all.push(value(env::STORAGE_ROOTS, storage_roots(context, component).join(";")));
        }
        Process::Broker => all.push(port(env::HEARTBEAT_PORT, &ports::BROKER_IPC)),
    }
    all.extend(cpu_limit(member).map(|cores| value(env::CPU_LIMIT, cores)));
    all
}

/// Whole cores, rounded up. Not by `resourceFieldRef`, which without a limit tells the node's.
fn cpu_limit(member: &MemberSettings) -> Option<String> {
    let limit = member.resources.as_ref()?.limits.as_ref()?.get("cpu")?;
    let limit = ParsedQuantity::try_from(limit).ok()?;
    (1..=4096)
        .find(|cores: &u32| ParsedQuantity::try_from(cores.to_string()).is_ok_and(|cores| cores >= limit))
        .map(|cores| cores.to_string())
}

fn open_ports(context: &Context<'_>, component: Component) -> Vec<ContainerPort> {
    let spec = context.spec();
    let config = |key: &str| spec.member(component).and_then(|member| member.config.get(key)).map(doris_api::cluster::ConfigValue::as_str);
    let open = ports::of(component.process()).iter().filter(|port| port.is_open(config));
    open.map(|port| ContainerPort {
        name: Some(port.name.to_owned()),
        container_port: i32::from(port.number(config)),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    })
    .collect()
}

fn tunes_node(context: &Context<'_>, component: Component) -> bool {
    let spec = context.spec();
    let tuning = match component {
        Component::Be => spec.be.as_ref().map(|be| be.node_tuning),
        Component::Cn => spec.cn.as_ref().map(|cn| cn.node_tuning),
        Component::Fe | Component::FeObserver | Component::Broker => None,
    };
    tuning == Some(NodeTuning::InitContainer)
}

fn tune_node(context: &Context<'_>, component: Component) -> Container {
    let script = format!(
        "set -e; if [ \"$(cat /proc/sys/vm/max_map_count)\" -lt {MAX_MAP_COUNT} ]; then echo {MAX_MAP_COUNT} >/proc/sys/vm/max_map_count; fi; swapoff -a"
    );
    Container {
        name: names::TUNE_CONTAINER.to_owned(),
        image: Some(context.image(component)),
        image_pull_policy: context.spec().image.pull_policy.map(|policy| policy.name().to_owned()),
        command: Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), script]),
        security_context: Some(privileged_context()),
        ..Container::default()
    }
}

fn value(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}

fn field(name: &str, path: &str) -> EnvVar {
    let field_ref = ObjectFieldSelector { field_path: path.to_owned(), api_version: None };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() }) }
}
