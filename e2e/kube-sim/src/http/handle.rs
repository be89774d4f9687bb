//! From a request to its answer.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;

use super::body;
use super::negotiate::{self, Form};
use super::options::{DeleteOptions, Query};
use super::path::RequestInfo;
use super::service::{Client, Identity, header};
use super::{discovery, openapi, read, watch};
use crate::access::{Attributes, User, rbac, service_account_of};
use crate::call::{Call, Target};
use crate::cluster::Cluster;
use crate::convert::to_requested;
use crate::ops::scale::ScaleWrite;
use crate::ops::{Patch, PatchKind};
use crate::selector::Selector;
use crate::sim::{Audit, Fault, Inner};
use crate::status::{ApiStatus, Cause};

/// A request whose body has been read.
pub(super) struct Incoming {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A request on its way through the handlers.
pub(super) struct Exchange<'a> {
    pub inner: &'a Arc<Inner>,
    pub client: &'a Arc<Client>,
    pub incoming: &'a Incoming,
    pub info: RequestInfo,
    pub query: Query,
    pub user: User,
}

/// Answers a request. An error is a connection that breaks.
pub(super) async fn respond(inner: &Arc<Inner>, client: &Arc<Client>, incoming: Incoming) -> Result<Response<Body>, io::Error> {
    let query = Query::parse(incoming.uri.query().unwrap_or_default());
    let is_watch = incoming.method == Method::GET && query.flag("watch");
    let info = RequestInfo::parse(&incoming.method, incoming.uri.path(), is_watch);
    let user = authenticate(inner, &client.identity, &incoming.headers);
    let mut audit = audit_of(client, &incoming, &info, user.as_ref().ok());
    let plan = inner.hooks().fault.clone();
    let fault = plan.map_or(Fault::Pass, |plan| plan(&audit));
    let dropped = || io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer");
    let mut response = match &fault {
        Fault::DropBefore => None,
        Fault::Answer(refusal) => Some(body::status(refusal)),
        Fault::Pass | Fault::Delay(_) | Fault::DropAfter => {
            if let Fault::Delay(time) = fault {
                tokio::time::sleep(time).await;
            }
            let answer = user.and_then(|user| {
                let exchange = Exchange { inner, client, incoming: &incoming, info, query, user };
                exchange.answer()
            });
            Some(answer.unwrap_or_else(|refusal| body::status(&refusal)))
        }
    };
    if matches!(fault, Fault::DropAfter) {
        response = None;
    }
    audit.status = response.as_ref().map_or(0, |response| response.status().as_u16());
    // A hook may ask for something in its turn: the lock is not kept.
    let hooks = inner.hooks().audit.clone();
    for hook in hooks {
        hook(&audit);
    }
    response.ok_or_else(dropped)
}

fn audit_of(client: &Client, incoming: &Incoming, info: &RequestInfo, user: Option<&User>) -> Audit {
    Audit {
        client: client.name.clone(),
        method: incoming.method.to_string(),
        path: incoming.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        content_type: header(&incoming.headers, "content-type").to_owned(),
        body: incoming.body.clone(),
        user: user.map_or_else(String::new, |user| user.name.clone()),
        verb: info.verb,
        group: info.group.clone(),
        resource: info.attributes().resource_path(),
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        status: 0,
    }
}

fn authenticate(inner: &Inner, identity: &Identity, headers: &HeaderMap) -> Result<User, ApiStatus> {
    let user = match identity {
        Identity::User(user) => user.clone(),
        Identity::FromRequest => {
            let token = header(headers, "authorization").strip_prefix("Bearer ").unwrap_or_default().trim();
            match &inner.options.admin_token {
                None if token.is_empty() => User::admin(),
                Some(_) if token.is_empty() => User::anonymous(),
                Some(admin) if admin == token => User::admin(),
                _ => {
                    let cluster = inner.cluster();
                    service_account_of(&cluster.tokens, &cluster.store, token, inner.options.clock.now())
                        .ok_or_else(ApiStatus::unauthorized)?
                }
            }
        }
    };
    impersonated(inner, user, headers)
}

fn impersonated(inner: &Inner, user: User, headers: &HeaderMap) -> Result<User, ApiStatus> {
    let name = header(headers, "impersonate-user");
    if name.is_empty() {
        return Ok(user);
    }
    let wanted =
        Attributes { verb: "impersonate".to_owned(), resource: "users".to_owned(), name: name.to_owned(), ..Attributes::default() };
    if rbac::allows(&inner.cluster().store, &user, &wanted).is_none() {
        return Err(wanted.refusal(&user));
    }
    let groups: Vec<&str> = headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()).collect();
    if let Some((namespace, account)) = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        return Ok(User::service_account(namespace, account));
    }
    Ok(User::new(name, &groups))
}

