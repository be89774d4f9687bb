//! Garbage collection: what has lost its owners goes; what waits for its dependents waits.

use std::collections::HashSet;

use serde_json::Value;

use crate::api::{ApiError, Change, DeleteOptions};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::owner::released;
use crate::value::{flag, has_finalizer, is_deleting, items, kind_of, namespace, text, uid, without_finalizer};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

#[derive(Default)]
pub(crate) struct GarbageCollector {
    /// Group and kind of everything served in a namespace or not, as far as it was asked for.
    scopes: Scopes,
}

#[derive(Default)]
struct Scopes {
    namespaced: HashSet<(String, String)>,
    cluster: HashSet<(String, String)>,
}

impl Scopes {
    fn read(context: &Context<'_>) -> Self {
        let mut scopes = Self::default();
        for (group, _, kind, is_namespaced) in context.api.served() {
            let set = if is_namespaced { &mut scopes.namespaced } else { &mut scopes.cluster };
            set.insert((group, kind));
        }
        scopes
    }

    fn is_namespaced(&self, kind: &(String, String)) -> Option<bool> {
        if self.namespaced.contains(kind) {
            return Some(true);
        }
        self.cluster.contains(kind).then_some(false)
    }
}

/// What an owner reference turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// There, and not about to go.
    Solid,
    /// Gone, or never there.
    Absent,
    /// Waits in foreground deletion for what it owns.
    Waiting,
    /// Its kind is not served: nothing can be said.
    Unknown,
    /// A namespaced owner of a cluster-scoped object: never collected.
    OutOfReach,
}

fn is_foreground(object: &Value) -> bool {
    is_deleting(object) && has_finalizer(object, FOREGROUND)
}

impl Controller for GarbageCollector {
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    /// The real one has twenty workers, and is there at once when an object names owners that are not.
    fn is_urgent(&self) -> bool {
        true
    }

    fn concerns(&mut self, index: &Index, change: &Change, old: Option<&Value>) -> Vec<Key> {
        let object = &change.object;
        let mut keys = Vec::new();
        if change.deleted || is_foreground(object) {
            keys.extend(index.dependents(uid(object)).cloned());
        }
        if change.deleted || owners_differ(object, old) {
            // An owner that waits in the foreground may be free of this dependent now.
            let owners = [Some(&**object), old].into_iter().flatten().flat_map(|object| items(object, "/metadata/ownerReferences"));
            keys.extend(
                owners
                    .filter_map(|owner| index.by_uid(text(owner, "/uid")))
                    .filter(|owner| is_foreground(owner))
                    .map(|owner| Key::of(owner)),
            );
        }
        if change.kind == "CustomResourceDefinition" {
            self.scopes = Scopes::default();
        }
        let is_marked = is_deleting(object) && (has_finalizer(object, FOREGROUND) || has_finalizer(object, ORPHAN));
        let is_new_child = !items(object, "/metadata/ownerReferences").is_empty() && owners_differ(object, old);
        if !change.deleted && (is_marked || is_new_child) {
            keys.push(change.key());
        }
        keys
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(object) = context.index.at(key).cloned() else { return Ok(None) };
        if is_deleting(&object) {
            if has_finalizer(&object, ORPHAN) {
                return orphan_dependents(context, &object);
            }
            if has_finalizer(&object, FOREGROUND) {
                return finish_foreground(context, &object);
            }
            return Ok(None);
        }
        self.collect(context, &object)
    }
}

fn owners_differ(object: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| old.pointer("/metadata/ownerReferences") != object.pointer("/metadata/ownerReferences"))
}

/// Takes the owner out of all that it owns, then lets it go.
fn orphan_dependents(context: &Context<'_>, owner: &Value) -> Result<Next, ApiError> {
    for key in context.index.dependents(uid(owner)).cloned().collect::<Vec<_>>() {
        let Some(dependent) = context.index.at(&key) else { continue };
        gone_is_fine(context.api.update(context.manager, released(dependent, &[uid(owner)])))?;
    }
    gone_is_fine(context.api.update(context.manager, without_finalizer(owner, ORPHAN)))?;
    Ok(None)
}

