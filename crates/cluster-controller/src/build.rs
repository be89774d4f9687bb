//! What a cluster consists of, as pure functions of its spec and identity: no object here depends
//! on what is running, so the same input gives the same bytes.

mod budget;
mod claim;
mod config;
mod config_map;
mod container;
mod context;
mod inventory;
mod merge;
mod network;
mod old_budget;
mod pod;
mod probe;
mod security;
mod service;
mod stateful_set;
mod volume;

pub use budget::{budget, budget_api_version};
pub use claim::{ClaimShape, asked_size, bytes, claims_of, wanted_claims};
pub use config::{
    Contents, PREFER_COMPUTE_NODES, Rendered, disk_path, file_text, full_revision, is_script_variable, is_surely_live, parse_file, render,
};
pub use config_map::{config_named, config_owner, config_revision, gate, scripts, scripts_name};
pub use context::{BuildError, Context, IdentityFacts};
pub use inventory::{Inventory, inventory};
pub use merge::strategic_merge;
pub use network::network_policies;
pub use old_budget::OldBudget;
pub use service::{access_service, members_service};
pub use stateful_set::{SetInput, stateful_set, storage_layout};

use doris_api::{Component, DorisClusterSpec};

/// The components that a spec asks for. Observers are a set of their own, made when there are any.
pub fn components(spec: &DorisClusterSpec) -> Vec<Component> {
    Component::ALL
        .into_iter()
        .filter(|component| match component {
            Component::FeObserver => spec.fe.observers > 0,
            component => spec.member(*component).is_some(),
        })
        .collect()
}

/// The image that a component's members run, with the user's template merged over it.
pub fn final_image(context: &Context<'_>, component: Component) -> String {
    let image = context.image(component);
    let Some(member) = context.spec().member(component).filter(|member| !member.pod_template.is_empty()) else { return image };
    let containers = member.pod_template.0.get("spec").and_then(|spec| spec.get("containers")).and_then(serde_json::Value::as_array);
    let own = containers
        .into_iter()
        .flatten()
        .find(|container| container.get("name").and_then(serde_json::Value::as_str) == Some(component.process().name()));
    own.and_then(|container| container.get("image")).and_then(serde_json::Value::as_str).map_or(image, str::to_owned)
}

/// First ten hexadecimal digits of a SHA-256: enough to name revisions of one object.
pub(crate) fn short_hash(text: &str) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest.iter().take(5).fold(String::new(), |mut hash, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
