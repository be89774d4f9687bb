//! Refusals as the API server words them: `Status` objects with reason, details and causes.

use serde_json::{Map, Value, json};

use crate::registry::Resource;

/// One entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// For example `FieldValueInvalid`.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// Path of the field; empty when the cause is about no field.
    pub field: String,
}

/// `details` of a Status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Kind, or the resource's plural for most refusals.
    pub kind: String,
    /// uid of the object.
    pub uid: String,
    /// The single reasons.
    pub causes: Vec<Cause>,
    /// When to try again.
    pub retry_after: u32,
}

/// A refusal by the API server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub struct ApiStatus {
    /// HTTP status.
    pub code: u16,
    /// Machine-readable reason, empty for unclassified failures.
    pub reason: String,
    /// Sentence for people.
    pub message: String,
    /// What it is about.
    pub details: Option<Box<Details>>,
}

impl ApiStatus {
    /// A refusal without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None }
    }

    /// Adds details.
    #[must_use]
    pub fn with(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 500 as the server gives it for errors that it has no class for: without a reason.
    pub fn unclassified(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 404 for an object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified())).with(resource.details(name))
    }

    /// 404 for a path inside a served group version.
    pub fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource").with(Details::default())
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource").with(Details::default())
    }

    /// 409 for a name that is taken.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.qualified())).with(resource.details(name))
    }

    /// 409 for a stale resource version.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(resource, name, "the object has been modified; please apply your changes to the latest version and try again")
    }

    /// 409 with a text of its own.
    pub fn conflict(resource: &Resource, name: &str, text: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {} \"{name}\": {text}", resource.qualified()))
            .with(resource.details(name))
    }

    /// 409 for a precondition of a deletion, which names the kind.
    pub fn precondition(resource: &Resource, name: &str, text: &str) -> Self {
        let kind = resource.kind.to_string();
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {kind} \"{name}\": {text}")).with(Details {
            name: name.to_owned(),
            kind,
            ..Details::default()
        })
    }

    /// 403 for an object or, with an empty name, for the resource.
    pub fn forbidden(resource: &Resource, name: &str, text: &str) -> Self {
        let what = if name.is_empty() { resource.qualified() } else { format!("{} \"{name}\"", resource.qualified()) };
        Self::new(403, "Forbidden", format!("{what} is forbidden: {text}")).with(resource.details(name))
    }

    /// 422 for an object of `group`, `kind`.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut texts: Vec<String> = Vec::new();
        for cause in &causes {
            let text = format!("{}: {}", cause.field, cause.message);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let text = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {text}")).with(Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        })
    }

    /// 422 for request options such as `CreateOptions`.
    pub fn invalid_options(kind: &str, cause: Cause) -> Self {
        Self::invalid("meta.k8s.io", kind, "", vec![cause])
    }

    /// The Status object.
    pub fn to_value(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        status.insert("metadata".into(), json!({}));
        status.insert("status".into(), "Failure".into());
        if !self.message.is_empty() {
            status.insert("message".into(), self.message.clone().into());
        }
        if !self.reason.is_empty() {
            status.insert("reason".into(), self.reason.clone().into());
        }
        if let Some(details) = &self.details {
            status.insert("details".into(), details.to_value());
        }
        status.insert("code".into(), self.code.into());
        Value::Object(status)
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut details = Map::new();
        for (key, text) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !text.is_empty() {
                details.insert(key.into(), text.clone().into());
            }
        }
        if !self.causes.is_empty() {
            details.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after > 0 {
            details.insert("retryAfterSeconds".into(), self.retry_after.into());
        }
        Value::Object(details)
    }
}

impl Cause {
    /// A cause about a field.
    pub fn new(reason: &str, field: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), field: field.to_owned(), message: message.into() }
    }

    fn to_value(&self) -> Value {
        let mut cause = Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                cause.insert(key.into(), text.clone().into());
            }
        }
        Value::Object(cause)
    }
}

/// The answer to a deletion that removed the object.
pub fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let details = Details { uid: uid.to_owned(), ..resource.details(name) };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details.to_value()})
}

impl From<kube_schema::ApiError> for ApiStatus {
    fn from(error: kube_schema::ApiError) -> Self {
        let causes = |causes: Vec<kube_schema::error::Cause>| {
            causes.into_iter().map(|cause| Cause { reason: cause.reason, message: cause.message, field: cause.field }).collect()
        };
        let details = error.details.map(|details| {
            Box::new(Details {
                name: details.name,
                group: details.group,
                kind: details.kind,
                uid: details.uid,
                causes: causes(details.causes),
                retry_after: 0,
            })
        });
        Self { code: error.code, reason: error.reason, message: error.message, details }
    }
}
