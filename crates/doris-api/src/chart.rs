//! What the Helm charts are made of besides templates: definitions that fit every server, the schema of a cluster's values, and the
//! roles' rules. Everything here is written by `cargo run --bin chart-files`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::crd::{CURRENT_MINOR, CrdError, crds, to_yaml};

/// A server that takes no rule at all.
const WITHOUT_RULES: u32 = 16;
/// Minor version of the first server that knows `fieldPath` of a rule.
const FIELD_PATH: u32 = 28;
/// Minor versions of the servers from which on other rules are taken than before; a test tries those between them too.
const STEPS: [u32; 6] = [WITHOUT_RULES, 25, FIELD_PATH, 29, 31, 34];
/// Where the rules of a node stand.
const VALIDATIONS: &str = "x-kubernetes-validations";
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";
/// The chart of the operator, and that of a cluster.
const OPERATOR: &str = "helm/doris-operator";
const CLUSTER: &str = "helm/doris-cluster";
/// Rules of the roles, a folder for each controller and one for users.
const ROLES: &str = "deploy/rbac";
const USERS: &str = "users";

/// Why the files could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A definition could not be made.
    #[error(transparent)]
    Definition(#[from] CrdError),
    /// Something could not be written as text.
    #[error("the rules can't be written as YAML: {0}")]
    Yaml(String),
    /// It could not be written as JSON.
    #[error("the schema can't be written: {0}")]
    Json(#[from] serde_json::Error),
    /// A role could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Role {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// The rules of one node of a schema.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeRules {
    /// The way to the node, from the schema's root.
    pub path: Vec<String>,
    /// In their order.
    pub rules: Vec<ServerRule>,
}

/// A rule, and the servers that take it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerRule {
    /// Minor version of the first server that takes it.
    pub since: u32,
    /// Minor version of the first server that gets it no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u32>,
    /// The rule itself. Servers before 1.28 get it without `fieldPath`.
    pub rule: Value,
}

/// Every file below the repository's root that is made, with its text.
pub fn files(root: &Path) -> Result<BTreeMap<PathBuf, String>, ChartError> {
    let mut files = BTreeMap::new();
    for definition in crds(WITHOUT_RULES)? {
        let plural = definition.spec.names.plural.clone();
        let folder = Path::new(OPERATOR).join("files/crds").join(&plural);
        files.insert(folder.join("definition.yaml"), to_yaml(&definition)?);
        let rules = serde_saphyr::to_string(&rules(&plural)?).map_err(|error| ChartError::Yaml(error.to_string()))?;
        files.insert(folder.join("rules.yaml"), rules);
    }
    let schema = serde_json::to_string_pretty(&values_schema()?)?;
    files.insert(Path::new(CLUSTER).join("values.schema.json"), format!("{schema}\n"));
    files.extend(roles(root)?);
    Ok(files)
}

/// The rules of a kind, and for which servers each of them is.
pub fn rules(plural: &str) -> Result<Vec<NodeRules>, ChartError> {
    let mut found: Vec<NodeRules> = Vec::new();
    let mut after = None;
    // From the newest server on: it has nearly all of them, in their order.
    for since in STEPS.into_iter().rev() {
        for definition in crds(since)?.iter().filter(|definition| definition.spec.names.plural == plural) {
            for (path, rules) in of_nodes(definition)? {
                if let Some(node) = found.iter_mut().find(|node| node.path == path) {
                    note(&mut node.rules, rules, since, after);
                } else {
                    let mut known = Vec::new();
                    note(&mut known, rules, since, after);
                    found.push(NodeRules { path, rules: known });
                }
            }
        }
        after = Some(since);
    }
    Ok(found)
}

/// Servers from `since` on, and before `after` if there is a later step, take these rules.
fn note(known: &mut Vec<ServerRule>, rules: Vec<Value>, since: u32, after: Option<u32>) {
    for rule in rules {
        match known.iter_mut().find(|known| without_field(&known.rule) == without_field(&rule)) {
            Some(known) => known.since = since,
            None => known.push(ServerRule { since, until: after, rule }),
        }
    }
}

fn without_field(rule: &Value) -> Value {
    let mut rule = rule.clone();
    if let Some(rule) = rule.as_object_mut() {
        rule.remove("fieldPath");
    }
    rule
}

/// Ways to nodes, with the rules of each.
type Nodes = Vec<(Vec<String>, Vec<Value>)>;

/// The rules of every node that has any.
fn of_nodes(definition: &CustomResourceDefinition) -> Result<Nodes, ChartError> {
    fn walk(node: &Value, path: &mut Vec<String>, found: &mut Nodes) {
        if let Some(rules) = node.get(VALIDATIONS).and_then(Value::as_array) {
            found.push((path.clone(), rules.clone()));
        }
        for (key, below) in node.as_object().into_iter().flatten() {
            match key.as_str() {
                "properties" => {
                    for (name, property) in below.as_object().into_iter().flatten() {
                        path.extend([key.clone(), name.clone()]);
                        walk(property, path, found);
                        path.truncate(path.len() - 2);
                    }
                }
                "items" | "additionalProperties" => {
                    path.push(key.clone());
                    walk(below, path, found);
                    path.pop();
                }
                _ => {}
            }
        }
    }
    let definition = serde_json::to_value(definition)?;
    let mut found = Vec::new();
    walk(definition.pointer(SCHEMA).ok_or(CrdError::NoSchema)?, &mut Vec::new(), &mut found);
    Ok(found)
}

