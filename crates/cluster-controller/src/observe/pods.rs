//! From Pod objects to the facts that plans look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use doris_api::component::Component;
use doris_api::member::{Inspection, TICKET_ANNOTATION};
use doris_api::{labels, names};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PersistentVolumeClaim, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::context::config_maps;
use crate::view::{Ended, MemberPod};

/// Pod annotation: the incarnation under which a founder was let in, noted when its ticket is removed.
pub const INCARNATION_ANNOTATION: &str = "doris-operator.dev/incarnation";

/// Label of the StatefulSet controller: the revision that a pod was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

/// Label of a node's zone; newer servers copy it to the pods.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Where the members of a cluster are.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// DNS domain of the Kubernetes cluster, for example `cluster.local`.
    pub domain: &'a str,
}

/// The members' pods by component, each list ordered by ordinal. Pods with other names are left out.
pub fn members<'a>(
    place: Place<'_>,
    pods: impl IntoIterator<Item = &'a Pod>,
    claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>,
) -> BTreeMap<Component, Vec<MemberPod>> {
    let mut members: BTreeMap<Component, Vec<MemberPod>> = BTreeMap::new();
    for pod in pods {
        if let Some((component, ordinal)) = names::parse_pod(place.cluster, &pod.name_any()) {
            members.entry(component).or_default().push(member(place, pod, component, ordinal, claims));
        }
    }
    for list in members.values_mut() {
        list.sort_by_key(|member| member.ordinal);
    }
    members
}

fn member(
    place: Place<'_>,
    pod: &Pod,
    component: Component,
    ordinal: u32,
    claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>,
) -> MemberPod {
    let status = pod.status.as_ref();
    let main = status.and_then(|status| find(status.container_statuses.as_deref(), component.process().name()));
    let inspect = status.and_then(|status| find(status.init_container_statuses.as_deref(), names::INSPECT_CONTAINER));
    let running = main.and_then(|container| container.state.as_ref()).and_then(|state| state.running.as_ref());
    MemberPod {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        ordinal,
        fqdn: names::member_fqdn(place.cluster, component, ordinal, place.namespace, place.domain),
        ip: status.and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse().ok()),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        running: running.is_some(),
        ready: is_ready(pod),
        made_at: pod.creation_timestamp().map(|time| time.0),
        volumes: claimed_volumes(pod),
        revision: pod.labels().get(REVISION_LABEL).cloned(),
        configs: pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).map(config_maps).unwrap_or_default(),
        image: image(pod, component),
        worn_out: None,
        started_at: running.and_then(|running| running.started_at.as_ref()).map(|time| time.0),
        restarts: main.map_or(0, |container| container.restart_count),
        ended: main.and_then(ended),
        serving: pod.labels().get(labels::SERVING).is_some_and(|serving| serving == "true"),
        waiting: waiting(pod, main, inspect),
        unscheduled: unscheduled(pod).is_some(),
        claim_uid: claim_uid(pod, claims),
        ticket: pod.annotations().get(TICKET_ANNOTATION).cloned(),
        incarnation: pod.annotations().get(INCARNATION_ANNOTATION).cloned(),
        inspection: inspect.and_then(inspection),
        inspected_this_run: is_of_this_run(main, inspect),
        was_ready: running.is_some_and(|running| was_ready_since(pod, running.started_at.as_ref())),
        domain: domain(pod),
    }
}

/// The zone of the pod's node, or the node: no right to read nodes is needed for either.
fn domain(pod: &Pod) -> Option<String> {
    let zone = pod.labels().get(ZONE_LABEL).map(|zone| format!("zone {zone}"));
    zone.or_else(|| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).map(|node| format!("node {node}")))
}

fn image(pod: &Pod, component: Component) -> Option<String> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    containers.iter().find(|container| container.name == component.process().name())?.image.clone()
}

fn find<'a>(statuses: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    statuses.unwrap_or_default().iter().find(|container| container.name == name)
}

