//! The pod template of a component.

use std::collections::BTreeMap;

use doris_api::cluster::MemberSettings;
use doris_api::{Component, labels};
use k8s_openapi::api::core::v1::{
    Affinity, HostAlias, PodAffinityTerm, PodAntiAffinity, PodSpec, PodTemplateSpec, Toleration, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;

use super::container::{doris, init_containers, user_containers};
use super::merge::strategic_merge;
use super::probe::grace_seconds;
use super::security::pod_context;
use super::stateful_set::storage_layout;
use super::volume::volumes;
use super::{BuildError, Context, SetInput};

/// Taints that Kubernetes puts on nodes it has lost sight of.
const LOST_NODE: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
/// First minor version with topology spread constraints.
const SPREAD: u32 = 19;

/// The pod template of a component, with the user's template merged over it.
pub(super) fn template(context: &Context<'_>, component: Component, set: &SetInput) -> Result<PodTemplateSpec, BuildError> {
    let member = context.spec().member(component).ok_or(BuildError::NoComponent(component))?;
    let (volumes, mounts) = volumes(context, component, set);
    let mut containers = vec![doris(context, component, member, mounts.clone())];
    containers.extend(user_containers(component, &member.sidecars)?);
    let init = init_containers(context, component, member, &mounts)?;
    let image = &context.spec().image;
    let spec = PodSpec {
        affinity: Some(member.affinity.clone().unwrap_or_else(|| apart(context, component))),
        automount_service_account_token: Some(member.service_account_name.is_some()),
        containers,
        enable_service_links: Some(false),
        host_aliases: some_list(host_aliases(context, member)),
        image_pull_secrets: some_list(image.pull_secrets.clone()),
        init_containers: some_list(init),
        node_selector: some_map(&member.node_selector),
        priority_class_name: member.priority_class_name.clone(),
        security_context: Some(pod_context(&context.spec().pod_security, context.kubernetes_minor)),
        service_account_name: member.service_account_name.clone(),
        termination_grace_period_seconds: Some(member.termination_grace_period_seconds.unwrap_or_else(|| grace_seconds(component))),
        tolerations: Some(tolerations(context, member)),
        topology_spread_constraints: some_list(spread(context, component, member)),
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    let generated = PodTemplateSpec { metadata: Some(metadata(context, component, member)), spec: Some(spec) };
    merged(context, component, generated, member)
}

fn metadata(context: &Context<'_>, component: Component, member: &MemberSettings) -> ObjectMeta {
    let mut labels = member.labels.clone();
    labels.extend(labels::of_pod(&context.name, component));
    let mut annotations = member.annotations.clone();
    annotations.insert(labels::STORAGE_LAYOUT.to_owned(), storage_layout(context, component));
    annotations.extend(context.restarts.get(&component).cloned().unwrap_or_default());
    ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }
}

fn merged(
    context: &Context<'_>,
    component: Component,
    generated: PodTemplateSpec,
    member: &MemberSettings,
) -> Result<PodTemplateSpec, BuildError> {
    if member.pod_template.is_empty() {
        return Ok(generated);
    }
    let failed = |source| BuildError::PodTemplate { component, source };
    let mut template = serde_json::to_value(generated).map_err(failed)?;
    strategic_merge(&mut template, &Value::Object(member.pod_template.0.clone()));
    let mut template: PodTemplateSpec = serde_json::from_value(template).map_err(failed)?;
    // Selectors and the join of pod and cluster rest on these.
    let own = metadata(context, component, member);
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(labels::of_pod(&context.name, component));
    let layout = own.annotations.and_then(|mut annotations| annotations.remove(labels::STORAGE_LAYOUT));
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.extend(layout.map(|layout| (labels::STORAGE_LAYOUT.to_owned(), layout)));
    annotations.extend(context.restarts.get(&component).cloned().unwrap_or_default());
    Ok(template)
}

fn selector(context: &Context<'_>, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(labels::selector(&context.name, component)), match_expressions: None }
}

/// Members of a component rather not on one node: a preference, so that small clusters start.
fn apart(context: &Context<'_>, component: Component) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(selector(context, component)),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    let preferred = WeightedPodAffinityTerm { weight: 100, pod_affinity_term: term };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![preferred]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn spread(context: &Context<'_>, component: Component, member: &MemberSettings) -> Vec<TopologySpreadConstraint> {
    if !member.topology_spread_constraints.is_empty() {
        return member.topology_spread_constraints.clone();
    }
    if context.kubernetes_minor < SPREAD {
        return Vec::new();
    }
    vec![TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "topology.kubernetes.io/zone".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(context, component)),
        ..TopologySpreadConstraint::default()
    }]
}

/// The user's, and for how long a lost node keeps its pods: written out, since it decides who
/// acts first on a lost node.
fn tolerations(context: &Context<'_>, member: &MemberSettings) -> Vec<Toleration> {
    let mut all = member.tolerations.clone();
    for taint in LOST_NODE.into_iter().filter(|taint| !member.tolerations.iter().any(|user| user.key.as_deref() == Some(*taint))) {
        all.push(Toleration {
            key: Some(taint.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some("NoExecute".to_owned()),
            toleration_seconds: Some(context.spec().failover.node_toleration_seconds.into()),
            value: None,
        });
    }
    all
}

fn host_aliases(context: &Context<'_>, member: &MemberSettings) -> Vec<HostAlias> {
    let hadoop = context.spec().hadoop.iter().flat_map(|hadoop| hadoop.hosts.iter());
    hadoop.chain(&member.host_aliases).cloned().collect()
}

fn some_list<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn some_map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}
