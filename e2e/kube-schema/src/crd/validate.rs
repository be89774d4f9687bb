//! Validation of a definition.
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use super::structural;
use crate::error::FieldError;
use crate::jsonpath::JsonPath;
use crate::validate::names;
use crate::value::{at, list, text};

/// First minor version with selectable fields of custom resources.
const SELECTABLE_SINCE: u32 = 30;

/// Validates a definition (defaulted) as Kubernetes 1.`minor` does; `old` for an update.
pub fn validate_definition(crd: &Value, old: Option<&Value>, minor: u32) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (group, plural) = (text(crd, "spec.group"), text(crd, "spec.names.plural"));
    let name = crate::value::name(crd);
    if name != format!("{plural}.{group}") {
        errors.push(FieldError::invalid("metadata.name", &json!(name), "must be spec.names.plural+\".\"+spec.group"));
    }
    naming(crd, &mut errors);
    versions(crd, &mut errors);
    let shared = shares_schema(crd);
    for (index, version) in list(crd, "spec.versions").iter().enumerate() {
        let schema = at(version, "schema.openAPIV3Schema").filter(|s| s.is_object());
        let Some(schema) = schema else {
            errors.push(FieldError::required(format!("spec.versions[{index}].schema.openAPIV3Schema"), ""));
            continue;
        };
        if shared && index > 0 {
            continue;
        }
        let path = if shared { "spec.validation".to_owned() } else { format!("spec.versions[{index}].schema") };
        errors.extend(schema_errors(schema, &format!("{path}.openAPIV3Schema"), minor));
    }
    for (index, version) in list(crd, "spec.versions").iter().enumerate().filter(|(i, _)| *i == 0 || !shared) {
        let path = if shared { "spec".to_owned() } else { format!("spec.versions[{index}]") };
        columns(version, &path, &mut errors);
        scale(version, &path, &mut errors);
        if minor >= SELECTABLE_SINCE {
            selectable(version, &path, &mut errors);
        }
    }
    if let Some(old) = old {
        update(crd, old, &mut errors);
    }
    errors
}

type Judged = Mutex<BTreeMap<(u32, String, String), Vec<FieldError>>>;

/// What is wrong with a schema. The same one is judged in every run of a test, and estimating the cost of its rules takes long: answers are kept.
fn schema_errors(schema: &Value, path: &str, minor: u32) -> Vec<FieldError> {
    static JUDGED: LazyLock<Judged> = LazyLock::new(Judged::default);
    let key = (minor, path.to_owned(), schema.to_string());
    if let Some(known) = JUDGED.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    let errors = structural::validate(schema, path, minor);
    JUDGED.lock().unwrap_or_else(PoisonError::into_inner).insert(key, errors.clone());
    errors
}

/// Whether every version has the same schema; then the server speaks of one.
fn shares_schema(crd: &Value) -> bool {
    let versions = list(crd, "spec.versions");
    let parts = ["schema", "subresources", "additionalPrinterColumns", "selectableFields"];
    versions.windows(2).all(|pair| matches!(pair, [a, b] if parts.iter().all(|p| a.get(*p) == b.get(*p))))
}

fn naming(crd: &Value, errors: &mut Vec<FieldError>) {
    let group = text(crd, "spec.group");
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else {
        errors.extend(names::subdomain(group).iter().map(|p| FieldError::invalid("spec.group", &json!(group), p)));
        if !group.contains('.') {
            errors.push(FieldError::invalid("spec.group", &json!(group), "should be a domain with at least one dot"));
        }
    }
    let scope = text(crd, "spec.scope");
    if scope.is_empty() {
        errors.push(FieldError::required("spec.scope", ""));
    } else if !matches!(scope, "Cluster" | "Namespaced") {
        errors.push(FieldError::not_supported("spec.scope", &json!(scope), &["Cluster", "Namespaced"]));
    }
    for key in ["plural", "singular", "kind", "listKind"] {
        let value = at(crd, "spec.names").map_or("", |n| text(n, key));
        let field = format!("spec.names.{key}");
        if value.is_empty() {
            errors.push(FieldError::required(field, ""));
            continue;
        }
        errors.extend(names::service(&value.to_lowercase()).iter().map(|p| FieldError::invalid(field.clone(), &json!(value), p)));
    }
    for key in ["shortNames", "categories"] {
        for (index, value) in at(crd, "spec.names").map_or(&[][..], |n| list(n, key)).iter().enumerate() {
            let problems = names::service(value.as_str().unwrap_or_default());
            errors.extend(problems.iter().map(|p| FieldError::invalid(format!("spec.names.{key}[{index}]"), value, p)));
        }
    }
    let (kind, list_kind) = (text(crd, "spec.names.kind"), text(crd, "spec.names.listKind"));
    if !kind.is_empty() && kind == list_kind {
        errors.push(FieldError::invalid("spec.names.listKind", &json!(list_kind), "kind and listKind may not be the same"));
    }
}

