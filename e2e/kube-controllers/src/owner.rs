//! Owner references.

use serde_json::{Value, json};

use crate::value::{flag, items, kind_of, name, text, uid};

/// The reference to the object that manages this one.
pub(crate) fn controller_of(object: &Value) -> Option<&Value> {
    items(object, "/metadata/ownerReferences").iter().find(|owner| flag(owner, "/controller"))
}

/// The uid of the object that manages this one, empty for an orphan.
pub(crate) fn controller_uid(object: &Value) -> &str {
    controller_of(object).map_or("", |owner| text(owner, "/uid"))
}

/// A reference that makes `owner` the manager of the object that carries it.
pub(crate) fn controller_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": text(owner, "/apiVersion"), "kind": kind_of(owner), "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The object with one more owner.
pub(crate) fn adopted(object: &Value, reference: Value) -> Value {
    let mut owners = items(object, "/metadata/ownerReferences").to_vec();
    owners.push(reference);
    with_owners(object, owners)
}

/// The object without the owners that have one of these uids.
pub(crate) fn released(object: &Value, uids: &[&str]) -> Value {
    let rest = items(object, "/metadata/ownerReferences").iter().filter(|owner| !uids.contains(&text(owner, "/uid"))).cloned().collect();
    with_owners(object, rest)
}

/// The object with exactly these owners.
pub(crate) fn with_owners(object: &Value, owners: Vec<Value>) -> Value {
    let mut changed = object.clone();
    if owners.is_empty() {
        crate::value::remove(&mut changed, &["metadata", "ownerReferences"]);
    } else {
        crate::value::set(&mut changed, &["metadata", "ownerReferences"], owners);
    }
    changed
}
