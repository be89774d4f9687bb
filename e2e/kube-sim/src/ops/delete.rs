//! Deletion: preconditions, grace, finalizers, propagation.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::call::{Call, Target};
use crate::clock::seconds;
use crate::cluster::Cluster;
use crate::crd;
use crate::http::options::DeleteOptions;
use crate::registry::Resource;
use crate::selector::Selector;
use crate::status::{ApiStatus, deleted};
use crate::store::text;

/// What a deletion did.
#[derive(Debug)]
pub enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Value>),
    /// The object is being deleted.
    Going(Arc<Value>),
}

impl Deleted {
    /// The answer to the request.
    pub fn answer(self, resource: &Resource) -> Value {
        match self {
            Self::Going(object) => crate::convert::to_requested(resource, &object),
            Self::Gone(object) if returns_object(resource) => crate::convert::to_requested(resource, &object),
            Self::Gone(object) => deleted(resource, text(&object, "name"), text(&object, "uid")),
        }
    }
}

/// Kinds whose deletion answers with the object.
fn returns_object(resource: &Resource) -> bool {
    let returning =
        ["pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "podtemplates", "resourcequotas"];
    resource.group.is_empty() && returning.contains(&&*resource.plural)
}

impl Cluster {
    /// Deletes an object or starts its deletion.
    pub fn delete(&mut self, call: &Call, target: &Target, options: &DeleteOptions) -> Result<Deleted, ApiStatus> {
        let resource = &target.resource;
        let live = self.store.get(&resource.key, &target.namespace, &target.name).cloned();
        let live = live.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?;
        check_preconditions(resource, &live, options)?;
        if resource.is_core("namespaces") && matches!(target.name.as_str(), "default" | "kube-system" | "kube-public") {
            return Err(ApiStatus::forbidden(resource, &target.name, "this namespace may not be deleted"));
        }
        let mut object = (*live).clone();
        set_finalizers(resource, &mut object, options);
        let grace = grace_period(resource, &live, options);
        let held = object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
            || (resource.is_core("namespaces") && live["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()))
            || &*resource.plural == "customresourcedefinitions";
        if !held && grace == 0 {
            let gone = if call.dry_run || options.dry_run { live } else { self.remove(call, resource, &live) };
            return Ok(Deleted::Gone(if resource.is_core("pods") { with_its_time(call, resource, &gone) } else { gone }));
        }
        mark(call, resource, &live, &mut object, grace);
        if call.dry_run || options.dry_run || object == *live {
            return Ok(Deleted::Going(if object == *live { live } else { Arc::new(object) }));
        }
        let stored = self.store.put(&resource.key, object);
        if &*resource.plural == "customresourcedefinitions" {
            return Ok(self.delete_instances(call, resource, &stored));
        }
        Ok(Deleted::Going(stored))
    }

    /// Deletes all selected objects of a collection; the answer lists them as they were.
    pub fn delete_collection(
        &mut self,
        call: &Call,
        target: &Target,
        selector: &Selector,
        options: &DeleteOptions,
    ) -> Result<Vec<Arc<Value>>, ApiStatus> {
        let resource = &target.resource;
        let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
        let found: Vec<Arc<Value>> = self.store.list(&resource.key, namespace).filter(|object| selector.matches(object)).cloned().collect();
        for object in &found {
            let one = Target {
                resource: resource.clone(),
                namespace: text(object, "namespace").to_owned(),
                name: text(object, "name").to_owned(),
                subresource: String::new(),
            };
            match self.delete(call, &one, options) {
                Ok(_) => {}
                Err(refusal) if refusal.code == 404 => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(found)
    }

    /// Removes an object at once, and what goes with it.
    pub(super) fn remove(&mut self, call: &Call, resource: &Resource, live: &Arc<Value>) -> Arc<Value> {
        let removed = self.store.remove(&resource.key, text(live, "namespace"), text(live, "name"));
        match (&*resource.group, &*resource.plural) {
            ("apiextensions.k8s.io", "customresourcedefinitions") => crd::unserve(self, live, call.now),
            ("", "serviceaccounts") => {
                let uid = text(live, "uid").to_owned();
                self.tokens.retain(|_, token| token.uid != uid);
            }
            ("", "secrets") => self.forget_secret_token(live),
            _ => self.finish_definition(call, resource),
        }
        removed.unwrap_or_else(|| live.clone())
    }

    /// A definition that waited for this last object of its kind goes with it.
    fn finish_definition(&mut self, call: &Call, resource: &Resource) {
        let Some(definition) = crd::definition_of(self, resource) else { return };
        if !self.has_instances(&definition)
            && let Some(definitions) = self.resource_of("apiextensions.k8s.io", "CustomResourceDefinition")
        {
            self.remove(call, &definitions, &definition);
        }
    }

    fn has_instances(&self, definition: &Value) -> bool {
        let key = crd::store_key(definition);
        self.store.list(&key, None).next().is_some()
    }

    /// A deleted definition takes its objects with it; it stays as long as one of them is held.
    fn delete_instances(&mut self, call: &Call, definitions: &Resource, definition: &Arc<Value>) -> Deleted {
        let group = definition["spec"]["group"].as_str().unwrap_or_default();
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default();
        if let Some(resource) = self.registry.by_group_plural(group, plural).cloned() {
            let target = Target { resource, namespace: String::new(), name: String::new(), subresource: String::new() };
            // Only a precondition could refuse, and there is none.
            let _ = self.delete_collection(call, &target, &Selector::default(), &DeleteOptions::default());
        }
        if !self.has_instances(definition) && self.store.get(&definitions.key, "", text(definition, "name")).is_some() {
            self.remove(call, definitions, definition);
        }
        Deleted::Going(definition.clone())
    }
}

fn check_preconditions(resource: &Resource, live: &Value, options: &DeleteOptions) -> Result<(), ApiStatus> {
    let name = text(live, "name");
    if let Some(uid) = &options.uid
        && uid != text(live, "uid")
    {
        let text = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            text(live, "uid")
        );
        return Err(ApiStatus::precondition(resource, name, &text));
    }
    if let Some(version) = &options.resource_version
        && version != text(live, "resourceVersion")
    {
        let text = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            text(live, "resourceVersion")
        );
        return Err(ApiStatus::precondition(resource, name, &text));
    }
    Ok(())
}

/// The garbage collector's finalizers follow from the propagation policy.
fn set_finalizers(resource: &Resource, object: &mut Value, options: &DeleteOptions) {
    let policy = options.propagation.as_deref();
    // Jobs keep the habit of their first version: their pods stay unless told otherwise.
    let orphan = policy == Some("Orphan") || (policy.is_none() && &*resource.group == "batch" && &*resource.plural == "jobs");
    let wanted = if orphan {
        Some("orphan")
    } else if policy == Some("Foreground") {
        Some("foregroundDeletion")
    } else {
        None
    };
    if policy.is_none() && wanted.is_none() {
        return;
    }
    let mut finalizers: Vec<Value> = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != "orphan" && finalizer != "foregroundDeletion");
    finalizers.extend(wanted.map(Value::from));
    if finalizers.is_empty() {
        super::clear_metadata(object, &["finalizers"]);
    } else {
        object["metadata"]["finalizers"] = finalizers.into();
    }
}

/// Only pods that run somewhere are given time.
fn grace_period(resource: &Resource, live: &Value, options: &DeleteOptions) -> i64 {
    if !resource.is_core("pods") {
        return 0;
    }
    let finished = matches!(live["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if live["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() || finished {
        return 0;
    }
    options.grace.or_else(|| live["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0)
}

/// A kind that may be given time is marked before it goes, though it is given none: the answer shows it, watchers never see it.
fn with_its_time(call: &Call, resource: &Resource, gone: &Arc<Value>) -> Arc<Value> {
    let mut object = (**gone).clone();
    mark(call, resource, gone, &mut object, 0);
    Arc::new(object)
}

/// Sets or shortens the deletion's time.
fn mark(call: &Call, resource: &Resource, live: &Value, object: &mut Value, grace: i64) {
    let started = live["metadata"]["deletionTimestamp"].is_string();
    let left = live["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
    if !started || grace < left {
        let until = call.now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(call.now);
        object["metadata"]["deletionTimestamp"] = seconds(until).into();
        object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        if let Some(generation) = object["metadata"]["generation"].as_i64().filter(|_| !started) {
            object["metadata"]["generation"] = (generation + 1).into();
        }
    }
    if resource.is_core("namespaces") {
        object["status"] = json!({"phase": "Terminating"});
    }
    if &*resource.plural == "customresourcedefinitions" && !started {
        crd::mark_terminating(object, call.now);
    }
}
