//! The scale subresource of sets and of custom resources.

use std::sync::Arc;

use kube_schema::crd::ScalePaths;
use kube_schema::patch::{json_patch, merge_patch};
use serde_json::{Value, json};

use super::update::Origin;
use super::{Patch, PatchKind};
use crate::call::{Call, Target};
use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::{ApiStatus, Cause};
use crate::store::text;

/// How a Scale comes in.
pub enum ScaleWrite {
    /// PUT.
    Replace(Value),
    /// PATCH.
    Patch(Patch),
}

impl Cluster {
    /// The Scale of an object.
    pub fn scale(&self, target: &Target) -> Result<Value, ApiStatus> {
        let resource = &target.resource;
        let live = self.store.get(&resource.key, &target.namespace, &target.name);
        scale_of(resource, live.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?)
    }

    /// Writes the wanted number through the Scale.
    pub fn write_scale(&mut self, call: &mut Call, target: &Target, write: ScaleWrite) -> Result<Value, ApiStatus> {
        let resource = &target.resource;
        let live = self.store.get(&resource.key, &target.namespace, &target.name).cloned();
        let live = live.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?;
        let scale = match write {
            ScaleWrite::Replace(scale) => scale,
            ScaleWrite::Patch(patch) => {
                let mut scale = scale_of(resource, &live).or_else(|refusal| match refusal.code {
                    500 => Ok(empty_scale(&live)),
                    _ => Err(refusal),
                })?;
                match patch.kind {
                    PatchKind::Json => json_patch(&mut scale, &patch.body)?,
                    PatchKind::Apply { .. } if resource.custom.is_some() => {
                        return Err(ApiStatus::unclassified("request to convert CR to an invalid group/version: autoscaling/v1"));
                    }
                    _ => merge_patch(&mut scale, &patch.body)?,
                }
                scale
            }
        };
        let wanted = scale["spec"]["replicas"].as_i64().unwrap_or_default();
        if wanted < 0 {
            let text = format!("Invalid value: {wanted}: must be greater than or equal to 0");
            let cause = Cause::new("FieldValueInvalid", "spec.replicas", text);
            return Err(ApiStatus::invalid("autoscaling", "Scale", &target.name, vec![cause]));
        }
        let given = text(&scale, "resourceVersion");
        if !given.is_empty() && given != text(&live, "resourceVersion") {
            return Err(ApiStatus::modified(resource, &target.name));
        }
        let mut object = (*live).clone();
        set(&mut object, &paths(resource).spec, wanted.into());
        let stored: Arc<Value> = self.replace(call, target, &live, object, Origin::Patch)?;
        scale_of(resource, &stored)
    }
}

fn paths(resource: &Resource) -> ScalePaths {
    let custom = resource.custom.as_ref().and_then(|version| version.kind.custom.as_ref()).and_then(|custom| custom.scale.clone());
    custom.unwrap_or_else(|| ScalePaths { spec: ".spec.replicas".into(), status: ".status.replicas".into(), selector: None })
}

fn get<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').filter(|part| !part.is_empty()).fold(object, |value, part| &value[part])
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[part];
    }
    *at = value;
}

fn empty_scale(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {}, "spec": {}, "status": {"replicas": 0}});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[field].is_null() {
            scale["metadata"][field] = metadata[field].clone();
        }
    }
    scale
}

fn scale_of(resource: &Resource, object: &Value) -> Result<Value, ApiStatus> {
    let paths = paths(resource);
    let wanted = get(object, &paths.spec);
    if wanted.is_null() && resource.custom.is_some() {
        return Err(ApiStatus::unclassified(format!("the spec replicas field \"{}\" does not exist", paths.spec)));
    }
    let mut scale = empty_scale(object);
    let wanted = wanted.as_i64().unwrap_or_default();
    if wanted != 0 {
        scale["spec"]["replicas"] = wanted.into();
    }
    scale["status"]["replicas"] = get(object, &paths.status).as_i64().unwrap_or_default().into();
    let selector = match &paths.selector {
        Some(path) => get(object, path).as_str().unwrap_or_default().to_owned(),
        None if resource.custom.is_some() => String::new(),
        None => selector_text(&object["spec"]["selector"]),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    Ok(scale)
}

/// A selector as text, as tables and scales show it.
pub fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(if selector["matchExpressions"].is_array() { &Value::Null } else { selector });
    let mut terms: Vec<String> =
        labels.as_object().into_iter().flatten().filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}"))).collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values: Vec<&str> = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        terms.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("Exists") => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    terms.sort();
    terms.join(",")
}
