//! Custom resource definitions, made from the types.
//!
//! What the derive macro makes is not yet what a server should get: descriptions of embedded
//! Kubernetes types would make it too large for client-side apply, unbounded lists would make the
//! rules too expensive, and servers differ in the rules they understand.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

use crate::{DorisCluster, DorisInitializer, validation};

/// Minor version of Kubernetes whose CRDs are committed and packaged.
pub const CURRENT_MINOR: u32 = 36;

/// Properties that embed a Kubernetes type: the property keeps our description, what is below it
/// has none.
const EMBEDDED: [&str; 18] = [
    "adminPassword",
    "affinity",
    "clients",
    "conditions",
    "configMap",
    "env",
    "hostAliases",
    "hosts",
    "internal",
    "password",
    "pullSecrets",
    "resources",
    "rootPassword",
    "secret",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

/// Whether a field of this name embeds a Kubernetes type.
pub fn is_embedded(name: &str) -> bool {
    EMBEDDED.contains(&name)
}

/// Kinds of volumes that are typed; the others are long gone from Kubernetes, or embed a claim
/// template of several kilobytes, and go through `podTemplate`.
const VOLUME_KINDS: [&str; 10] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "hostPath", "name", "nfs", "persistentVolumeClaim", "projected", "secret"];

const MAX_ITEMS: u32 = 64;
const MAX_PROPERTIES: u32 = 64;
const MAX_RESOURCES: u32 = 16;
const MAX_NAME: u32 = 253;
const MAX_LABEL: u32 = 63;
const MAX_TEXT: u32 = 1024;
const MAX_LONG_TEXT: u32 = 32768;
const MAX_QUANTITY: u32 = 40;

/// Why a definition could not be made; a fault of this crate that its tests would find.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The derived definition has no schema where one must be.
    #[error("the derived definition has no schema")]
    NoSchema,
    /// It could not be written as YAML.
    #[error("the definition can't be written as YAML: {0}")]
    Yaml(String),
    /// The finished definition is none.
    #[error("the finished definition is none: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Every definition, for a server of Kubernetes 1.`minor`.
pub fn crds(minor: u32) -> Result<Vec<CustomResourceDefinition>, CrdError> {
    Ok(vec![doris_cluster(minor)?, doris_initializer(minor)?])
}

/// `DorisCluster`, for a server of Kubernetes 1.`minor`.
pub fn doris_cluster(minor: u32) -> Result<CustomResourceDefinition, CrdError> {
    let about = "An Apache Doris cluster: frontends, backends, and what helps them.";
    finished(serde_json::to_value(DorisCluster::crd())?, about, |schema| validation::attach(schema, minor))
}

/// `DorisInitializer`, for a server of Kubernetes 1.`minor`.
pub fn doris_initializer(minor: u32) -> Result<CustomResourceDefinition, CrdError> {
    let about = "SQL that is run in an Apache Doris cluster once it is ready: databases, tables, accounts, settings.";
    finished(serde_json::to_value(DorisInitializer::crd())?, about, |schema| validation::attach_to_initializer(schema, minor))
}

/// Makes of a derived definition what a server gets.
fn finished(mut crd: Value, about: &str, attach: impl FnOnce(&mut Value)) -> Result<CustomResourceDefinition, CrdError> {
    let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").ok_or(CrdError::NoSchema)?;
    schema["description"] = json!(about);
    walk(schema, &mut trim);
    if let Some(status) = schema.pointer_mut("/properties/status") {
        // The server must not add to what a status writer sends.
        walk(status, &mut |node| {
            node.remove("default");
        });
    }
    let spec = schema.pointer_mut("/properties/spec").ok_or(CrdError::NoSchema)?;
    bound_property(spec, "spec");
    attach(schema);
    Ok(serde_json::from_value(crd)?)
}

/// A definition as YAML.
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, CrdError> {
    let mut text = serde_saphyr::to_string(crd).map_err(|error| CrdError::Yaml(error.to_string()))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Calls a function on a schema and all schemas in it.
fn walk(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    let Some(node) = schema.as_object_mut() else { return };
    change(node);
    if let Some(properties) = node.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|property| walk(property, change));
    }
    for below in ["items", "additionalProperties"] {
        if let Some(below) = node.get_mut(below) {
            walk(below, change);
        }
    }
}

/// Takes away what a definition does not need.
fn trim(node: &mut Map<String, Value>) {
    // An absent field says the same as `null`, and CEL's `has` then means what it says.
    node.remove("nullable");
    // Rust's line breaks mean nothing here.
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = text.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
    }
    let Some(properties) = node.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties.iter_mut().filter(|(name, _)| EMBEDDED.contains(&name.as_str())) {
        let ours = property.get("description").cloned();
        walk(property, &mut |node| {
            node.remove("description");
        });
        if let (Some(ours), Some(property)) = (ours, property.as_object_mut()) {
            property.insert("description".into(), ours);
        }
        match name.as_str() {
            "volumes" => retain(property, "/items/properties", |kind| VOLUME_KINDS.contains(&kind)),
            // Claims of dynamic resources need a pod-level list that we do not offer.
            "resources" => retain(property, "/properties", |field| field != "claims"),
            _ => {}
        }
    }
}

