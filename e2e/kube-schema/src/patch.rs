//! JSON patch, JSON merge patch and strategic merge patch.
mod strategic;

use serde_json::Value;

use crate::error::ApiError;

pub use strategic::strategic_merge;

/// Most operations that one JSON patch may have.
const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch (RFC 6902).
pub fn json_patch(object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let Some(list) = patch.as_array() else {
        let found = match patch {
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            _ => "null",
        };
        let text = format!("error decoding patch: json: cannot unmarshal {found} into Go value of type []handlers.jsonPatchOp");
        return Err(ApiError::bad_request(text));
    };
    if list.len() > MAX_OPERATIONS {
        let text = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", list.len());
        return Err(ApiError { code: 413, reason: "RequestEntityTooLarge".to_owned(), message: text, details: None });
    }
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &operations).map_err(|_| ApiError::unprocessable())?;
    *object = patched;
    Ok(())
}

/// Applies a JSON merge patch (RFC 7386): null removes, objects merge, anything else replaces.
pub fn merge_patch(object: &mut Value, patch: &Value) -> Result<(), ApiError> {
    if !patch.is_object() {
        let text = "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}";
        return Err(ApiError::bad_request(text));
    }
    json_patch::merge(object, patch);
    Ok(())
}