/// Lets an owner go once nothing that blocks its deletion is left.
fn finish_foreground(context: &Context<'_>, owner: &Value) -> Result<Next, ApiError> {
    let blocks = |key: &Key| {
        context.index.at(key).is_some_and(|dependent| {
            let mut owners = items(dependent, "/metadata/ownerReferences").iter();
            owners.any(|reference| text(reference, "/uid") == uid(owner) && flag(reference, "/blockOwnerDeletion"))
        })
    };
    if context.index.dependents(uid(owner)).any(blocks) {
        return Ok(None);
    }
    gone_is_fine(context.api.update(context.manager, without_finalizer(owner, FOREGROUND)))?;
    Ok(None)
}

fn gone_is_fine<T>(answer: Result<T, ApiError>) -> Result<(), ApiError> {
    match answer {
        Err(error) if error.code != 404 => Err(error),
        _ => Ok(()),
    }
}

impl GarbageCollector {
    fn collect(&mut self, context: &Context<'_>, object: &Value) -> Result<Next, ApiError> {
        let references = items(object, "/metadata/ownerReferences");
        let owners: Vec<(Owner, &Value)> = references.iter().map(|reference| (self.judge(context, object, reference), reference)).collect();
        let are = |wanted: Owner| owners.iter().filter(move |(owner, _)| *owner == wanted).map(|(_, reference)| text(reference, "/uid"));
        if owners.is_empty() || are(Owner::Unknown).next().is_some() || are(Owner::OutOfReach).next().is_some() {
            return Ok(None);
        }
        if are(Owner::Solid).next().is_some() {
            let stale: Vec<&str> = are(Owner::Absent).chain(are(Owner::Waiting)).collect();
            if !stale.is_empty() {
                gone_is_fine(context.api.update(context.manager, released(object, &stale)))?;
            }
            return Ok(None);
        }
        let has_dependents = context.index.dependents(uid(object)).next().is_some();
        let policy = if are(Owner::Waiting).next().is_some() && has_dependents {
            "Foreground"
        } else if has_finalizer(object, ORPHAN) {
            "Orphan"
        } else if has_finalizer(object, FOREGROUND) {
            "Foreground"
        } else {
            "Background"
        };
        let options = DeleteOptions {
            uid: Some(uid(object).to_owned()),
            resource_version: Some(text(object, "/metadata/resourceVersion").to_owned()),
            propagation: Some(policy.to_owned()),
            grace_period_seconds: None,
        };
        context.delete_with(object, &options)?;
        Ok(None)
    }

    fn judge(&mut self, context: &Context<'_>, object: &Value, reference: &Value) -> Owner {
        let group = crate::value::group_of(reference);
        let kind = kind_of(reference);
        let is_there = |namespace: &str| {
            let owner = context.index.find(group, kind, namespace, text(reference, "/name"));
            owner.filter(|owner| uid(owner) == text(reference, "/uid"))
        };
        let state = |owner: &Value| if is_foreground(owner) { Owner::Waiting } else { Owner::Solid };
        if let Some(owner) = is_there(namespace(object)).or_else(|| is_there("")) {
            return state(owner);
        }
        let key = (group.to_owned(), kind.to_owned());
        if self.scopes.is_namespaced(&key).is_none() {
            self.scopes = Scopes::read(context);
        }
        let Some(is_namespaced) = self.scopes.is_namespaced(&key) else { return Owner::Unknown };
        let is_elsewhere = is_namespaced && context.index.by_uid(text(reference, "/uid")).is_some_and(|owner| kind_of(owner) == kind);
        let is_out_of_reach = is_namespaced && namespace(object).is_empty();
        if is_elsewhere || is_out_of_reach {
            let message = format!(
                "ownerRef [{}/{kind}, namespace: {}, name: {}, uid: {}] does not exist in namespace {:?}",
                text(reference, "/apiVersion"),
                namespace(object),
                text(reference, "/name"),
                text(reference, "/uid"),
                namespace(object)
            );
            context.warning(object, "OwnerRefInvalidNamespace", &message);
        }
        if is_out_of_reach { Owner::OutOfReach } else { Owner::Absent }
    }
}
