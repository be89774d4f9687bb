//! Server-side apply and the bookkeeping of who owns which field.
mod conflict;
mod engine;
mod managed;

use serde_json::{Value, json};

use crate::Kind;
use crate::error::ApiError;
use crate::fields::{self, Set};

use managed::Managed;

/// A server-side apply.
#[derive(Debug, Clone, Copy)]
pub struct Apply<'a> {
    /// The type.
    pub kind: &'a Kind,
    /// The live object; `None` when the apply creates.
    pub live: Option<&'a Value>,
    /// The applied configuration, as sent.
    pub config: &'a Value,
    /// Name of the field manager.
    pub manager: &'a str,
    /// Subresource that is written, empty for the object itself.
    pub subresource: &'a str,
    /// Whether to take fields from other managers.
    pub force: bool,
    /// The time for `managedFields`, RFC 3339 in seconds.
    pub now: &'a str,
}

/// Merges an applied configuration into the live object, `managedFields` included. The answer still has to be decoded, prepared, defaulted and
/// validated. When an object with the live `managedFields` (times apart) and contents comes out, nothing has to be written.
pub fn apply(request: Apply<'_>) -> Result<Value, ApiError> {
    if !crate::value::list(request.config, "metadata.managedFields").is_empty()
        || crate::value::at(request.config, "metadata.managedFields").is_some_and(Value::is_array)
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let typed = |problems: &[String]| {
        let meta = |key: &str| crate::value::at(request.config, "metadata").map_or("", |m| crate::value::text(m, key));
        let list = if problems.len() == 1 { problems.concat() } else { format!("errors:\n  {}", problems.join("\n  ")) };
        let at = format!("{}/{}; {}", meta("namespace"), meta("name"), request.kind.gvk);
        ApiError::internal(format!("failed to create typed patch object ({at}): {list}"))
    };
    let problems = fields::check(&request.kind.schema, request.config);
    if !problems.is_empty() {
        return Err(typed(&problems));
    }
    engine::apply(request)
}

/// Notes in `object`'s `managedFields` what a create, update or patch changed against `live`. Call it with the object as it will be stored.
/// `object`'s own `managedFields` are used as the request left them: `[]` resets them, absent keeps the live ones.
pub fn track_update(kind: &Kind, live: Option<&Value>, object: &mut Value, manager: &str, subresource: &str, now: &str) {
    engine::track_update(kind, live, object, manager, subresource, now);
}

/// Whether two objects are the same but for the times in `managedFields` and the resourceVersion: then a write is none.
pub fn is_unchanged(a: &Value, b: &Value) -> bool {
    managed::is_unchanged(a, b)
}

/// The fields that a manager's entries in `managedFields` own, all subresources together.
pub fn owned_by(object: &Value, manager: &str) -> Set {
    Managed::read(object).owned_by(manager)
}

/// `managedFields` of an object, as JSON; empty if there are none.
pub fn managed_fields(object: &Value) -> Value {
    crate::value::at(object, "metadata.managedFields").cloned().unwrap_or_else(|| json!([]))
}
