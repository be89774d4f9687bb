//! A `CustomResourceDefinition` as the server uses it.
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::error::FieldError;
use crate::kind::{Gvk, Kind};
use crate::schema;
use crate::value::{child, list, set_default, text};

/// JSON paths of the `scale` subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// Path of the wanted number, such as `.spec.replicas`.
    pub spec: String,
    /// Path of the counted number.
    pub status: String,
    /// Path of the label selector as text.
    pub selector: Option<String>,
}

/// What a definition says about its objects, beside the schema.
#[derive(Debug, Clone, Default)]
pub struct CustomKind {
    /// Whether there is a `status` subresource.
    pub status: bool,
    /// Paths of the `scale` subresource.
    pub scale: Option<ScalePaths>,
}

/// A column that `kubectl get` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub json_path: String,
}

/// A version of a custom resource.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Version {
    pub name: String,
    pub served: bool,
    pub storage: bool,
    pub deprecated: bool,
    pub deprecation_warning: String,
    pub kind: Arc<Kind>,
    pub columns: Vec<Column>,
    /// JSON paths that field selectors may use, such as `.spec.mode`.
    pub selectable: Vec<String>,
}

/// A definition that passed validation.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Definition {
    pub group: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub versions: Vec<Version>,
}

type Parsed = Mutex<BTreeMap<(u32, String, String), Definition>>;

/// Definitions by version, name and spec: the same one is read in every run of a test.
static PARSED: LazyLock<Parsed> = LazyLock::new(Parsed::default);

impl Definition {
    /// Reads a `CustomResourceDefinition` (defaulted) for Kubernetes 1.`minor` and compiles its rules. Call it once a definition's generation.
    pub fn parse(crd: &Value, minor: u32) -> Result<Self, Vec<FieldError>> {
        let key = (minor, crate::value::name(crd).to_owned(), crd.get("spec").map(Value::to_string).unwrap_or_default());
        if let Some(known) = PARSED.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let errors = super::validate_definition(crd, None, minor);
        if !errors.is_empty() {
            return Err(errors);
        }
        let parsed = Self::read(crd, minor);
        PARSED.lock().unwrap_or_else(PoisonError::into_inner).insert(key, parsed.clone());
        Ok(parsed)
    }

    fn read(crd: &Value, minor: u32) -> Self {
        let names = |key: &str| list(crd, key).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let group = text(crd, "spec.group").to_owned();
        let kind = text(crd, "spec.names.kind").to_owned();
        let versions = list(crd, "spec.versions").iter().map(|v| Version::read(v, &group, &kind, minor)).collect();
        Self {
            list_kind: text(crd, "spec.names.listKind").to_owned(),
            plural: text(crd, "spec.names.plural").to_owned(),
            singular: text(crd, "spec.names.singular").to_owned(),
            short_names: names("spec.names.shortNames"),
            categories: names("spec.names.categories"),
            namespaced: text(crd, "spec.scope") == "Namespaced",
            versions,
            group,
            kind,
        }
    }
}

impl Version {
    fn read(json: &Value, group: &str, kind: &str, minor: u32) -> Self {
        let flag = |key: &str| json.get(key).and_then(Value::as_bool).unwrap_or(false);
        let name = text(json, "name");
        let empty = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let schema = crate::value::at(json, "schema.openAPIV3Schema").unwrap_or(&empty);
        let scale = crate::value::at(json, "subresources.scale").map(|s| ScalePaths {
            spec: text(s, "specReplicasPath").to_owned(),
            status: text(s, "statusReplicasPath").to_owned(),
            selector: s.get("labelSelectorPath").and_then(Value::as_str).map(str::to_owned),
        });
        let custom = CustomKind { status: crate::value::at(json, "subresources.status").is_some(), scale };
        let gvk = Gvk::new(group, name, kind);
        let kind = Kind { gvk, schema: Arc::new(schema::from_openapi(schema)), custom: Some(custom), minor };
        Self {
            name: name.to_owned(),
            served: flag("served"),
            storage: flag("storage"),
            deprecated: flag("deprecated"),
            deprecation_warning: text(json, "deprecationWarning").to_owned(),
            kind: Arc::new(kind),
            columns: list(json, "additionalPrinterColumns").iter().map(Column::read).collect(),
            selectable: list(json, "selectableFields").iter().map(|f| text(f, "jsonPath").to_owned()).collect(),
        }
    }
}

impl Column {
    fn read(json: &Value) -> Self {
        Self {
            name: text(json, "name").to_owned(),
            kind: text(json, "type").to_owned(),
            format: text(json, "format").to_owned(),
            description: text(json, "description").to_owned(),
            priority: json.get("priority").and_then(Value::as_i64).unwrap_or(0),
            json_path: text(json, "jsonPath").to_owned(),
        }
    }
}

/// Fills in the names and the conversion that a definition may leave out.
pub fn default_definition(crd: &mut Value) {
    let kind = text(crd, "spec.names.kind").to_owned();
    let Some(spec) = child(crd, "spec") else { return };
    if let Some(names) = child(spec, "names")
        && !kind.is_empty()
    {
        set_default(names, "singular", kind.to_lowercase());
        set_default(names, "listKind", format!("{kind}List"));
    }
    if let Some(conversion) = child(spec, "conversion") {
        set_default(conversion, "strategy", "None");
    }
}

/// The status of a definition whose names were accepted: conditions, accepted names, stored versions.
pub fn established_status(crd: &Value, now: &str) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message});
    let storage: Vec<&Value> = list(crd, "spec.versions").iter().filter(|v| v.get("storage") == Some(&Value::Bool(true))).collect();
    let stored: Vec<&str> = storage.iter().map(|v| text(v, "name")).collect();
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": crate::value::at(crd, "spec.names").cloned().unwrap_or_default(),
        "storedVersions": stored,
    })
}
