//! Resource quotas.

use std::collections::BTreeMap;

use kube_schema::quantity::Quantity;
use serde_json::Value;

use super::Operation;
use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::ApiStatus;
use crate::store::text;

/// Billionths of a resource by its name.
type Usage = BTreeMap<String, i128>;

/// Refuses what a quota of the namespace has no room for.
pub fn check(cluster: &Cluster, resource: &Resource, operation: &Operation, object: &Value) -> Result<(), ApiStatus> {
    if !resource.namespaced || resource.is_core("resourcequotas") {
        return Ok(());
    }
    let namespace = text(object, "namespace");
    for quota in cluster.store.list("resourcequotas.", Some(namespace)) {
        let mut wanted = usage(resource, object);
        if let Operation::Update { live, .. } = operation {
            for (name, amount) in usage(resource, live) {
                *wanted.entry(name).or_default() -= amount;
            }
        }
        wanted.retain(|_, amount| *amount > 0);
        if operation.is_create() {
            must_specify(quota, resource, object)?;
        }
        refuse_excess(cluster, quota, resource, object, &wanted)?;
    }
    Ok(())
}

fn refuse_excess(cluster: &Cluster, quota: &Value, resource: &Resource, object: &Value, wanted: &Usage) -> Result<(), ApiStatus> {
    let Some(hard) = quota["spec"]["hard"].as_object() else { return Ok(()) };
    let mut exceeded: BTreeMap<&str, (i128, i128, &Value)> = BTreeMap::new();
    let mut used: Option<Usage> = None;
    for (name, limit) in hard {
        let (Some(amount), Ok(most)) = (wanted.get(name), Quantity::from_json(limit)) else { continue };
        let used = used.get_or_insert_with(|| {
            let mut total = Usage::new();
            for other in cluster.store.list(&resource.key, Some(text(object, "namespace"))).filter(|other| counts(resource, other)) {
                for (name, amount) in usage(resource, other) {
                    *total.entry(name).or_default() += amount;
                }
            }
            total
        });
        let before = used.get(name).copied().unwrap_or_default();
        if before + amount > most.nanos() {
            exceeded.insert(name, (*amount, before, limit));
        }
    }
    if exceeded.is_empty() {
        return Ok(());
    }
    let amounts = |pick: fn(&(i128, i128, &Value)) -> String| {
        exceeded.iter().map(|(name, entry)| format!("{name}={}", pick(entry))).collect::<Vec<_>>().join(",")
    };
    let text = format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        text(quota, "name"),
        amounts(|(asked, _, limit)| print(*asked, limit)),
        amounts(|(_, used, limit)| print(*used, limit)),
        amounts(|(_, _, limit)| limit.as_str().map_or_else(|| limit.to_string(), str::to_owned)),
    );
    Err(ApiStatus::forbidden(resource, crate::store::text(object, "name"), &text))
}

/// An amount in the style of the limit it is compared with.
fn print(nanos: i128, like: &Value) -> String {
    let binary = like.as_str().is_some_and(|text| text.ends_with('i'));
    if binary && nanos % 1_000_000_000 == 0 {
        let whole = nanos / 1_000_000_000;
        for (suffix, bits) in [("Ti", 40_u32), ("Gi", 30), ("Mi", 20), ("Ki", 10)] {
            if whole != 0 && whole % (1_i128 << bits) == 0 {
                return format!("{}{suffix}", whole >> bits);
            }
        }
        return whole.to_string();
    }
    let text = if nanos % 1_000_000_000 == 0 { (nanos / 1_000_000_000).to_string() } else { format!("{}m", nanos / 1_000_000) };
    Quantity::parse(&text).map_or(text, |quantity| quantity.canonical())
}

/// Pods that ended use nothing any more.
fn counts(resource: &Resource, object: &Value) -> bool {
    !resource.is_core("pods") || !matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// What an object takes from quotas.
fn usage(resource: &Resource, object: &Value) -> Usage {
    const ONE: i128 = 1_000_000_000;
    let mut usage = Usage::new();
    usage.insert(format!("count/{}", resource.qualified()), ONE);
    if !resource.group.is_empty() {
        return usage;
    }
    match &*resource.plural {
        "pods" => {
            usage.insert("pods".to_owned(), ONE);
            for field in ["requests", "limits"] {
                for (name, amount) in pod_total(object, field) {
                    if field == "requests" {
                        usage.insert(name.clone(), amount);
                    }
                    usage.insert(format!("{field}.{name}"), amount);
                }
            }
        }
        "persistentvolumeclaims" => {
            usage.insert("persistentvolumeclaims".to_owned(), ONE);
            let size = Quantity::from_json(&object["spec"]["resources"]["requests"]["storage"]).map_or(0, |size| size.nanos());
            usage.insert("requests.storage".to_owned(), size);
            if let Some(class) = object["spec"]["storageClassName"].as_str().filter(|class| !class.is_empty()) {
                usage.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
                usage.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), ONE);
            }
        }
        "services" => {
            usage.insert("services".to_owned(), ONE);
            let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len);
            match object["spec"]["type"].as_str() {
                Some("NodePort") => {
                    usage.insert("services.nodeports".to_owned(), ONE * ports as i128);
                }
                Some("LoadBalancer") => {
                    usage.insert("services.loadbalancers".to_owned(), ONE);
                }
                _ => {}
            }
        }
        plural => {
            usage.insert(plural.to_owned(), ONE);
        }
    }
    usage
}

fn pod_total(pod: &Value, field: &str) -> Usage {
    let amounts = |container: &Value| -> Usage {
        let resources = container["resources"][field].as_object().into_iter().flatten();
        resources.filter_map(|(name, value)| Some((name.clone(), Quantity::from_json(value).ok()?.nanos()))).collect()
    };
    let mut total = Usage::new();
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        for (name, amount) in amounts(container) {
            *total.entry(name).or_default() += amount;
        }
    }
    for container in pod["spec"]["initContainers"].as_array().into_iter().flatten() {
        for (name, amount) in amounts(container) {
            let most = total.entry(name).or_default();
            *most = (*most).max(amount);
        }
    }
    total
}

/// Where a quota limits processor or memory, every container has to say what it takes.
fn must_specify(quota: &Value, resource: &Resource, pod: &Value) -> Result<(), ApiStatus> {
    if !resource.is_core("pods") {
        return Ok(());
    }
    let mut missing = Vec::new();
    let mut names: Vec<&String> = quota["spec"]["hard"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    for name in names {
        let (field, what) = match name.as_str() {
            "cpu" | "memory" => ("requests", name.as_str()),
            other => match other.split_once('.') {
                Some((field @ ("requests" | "limits"), what @ ("cpu" | "memory"))) => (field, what),
                _ => continue,
            },
        };
        let containers: Vec<&str> = pod["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|container| container["resources"][field][what].is_null())
            .filter_map(|container| container["name"].as_str())
            .collect();
        if !containers.is_empty() {
            missing.push(format!("{name} for: {}", containers.join(",")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("failed quota: {}: must specify {}", text(quota, "name"), missing.join("; "));
    Err(ApiStatus::forbidden(resource, crate::store::text(pod, "name"), &text))
}
