//! What requests do to the cluster: create, replace, patch, delete, and the subresources.

mod create;
mod delete;
mod eviction;
mod patch;
pub mod scale;
mod subresource;
mod tokens;
mod update;

pub use patch::{Patch, PatchKind};

use kube_schema::Kind;
use kube_schema::decode::{self, FieldValidation as Unknown};
use serde_json::Value;

use crate::call::{Call, FieldValidation};
use crate::convert;
use crate::registry::Resource;
use crate::status::ApiStatus;

/// The type of a stored resource.
fn types(resource: &Resource) -> Result<&Kind, ApiStatus> {
    resource.types.as_deref().ok_or_else(ApiStatus::method_not_allowed)
}

/// Makes a stored object of a request's body: types, unknown fields, the version it is kept in.
fn decode_body(call: &mut Call, resource: &Resource, body: Value) -> Result<Value, ApiStatus> {
    let kind = resource.body_types.as_deref().ok_or_else(ApiStatus::method_not_allowed)?;
    let mut body = body;
    if kind.gvk.version != *resource.version || kind.gvk.group != *resource.group {
        // An old version whose type is that of the stored one: only the name of the version differs.
        if body["apiVersion"] == resource.api_version() {
            body["apiVersion"] = kind.gvk.api_version().into();
        }
        let decoded = decode_as(call, kind, body)?;
        return Ok(decoded);
    }
    let decoded = decode_as(call, kind, body)?;
    Ok(convert::to_stored(resource, decoded))
}

fn decode_as(call: &mut Call, kind: &Kind, mut body: Value) -> Result<Value, ApiStatus> {
    decode::check_type(kind, &mut body)?;
    let validation = match call.validation {
        FieldValidation::Strict => Unknown::Strict,
        FieldValidation::Warn => Unknown::Warn,
        FieldValidation::Ignore => Unknown::Ignore,
    };
    let decoded = decode::decode(kind, body, validation)?;
    call.warnings.extend(decoded.warnings);
    Ok(decoded.object)
}

/// The object's namespace has to be the request's; an absent one is filled in.
fn settle_namespace(resource: &Resource, namespace: &str, object: &mut Value) -> Result<(), ApiStatus> {
    let given = crate::store::text(object, "namespace");
    if !resource.namespaced {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
        return Ok(());
    }
    if !given.is_empty() && given != namespace {
        return Err(ApiStatus::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
    }
    object["metadata"]["namespace"] = namespace.into();
    Ok(())
}

/// Refused fields become a 422.
fn refuse_invalid(resource: &Resource, name: &str, errors: &[kube_schema::FieldError]) -> Result<(), ApiStatus> {
    if errors.is_empty() {
        return Ok(());
    }
    // Refusals name the kind that is kept, whichever version was asked.
    let gvk = kube_schema::Gvk::new(&resource.storage.0, &resource.storage.1, &resource.kind);
    Err(kube_schema::error::invalid(&gvk, name, errors).into())
}

/// Removes fields of the metadata.
fn clear_metadata(object: &mut Value, fields: &[&str]) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in fields {
            metadata.remove(*field);
        }
    }
}

/// Takes fields of the metadata over that a request gave.
fn keep_given(object: &mut Value, given: &Value, fields: &[&str]) {
    for field in fields {
        if let Some(value) = given["metadata"].get(*field) {
            object["metadata"][*field] = value.clone();
        }
    }
}

/// Takes a field of the metadata over from another state of the object, or removes it.
fn carry_metadata(object: &mut Value, from: &Value, fields: &[&str]) {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    for field in fields {
        match from["metadata"].get(*field) {
            Some(value) => object["metadata"][*field] = value.clone(),
            None => clear_metadata(object, &[field]),
        }
    }
}
