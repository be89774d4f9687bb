//! GET of objects and collections.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::body;
use super::handle::Exchange;
use super::negotiate::Form;
use super::options::Query;
use crate::call::Target;
use crate::cluster::Cluster;
use crate::convert::to_requested;
use crate::registry::Resource;
use crate::selector::Selector;
use crate::status::{ApiStatus, Cause, Details};
use crate::store::text;
use crate::tables;

/// One object, or its scale.
pub(super) fn get(exchange: &Exchange<'_>, cluster: &Cluster, target: &Target, form: Form) -> Result<Response<Body>, ApiStatus> {
    let resource = &target.resource;
    if target.subresource == "scale" {
        return Ok(body::json(200, cluster.scale(target)?.to_string()));
    }
    let version = number(exchange.query.get("resourceVersion"))?;
    refuse_future(cluster, version)?;
    let found = cluster.store.get(&resource.key, &target.namespace, &target.name);
    let found = found.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?;
    if form == Form::Plain && !resource.is_converted() {
        return Ok(body::json(200, found.to_string()));
    }
    let object = to_requested(resource, found);
    let shaped = shape(resource, &object, form, &exchange.query, exchange.inner.options.clock.now());
    Ok(body::json(200, shaped.to_string()))
}

/// An object, in the version of the request, in the wanted form.
pub(super) fn shape(resource: &Resource, object: &Value, form: Form, query: &Query, now: Timestamp) -> Value {
    match form {
        Form::Plain | Form::AggregatedDiscovery => object.clone(),
        Form::Metadata => metadata_only(object),
        Form::Table => {
            let mut table = table(resource, [object], query, now);
            table["metadata"] = json!({"resourceVersion": text(object, "resourceVersion")});
            table
        }
    }
}

fn table<'a>(resource: &Resource, objects: impl IntoIterator<Item = &'a Value>, query: &Query, now: Timestamp) -> Value {
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let mut row = json!({"cells": tables::cells(resource, object, now)});
            match query.get("includeObject") {
                "None" => {}
                "Object" => row["object"] = object.clone(),
                _ => row["object"] = metadata_only(object),
            }
            row
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": tables::columns(resource),
        "rows": rows,
    })
}

/// The object's metadata alone.
pub(super) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// A list of objects in their stored state.
pub(super) fn plain_list(resource: &Resource, objects: &[Arc<Value>], revision: u64) -> Value {
    let items = objects.iter().map(|object| item(resource, object)).collect();
    let list = json!({
        "kind": &*resource.list_kind,
        "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": revision.to_string()},
    });
    with_items(list, items)
}

/// A list with its items, which are moved into it: `json!` would copy them.
fn with_items(mut list: Value, items: Vec<Value>) -> Value {
    list["items"] = items.into();
    list
}

/// An object as it stands in a list: built-in ones leave out what the list says already.
fn item(resource: &Resource, object: &Value) -> Value {
    let mut item = to_requested(resource, object);
    if resource.custom.is_none()
        && let Some(fields) = item.as_object_mut()
    {
        fields.shift_remove("kind");
        fields.shift_remove("apiVersion");
    }
    item
}

/// A resource version in a query: absent is 0 with `false`.
fn number(version: &str) -> Result<u64, ApiStatus> {
    if version.is_empty() {
        return Ok(0);
    }
    version.parse().map_err(|_| {
        let text = format!("resourceVersion: Invalid value: \"{version}\": strconv.ParseUint: parsing \"{version}\": invalid syntax");
        ApiStatus::unclassified(text)
    })
}

fn refuse_future(cluster: &Cluster, version: u64) -> Result<(), ApiStatus> {
    let current = cluster.store.revision();
    if version <= current {
        return Ok(());
    }
    let text = format!("Too large resource version: {version}, current: {current}");
    Err(ApiStatus::new(504, "Timeout", text).with(Details {
        causes: vec![Cause::new("ResourceVersionTooLarge", "", "Too large resource version")],
        retry_after: 1,
        ..Details::default()
    }))
}

/// The options of a list or watch.
#[derive(Debug)]
pub(super) struct ListOptions {
    pub selector: Selector,
    /// The resource version of the query, 0 when there is none.
    pub version: u64,
    /// A resource version was given.
    pub versioned: bool,
    pub exact: bool,
}