impl Exchange<'_> {
    fn answer(&self) -> Result<Response<Body>, ApiStatus> {
        let mut cluster = self.inner.cluster();
        self.authorize(&cluster)?;
        let form = negotiate::form(header(&self.incoming.headers, "accept"));
        if !self.info.is_resource() {
            if let Some(answer) = openapi::answer(&cluster, &self.info.path) {
                return Ok(answer);
            }
            return Ok(discovery::answer(&cluster, &self.info.path, form.unwrap_or_default()));
        }
        let info = &self.info;
        let Some(resource) = cluster.registry.by_plural(&info.group, &info.version, &info.plural).cloned() else {
            if cluster.registry.has_version(&info.group, &info.version) {
                return Err(ApiStatus::no_such_resource());
            }
            return Ok(body::text(404, "404 page not found\n"));
        };
        let target = Target {
            namespace: if resource.namespaced { info.namespace.clone() } else { String::new() },
            resource,
            name: info.name.clone(),
            subresource: info.subresource.clone(),
        };
        self.check_subresource(&target)?;
        let form = form?;
        match info.verb {
            "get" => read::get(self, &cluster, &target, form),
            "list" => read::list(self, &cluster, &target, form),
            "watch" => watch::start(self, &mut cluster, &target, form),
            _ => self.write(&mut cluster, &target, form),
        }
    }

    fn authorize(&self, cluster: &Cluster) -> Result<(), ApiStatus> {
        let mut wanted = self.info.attributes();
        if wanted.name.is_empty() && matches!(self.info.verb, "list" | "watch" | "deletecollection") {
            let terms = self.query.get("fieldSelector").split(',');
            let name = terms.filter_map(|term| term.split_once('=')).find(|(field, _)| *field == "metadata.name");
            wanted.name = name.map_or_else(String::new, |(_, name)| name.trim_start_matches('=').to_owned());
        }
        if rbac::allows(&cluster.store, &self.user, &wanted).is_some() {
            return Ok(());
        }
        wanted.name.clone_from(&self.info.name);
        Err(wanted.refusal(&self.user))
    }

    fn check_subresource(&self, target: &Target) -> Result<(), ApiStatus> {
        let resource = &target.resource;
        let known = match target.subresource.as_str() {
            "" => true,
            "status" => resource.has_status,
            "scale" => resource.has_scale,
            "eviction" | "binding" | "ephemeralcontainers" | "resize" => resource.is_core("pods"),
            "token" => resource.is_core("serviceaccounts"),
            "finalize" => resource.is_core("namespaces"),
            _ => false,
        };
        if !known {
            return Err(ApiStatus::no_such_resource());
        }
        let verb = self.info.verb;
        let nameless = target.name.is_empty();
        let needs_name = matches!(verb, "update" | "patch");
        let creates_in_nowhere = verb == "create" && resource.namespaced && target.namespace.is_empty();
        if (resource.create_only && verb != "create") || (needs_name && nameless) || creates_in_nowhere {
            return Err(ApiStatus::method_not_allowed());
        }
        if verb == "create" && !nameless && !matches!(target.subresource.as_str(), "eviction" | "binding" | "token") {
            return Err(ApiStatus::method_not_allowed());
        }
        Ok(())
    }

    fn call(&self, cluster: &Cluster, options: &str) -> Result<Call, ApiStatus> {
        let agent = header(&self.incoming.headers, "user-agent").split('/').next().unwrap_or_default();
        let manager = match (self.query.get("fieldManager"), agent) {
            ("", "") => "unknown",
            ("", agent) => agent,
            (manager, _) => manager,
        };
        if manager.len() > 128 {
            let cause = Cause::new("FieldValueTooLong", "fieldManager", "Too long: may not be more than 128 bytes");
            return Err(ApiStatus::invalid_options(options, cause));
        }
        Ok(Call {
            user: self.user.clone(),
            manager: manager.to_owned(),
            dry_run: self.query.dry_run(options)?,
            validation: self.query.field_validation(cluster.minor, options)?,
            now: self.inner.options.clock.now(),
            warnings: Vec::new(),
        })
    }

    fn write(&self, cluster: &mut Cluster, target: &Target, form: Form) -> Result<Response<Body>, ApiStatus> {
        let resource = &target.resource;
        let mut call = self.call(cluster, options_kind(self.info.verb))?;
        let result = match self.info.verb {
            "create" => self.create(cluster, &mut call, target),
            "update" => self.update(cluster, &mut call, target),
            "patch" => self.patch(cluster, &mut call, target),
            "delete" => self.delete(cluster, &call, target),
            _ => self.delete_collection(cluster, &call, target),
        };
        let mut response = match result {
            Ok((code, object)) if form == Form::Plain || object["kind"] != *resource.kind => body::json(code, object.to_string()),
            Ok((code, object)) => {
                let shaped = read::shape(resource, &object, form, &self.query, call.now);
                body::json(code, shaped.to_string())
            }
            Err(refusal) => body::status(&refusal),
        };
        if let Some(version) = resource.custom.as_ref().filter(|version| version.deprecated) {
            let default = format!("{} {} is deprecated", resource.api_version(), resource.kind);
            call.warnings.push(if version.deprecation_warning.is_empty() { default } else { version.deprecation_warning.clone() });
        }
        body::warn(&mut response, &call.warnings);
        Ok(response)
    }

    fn create(&self, cluster: &mut Cluster, call: &mut Call, target: &Target) -> Result<(u16, Value), ApiStatus> {
        let content_type = header(&self.incoming.headers, "content-type");
        let object = body::read(&target.resource, content_type, &self.incoming.body)?;
        if let Some(answer) = cluster.post_special(call, target, &object) {
            return answer.map(|answer| (201, answer));
        }
        let created = cluster.create(call, target, object)?;
        Ok((201, to_requested(&target.resource, &created)))
    }

    fn update(&self, cluster: &mut Cluster, call: &mut Call, target: &Target) -> Result<(u16, Value), ApiStatus> {
        let content_type = header(&self.incoming.headers, "content-type");
        let object = body::read(&target.resource, content_type, &self.incoming.body)?;
        if target.subresource == "scale" {
            return cluster.write_scale(call, target, ScaleWrite::Replace(object)).map(|scale| (200, scale));
        }
        let (stored, created) = cluster.update(call, target, object)?;
        Ok((if created { 201 } else { 200 }, to_requested(&target.resource, &stored)))
    }

    fn patch(&self, cluster: &mut Cluster, call: &mut Call, target: &Target) -> Result<(u16, Value), ApiStatus> {
        let patch = self.read_patch()?;
        if target.subresource == "scale" {
            return cluster.write_scale(call, target, ScaleWrite::Patch(patch)).map(|scale| (200, scale));
        }
        let (stored, created) = cluster.patch(call, target, &patch)?;
        Ok((if created { 201 } else { 200 }, to_requested(&target.resource, &stored)))
    }

    fn read_patch(&self) -> Result<Patch, ApiStatus> {
        let forbidden = |text: &str| Cause::new("FieldValueForbidden", "force", format!("Forbidden: {text}"));
        let media = header(&self.incoming.headers, "content-type").split(';').next().unwrap_or_default().trim();
        let force = self.query.find("force").is_some();
        let kind = match media {
            "application/json-patch+json" => PatchKind::Json,
            "application/merge-patch+json" => PatchKind::Merge,
            "application/strategic-merge-patch+json" => PatchKind::Strategic,
            "application/apply-patch+yaml" => PatchKind::Apply { force: self.query.flag("force") },
            _ => {
                let refusal = ApiStatus::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
                return Err(refusal.with(crate::status::Details::default()));
            }
        };
        if matches!(kind, PatchKind::Apply { .. }) {
            if self.query.get("fieldManager").is_empty() {
                let text = "Required value: is required for apply patch";
                return Err(ApiStatus::invalid_options("PatchOptions", Cause::new("FieldValueRequired", "fieldManager", text)));
            }
            return Ok(Patch { kind, body: body::json_or_yaml(&self.incoming.body)? });
        }
        if force {
            return Err(ApiStatus::invalid_options("PatchOptions", forbidden("may not be specified for non-apply patch")));
        }
        let body = body::parse_json(&self.incoming.body);
        let body = body.map_err(|problem| ApiStatus::bad_request(format!("error decoding patch: {problem}")))?;
        Ok(Patch { kind, body })
    }

    fn delete_options(&self) -> Result<DeleteOptions, ApiStatus> {
        let content_type = header(&self.incoming.headers, "content-type");
        let body = (!self.incoming.body.is_empty()).then(|| body::read_options(content_type, &self.incoming.body)).transpose()?;
        DeleteOptions::read(&self.query, body.as_ref())
    }

    fn delete(&self, cluster: &mut Cluster, call: &Call, target: &Target) -> Result<(u16, Value), ApiStatus> {
        let options = self.delete_options()?;
        let deleted = cluster.delete(call, target, &options)?;
        Ok((200, deleted.answer(&target.resource)))
    }

    fn delete_collection(&self, cluster: &mut Cluster, call: &Call, target: &Target) -> Result<(u16, Value), ApiStatus> {
        let options = self.delete_options()?;
        let selector = Selector::parse(&target.resource, self.query.get("labelSelector"), self.query.get("fieldSelector"))?;
        let found = cluster.delete_collection(call, target, &selector, &options)?;
        Ok((200, read::plain_list(&target.resource, &found, cluster.store.revision())))
    }
}

fn options_kind(verb: &str) -> &'static str {
    match verb {
        "create" => "CreateOptions",
        "update" => "UpdateOptions",
        "patch" => "PatchOptions",
        _ => "DeleteOptions",
    }
}