fn readiness(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

fn is_ready(pod: &Pod) -> bool {
    readiness(pod).is_some_and(|ready| ready.status == "True")
}

/// A pod that is not ready and became so after its container began has been ready in between.
fn was_ready_since(pod: &Pod, began: Option<&Time>) -> bool {
    let changed = readiness(pod).and_then(|ready| ready.last_transition_time.as_ref());
    is_ready(pod) || matches!((changed, began), (Some(changed), Some(began)) if changed.0 > began.0)
}

/// Init containers run once for a pod: after a restart of the main container what they saw is of the run before.
fn is_of_this_run(main: Option<&ContainerStatus>, inspect: Option<&ContainerStatus>) -> bool {
    let end = |state: Option<&ContainerState>| state?.terminated.as_ref()?.finished_at.clone();
    let before = main.and_then(|main| end(main.last_state.as_ref()));
    let seen = inspect.and_then(|inspect| end(inspect.state.as_ref()));
    match (seen, before) {
        (Some(seen), Some(before)) => seen.0 > before.0,
        (seen, None) => seen.is_some(),
        (None, Some(_)) => false,
    }
}

/// The end that is on record: of the container itself if it is down, else of its former run.
fn ended(container: &ContainerStatus) -> Option<Ended> {
    let of = |state: &Option<ContainerState>| state.as_ref().and_then(|state| state.terminated.clone());
    let terminated = of(&container.state).or_else(|| of(&container.last_state))?;
    Some(Ended { code: terminated.exit_code, message: terminated.message.unwrap_or_default().trim().to_owned() })
}

/// Only a successful inspection says something about the volume.
fn inspection(container: &ContainerStatus) -> Option<Inspection> {
    let terminated = container.state.as_ref()?.terminated.as_ref()?;
    (terminated.exit_code == 0).then(|| Inspection::parse(terminated.message.as_deref().unwrap_or_default()))
}

/// Why the member's container does not run, in the words of the kubelet, the scheduler or the start script.
fn waiting(pod: &Pod, main: Option<&ContainerStatus>, inspect: Option<&ContainerStatus>) -> Option<String> {
    let own_words = |container: &ContainerStatus| {
        let state = container.state.as_ref()?;
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.clone().unwrap_or_else(|| "waiting".into());
            let told = ended(container).map(|ended| ended.message).filter(|message| !message.is_empty());
            let detail = told.or_else(|| waiting.message.clone()).unwrap_or_default();
            // A container that merely waits for its turn says nothing.
            let is_idle = ["PodInitializing", "ContainerCreating"].contains(&reason.as_str()) && detail.is_empty();
            return (!is_idle).then(|| if detail.is_empty() { reason.clone() } else { format!("{reason}: {detail}") });
        }
        let terminated = state.terminated.as_ref().filter(|terminated| terminated.exit_code != 0)?;
        let message = terminated.message.as_deref().unwrap_or_default().trim();
        Some(format!("it ended with status {}: {}", terminated.exit_code, if message.is_empty() { "no message" } else { message }))
    };
    inspect.and_then(own_words).or_else(|| main.and_then(own_words)).or_else(|| unscheduled(pod))
}

fn unscheduled(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    Some(format!("it is not scheduled: {}", scheduled.message.as_deref().unwrap_or("no node fits")))
}

/// Volumes that are claims: name of the volume and of the claim.
fn claimed_volumes(pod: &Pod) -> BTreeMap<String, String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some((volume.name.clone(), volume.persistent_volume_claim.as_ref()?.claim_name.clone()))).collect()
}

/// The claim that holds a frontend's metadata or a backend's first storage root.
fn claim_uid(pod: &Pod, claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>) -> Option<String> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let name = volumes.iter().find_map(|volume| volume.persistent_volume_claim.as_ref()).map(|source| source.claim_name.as_str())?;
    claims.get(name).and_then(|claim| claim.uid())
}
