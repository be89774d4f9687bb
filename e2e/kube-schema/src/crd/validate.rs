//! Validation of a definition.
use serde_json::Value;

use crate::error::FieldError;

/// Validates a definition (defaulted) as Kubernetes 1.`minor` does.
pub fn validate_definition(_crd: &Value, _old: Option<&Value>, _minor: u32) -> Vec<FieldError> {
    Vec::new()
}
