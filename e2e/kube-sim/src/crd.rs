//! Custom resources come and go with their definitions.

use std::sync::Arc;

use jiff::Timestamp;
use kube_schema::crd::{Definition, Version, established_status};
use serde_json::{Value, json};

use crate::clock::seconds;
use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::store::text;

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Where the objects of a definition are kept.
pub fn store_key(definition: &Value) -> String {
    let spec = &definition["spec"];
    format!("{}.{}", spec["names"]["plural"].as_str().unwrap_or_default(), spec["group"].as_str().unwrap_or_default())
}

/// Serves what a written definition says, and establishes it.
pub fn serve(cluster: &mut Cluster, definition: &Arc<Value>, now: Timestamp) {
    // A definition that did not parse has been refused by validation; one that got in anyhow is not served.
    let parsed = match Definition::parse(definition, cluster.minor) {
        Ok(parsed) => parsed,
        Err(errors) => {
            tracing::warn!(name = text(definition, "name"), ?errors, "a stored definition is not served");
            return;
        }
    };
    let Some(storage) = parsed.versions.iter().find(|version| version.storage).map(|version| version.name.clone()) else { return };
    cluster.registry.remove(&parsed.group, &parsed.plural);
    for version in parsed.versions.iter().filter(|version| version.served) {
        cluster.registry.insert(Arc::new(resource(&parsed, version, &storage)));
    }
    establish(cluster, definition, now);
}

fn resource(definition: &Definition, version: &Version, storage: &str) -> Resource {
    let custom = version.kind.custom.as_ref();
    Resource {
        group: definition.group.as_str().into(),
        version: version.name.as_str().into(),
        plural: definition.plural.as_str().into(),
        singular: definition.singular.as_str().into(),
        kind: definition.kind.as_str().into(),
        list_kind: definition.list_kind.as_str().into(),
        namespaced: definition.namespaced,
        short_names: definition.short_names.clone(),
        categories: definition.categories.clone(),
        has_status: custom.is_some_and(|custom| custom.status),
        has_scale: custom.is_some_and(|custom| custom.scale.is_some()),
        has_generation: true,
        create_only: false,
        storage: (definition.group.as_str().into(), storage.into()),
        key: format!("{}.{}", definition.plural, definition.group).into(),
        types: Some(version.kind.clone()),
        body_types: Some(version.kind.clone()),
        custom: Some(Arc::new(version.clone())),
    }
}

fn establish(cluster: &mut Cluster, definition: &Arc<Value>, now: Timestamp) {
    if definition["metadata"]["deletionTimestamp"].is_string() {
        return;
    }
    let mut status = established_status(definition, &seconds(now));
    let mut stored: Vec<Value> = definition["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
    for version in status["storedVersions"].as_array().into_iter().flatten() {
        if !stored.contains(version) {
            stored.push(version.clone());
        }
    }
    status["storedVersions"] = stored.into();
    if definition["status"]["conditions"].is_array() {
        status["conditions"] = definition["status"]["conditions"].clone();
    }
    if definition["status"] == status {
        return;
    }
    let mut established = (**definition).clone();
    established["status"] = status;
    cluster.store.put(&DEFINITIONS.into(), established);
}

/// The condition of a definition whose objects are being deleted.
pub fn mark_terminating(definition: &mut Value, now: Timestamp) {
    let mut conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "Terminating");
    conditions.push(json!({
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": seconds(now),
        "reason": "InstanceDeletionInProgress",
        "message": "CustomResource deletion is in progress",
    }));
    definition["status"]["conditions"] = conditions.into();
}

/// Stops to serve a definition that is gone.
pub fn unserve(cluster: &mut Cluster, definition: &Value, _now: Timestamp) {
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default();
    cluster.registry.remove(group, plural);
    cluster.store.forget(&store_key(definition));
}

/// The last object of a definition that is being deleted has gone: the definition goes too.
pub fn definition_of(cluster: &Cluster, resource: &Resource) -> Option<Arc<Value>> {
    resource.custom.as_ref()?;
    let definition = cluster.store.get(DEFINITIONS, "", &resource.qualified())?;
    definition["metadata"]["deletionTimestamp"].is_string().then(|| definition.clone())
}
