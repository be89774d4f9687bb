//! What a new pod gets: service account, priority, tolerations, limits.

use serde_json::{Value, json};

use super::limits;
use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::ApiStatus;
use crate::store::text;

const PRIORITIES: &str = "priorityclasses.scheduling.k8s.io";

/// Completes a pod that is being created.
pub fn complete(cluster: &Cluster, resource: &Resource, pod: &mut Value) -> Result<(), ApiStatus> {
    service_account(cluster, resource, pod)?;
    priority(cluster, resource, pod)?;
    tolerations(pod);
    limits::apply_defaults(cluster, pod);
    if !pod["spec"]["nodeName"].is_null() {
        super::topology::label(cluster, pod);
    }
    Ok(())
}

fn service_account(cluster: &Cluster, resource: &Resource, pod: &mut Value) -> Result<(), ApiStatus> {
    let namespace = text(pod, "namespace").to_owned();
    let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Ok(());
    }
    pod["spec"]["serviceAccount"] = name.clone().into();
    // The account `default` comes with its namespace, a moment later.
    if name != "default" && cluster.core("serviceaccounts", &namespace, &name).is_none() {
        let text = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        return Err(ApiStatus::forbidden(resource, crate::store::text(pod, "name"), &text));
    }
    Ok(())
}

/// A pod that names no service account has the one called `default`.
pub fn default_service_account(pod: &mut Value) {
    if pod["spec"]["serviceAccountName"].as_str().unwrap_or_default().is_empty() {
        pod["spec"]["serviceAccountName"] = "default".into();
        pod["spec"]["serviceAccount"] = "default".into();
    }
}

fn priority(cluster: &Cluster, resource: &Resource, pod: &mut Value) -> Result<(), ApiStatus> {
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let class = if name.is_empty() {
        cluster.store.list(PRIORITIES, None).find(|class| class["globalDefault"] == true).cloned()
    } else {
        let found = cluster.store.get(PRIORITIES, "", &name).cloned();
        if found.is_none() {
            let text = format!("no PriorityClass with name {name} was found");
            return Err(ApiStatus::forbidden(resource, text_or_empty(pod), &text));
        }
        found
    };
    let policy = class.as_ref().and_then(|class| class["preemptionPolicy"].as_str()).unwrap_or("PreemptLowerPriority").to_owned();
    pod["spec"]["priority"] = class.as_ref().map_or(json!(0), |class| class["value"].clone());
    if let Some(class) = &class {
        pod["spec"]["priorityClassName"] = text(class, "name").into();
    }
    if pod["spec"]["preemptionPolicy"].is_null() && cluster.minor >= 19 {
        pod["spec"]["preemptionPolicy"] = policy.into();
    }
    Ok(())
}

fn text_or_empty(pod: &Value) -> &str {
    text(pod, "name")
}

/// A pod stays five minutes on a node that is lost, unless it says otherwise.
fn tolerations(pod: &mut Value) {
    let mut tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = tolerations.iter().any(|toleration| {
            let named = toleration["key"].as_str().unwrap_or_default();
            let effect = toleration["effect"].as_str().unwrap_or_default();
            (named == key || named.is_empty()) && matches!(effect, "" | "NoExecute")
        });
        if !tolerated {
            tolerations.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
    pod["spec"]["tolerations"] = tolerations.into();
}