fn versions(crd: &Value, errors: &mut Vec<FieldError>) {
    let versions = list(crd, "spec.versions");
    if versions.is_empty() {
        errors.push(FieldError::required("spec.versions", ""));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        let name = text(version, "name");
        let field = format!("spec.versions[{index}].name");
        errors.extend(names::service(name).iter().map(|p| FieldError::invalid(field.clone(), &json!(name), p)));
        if versions.iter().take(index).any(|v| text(v, "name") == name) {
            errors.push(FieldError::invalid("spec.versions", &json!(name), "must contain unique version names"));
        }
    }
    if versions.iter().filter(|v| v.get("storage") == Some(&json!(true))).count() != 1 {
        let printed = crd.get("spec").and_then(|s| s.get("versions")).cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec.versions", &printed, "must have exactly one version marked as storage version"));
    }
}

fn columns(version: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
        let here = format!("{path}.additionalPrinterColumns[{index}]");
        for key in ["name", "type", "jsonPath"] {
            if text(column, key).is_empty() {
                let key = if key == "jsonPath" { "JSONPath" } else { key };
                errors.push(FieldError::required(format!("{here}.{key}"), ""));
            }
        }
        let kind = text(column, "type");
        let allowed = ["boolean", "date", "integer", "number", "string"];
        if !kind.is_empty() && !allowed.contains(&kind) {
            let detail = format!("must be one of {}", allowed.join(","));
            errors.push(FieldError::invalid(format!("{here}.type"), &json!(kind), &detail));
        }
    }
}

fn scale(version: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(scale) = at(version, "subresources.scale") else { return };
    for (key, root) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status."), ("labelSelectorPath", ".status.")] {
        let value = text(scale, key);
        let field = format!("{path}.subresources.scale.{key}");
        if value.is_empty() {
            if key != "labelSelectorPath" {
                errors.push(FieldError::required(field, ""));
            }
        } else if !value.starts_with(root) || JsonPath::parse(value).and_then(|p| p.plain().map(|_| ())).is_none() {
            let detail = format!("should be a json path under {}", root.trim_end_matches('.'));
            errors.push(FieldError::invalid(field, &json!(value), &detail));
        }
    }
}

fn selectable(version: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let fields = list(version, "selectableFields");
    let schema = at(version, "schema.openAPIV3Schema").filter(|s| s.is_object());
    let Some(schema) = schema else {
        if !fields.is_empty() {
            let field = format!("{path}.selectableFields");
            errors.push(FieldError::invalid(field, &json!(""), "may only be set when validations.schema is included"));
        }
        return;
    };
    for (index, field) in fields.iter().enumerate() {
        let wanted = text(field, "jsonPath");
        let here = format!("{path}.selectableFields[{index}].jsonPath");
        match structural::resolve(schema, wanted) {
            None => errors.push(FieldError::invalid(here, &json!(wanted), "is an invalid path: does not refer to a valid field")),
            Some(found) if !matches!(text(found, "type"), "string" | "boolean" | "integer") => {
                errors.push(FieldError::invalid(here, &json!(wanted), "must point to a field of type string, boolean or integer"));
            }
            Some(_) => {}
        }
        if fields.iter().take(index).any(|f| text(f, "jsonPath") == wanted) {
            let at = format!("{path}.selectableFields[{index}].jsonPath");
            errors.push(FieldError::duplicate(at, &json!(wanted)));
        }
    }
    if fields.len() > 8 {
        errors.push(FieldError::too_many(format!("{path}.selectableFields"), fields.len(), 8));
    }
}

/// Group, plural and scope stay; versions that objects are stored in stay.
fn update(crd: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    for path in ["spec.group", "spec.names.plural", "spec.scope", "spec.names.kind"] {
        let (new, was) = (at(crd, path), at(old, path));
        if new != was {
            errors.push(FieldError::invalid(path, new.unwrap_or(&Value::Null), "field is immutable"));
        }
    }
    for (index, stored) in list(old, "status.storedVersions").iter().enumerate() {
        if !list(crd, "spec.versions").iter().any(|v| v.get("name") == Some(stored)) {
            let field = format!("status.storedVersions[{index}]");
            let name = stored.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage \
                 migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(FieldError::invalid(field, stored, &detail));
        }
    }
}
