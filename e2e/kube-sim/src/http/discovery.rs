//! Discovery documents and the other paths that are no resources.

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::body;
use super::negotiate::Form;
use crate::cluster::Cluster;
use crate::registry::{Registry, Resource, STORED_VERBS, group_version};
use crate::status::ApiStatus;

/// First minor version with aggregated discovery in its present form.
const AGGREGATED: u32 = 30;

/// Answers a path that is no resource.
pub(super) fn answer(cluster: &Cluster, path: &str, form: Form) -> Response<Body> {
    let registry = &cluster.registry;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let aggregated = form == Form::AggregatedDiscovery && cluster.minor >= AGGREGATED;
    let document = match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return body::text(200, "ok"),
        ["version"] => version(cluster.minor),
        ["api"] if aggregated => return aggregated_document(registry, &[""]),
        ["apis"] if aggregated => return aggregated_document(registry, &registry.groups().collect::<Vec<_>>()),
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        }),
        ["apis"] => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": registry.groups().map(|name| group(registry, name)).collect::<Vec<_>>(),
        }),
        ["api", version] if registry.has_version("", version) => resources(registry, "", version),
        ["apis", name] if registry.has_group(name) => {
            let mut document = group(registry, name);
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            document
        }
        ["apis", group, version] if registry.has_version(group, version) => resources(registry, group, version),
        [] => json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}),
        ["api" | "apis", ..] => return body::text(404, "404 page not found\n"),
        _ => return body::status(&ApiStatus::no_such_resource()),
    };
    body::json(200, document.to_string())
}

fn version(minor: u32) -> Value {
    json!({
        "major": "1",
        "minor": minor.to_string(),
        "gitVersion": format!("v1.{minor}.0"),
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

fn group(registry: &Registry, name: &str) -> Value {
    let versions: Vec<Value> =
        registry.versions(name).map(|version| json!({"groupVersion": group_version(name, version), "version": version})).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

/// Verbs of a custom resource, in the order in which the extensions server lists them.
const CUSTOM_VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

fn verbs(resource: &Resource) -> &'static [&'static str] {
    if resource.create_only {
        &["create"]
    } else if resource.custom.is_some() {
        &CUSTOM_VERBS
    } else if resource.is_core("namespaces") {
        &["create", "delete", "get", "list", "patch", "update", "watch"]
    } else {
        &STORED_VERBS
    }
}

/// A subresource: name, verbs, and group, version and kind when they are others than the resource's.
type Sub = (&'static str, &'static [&'static str], Option<(&'static str, &'static str, &'static str)>);

fn subresources(resource: &Resource) -> Vec<Sub> {
    const WRITE: &[&str] = &["get", "patch", "update"];
    let mut found: Vec<Sub> = Vec::new();
    if resource.is_core("pods") {
        found.push(("binding", &["create"], Some(("", "v1", "Binding"))));
        found.push(("eviction", &["create"], Some(("policy", "v1", "Eviction"))));
    }
    if resource.is_core("namespaces") {
        found.push(("finalize", &["update"], None));
    }
    let scale: Sub = ("scale", WRITE, Some(("autoscaling", "v1", "Scale")));
    if resource.has_scale && resource.custom.is_none() {
        found.push(scale);
    }
    if resource.has_status {
        found.push(("status", WRITE, None));
    }
    if resource.has_scale && resource.custom.is_some() {
        found.push(scale);
    }
    if resource.is_core("serviceaccounts") {
        found.push(("token", &["create"], Some(("authentication.k8s.io", "v1", "TokenRequest"))));
    }
    found
}

fn resources(registry: &Registry, group: &str, version: &str) -> Value {
    let mut list = Vec::new();
    for resource in registry.resources(group, version) {
        let mut entry = json!({
            "name": &*resource.plural,
            "singularName": &*resource.singular,
            "namespaced": resource.namespaced,
            "kind": &*resource.kind,
            "verbs": verbs(resource),
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        if !resource.create_only {
            entry["storageVersionHash"] = storage_hash(resource).into();
        }
        list.push(entry);
        for (name, verbs, kind) in subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind.map_or(&*resource.kind, |(_, _, kind)| kind),
                "verbs": verbs,
            });
            if let Some((group, version, _)) =
                kind.filter(|(group, version, _)| *group != &*resource.group || *version != &*resource.version)
            {
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            list.push(entry);
        }
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group, version), "resources": list})
}

/// Eight bytes of a hash over group, version and kind, as storage versions are told apart.
fn storage_hash(resource: &Resource) -> String {
    use base64::Engine;
    use sha2::Digest;
    let hash = sha2::Sha256::digest(format!("{}/{}", resource.storage_version(), resource.kind));
    base64::engine::general_purpose::STANDARD.encode(&hash[..8])
}

fn aggregated_document(registry: &Registry, groups: &[&str]) -> Response<Body> {
    let items: Vec<Value> = groups
        .iter()
        .map(|group| {
            let versions: Vec<Value> = registry.versions(group).map(|version| aggregated_version(registry, group, version)).collect();
            json!({"metadata": if group.is_empty() { json!({"creationTimestamp": null}) } else { json!({"name": group, "creationTimestamp": null}) }, "versions": versions})
        })
        .collect();
    let document = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items});
    let mut response = body::json(200, document.to_string());
    let media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media));
    response
}

fn aggregated_version(registry: &Registry, group: &str, version: &str) -> Value {
    let list: Vec<Value> = registry
        .resources(group, version)
        .map(|resource| {
            let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
            let mut entry = json!({
                "resource": &*resource.plural,
                "responseKind": kind(group, version, &resource.kind),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": &*resource.singular,
                "verbs": verbs(resource),
            });
            if !resource.short_names.is_empty() {
                entry["shortNames"] = json!(resource.short_names);
            }
            if !resource.categories.is_empty() {
                entry["categories"] = json!(resource.categories);
            }
            let subresources: Vec<Value> = subresources(resource)
                .into_iter()
                .map(|(name, verbs, other)| {
                    let (group, version, of) = other.unwrap_or((group, version, &resource.kind));
                    json!({"subresource": name, "responseKind": kind(group, version, of), "verbs": verbs})
                })
                .collect();
            if !subresources.is_empty() {
                entry["subresources"] = subresources.into();
            }
            entry
        })
        .collect();
    json!({"version": version, "resources": list, "freshness": "Current"})
}
