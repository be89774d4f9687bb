//! `ResourceQuotas`: what a namespace uses of what it may.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{CLAIM, POD, QUOTA, SERVICE};
use crate::node_usage::requests_of;
use crate::pods::is_finished;
use crate::quantity::{format, nanos};
use crate::value::{items, text};
use crate::volumes::class_of;

pub(crate) struct Quotas;

impl Controller for Quotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        if change.is(QUOTA) {
            return if change.deleted { Vec::new() } else { vec![change.key()] };
        }
        // Usage changes when objects come and go, when pods end and when claims or Services change.
        let matters =
            change.deleted || old.is_none() || (change.is(POD) && is_finished(&change.object)) || change.is(CLAIM) || change.is(SERVICE);
        if change.namespace.is_empty() || !matters {
            return Vec::new();
        }
        index.list_in(QUOTA, &change.namespace).map(|quota| Key::of(quota)).collect()
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(quota) = context.index.at(key).cloned() else { return Ok(None) };
        let mut used = Map::new();
        for (resource, hard) in quota.pointer("/spec/hard").and_then(Value::as_object).into_iter().flatten() {
            if let Some(amount) = usage(context, &quota, &key.namespace, resource) {
                used.insert(resource.clone(), format(amount, hard.as_str().unwrap_or_default()).into());
            }
        }
        let status = json!({"hard": quota.pointer("/spec/hard").cloned().unwrap_or_else(|| json!({})), "used": used});
        context.write_status(&quota, status).map(|()| None)
    }
}

/// What the namespace uses of a resource; `None` for one that is not counted.
fn usage(context: &Context<'_>, quota: &Value, namespace: &str, resource: &str) -> Option<i128> {
    let one = nanos(&1.into());
    let claims = || context.index.list_in(CLAIM, namespace);
    let storage =
        |claims: Vec<&Arc<Value>>| claims.iter().filter_map(|claim| claim.pointer("/spec/resources/requests/storage")).map(nanos).sum();
    if let Some((class, resource)) = resource.split_once(".storageclass.storage.k8s.io/") {
        let of_class: Vec<_> = claims().filter(|claim| class_of(claim) == class).collect();
        return Some(if resource == "requests.storage" { storage(of_class) } else { one * i128::try_from(of_class.len()).ok()? });
    }
    if let Some(counted) = resource.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return count(context, namespace, plural, group).map(|number| number * one);
    }
    let services = |kind: &str| context.index.list_in(SERVICE, namespace).filter(|service| text(service, "/spec/type") == kind).count();
    Some(match resource {
        "requests.storage" => storage(claims().collect()),
        "services.loadbalancers" => one * i128::try_from(services("LoadBalancer")).ok()?,
        "services.nodeports" => {
            let ports = context
                .index
                .list_in(SERVICE, namespace)
                .flat_map(|service| items(service, "/spec/ports"))
                .filter(|port| port.get("nodePort").is_some());
            one * i128::try_from(ports.count()).ok()?
        }
        "pods" | "cpu" | "memory" | "ephemeral-storage" => of_pods(context, quota, namespace, resource, false),
        _ if resource.starts_with("requests.") => of_pods(context, quota, namespace, &resource["requests.".len()..], false),
        _ if resource.starts_with("limits.") => of_pods(context, quota, namespace, &resource["limits.".len()..], true),
        plural => return count(context, namespace, plural, "").map(|number| number * one),
    })
}

fn of_pods(context: &Context<'_>, quota: &Value, namespace: &str, resource: &str, limits: bool) -> i128 {
    let pods = context.index.list_in(POD, namespace).filter(|pod| !is_finished(pod) && in_scope(quota, pod));
    pods.map(|pod| if limits { limit_of(pod, resource) } else { requests_of(pod).get(resource).copied().unwrap_or(0) }).sum()
}

fn limit_of(pod: &Value, resource: &str) -> i128 {
    let limit = |container: &Value| container.pointer("/resources/limits").and_then(|limits| limits.get(resource)).map_or(0, nanos);
    items(pod, "/spec/containers").iter().map(limit).sum()
}

/// A quota with scopes counts only the pods within all of them.
fn in_scope(quota: &Value, pod: &Value) -> bool {
    let is_terminating = pod.pointer("/spec/activeDeadlineSeconds").is_some_and(|seconds| !seconds.is_null());
    let is_best_effort = text(pod, "/status/qosClass") == "BestEffort";
    items(quota, "/spec/scopes").iter().filter_map(Value::as_str).all(|scope| match scope {
        "Terminating" => is_terminating,
        "NotTerminating" => !is_terminating,
        "BestEffort" => is_best_effort,
        "NotBestEffort" => !is_best_effort,
        _ => true,
    })
}

/// Number of objects of a resource; its kind is found by the usual plural of what is served.
fn count(context: &Context<'_>, namespace: &str, plural: &str, group: &str) -> Option<i128> {
    let served = context.api.served();
    let (group, _, kind, _) = served.iter().find(|(served, _, kind, is_namespaced)| {
        let singular = kind.to_lowercase();
        *is_namespaced && served == group && [format!("{singular}s"), format!("{singular}es"), singular].iter().any(|name| name == plural)
    })?;
    i128::try_from(context.api.list_dynamic(group, kind, Some(namespace)).len()).ok()
}
