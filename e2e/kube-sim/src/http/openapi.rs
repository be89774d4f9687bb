//! The parts of the `OpenAPI` documents that clients look at.

use axum::body::Body;
use http::Response;
use serde_json::{Map, Value, json};

use super::body;
use crate::cluster::Cluster;
use crate::registry::Resource;

/// First minor version that publishes `OpenAPI` v3.
const V3: u32 = 24;

/// Answers a path below `/openapi`, or `None`.
pub(super) fn answer(cluster: &Cluster, path: &str) -> Option<Response<Body>> {
    let rest = path.strip_prefix("/openapi/")?;
    match rest.split_once('/').unwrap_or((rest, "")) {
        ("v3", "") if cluster.minor >= V3 => Some(body::json(200, index(cluster).to_string())),
        ("v3", place) if cluster.minor >= V3 => {
            let place = place.strip_prefix("apis/").or_else(|| place.strip_prefix("api/"))?;
            let (group, version) = crate::registry::split_api_version(place);
            cluster.registry.has_version(group, version).then(|| body::json(200, document(cluster, group, version).to_string()))
        }
        ("v2", "") => Some(body::json(200, swagger(cluster).to_string())),
        _ => None,
    }
}

fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn versions(cluster: &Cluster) -> Vec<(String, String)> {
    let registry = &cluster.registry;
    let groups: Vec<&str> = std::iter::once("").chain(registry.groups()).collect();
    groups.into_iter().flat_map(|group| registry.versions(group).map(move |version| (group.to_owned(), version.to_owned()))).collect()
}

fn index(cluster: &Cluster) -> Value {
    let paths: Map<String, Value> = versions(cluster)
        .into_iter()
        .map(|(group, version)| {
            let place = root(&group, &version);
            let address = format!("/openapi/v3/{place}?hash={}", cluster.store.revision());
            (place, json!({"serverRelativeURL": address}))
        })
        .collect();
    json!({"paths": paths})
}

/// `#/components/schemas/io.k8s...`: the name under which a kind's schema stands.
fn schema_name(resource: &Resource) -> String {
    let mut group: Vec<&str> = if resource.group.is_empty() { vec!["core"] } else { resource.group.split('.').collect() };
    if resource.custom.is_some() {
        group.reverse();
        return format!("{}.{}.{}", group.join("."), resource.version, resource.kind);
    }
    format!("io.k8s.api.{}.{}.{}", group.first().copied().unwrap_or("core"), resource.version, resource.kind)
}

fn kind_of(resource: &Resource) -> Value {
    json!({"group": &*resource.group, "version": &*resource.version, "kind": &*resource.kind})
}

fn object_path(resource: &Resource) -> String {
    let place = root(&resource.group, &resource.version);
    if resource.namespaced {
        format!("/{place}/namespaces/{{namespace}}/{}/{{name}}", resource.plural)
    } else {
        format!("/{place}/{}/{{name}}", resource.plural)
    }
}

fn operation(resource: &Resource, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> =
        parameters.iter().map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})).collect();
    json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-group-version-kind": kind_of(resource),
    })
}

fn path_item(resource: &Resource) -> Value {
    let mut get = operation(resource, &[]);
    get["x-kubernetes-action"] = "get".into();
    get["responses"]["200"]["content"] =
        json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{}", schema_name(resource))}}});
    let mut patch = operation(resource, &["dryRun", "fieldManager", "fieldValidation", "force"]);
    patch["x-kubernetes-action"] = "patch".into();
    let mut put = operation(resource, &["dryRun", "fieldManager", "fieldValidation"]);
    put["x-kubernetes-action"] = "put".into();
    json!({"get": get, "put": put, "patch": patch})
}

fn document(cluster: &Cluster, group: &str, version: &str) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for resource in cluster.registry.resources(group, version).filter(|resource| !resource.create_only) {
        paths.insert(object_path(resource), path_item(resource));
        schemas.insert(schema_name(resource), schema(cluster, resource));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": format!("v1.{}.0", cluster.minor)},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// A kind's schema: that of its definition, or its outline.
fn schema(cluster: &Cluster, resource: &Resource) -> Value {
    let mut schema = json!({"type": "object"});
    if resource.custom.is_some()
        && let Some(definition) = cluster.store.get("customresourcedefinitions.apiextensions.k8s.io", "", &resource.qualified())
    {
        let versions = definition["spec"]["versions"].as_array();
        let version = versions.into_iter().flatten().find(|version| version["name"] == *resource.version);
        if let Some(found) = version.map(|version| &version["schema"]["openAPIV3Schema"]).filter(|found| found.is_object()) {
            schema = found.clone();
        }
    } else if let Some(kind) = &resource.body_types {
        schema = outline(&kind.schema, 0);
    }
    schema["x-kubernetes-group-version-kind"] = json!([kind_of(resource)]);
    schema
}

/// Deepest level of a built-in type that is written out.
const DEPTH: usize = 12;

fn outline(schema: &kube_schema::schema::Schema, depth: usize) -> Value {
    use kube_schema::schema::Type;
    let kind = match schema.kind {
        Type::Object => "object",
        Type::Array => "array",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
        Type::String | Type::Quantity | Type::IntOrString => "string",
        Type::Any => return json!({}),
    };
    let mut out = json!({"type": kind});
    if depth < DEPTH {
        if !schema.properties.is_empty() {
            let fields: Map<String, Value> =
                schema.properties.iter().map(|(name, field)| (name.clone(), outline(field, depth + 1))).collect();
            out["properties"] = fields.into();
        }
        if let Some(items) = &schema.items {
            out["items"] = outline(items, depth + 1);
        }
        if let Some(values) = &schema.values {
            out["additionalProperties"] = outline(values, depth + 1);
        }
    }
    if !schema.required.is_empty() {
        out["required"] = json!(*schema.required);
    }
    out
}

/// The older document: as much of it as tells clients which kinds there are.
fn swagger(cluster: &Cluster) -> Value {
    let mut paths = Map::new();
    for (group, version) in versions(cluster) {
        for resource in cluster.registry.resources(&group, &version).filter(|resource| !resource.create_only) {
            let mut patch = operation(resource, &["dryRun", "fieldManager", "fieldValidation", "force"]);
            patch["x-kubernetes-action"] = "patch".into();
            paths.insert(object_path(resource), json!({"patch": patch}));
        }
    }
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": format!("v1.{}.0", cluster.minor)}, "paths": paths, "definitions": {}})
}
