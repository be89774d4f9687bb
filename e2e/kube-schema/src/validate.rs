//! Validation of objects, after decoding and defaulting.
use serde_json::Value;

use crate::error::FieldError;
use crate::Kind;

/// What is wrong with an object that is to be created. `metadata.name` has to be set (a generated name included).
pub fn create(_kind: &Kind, _object: &Value) -> Vec<FieldError> {
    Vec::new()
}

/// What is wrong with an update of an object or of its status.
pub fn update(_kind: &Kind, _object: &Value, _old: &Value) -> Vec<FieldError> {
    Vec::new()
}
