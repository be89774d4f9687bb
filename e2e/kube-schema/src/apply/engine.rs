//! The algorithm of server-side apply.
use serde_json::{Map, Value};

use super::Apply;
use super::conflict;
use super::managed::{Entry, Managed, Manager};
use crate::error::ApiError;
use crate::fields::{self, Comparison, Element, Set, compare, field_set, merge, remove};
use crate::{Kind, value};

/// Where kubectl keeps what it applied by itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Fields that nobody owns: the server sets them.
fn unowned() -> Set {
    let mut set = Set::default();
    for top in ["apiVersion", "kind"] {
        set.insert(&[Element::field(top)]);
    }
    for name in ["name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion"] {
        set.insert(&[Element::field("metadata"), Element::field(name)]);
    }
    set
}

fn without_unowned(set: &Set) -> Set {
    let mut rest = set.difference_with_below(&unowned());
    let mut meta = Set::default();
    meta.insert(&[Element::field("metadata")]);
    rest = rest.difference(&meta);
    rest
}

/// What a write through this subresource does not touch.
fn reset_fields(kind: &Kind, subresource: &str) -> Set {
    let mut set = Set::default();
    match subresource {
        "status" => {
            set.insert(&[Element::field("spec")]);
            set.insert(&[Element::field("metadata")]);
        }
        _ if kind.has_status() => set.insert(&[Element::field("status")]),
        _ => {}
    }
    set
}

/// The configuration without what the subresource does not write. Identity (name, uid, resourceVersion) stays.
fn writable(kind: &Kind, config: &Value, subresource: &str) -> Value {
    let Some(map) = config.as_object() else { return config.clone() };
    let identity = |meta: &Value| -> Value {
        let keep = ["name", "namespace", "uid", "resourceVersion"];
        let fields = meta.as_object().into_iter().flatten().filter(|(k, _)| keep.contains(&k.as_str()));
        Value::Object(fields.map(|(k, v)| (k.clone(), v.clone())).collect())
    };
    let mut out = Map::new();
    for (key, child) in map {
        match (subresource, key.as_str()) {
            ("status", "metadata") => {
                out.insert(key.clone(), identity(child));
            }
            ("status", "apiVersion" | "kind" | "status") => {
                out.insert(key.clone(), child.clone());
            }
            ("status", _) => {}
            (_, "status") if kind.has_status() => {}
            _ => {
                out.insert(key.clone(), child.clone());
            }
        }
    }
    Value::Object(out)
}

pub(super) fn apply(request: Apply<'_>) -> Result<Value, ApiError> {
    let schema = &request.kind.schema;
    let config = writable(request.kind, request.config, request.subresource);
    let empty = empty_object(request.kind);
    let live = request.live.unwrap_or(&empty);
    let mut managed = Managed::read(live);
    if request.live.is_some() && managed.0.is_empty() {
        adopt_unmanaged(request.kind, live, &mut managed);
    }
    let applier = Manager::applier(request.manager, request.subresource);
    let last = managed.0.get(&applier).cloned();
    let mut merged = merge(Some(schema), live, &config);
    let wanted = without_unowned(&field_set(schema, &config)).difference_with_below(&reset_fields(request.kind, request.subresource));
    let entry = Entry { fields: wanted.clone(), api_version: request.kind.gvk.api_version(), time: request.now.to_owned() };
    managed.0.insert(applier.clone(), entry);
    if let Some(last) = &last {
        prune(request.kind, &mut merged, &managed, &last.fields);
    }
    let changes = changes(request.kind, live, &merged, request.subresource);
    let taken = if request.force { Force::All } else { Force::These(applied_by_kubectl(&request, live)) };
    take_over(&mut managed, &applier, &changes, &taken)?;
    if let Some(last) = last.filter(|l| l.fields == wanted && changes.is_same()) {
        // An apply that changes nothing leaves the time of the last one.
        managed.0.insert(applier, last);
    }
    managed.write(&mut merged);
    Ok(merged)
}

/// What an apply may take from other managers.
enum Force {
    All,
    These(Set),
}

/// Fields that kubectl applied before it knew server-side apply, by its own annotation, and that still are what it applied: when it comes back
/// with server-side apply they are its own, whoever else has them.
fn applied_by_kubectl(request: &Apply<'_>, live: &Value) -> Set {
    let schema = &request.kind.schema;
    let annotation = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last: Option<Value> = annotation.and_then(|text| serde_json::from_str(text).ok());
    let Some(last) = last.filter(|last| request.manager == "kubectl" && fields::check(schema, last).is_empty()) else {
        return Set::default();
    };
    let differs = compare(schema, &last, live);
    field_set(schema, &last).difference(&differs.modified).difference(&differs.added).difference(&differs.removed)
}

