//! Creation.

use std::sync::Arc;

use kube_schema::{apply, defaults, prepare, validate};
use serde_json::{Value, json};

use super::{clear_metadata, decode_body, refuse_invalid, settle_namespace, types};
use crate::admission::{self, Operation};
use crate::call::{Call, Target};
use crate::clock::seconds;
use crate::cluster::Cluster;
use crate::crd;
use crate::registry::Resource;
use crate::status::{ApiStatus, Cause};
use crate::store::text;

impl Cluster {
    /// Creates an object from a request's body.
    pub fn create(&mut self, call: &mut Call, target: &Target, body: Value) -> Result<Arc<Value>, ApiStatus> {
        let object = decode_body(call, &target.resource, body)?;
        self.create_decoded(call, target, object, None)
    }

    /// Creates an object that has been decoded. `applied` names the field manager of an apply, which has noted its fields already.
    pub(super) fn create_decoded(
        &mut self,
        call: &mut Call,
        target: &Target,
        mut object: Value,
        applied: Option<&str>,
    ) -> Result<Arc<Value>, ApiStatus> {
        let resource = &target.resource;
        let kind = types(resource)?;
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        settle_namespace(resource, &target.namespace, &mut object)?;
        if !matches!(text(&object, "resourceVersion"), "" | "0") {
            return Err(ApiStatus::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        self.namespace_allows_creation(resource, &target.namespace, &object)?;
        self.identify(call, resource, &mut object)?;
        prepare::for_create(kind, &mut object);
        defaults::apply(kind, &mut object);
        admission::mutate(self, call, resource, &Operation::Create, &mut object)?;
        let name = text(&object, "name").to_owned();
        refuse_invalid(resource, &name, &validate::create(kind, &object))?;
        if let Some(body_kind) = resource.body_types.as_deref().filter(|body_kind| body_kind.gvk != kind.gvk) {
            // A version may demand more than the one that is kept.
            refuse_invalid(resource, &name, &validate::create(body_kind, &crate::convert::to_requested(resource, &object)))?;
        }
        admission::complete(resource, &mut object);
        self.allocate(resource, None, &mut object)?;
        admission::validate(self, call, resource, &Operation::Create, &object)?;
        if self.store.get(&resource.key, &target.namespace, &name).is_some() {
            return Err(ApiStatus::already_exists(resource, &name));
        }
        if applied.is_none() {
            apply::track_update(kind, None, &mut object, &call.manager, "", &seconds(call.now));
        }
        if call.dry_run {
            return Ok(Arc::new(object));
        }
        let stored = self.store.put(&resource.key, object);
        self.after_write(call, resource, &stored);
        Ok(stored)
    }

    /// Name, uid and time of a new object.
    fn identify(&mut self, call: &Call, resource: &Resource, object: &mut Value) -> Result<(), ApiStatus> {
        if text(object, "name").is_empty() {
            let prefix = text(object, "generateName").to_owned();
            if prefix.is_empty() {
                let cause = Cause::new("FieldValueRequired", "metadata.name", "Required value: name or generateName is required");
                return Err(ApiStatus::invalid(&resource.group, &resource.kind, "", vec![cause]));
            }
            let prefix: String = prefix.chars().take(58).collect();
            object["metadata"]["name"] = format!("{prefix}{}", self.ids.suffix()).into();
        }
        clear_metadata(object, &["resourceVersion", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"]);
        object["metadata"]["uid"] = self.ids.uid().into();
        object["metadata"]["creationTimestamp"] = seconds(call.now).into();
        Ok(())
    }

    /// A namespaced object needs a namespace that is there and stays.
    fn namespace_allows_creation(&self, resource: &Resource, namespace: &str, object: &Value) -> Result<(), ApiStatus> {
        if !resource.namespaced {
            return Ok(());
        }
        let Some(found) = self.core("namespaces", "", namespace) else {
            let namespaces = self.registry.by_plural("", "v1", "namespaces");
            return Err(namespaces.map_or_else(ApiStatus::no_such_resource, |resource| ApiStatus::not_found(resource, namespace)));
        };
        if found["status"]["phase"] != "Terminating" {
            return Ok(());
        }
        let text = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refusal = ApiStatus::forbidden(resource, text_or_prefix(object), &text);
        if let Some(details) = &mut refusal.details {
            let sentence = format!("namespace {namespace} is being terminated");
            details.causes.push(Cause::new("NamespaceTerminating", "metadata.namespace", sentence));
        }
        Err(refusal)
    }

    /// What follows from a stored object: definitions are served, roles aggregated, tokens issued.
    pub(super) fn after_write(&mut self, call: &Call, resource: &Resource, stored: &Arc<Value>) {
        match (&*resource.group, &*resource.plural) {
            ("apiextensions.k8s.io", "customresourcedefinitions") => crd::serve(self, stored, call.now),
            ("rbac.authorization.k8s.io", "clusterroles") => self.aggregate_roles(),
            ("", "secrets") => self.issue_secret_token(stored),
            _ => {}
        }
    }

    fn aggregate_roles(&mut self) {
        let key: Arc<str> = crate::access::rbac::CLUSTER_ROLES.into();
        let aggregates: Vec<Arc<Value>> = self.store.list(&key, None).filter(|role| role["aggregationRule"].is_object()).cloned().collect();
        for role in aggregates {
            let rules = crate::access::rbac::aggregated_rules(&self.store, &role).unwrap_or_default();
            if role["rules"].as_array() != Some(&rules) {
                let mut changed = (*role).clone();
                changed["rules"] = rules.into();
                self.store.put(&key, changed);
            }
        }
    }
}

/// The name, or what a generated one would begin with.
fn text_or_prefix(object: &Value) -> &str {
    let name = text(object, "name");
    if name.is_empty() { text(object, "generateName") } else { name }
}
