//! Patches of all kinds, server-side apply among them.

use std::sync::Arc;

use kube_schema::apply::{self, Apply};
use kube_schema::decode::{self, FieldValidation as Unknown};
use kube_schema::patch::{json_patch, merge_patch, strategic_merge};
use serde_json::Value;

use super::update::Origin;
use super::{decode_body, settle_namespace, types};
use crate::access::Attributes;
use crate::call::{Call, FieldValidation, Target};
use crate::clock::seconds;
use crate::cluster::Cluster;
use crate::convert;
use crate::status::ApiStatus;
use crate::store::text;

/// How the patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own.
    Strategic,
    /// Server-side apply.
    Apply {
        /// Fields of other managers are taken.
        force: bool,
    },
}

/// A patch.
#[derive(Debug)]
pub struct Patch {
    /// How to read it.
    pub kind: PatchKind,
    /// Its content.
    pub body: Value,
}

impl Cluster {
    /// Patches an object, or its status. Tells whether it was created.
    pub fn patch(&mut self, call: &mut Call, target: &Target, patch: &Patch) -> Result<(Arc<Value>, bool), ApiStatus> {
        let resource = &target.resource;
        if let PatchKind::Apply { force } = patch.kind {
            return self.apply(call, target, &patch.body, force);
        }
        let live = self.store.get(&resource.key, &target.namespace, &target.name).cloned();
        let live = live.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?;
        let mut object = convert::to_requested(resource, &live);
        match patch.kind {
            PatchKind::Json => json_patch(&mut object, &patch.body)?,
            PatchKind::Merge => merge_patch(&mut object, &patch.body)?,
            _ if resource.custom.is_some() => return Err(ApiStatus::new(415, "UnsupportedMediaType", CUSTOM_STRATEGIC)),
            _ => {
                let kind = resource.body_types.as_deref().ok_or_else(ApiStatus::method_not_allowed)?;
                strategic_merge(&kind.schema, &mut object, &patch.body)?;
            }
        }
        let object = decode_body(call, resource, object)?;
        check_name(target, &object)?;
        self.replace(call, target, &live, object, Origin::Patch).map(|stored| (stored, false))
    }

    fn apply(&mut self, call: &mut Call, target: &Target, config: &Value, force: bool) -> Result<(Arc<Value>, bool), ApiStatus> {
        let resource = &target.resource;
        let kind = types(resource)?;
        let given = kube_schema::Gvk::parse(config["apiVersion"].as_str().unwrap_or_default(), config["kind"].as_str().unwrap_or_default());
        if given.api_version() != resource.api_version() || given.kind != *resource.kind {
            return Err(ApiStatus::bad_request(format!("invalid object type: {given}")));
        }
        check_name(target, config)?;
        let mut config = config.clone();
        if resource.namespaced {
            config["metadata"].as_object_mut().map(|metadata| metadata.remove("namespace"));
        }
        if resource.is_converted() {
            config = convert::to_stored(resource, config);
        }
        if resource.custom.is_some() {
            // A custom resource's unknown fields are dropped or refused before the fields are compared.
            let decoded = decode::decode(kind, config.clone(), validation(call))?;
            call.warnings.extend(decoded.warnings);
        }
        let live = self.store.get(&resource.key, &target.namespace, &target.name).cloned();
        let Some(live) = live else { return self.apply_new(call, target, &config, force) };
        let merged = apply::apply(Apply {
            kind,
            live: Some(&live),
            config: &config,
            manager: &call.manager,
            subresource: &target.subresource,
            force,
            now: &seconds(call.now),
        })?;
        let mut merged = decode::decode(kind, merged, Unknown::Ignore)?.object;
        // A manager that gives up all its metadata does not give up the object's name.
        super::carry_metadata(&mut merged, &live, &["name", "namespace", "uid", "generateName"]);
        super::keep_given(&mut merged, &config, &["uid"]);
        self.replace(call, target, &live, merged, Origin::Apply).map(|stored| (stored, false))
    }

    fn apply_new(&mut self, call: &mut Call, target: &Target, config: &Value, force: bool) -> Result<(Arc<Value>, bool), ApiStatus> {
        let resource = &target.resource;
        if !target.subresource.is_empty() {
            return Err(ApiStatus::not_found(resource, &target.name));
        }
        let uid = text(config, "uid");
        if !uid.is_empty() {
            let text = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(ApiStatus::conflict(resource, &target.name, &text));
        }
        let wanted = Attributes {
            verb: "create".to_owned(),
            group: resource.group.to_string(),
            resource: resource.plural.to_string(),
            namespace: target.namespace.clone(),
            ..Attributes::default()
        };
        if crate::access::rbac::allows(&self.store, &call.user, &wanted).is_none() {
            return Err(wanted.refusal(&call.user));
        }
        let kind = types(resource)?;
        let mut object =
            apply::apply(Apply { kind, live: None, config, manager: &call.manager, subresource: "", force, now: &seconds(call.now) })?;
        object = decode::decode(kind, object, Unknown::Ignore)?.object;
        super::clear_metadata(&mut object, &["resourceVersion"]);
        let manager = call.manager.clone();
        self.create_decoded(call, target, object, Some(&manager)).map(|created| (created, true))
    }
}

const CUSTOM_STRATEGIC: &str = "the body of the request was in an unknown format - accepted media types include: \
                                application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

fn validation(call: &Call) -> Unknown {
    match call.validation {
        FieldValidation::Strict => Unknown::Strict,
        FieldValidation::Warn => Unknown::Warn,
        FieldValidation::Ignore => Unknown::Ignore,
    }
}

fn check_name(target: &Target, object: &Value) -> Result<(), ApiStatus> {
    let name = text(object, "name");
    if name != target.name {
        let text = format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
        return Err(ApiStatus::bad_request(text));
    }
    settle_namespace(&target.resource, &target.namespace, &mut object.clone())
}
