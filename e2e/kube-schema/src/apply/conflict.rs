//! The 409 of an apply that would take fields from others.
use std::collections::BTreeMap;

use super::managed::{Entry, Manager};
use crate::error::{ApiError, Cause, Details};
use crate::fields::{Set, print_path};

/// Builds the error from the fields that each manager would lose.
pub(super) fn error(conflicts: &[(Manager, Entry, Set)]) -> ApiError {
    let mut causes = Vec::new();
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (manager, entry, fields) in conflicts {
        let who = print_manager(manager, entry);
        for path in fields.paths() {
            let field = print_path(&path);
            causes.push(Cause { reason: "FieldManagerConflict".to_owned(), message: format!("conflict with {who}"), field: field.clone() });
            lines.entry(who.clone()).or_default().push(field);
        }
    }
    let message = if let [only] = causes.as_slice() {
        format!("Apply failed with 1 conflict: {}: {}", only.message, only.field)
    } else {
        let texts: Vec<String> = lines.iter().map(|(who, fields)| format!("conflicts with {who}:\n- {}", fields.join("\n- "))).collect();
        format!("Apply failed with {} conflicts: {}", causes.len(), texts.join("\n"))
    };
    let details = Details { causes, ..Details::default() };
    ApiError { code: 409, reason: "Conflict".to_owned(), message, details: Some(Box::new(details)) }
}

fn print_manager(manager: &Manager, entry: &Entry) -> String {
    let mut text = format!("\"{}\"", manager.name);
    if !manager.subresource.is_empty() {
        text = format!("{text} with subresource \"{}\"", manager.subresource);
    }
    if manager.operation == "Update" {
        text = format!("{text} using {}", entry.api_version);
    }
    text
}
