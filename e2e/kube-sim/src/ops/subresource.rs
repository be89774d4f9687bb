//! Subresources that are neither status nor scale, and kinds that are only created.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::access::reviews;
use crate::call::{Call, Target};
use crate::cluster::Cluster;
use crate::status::ApiStatus;
use crate::store::text;

impl Cluster {
    /// A POST to something that is not simply stored, or `None` when it is.
    pub fn post_special(&mut self, call: &mut Call, target: &Target, body: &Value) -> Option<Result<Value, ApiStatus>> {
        let resource = &target.resource;
        match (&*resource.plural, target.subresource.as_str()) {
            ("pods", "eviction") => Some(self.evict(call, target, body)),
            ("pods", "binding") => Some(self.bind(call, target, body)),
            ("serviceaccounts", "token") => Some(self.request_token(call, target, body.clone())),
            ("bindings", "") if resource.group.is_empty() => {
                let pods = self.registry.by_plural("", "v1", "pods").cloned()?;
                let pod = Target { resource: pods, name: text(body, "name").to_owned(), ..target.clone() };
                Some(self.bind(call, &pod, body))
            }
            ("tokenreviews", "") => Some(Ok(self.review_token(call, body))),
            (_, "") if resource.create_only => reviews::answer(&self.store, &call.user, &resource.kind, &target.namespace, body.clone()),
            _ => None,
        }
    }

    fn review_token(&self, call: &Call, body: &Value) -> Value {
        let token = body["spec"]["token"].as_str().unwrap_or_default();
        let mut review = body.clone();
        review["status"] = match crate::access::service_account_of(&self.tokens, &self.store, token, call.now) {
            Some(user) => json!({"authenticated": true, "user": {"username": user.name, "groups": user.groups}}),
            None => json!({"user": {}, "error": "[invalid bearer token]"}),
        };
        review
    }

    /// Binds a pod to a node.
    fn bind(&mut self, call: &Call, target: &Target, binding: &Value) -> Result<Value, ApiStatus> {
        let resource = &target.resource;
        let live: Option<Arc<Value>> = self.store.get(&resource.key, &target.namespace, &target.name).cloned();
        let live = live.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?;
        let uid = text(binding, "uid");
        if !uid.is_empty() && uid != text(&live, "uid") {
            let text = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", crate::store::text(&live, "uid"));
            return Err(ApiStatus::conflict(resource, &target.name, &text));
        }
        let node = binding["target"]["name"].as_str().unwrap_or_default();
        let bound = live["spec"]["nodeName"].as_str().unwrap_or_default();
        if !bound.is_empty() {
            let text = format!("pod {} is already assigned to node \"{bound}\"", target.name);
            return Err(ApiStatus::conflict(resource, &target.name, &text));
        }
        if live["metadata"]["deletionTimestamp"].is_string() {
            let text = format!("pod {} is being deleted, cannot be assigned to a host", target.name);
            return Err(ApiStatus::conflict(resource, &target.name, &text));
        }
        let mut pod = (*live).clone();
        pod["spec"]["nodeName"] = node.into();
        crate::admission::topology::label(self, &mut pod);
        crate::pods::set_condition(&mut pod, "PodScheduled", call.now);
        if !call.dry_run {
            self.store.put(&resource.key, pod);
        }
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }
}
