//! Replacement, of the object or of its status.

use std::sync::Arc;

use kube_schema::prepare::Scope;
use kube_schema::{apply, defaults, prepare, validate};
use serde_json::Value;

use super::{carry_metadata, decode_body, refuse_invalid, settle_namespace, types};
use crate::admission::{self, Operation};
use crate::call::{Call, Target};
use crate::clock::seconds;
use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::{ApiStatus, Cause};
use crate::store::text;

/// What the server alone writes.
const SERVERS: [&str; 5] = ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

/// How an update came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// PUT: the uid is a precondition.
    Put,
    /// A patch of what was read a moment ago.
    Patch,
    /// An apply: ownership is noted already.
    Apply,
}

impl Cluster {
    /// Replaces an object, or its status when the target's subresource is `status`.
    pub fn update(&mut self, call: &mut Call, target: &Target, body: Value) -> Result<(Arc<Value>, bool), ApiStatus> {
        let resource = &target.resource;
        let mut object = decode_body(call, resource, body)?;
        let name = text(&object, "name");
        if name.is_empty() {
            return Err(ApiStatus::bad_request("name must be provided"));
        }
        if name != target.name {
            let text = format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
            return Err(ApiStatus::bad_request(text));
        }
        settle_namespace(resource, &target.namespace, &mut object)?;
        let Some(live) = self.store.get(&resource.key, &target.namespace, &target.name).cloned() else {
            if target.subresource.is_empty() && creates_on_update(resource) {
                return self.create_decoded(call, target, object, None).map(|created| (created, true));
            }
            return Err(ApiStatus::not_found(resource, &target.name));
        };
        if text(&object, "resourceVersion").is_empty() && !updates_unconditionally(resource) {
            let text = "Invalid value: 0: must be specified for an update";
            let cause = Cause::new("FieldValueInvalid", "metadata.resourceVersion", text);
            return Err(ApiStatus::invalid(&resource.group, &resource.kind, &target.name, vec![cause]));
        }
        self.replace(call, target, &live, object, Origin::Put).map(|stored| (stored, false))
    }

    /// Stores a new state of a live object.
    pub(super) fn replace(
        &mut self,
        call: &mut Call,
        target: &Target,
        live: &Arc<Value>,
        mut object: Value,
        origin: Origin,
    ) -> Result<Arc<Value>, ApiStatus> {
        let resource = &target.resource;
        let kind = types(resource)?;
        check_preconditions(target, live, &mut object, origin)?;
        carry_metadata(&mut object, live, &SERVERS);
        let scope = if target.subresource == "status" { Scope::Status } else { Scope::Main };
        let finalizers = object.get("spec").and_then(|spec| spec.get("finalizers")).cloned().unwrap_or_default();
        prepare::for_update(kind, &mut object, live, scope);
        if resource.is_core("namespaces") {
            let finalize = target.subresource == "finalize";
            object["spec"]["finalizers"] = if finalize { finalizers } else { live["spec"]["finalizers"].clone() };
        }
        defaults::apply(kind, &mut object);
        let operation = Operation::Update { live: live.clone(), subresource: target.subresource.clone() };
        admission::mutate(self, call, resource, &operation, &mut object)?;
        if target.subresource.is_empty() {
            crate::allocate::keep_addresses(resource, live, &mut object);
        }
        refuse_invalid(resource, &target.name, &validate::update(kind, &object, live))?;
        if target.subresource.is_empty() {
            self.allocate(resource, Some(live), &mut object)?;
        }
        admission::validate(self, call, resource, &operation, &object)?;
        if origin != Origin::Apply {
            let subresource = if target.subresource == "finalize" { "" } else { target.subresource.as_str() };
            apply::track_update(kind, Some(live), &mut object, &call.manager, subresource, &seconds(call.now));
        }
        Ok(self.keep(call, resource, live, object))
    }

    /// Stores the object unless nothing changed; one that only waited for its finalizers goes.
    pub(super) fn keep(&mut self, call: &Call, resource: &Resource, live: &Arc<Value>, mut object: Value) -> Arc<Value> {
        object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        object["metadata"]["uid"] = live["metadata"]["uid"].clone();
        if call.dry_run {
            return Arc::new(object);
        }
        if is_finished(resource, &object) {
            let removed = self.remove(call, resource, live);
            object["metadata"]["resourceVersion"] = removed["metadata"]["resourceVersion"].clone();
            return Arc::new(object);
        }
        if apply::is_unchanged(live, &object) {
            return live.clone();
        }
        let stored = self.store.put(&resource.key, object);
        self.after_write(call, resource, &stored);
        stored
    }
}

/// The object is being deleted and nothing holds it any more.
fn is_finished(resource: &Resource, object: &Value) -> bool {
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    let metadata = &object["metadata"];
    metadata["deletionTimestamp"].is_string()
        && empty(&metadata["finalizers"])
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0
        && (!resource.is_core("namespaces") || empty(&object["spec"]["finalizers"]))
}

/// Where a real server keeps objects of a kind in etcd: its texts name it. Built-in kinds are kept by
/// their plural name alone, all others by their group too.
fn storage_folder(resource: &Resource) -> String {
    let (group, plural) = (&*resource.group, &*resource.plural);
    let is_extension = ["apiextensions.k8s.io", "apiregistration.k8s.io"].contains(&group);
    let is_built_in = resource.custom.is_none() && !is_extension;
    match plural {
        "services" if group.is_empty() => "services/specs".to_owned(),
        "endpoints" if group.is_empty() => "services/endpoints".to_owned(),
        "nodes" if group.is_empty() => "minions".to_owned(),
        "ingresses" if is_built_in => "ingress".to_owned(),
        _ if is_built_in => plural.to_owned(),
        _ => format!("{group}/{plural}"),
    }
}

fn check_preconditions(target: &Target, live: &Value, object: &mut Value, origin: Origin) -> Result<(), ApiStatus> {
    let resource = &target.resource;
    let (given, is) = (text(object, "resourceVersion"), text(live, "resourceVersion"));
    if !matches!(given, "" | "0") && given != is {
        return Err(ApiStatus::modified(resource, &target.name));
    }
    let (given, is) = (text(object, "uid"), text(live, "uid"));
    if origin == Origin::Put && !given.is_empty() && given != is {
        let key = format!("/registry/{}/{}/{}", storage_folder(resource), target.namespace, target.name);
        let text = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {given}, UID in object meta: {is}"
        );
        return Err(ApiStatus::conflict(resource, &target.name, &text));
    }
    if given.is_empty() || target.subresource == "status" {
        object["metadata"]["uid"] = live["metadata"]["uid"].clone();
    }
    object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    Ok(())
}

/// A PUT to a name that does not exist creates.
fn creates_on_update(resource: &Resource) -> bool {
    matches!(
        (&*resource.group, &*resource.plural),
        ("" | "events.k8s.io", "events")
            | ("", "endpoints" | "limitranges" | "services")
            | ("coordination.k8s.io", "leases")
            | ("rbac.authorization.k8s.io", _)
    )
}

/// A PUT may leave out the resource version.
fn updates_unconditionally(resource: &Resource) -> bool {
    resource.custom.is_none()
        && !matches!(
            (&*resource.group, &*resource.plural),
            ("coordination.k8s.io", "leases") | ("apiextensions.k8s.io" | "policy", _) | ("storage.k8s.io", "csinodes")
        )
}