fn retain(schema: &mut Value, properties: &str, keep: impl Fn(&str) -> bool) {
    if let Some(properties) = schema.pointer_mut(properties).and_then(Value::as_object_mut) {
        properties.retain(|name, _| keep(name));
    }
}

/// Bounds whatever is unbounded in a schema and below it.
fn bound_property(schema: &mut Value, name: &str) {
    let Some(node) = schema.as_object_mut() else { return };
    if let Some(properties) = node.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, property) in properties.iter_mut() {
            bound_property(property, name);
        }
    }
    if let Some(items) = node.get_mut("items") {
        bound_property(items, name);
    }
    if let Some(values) = node.get_mut("additionalProperties") {
        bound_property(values, name);
        let most = if matches!(name, "limits" | "requests") { MAX_RESOURCES } else { MAX_PROPERTIES };
        node.entry("maxProperties").or_insert(json!(most));
    }
    if node.get("x-kubernetes-int-or-string").is_some() {
        node.entry("maxLength").or_insert(json!(MAX_QUANTITY));
    }
    match node.get("type").and_then(Value::as_str) {
        Some("array") => {
            node.entry("maxItems").or_insert(json!(MAX_ITEMS));
        }
        Some("string") if !node.contains_key("enum") => {
            node.entry("maxLength").or_insert(json!(max_length(name)));
        }
        _ => {}
    }
}

fn max_length(name: &str) -> u32 {
    match name {
        "labels" | "nodeSelector" | "matchLabels" => MAX_LABEL,
        "name" | "key" | "values" | "storageClassName" | "tags" => MAX_NAME,
        "value" | "annotations" => MAX_LONG_TEXT,
        _ => MAX_TEXT,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{CURRENT_MINOR, crds, doris_cluster};

    fn json(minor: u32) -> Value {
        serde_json::to_value(doris_cluster(minor).expect("a definition")).expect("JSON")
    }

    #[test]
    fn every_definition_is_small_enough_for_client_side_apply() {
        for crd in crds(CURRENT_MINOR).expect("definitions") {
            let size = serde_json::to_string(&crd).expect("JSON").len();
            assert!(size < 200_000, "{size} bytes");
        }
    }

    #[test]
    fn everything_in_the_spec_is_bounded() {
        fn check(path: &str, node: &Value) {
            let has = |key: &str| node.get(key).is_some();
            match node["type"].as_str() {
                Some("array") => assert!(has("maxItems"), "{path}"),
                Some("string") => assert!(has("maxLength") || has("enum"), "{path}"),
                Some("object") => assert!(!has("additionalProperties") || has("maxProperties"), "{path}"),
                Some("integer" | "boolean" | "number") => {}
                _ => assert!(has("maxLength"), "{path}"),
            }
            for below in ["items", "additionalProperties"] {
                if has(below) {
                    check(&format!("{path}.{below}"), &node[below]);
                }
            }
            for (name, property) in node["properties"].as_object().into_iter().flatten() {
                check(&format!("{path}.{name}"), property);
            }
        }
        check("spec", &json(CURRENT_MINOR)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]);
    }

    #[test]
    fn our_fields_are_described_and_embedded_ones_are_not() {
        let crd = json(CURRENT_MINOR);
        let fe = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/fe/properties").expect("fe");
        for (name, field) in fe.as_object().expect("fields") {
            assert!(field["description"].is_string(), "{name}");
        }
        assert!(fe["volumes"]["items"]["properties"]["secret"]["properties"]["secretName"]["description"].is_null());
        assert!(fe["volumes"]["items"]["properties"]["ephemeral"].is_null());
    }

    #[test]
    fn servers_get_only_rules_that_they_understand() {
        let rules = |minor: u32| {
            let mut found = Vec::new();
            let mut crd = json(minor);
            let schema = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").expect("a schema");
            super::walk(schema, &mut |node| found.extend(node.get("x-kubernetes-validations").cloned()));
            let text = serde_json::to_string(&found).expect("JSON");
            let has = ["fieldPath", "string(", "quantity(", "isCIDR("].map(|what| text.contains(what));
            (text.matches("\"rule\"").count(), has)
        };
        assert_eq!(rules(16), (0, [false; 4]));
        assert_eq!(rules(24), (0, [false; 4]));
        let (few, has) = rules(25);
        assert!(few > 80 && has == [false; 4], "{few} {has:?}");
        assert_eq!((rules(28).1, rules(30).1), ([true, false, false, false], [true, false, false, false]));
        assert_eq!(rules(33).1, [true, false, false, true]);
        assert!(rules(34).1 == [true; 4] && rules(34).0 > few);
    }
}