/// A definition with the rules that a server takes, as the chart's template puts them together.
pub fn assemble(mut definition: Value, nodes: &[NodeRules], minor: u32) -> Option<Value> {
    for node in nodes {
        let taken = node.rules.iter().filter(|rule| rule.since <= minor && rule.until.is_none_or(|until| minor < until));
        let rules: Vec<Value> = taken.map(|rule| if minor < FIELD_PATH { without_field(&rule.rule) } else { rule.rule.clone() }).collect();
        if !rules.is_empty() {
            let mut at = definition.pointer_mut(SCHEMA)?;
            for step in &node.path {
                at = at.get_mut(step)?;
            }
            at.as_object_mut()?.insert(VALIDATIONS.into(), rules.into());
        }
    }
    Some(definition)
}

/// The schema of a cluster's values: the definition's own, where a misspelt field is an error.
pub fn values_schema() -> Result<Value, ChartError> {
    let definitions = crds(CURRENT_MINOR)?;
    let spec = |plural: &str| {
        let definition = definitions.iter().find(|definition| definition.spec.names.plural == plural);
        let definition = serde_json::to_value(definition)?;
        let spec = definition.pointer(&format!("{SCHEMA}/properties/spec")).ok_or(CrdError::NoSchema)?;
        Ok::<Value, ChartError>(checked(spec))
    };
    let mut initializer = spec("dorisinitializers")?;
    // The chart names its own cluster.
    if let Some(required) = initializer.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|field| field != "clusterRef");
    }
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": false,
        "required": ["spec"],
        "properties": {
            "global": {"type": "object"},
            "name": {"type": "string", "maxLength": 40},
            "labels": texts,
            "annotations": texts,
            "spec": spec("dorisclusters")?,
            "initializers": {"type": "object", "additionalProperties": initializer},
            "extraObjects": {"type": "array", "items": {"type": "object", "required": ["apiVersion", "kind", "metadata"]}},
        },
    }))
}

/// What of a node's schema a JSON schema says too.
fn checked(node: &Value) -> Value {
    let Some(node) = node.as_object() else { return node.clone() };
    let mut checked = Map::new();
    for (key, value) in node {
        match key.as_str() {
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties: Map<String, Value> = properties.map(|(name, property)| (name.clone(), self::checked(property))).collect();
                checked.insert(key.clone(), properties.into());
            }
            "items" | "additionalProperties" => drop(checked.insert(key.clone(), self::checked(value))),
            "description" | "default" | "format" => {}
            _ if key.starts_with("x-kubernetes-") => {}
            _ => drop(checked.insert(key.clone(), value.clone())),
        }
    }
    if node.contains_key("x-kubernetes-int-or-string") {
        checked.insert("type".into(), json!(["integer", "string"]));
        checked.remove("anyOf");
    }
    if node.contains_key("properties") && !node.contains_key("x-kubernetes-preserve-unknown-fields") {
        checked.entry("additionalProperties").or_insert(false.into());
    }
    checked.into()
}

/// The roles as they stand in the charts: Helm reads no file outside its chart.
fn roles(root: &Path) -> Result<BTreeMap<PathBuf, String>, ChartError> {
    let entries = |path: &Path| {
        let failed = |source| ChartError::Role { path: path.to_owned(), source };
        let mut entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        Ok::<_, ChartError>(entries)
    };
    let mut files = BTreeMap::new();
    for folder in entries(&root.join(ROLES))? {
        let whose = folder.file_name();
        let chart = if whose == USERS { Path::new(OPERATOR).to_owned() } else { Path::new(OPERATOR).join("charts").join(&whose) };
        for file in entries(&folder.path())?.iter().filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml")) {
            let text = std::fs::read_to_string(file.path()).map_err(|source| ChartError::Role { path: file.path(), source })?;
            files.insert(chart.join("files/rbac").join(file.file_name()), text);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{WITHOUT_RULES, assemble, rules};
    use crate::crd::{CURRENT_MINOR, crds};

    #[test]
    fn every_server_gets_the_definition_that_is_made_for_it() {
        let kinds = crds(WITHOUT_RULES).expect("definitions").into_iter().map(|bare| {
            let rules = rules(&bare.spec.names.plural).expect("rules");
            (serde_json::to_value(bare).expect("JSON"), rules)
        });
        let kinds: Vec<_> = kinds.collect();
        for minor in WITHOUT_RULES..=CURRENT_MINOR + 1 {
            for ((bare, rules), wanted) in kinds.iter().zip(crds(minor).expect("definitions")) {
                let wanted = serde_json::to_value(wanted).expect("JSON");
                assert!(assemble(bare.clone(), rules, minor) == Some(wanted), "{} on 1.{minor}", bare["metadata"]["name"]);
            }
        }
    }
}
