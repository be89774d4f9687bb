//! `StatefulSets`.

use doris_api::{Component, labels, names};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::claim::{ClaimShape, wanted_claims};
use super::pod::template;
use super::volume::claims;
use super::{BuildError, Context, short_hash};

/// What a StatefulSet is built from besides the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetInput {
    /// Pods wanted: decided by the plan, which may keep more than the spec asks for. Always sent.
    pub replicas: i32,
    /// ConfigMap of the configuration revision.
    pub config: String,
    /// ConfigMap of the scripts.
    pub scripts: String,
    /// Claim templates of a set that stands, which only a set made anew can change; without any, those of the spec.
    pub claims: Vec<ClaimShape>,
}

/// The StatefulSet of a component. Pods start at once, since frontends need each other to elect;
/// which pod restarts when is decided by the controller alone.
pub fn stateful_set(context: &Context<'_>, component: Component, set: &SetInput) -> Result<StatefulSet, BuildError> {
    let claims = claims(context, component, &set.claims);
    let mut metadata = context.component_metadata(names::set(&context.name, component), component);
    metadata.annotations = Some([(labels::BUILD.to_owned(), context.image(component))].into());
    Ok(StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            pod_management_policy: Some("Parallel".to_owned()),
            replicas: Some(set.replicas),
            revision_history_limit: Some(10),
            selector: LabelSelector { match_labels: Some(labels::selector(&context.name, component)), match_expressions: None },
            service_name: Some(names::members_service(&context.name, component)),
            template: template(context, component, set)?,
            update_strategy: Some(StatefulSetUpdateStrategy { type_: Some("OnDelete".to_owned()), rolling_update: None }),
            volume_claim_templates: (!claims.is_empty()).then_some(claims),
            ..StatefulSetSpec::default()
        }),
        status: None,
    })
}

/// Hash of what a StatefulSet's own revision hash leaves out and only new pods get: names of
/// claims and Service.
pub fn storage_layout(context: &Context<'_>, component: Component) -> String {
    let mut layout = names::members_service(&context.name, component);
    for claim in wanted_claims(context.spec(), component) {
        layout.push('\n');
        layout.push_str(&claim.name);
    }
    short_hash(&layout)
}
