//! Errors as the server reports them: field errors and `Status` objects.
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::Gvk;

/// Why a field was refused; becomes the `reason` of a status cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Reason {
    Required,
    Invalid,
    TypeInvalid,
    NotSupported,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    NotFound,
}

impl Reason {
    /// The machine-readable reason in a status cause.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
        }
    }
}

/// One refused field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// Machine-readable reason.
    pub reason: Reason,
    /// Path of the field, as in `spec.ports[0].name`.
    pub field: String,
    /// Text without the path.
    pub message: String,
}

impl FieldError {
    fn new(reason: Reason, field: impl Into<String>, message: String) -> Self {
        Self { reason, field: field.into(), message }
    }

    /// A field has to be there. `detail` may be empty.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self::new(Reason::Required, field, message)
    }

    /// A value is not allowed; the value is printed as JSON.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(Reason::Invalid, field, format!("Invalid value: {}: {detail}", crate::value::go_json(value)))
    }

    /// A value is not allowed; the message names no value.
    pub fn invalid_text(field: impl Into<String>, detail: &str) -> Self {
        Self::new(Reason::Invalid, field, format!("Invalid value: {detail}"))
    }

    /// A value has the wrong type; `kind` is the JSON type that was found.
    pub fn type_invalid(field: impl Into<String>, kind: &str, detail: &str) -> Self {
        Self::new(Reason::TypeInvalid, field, format!("Invalid value: \"{kind}\": {detail}"))
    }

    /// A value is none of the allowed ones.
    pub fn not_supported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let list = allowed.iter().map(|a| format!("\"{a}\"")).collect::<Vec<_>>().join(", ");
        let tail = if list.is_empty() { String::new() } else { format!(": supported values: {list}") };
        Self::new(Reason::NotSupported, field, format!("Unsupported value: {}{tail}", crate::value::go_json(value)))
    }

    /// A value occurs twice.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new(Reason::Duplicate, field, format!("Duplicate value: {}", crate::value::go_json(value)))
    }

    /// A field may not be set, or not be changed.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new(Reason::Forbidden, field, format!("Forbidden: {detail}"))
    }

    /// A text has too many bytes.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        Self::new(Reason::TooLong, field, format!("Too long: may not be more than {max} bytes"))
    }

    /// A list or map has too many entries.
    pub fn too_many(field: impl Into<String>, found: usize, max: usize) -> Self {
        Self::new(Reason::TooMany, field, format!("Too many: {found}: must have at most {max} items"))
    }

    /// Something that a field refers to is not there.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::new(Reason::NotFound, field, format!("Not found: {}", crate::value::go_json(value)))
    }

    /// The cause of a `Status`.
    pub fn cause(&self) -> Cause {
        Cause { reason: self.reason.as_str().to_owned(), message: self.message.clone(), field: self.field.clone() }
    }
}

/// One cause in the details of a `Status`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    /// Machine-readable reason.
    pub reason: String,
    /// Text.
    pub message: String,
    /// Path of a field; may be empty.
    pub field: String,
}

/// The details of a `Status`. Empty texts are left out of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Kind, or resource for errors that the registry makes.
    pub kind: String,
    /// Unique id of the object.
    pub uid: String,
    /// What was refused.
    pub causes: Vec<Cause>,
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// `Invalid`, `Conflict`, `BadRequest`, …; empty for an unclassified 500.
    pub reason: String,
    /// Text for people.
    pub message: String,
    /// Details; `None` leaves them out, an empty one is printed as `{}`.
    pub details: Option<Box<Details>>,
}

impl ApiError {
    /// 400 with a text.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest".to_owned(), message: message.into(), details: None }
    }

    /// 500 without a reason, as the server answers for errors that it did not classify.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: 500, reason: String::new(), message: message.into(), details: None }
    }

    /// 422 with the text that stands for any patch that does not fit.
    pub fn unprocessable() -> Self {
        Self {
            code: 422,
            reason: "Invalid".to_owned(),
            message: "the server rejected our request due to an error in our request".to_owned(),
            details: Some(Box::default()),
        }
    }

    /// The `Status` object of this error.
    pub fn to_status(&self) -> Value {
        let mut out = Map::new();
        out.insert("kind".into(), json!("Status"));
        out.insert("apiVersion".into(), json!("v1"));
        out.insert("metadata".into(), json!({}));
        out.insert("status".into(), json!("Failure"));
        out.insert("message".into(), json!(self.message));
        if !self.reason.is_empty() {
            out.insert("reason".into(), json!(self.reason));
        }
        if let Some(details) = &self.details {
            out.insert("details".into(), details.to_json());
        }
        out.insert("code".into(), json!(self.code));
        Value::Object(out)
    }
}

impl Details {
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (key, value) in [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)] {
            if !value.is_empty() {
                out.insert(key.to_owned(), json!(value));
            }
        }
        if !self.causes.is_empty() {
            out.insert("causes".into(), self.causes.iter().map(Cause::to_json).collect());
        }
        Value::Object(out)
    }
}

impl Cause {
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (key, value) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !value.is_empty() {
                out.insert(key.to_owned(), json!(value));
            }
        }
        Value::Object(out)
    }
}

/// The 422 for an object whose fields were refused: `ConfigMap "a" is invalid: …`.
pub fn invalid(gvk: &Gvk, name: &str, errors: &[FieldError]) -> ApiError {
    let mut texts: Vec<String> = Vec::new();
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let list = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
    let qualified = if gvk.group.is_empty() { gvk.kind.clone() } else { format!("{}.{}", gvk.kind, gvk.group) };
    let details = Details {
        name: name.to_owned(),
        group: gvk.group.clone(),
        kind: gvk.kind.clone(),
        uid: String::new(),
        causes: errors.iter().map(FieldError::cause).collect(),
    };
    ApiError {
        code: 422,
        reason: "Invalid".to_owned(),
        message: format!("{qualified} \"{name}\" is invalid: {list}"),
        details: Some(Box::new(details)),
    }
}
