//! Defaults: those that schemas state, and those that the server computes for its own types.
mod misc;
mod network;
mod pod;
mod workload;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Kind;
use crate::schema::{Schema, Type};
use crate::value::is_empty;

/// Fills in what the object leaves out. A second call changes nothing.
pub fn apply(kind: &Kind, object: &mut Value) {
    if kind.is_custom() {
        from_schema(&kind.schema, object, true);
        return;
    }
    fix_nulls(object);
    from_schema(&kind.schema, object, false);
    computed(kind, object);
}

/// Typed objects have no nulls; what was null is absent.
fn fix_nulls(object: &mut Value) {
    if let Value::Object(map) = object {
        map.retain(|_, v| !v.is_null());
    }
}

type Defaulter = fn(&Kind, &mut Value);

static COMPUTED: std::sync::LazyLock<BTreeMap<(&str, &str), Defaulter>> = std::sync::LazyLock::new(|| {
    BTreeMap::from([
        (("", "Pod"), pod::pod as Defaulter),
        (("", "PodTemplate"), pod::pod_template),
        (("", "ReplicationController"), workload::replica_set),
        (("apps", "StatefulSet"), workload::stateful_set),
        (("apps", "Deployment"), workload::deployment),
        (("apps", "ReplicaSet"), workload::replica_set),
        (("apps", "DaemonSet"), workload::daemon_set),
        (("batch", "Job"), workload::job),
        (("batch", "CronJob"), workload::cron_job),
        (("", "Service"), network::service),
        (("networking.k8s.io", "NetworkPolicy"), network::network_policy),
        (("networking.k8s.io", "Ingress"), network::ingress),
        (("", "Endpoints"), network::endpoints),
        (("discovery.k8s.io", "EndpointSlice"), network::endpoint_slice),
        (("", "PersistentVolumeClaim"), misc::claim),
        (("", "PersistentVolume"), misc::volume),
        (("storage.k8s.io", "StorageClass"), misc::storage_class),
        (("", "Secret"), misc::secret),
        (("", "Namespace"), misc::namespace),
        (("", "Node"), misc::node),
        (("", "Event"), misc::event),
        (("events.k8s.io", "Event"), misc::event),
        (("rbac.authorization.k8s.io", "RoleBinding"), misc::role_binding),
        (("rbac.authorization.k8s.io", "ClusterRoleBinding"), misc::role_binding),
        (("autoscaling", "HorizontalPodAutoscaler"), workload::autoscaler),
        (("scheduling.k8s.io", "PriorityClass"), misc::priority_class),
        (("", "ResourceQuota"), misc::quota),
        (("apiextensions.k8s.io", "CustomResourceDefinition"), misc::definition),
    ])
});

fn computed(kind: &Kind, object: &mut Value) {
    if let Some(defaulter) = COMPUTED.get(&(kind.gvk.group.as_str(), kind.gvk.kind.as_str())) {
        defaulter(kind, object);
    }
}

/// Defaults that the schema states. In a custom resource a default replaces null too, unless null is allowed.
fn from_schema(schema: &Schema, value: &mut Value, custom: bool) {
    match value {
        Value::Object(map) => {
            if !matches!(schema.kind, Type::Object | Type::Any) {
                return;
            }
            for (name, child) in schema.properties.iter() {
                fill(schema, map, name, child, custom);
            }
            if let Some(values) = &schema.values {
                for child in map.values_mut() {
                    from_schema(values, child, custom);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for item in list {
                    from_schema(items, item, custom);
                }
            }
        }
        _ => {}
    }
}

fn fill(owner: &Schema, map: &mut Map<String, Value>, name: &str, child: &Schema, custom: bool) {
    if let Some(default) = &child.default {
        let absent = match map.get(name) {
            None => true,
            Some(Value::Null) => !child.nullable,
            Some(_) => false,
        };
        let required = owner.required.iter().any(|r| r == name);
        // An empty text prints only where the type has no `omitempty`.
        let printed = custom || !(default.is_string() && is_empty(default)) || required;
        if absent && printed && !(custom && name == "metadata") {
            map.insert(name.to_owned(), default.clone());
        }
    }
    if let Some(value) = map.get_mut(name) {
        from_schema(child, value, custom);
    }
}
