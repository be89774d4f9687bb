//! `ConfigMaps`: scripts, configuration revisions, expectations of the gate.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use doris_api::member::{GATE_FRESH, GATE_HAD_DATA, GATE_LEFT};
use doris_api::{Component, labels, names};
use k8s_openapi::api::core::v1::ConfigMap;

use super::{Context, Rendered, short_hash};
use crate::script::FILES;

/// Name of the ConfigMap with the scripts of this build of the controller.
pub fn scripts_name(cluster: &str) -> String {
    static HASH: LazyLock<String> = LazyLock::new(|| short_hash(&FILES.map(|(_, text)| text).join("\0")));
    names::scripts(cluster, &HASH)
}

/// The scripts. A new text is a new object: a pod never starts with scripts that its template
/// does not name.
pub fn scripts(context: &Context<'_>) -> ConfigMap {
    ConfigMap {
        metadata: context.metadata(scripts_name(&context.name), labels::of_cluster(&context.name)),
        immutable: (context.kubernetes_minor >= 21).then_some(true),
        data: Some(FILES.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned())).collect()),
        ..ConfigMap::default()
    }
}

/// One revision of a component's configuration. Not immutable: keys that Doris takes over while
/// it runs are updated in every revision in use.
pub fn config_revision(context: &Context<'_>, component: Component, rendered: &Rendered) -> ConfigMap {
    let name = names::config(&context.name, config_owner(component), &rendered.revision);
    config_named(context, component, name, rendered.text(), None)
}

/// A revision of a component's configuration by its name, with what is known of its keys.
pub fn config_named(context: &Context<'_>, component: Component, name: String, text: String, notes: Option<String>) -> ConfigMap {
    let component = config_owner(component);
    let mut metadata = context.component_metadata(name, component);
    if let Some(notes) = notes {
        metadata.annotations.get_or_insert_default().insert(labels::CONFIG_NOTES.to_owned(), notes);
    }
    ConfigMap { metadata, data: Some(BTreeMap::from([(component.process().config_file().to_owned(), text)])), ..ConfigMap::default() }
}

/// Followers and observers share their configuration.
pub fn config_owner(component: Component) -> Component {
    if component == Component::FeObserver { Component::Fe } else { component }
}

/// What a member's metadata is expected to be.
pub fn gate(context: &Context<'_>) -> ConfigMap {
    let mut data = BTreeMap::from([(names::GATE_EPOCH.to_owned(), format!("{}\n", context.identity.epoch))]);
    if let Some(cluster_id) = &context.identity.cluster_id {
        data.insert(names::GATE_CLUSTER_ID.to_owned(), format!("{cluster_id}\n"));
    }
    if let Some(upgrade) = context.identity.release.as_ref().and_then(|release| release.upgrade.as_ref()) {
        data.insert(names::GATE_UPGRADE_FROM.to_owned(), format!("{}\n", upgrade.from));
    }
    if !context.identity.had_data.is_empty() {
        data.insert(GATE_HAD_DATA.to_owned(), context.identity.had_data.join("\n") + "\n");
    }
    if !context.identity.fresh.is_empty() {
        data.insert(GATE_FRESH.to_owned(), context.identity.fresh.join("\n") + "\n");
    }
    if !context.identity.left.is_empty() {
        data.insert(GATE_LEFT.to_owned(), context.identity.left.join("\n") + "\n");
    }
    ConfigMap {
        metadata: context.metadata(names::gate(&context.name), labels::of_cluster(&context.name)),
        data: Some(data),
        ..ConfigMap::default()
    }
}
