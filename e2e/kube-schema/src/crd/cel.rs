//! Validation rules of a schema node in the Common Expression Language.
use serde_json::Value;

/// The rules of one schema node, compiled.
#[derive(Debug, Default)]
pub struct Rules {}

impl Rules {
    pub(crate) fn read(_json: &Value) -> Option<Self> {
        None
    }
}