impl ListOptions {
    pub fn read(query: &Query, target: &Target, is_watch: bool) -> Result<Self, ApiStatus> {
        let selector = Selector::parse(&target.resource, query.get("labelSelector"), query.get("fieldSelector"))?;
        let given = query.get("resourceVersion");
        let matching = query.get("resourceVersionMatch");
        let forbid = |text: &str| {
            let cause = Cause::new("FieldValueForbidden", "resourceVersionMatch", format!("Forbidden: {text}"));
            Err(ApiStatus::invalid_options("ListOptions", cause))
        };
        let initial = query.find("sendInitialEvents").is_some();
        if initial && matching != "NotOlderThan" {
            return forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if is_watch && !initial && !matching.is_empty() {
            return forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        }
        if !matching.is_empty() && given.is_empty() && !initial {
            return forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if !matches!(matching, "" | "Exact" | "NotOlderThan") {
            let text = format!("Unsupported value: \"{matching}\": supported values: \"Exact\", \"NotOlderThan\", \"\"");
            return Err(ApiStatus::invalid_options("ListOptions", Cause::new("FieldValueNotSupported", "resourceVersionMatch", text)));
        }
        if matching == "Exact" && given == "0" {
            return forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
        Ok(Self { selector, version: number(given)?, versioned: !given.is_empty(), exact: matching == "Exact" })
    }
}

/// A collection.
pub(super) fn list(exchange: &Exchange<'_>, cluster: &Cluster, target: &Target, form: Form) -> Result<Response<Body>, ApiStatus> {
    let resource = &target.resource;
    let options = ListOptions::read(&exchange.query, target, false)?;
    refuse_future(cluster, options.version)?;
    let limit = exchange.query.number("limit").unwrap_or_default();
    let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let token = exchange.query.get("continue");
    let (revision, start) = if token.is_empty() {
        let exact = options.exact && options.versioned;
        (if exact { options.version } else { cluster.store.revision() }, None)
    } else {
        let (revision, start) = read_token(token)?;
        (revision, Some(start))
    };
    let namespace = resource.namespaced.then_some(target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let all = cluster.store.at(&resource.key, namespace, revision).ok_or_else(|| expired(token))?;
    let after = |object: &&Arc<Value>| start.as_ref().is_none_or(|(namespace, name)| place(object) > (namespace.as_str(), name.as_str()));
    let mut selected =
        all.iter().filter(after).filter(|object| options.selector.is_everything() || matches(resource, &options.selector, object));
    let page: Vec<&Arc<Value>> = selected.by_ref().take(limit).collect();
    let rest = selected.count();

    let mut metadata = Map::new();
    if resource.custom.is_some() && form == Form::Plain {
        metadata.insert("continue".into(), "".into());
    }
    metadata.insert("resourceVersion".into(), revision.to_string().into());
    if rest > 0
        && let Some(last) = page.last()
    {
        metadata.insert("continue".into(), write_token(revision, place(last)).into());
        if options.selector.is_everything() {
            metadata.insert("remainingItemCount".into(), rest.into());
        }
    }
    let now = exchange.inner.options.clock.now();
    let body = match form {
        Form::Plain | Form::AggregatedDiscovery => {
            let items = page.iter().map(|object| item(resource, object)).collect();
            with_items(json!({"kind": &*resource.list_kind, "apiVersion": resource.api_version(), "metadata": metadata}), items)
        }
        Form::Metadata => {
            let items = page.iter().map(|object| metadata_only(object)).collect();
            with_items(json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}), items)
        }
        Form::Table => {
            let objects: Vec<Value> = page.iter().map(|object| to_requested(resource, object)).collect();
            let mut table = table(resource, &objects, &exchange.query, now);
            table["metadata"] = metadata.into();
            table
        }
    };
    Ok(body::json(200, body.to_string()))
}

/// A stored object is selected; selectors speak of the requested version.
pub(super) fn matches(resource: &Resource, selector: &Selector, object: &Value) -> bool {
    if resource.is_converted() { selector.matches(&to_requested(resource, object)) } else { selector.matches(object) }
}

fn place(object: &Value) -> (&str, &str) {
    (text(object, "namespace"), text(object, "name"))
}

fn write_token(revision: u64, place: (&str, &str)) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{}/{}\u{0}", place.0, place.1)});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Result<(u64, (String, String)), ApiStatus> {
    let bad = |text: String| ApiStatus::bad_request(format!("invalid continue token: continue key is not valid: {text}"));
    let decoded = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|error| bad(base64_problem(&error)))?;
    let value = body::parse_json(&decoded).map_err(bad)?;
    let start = value["start"].as_str().unwrap_or_default().trim_end_matches('\u{0}');
    let (namespace, name) = start.split_once('/').unwrap_or(("", start));
    let revision =
        value["rv"].as_u64().ok_or_else(|| bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned()))?;
    Ok((revision, (namespace.to_owned(), name.to_owned())))
}

fn base64_problem(error: &base64::DecodeError) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(length) => *length,
        base64::DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}

fn expired(token: &str) -> ApiStatus {
    let text = if token.is_empty() {
        "The resourceVersion for the provided list is too old.".to_owned()
    } else {
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
         parameter."
            .to_owned()
    };
    ApiStatus::new(410, "Expired", text)
}
