//! Adoption of what matches a controller's selector and release of what no longer does.

use std::sync::Arc;

use serde_json::Value;

use crate::api::{ApiError, Kind};
use crate::driver::Context;
use crate::owner::{adopted, controller_reference, released};
use crate::selector::Selector;
use crate::value::{is_deleting, namespace, uid};

/// The objects of a kind that an owner manages from now on. An owner that is being deleted adopts and releases nothing.
pub(crate) fn claim(
    context: &Context<'_>,
    kind: Kind,
    owner: &Value,
    selector: &Selector,
    is_member: impl Fn(&Value) -> bool,
) -> Result<Vec<Arc<Value>>, ApiError> {
    let mut mine = Vec::new();
    for object in context.index.controlled(kind, uid(owner)) {
        if selector.selects(&object) && is_member(&object) {
            mine.push(object);
        } else if !is_deleting(owner) && !is_deleting(&object) {
            absent_is_fine(context.api.update(context.manager, released(&object, &[uid(owner)])))?;
        }
    }
    if is_deleting(owner) {
        return Ok(mine);
    }
    for object in context.index.orphans(kind, namespace(owner)) {
        if is_deleting(&object) || !selector.selects(&object) || !is_member(&object) {
            continue;
        }
        if let Some(object) = absent_is_fine(context.api.update(context.manager, adopted(&object, controller_reference(owner))))? {
            mine.push(object);
        }
    }
    Ok(mine)
}

fn absent_is_fine(answer: Result<Arc<Value>, ApiError>) -> Result<Option<Arc<Value>>, ApiError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