/// Fields of an object from before anybody was noted as manager.
fn adopt_unmanaged(kind: &Kind, live: &Value, managed: &mut Managed) {
    let fields = changes(kind, &empty_object(kind), live, "").added;
    let unknown = Manager::updater("before-first-apply", &kind.gvk.api_version(), "");
    let time = value::text(live, "metadata.creationTimestamp").to_owned();
    managed.0.insert(unknown, Entry { fields, api_version: kind.gvk.api_version(), time });
}

fn empty_object(kind: &Kind) -> Value {
    let mut map = Map::new();
    map.insert("apiVersion".into(), kind.gvk.api_version().into());
    map.insert("kind".into(), kind.gvk.kind.clone().into());
    map.insert("metadata".into(), Value::Object(Map::new()));
    Value::Object(map)
}

/// What differs, of the fields that can be owned and written here.
fn changes(kind: &Kind, old: &Value, new: &Value, subresource: &str) -> Comparison {
    let all = compare(&kind.schema, old, new);
    let reset = reset_fields(kind, subresource);
    let own = |set: &Set| without_unowned(set).difference_with_below(&reset);
    Comparison { added: own(&all.added), modified: own(&all.modified), removed: own(&all.removed) }
}

/// Removes what the manager applied before, applies no more, and nobody else owns.
fn prune(kind: &Kind, merged: &mut Value, managed: &Managed, last: &Set) {
    let schema = Some(kind.schema.as_ref());
    let owned = managed.0.values().fold(Set::default(), |all, entry| all.union(&entry.fields));
    let given_up = last.with_named_parents(schema).difference(&owned.with_named_parents(schema));
    if !given_up.is_empty() {
        remove(schema, merged, &given_up);
    }
}

/// Takes changed fields from other managers, or refuses to.
fn take_over(managed: &mut Managed, own: &Manager, changes: &Comparison, force: &Force) -> Result<(), ApiError> {
    let touched = changes.modified.union(&changes.added);
    let mut conflicts = Vec::new();
    for (manager, entry) in managed.0.iter().filter(|(m, _)| *m != own) {
        let lost = entry.fields.intersection(&touched);
        if !lost.is_empty() {
            conflicts.push((manager.clone(), entry.clone(), lost));
        }
    }
    let is_taken = |lost: &Set| match force {
        Force::All => true,
        Force::These(fields) => lost.difference(fields).is_empty(),
    };
    if !conflicts.iter().all(|(_, _, lost)| is_taken(lost)) {
        return Err(conflict::error(&conflicts));
    }
    for (manager, _, lost) in &conflicts {
        if let Some(entry) = managed.0.get_mut(manager) {
            entry.fields = entry.fields.difference(lost);
        }
    }
    for (manager, entry) in &mut managed.0 {
        if manager != own {
            entry.fields = entry.fields.difference(&changes.removed);
        }
    }
    managed.0.retain(|_, entry| !entry.fields.is_empty());
    Ok(())
}

pub(super) fn track_update(kind: &Kind, live: Option<&Value>, object: &mut Value, manager: &str, subresource: &str, now: &str) {
    let empty = empty_object(kind);
    let before = live.unwrap_or(&empty);
    let sent = value::at(object, "metadata.managedFields");
    let reset = sent.is_some_and(|m| m.as_array().is_some_and(Vec::is_empty)) && live.is_some();
    let mut owners = match sent.filter(|m| m.as_array().is_some_and(|a| !a.is_empty())) {
        Some(_) => Managed::read(object),
        None if reset => Managed::default(),
        None => Managed::read(before),
    };
    if reset {
        owners.write(object);
        return;
    }
    let changes = changes(kind, before, object, subresource);
    let own = Manager::updater(manager, &kind.gvk.api_version(), subresource);
    for (who, entry) in &mut owners.0 {
        entry.fields = entry.fields.difference(&changes.removed);
        if *who != own {
            entry.fields = entry.fields.difference(&changes.modified).difference(&changes.added);
        }
    }
    let gained = changes.modified.union(&changes.added);
    if !gained.is_empty() {
        let entry = owners.0.entry(own).or_default();
        entry.fields = entry.fields.union(&gained);
        entry.api_version = kind.gvk.api_version();
        now.clone_into(&mut entry.time);
    }
    owners.write(object);
}
