//! Defaults: those that schemas state, and those that the server computes for its own types.
use serde_json::Value;

use crate::Kind;

/// Fills in what the object leaves out. A second call changes nothing.
pub fn apply(_kind: &Kind, _object: &mut Value) {}
