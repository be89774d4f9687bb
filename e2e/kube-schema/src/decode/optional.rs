//! Which empty values a typed object prints. Schemas do not tell a Go pointer, which prints `0`, from a value with `omitempty`, which does not.
use serde_json::Value;

use crate::schema::{Schema, Type};
use crate::value::is_empty;

/// Optional numbers and flags that are plain values in Go: absent and zero are the same.
const VALUES: &[&str] = &[
    "minReadySeconds",
    "observedGeneration",
    "currentReplicas",
    "readyReplicas",
    "updatedReplicas",
    "unavailableReplicas",
    "fullyLabeledReplicas",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "hostPort",
    "nodePort",
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "generation",
    "paused",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
    "publishNotReadyAddresses",
    "unschedulable",
    "number",
    "healthCheckNodePort",
    "signal",
    "count",
];

/// Optional texts that are pointers in Go: empty is a value of its own.
const POINTERS: &[&str] = &[
    "storageClassName",
    "runtimeClassName",
    "volumeAttributesClassName",
    "ingressClassName",
    "loadBalancerClass",
    "apiGroup",
    "holderIdentity",
    "type",
    "service",
    "timeZone",
    "containerID",
];

/// Whether a declared field with this value is printed.
pub(super) fn is_printed(owner: &Schema, key: &str, schema: &Schema, value: &Value) -> bool {
    if !is_empty(value) {
        return true;
    }
    let required = owner.required.iter().any(|r| r == key);
    match schema.kind {
        Type::Object if schema.values.is_some() => false,
        Type::Object | Type::Any | Type::IntOrString | Type::Quantity => true,
        Type::Array => required,
        Type::String => {
            required
                || (POINTERS.contains(&key) && !(key == "type" && schema.allowed.is_empty() && owner.properties.contains_key("reason")))
        }
        Type::Integer | Type::Number | Type::Boolean => required || schema.default.is_some() || !VALUES.contains(&key),
    }
}
