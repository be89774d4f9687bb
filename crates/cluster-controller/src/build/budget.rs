//! `PodDisruptionBudgets`: one over each pod, by labels that never change, with an integer.

use doris_api::{Component, labels, names};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Context;

/// First minor version with `policy/v1`.
const POLICY_V1: u32 = 21;
/// First minor version with `unhealthyPodEvictionPolicy` on by default.
const UNHEALTHY_POLICY: u32 = 27;

/// The API version that a server knows budgets in; the fields are the same.
pub const fn budget_api_version(kubernetes_minor: u32) -> &'static str {
    if kubernetes_minor >= POLICY_V1 { "policy/v1" } else { "policy/v1beta1" }
}

/// The budget of a component with this many members registered or wanted, whichever is more.
/// Brokers have none.
pub fn budget(context: &Context<'_>, component: Component, members: i32) -> Option<PodDisruptionBudget> {
    let settings = &context.spec().pod_disruption_budget;
    if !settings.enabled {
        return None;
    }
    let min_available = match component {
        // One or two followers have no majority to spare: a drain is an outage of seconds, and
        // refusing it would hold up the node for ever.
        Component::Fe if members < 3 => 0,
        Component::Fe => members / 2 + 1,
        Component::FeObserver => members - 1,
        Component::Be => members - settings.backends_away,
        Component::Cn => members - settings.compute_nodes_away,
        Component::Broker => return None,
    };
    // A compute node that is not ready protects nothing; a backend may hold the only replica.
    let always = component == Component::Cn && context.kubernetes_minor >= UNHEALTHY_POLICY;
    Some(PodDisruptionBudget {
        metadata: context.component_metadata(names::set(&context.name, component), component),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(min_available.max(0))),
            selector: Some(LabelSelector { match_labels: Some(labels::selector(&context.name, component)), match_expressions: None }),
            unhealthy_pod_eviction_policy: always.then(|| "AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
