//! Deletion of namespaces: their content first, told in conditions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::{ApiError, Change};
use crate::driver::{Context, Controller, Next};
use crate::index::{Index, Key};
use crate::kinds::{DEFINITION, NAMESPACE};
use crate::pods::{seconds, set_condition};
use crate::value::{group_of, is_deleting, items, kind_of, name, set, text};

pub(crate) struct Namespaces;

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn concerns(&mut self, index: &Index, change: &Change, _old: Option<&Value>) -> Vec<Key> {
        if change.is(NAMESPACE) {
            return if is_deleting(&change.object) && !change.deleted { vec![change.key()] } else { Vec::new() };
        }
        // Content of a namespace that is on its way out went, or changed its finalizers.
        let namespace = index.get(NAMESPACE, "", &change.namespace);
        let is_terminating = !change.namespace.is_empty() && namespace.is_some_and(|namespace| is_deleting(namespace));
        if is_terminating { vec![Key::new(NAMESPACE, "", &change.namespace)] } else { Vec::new() }
    }

    fn sync(&mut self, context: &Context<'_>, key: &Key) -> Result<Next, ApiError> {
        let Some(namespace) = context.index.at(key).filter(|namespace| is_deleting(namespace)).cloned() else { return Ok(None) };
        let finalizers = items(&namespace, "/spec/finalizers");
        if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
            return Ok(None);
        }
        let left = delete_content(context, &key.name)?;
        write_conditions(context, &namespace, &left)?;
        if !left.is_empty() {
            return Ok(None);
        }
        let Some(fresh) = context.api.get(NAMESPACE, "", &key.name) else { return Ok(None) };
        let mut emptied = (*fresh).clone();
        let others: Vec<Value> = items(&fresh, "/spec/finalizers").iter().filter(|finalizer| *finalizer != "kubernetes").cloned().collect();
        set(&mut emptied, &["spec", "finalizers"], others);
        context
            .api
            .finalize_namespace(context.manager, emptied)
            .map(drop)
            .or_else(|error| if error.code == 404 { Ok(()) } else { Err(error) })?;
        Ok(None)
    }
}

/// Deletes all that is in a namespace and returns what is still there. Since Kubernetes 1.33 pods go before everything else.
fn delete_content(context: &Context<'_>, namespace: &str) -> Result<Vec<std::sync::Arc<Value>>, ApiError> {
    let mut kinds: Vec<(String, String)> = Vec::new();
    for (group, _, kind, is_namespaced) in context.api.served() {
        if is_namespaced && !matches!(group.as_str(), "extensions" | "events.k8s.io") && !kinds.contains(&(group.clone(), kind.clone())) {
            kinds.push((group, kind));
        }
    }
    kinds.sort();
    let is_pod = |(group, kind): &(String, String)| group.is_empty() && kind == "Pod";
    if context.minor() >= 33 {
        let pods: Vec<_> = kinds.iter().filter(|kind| is_pod(kind)).cloned().collect();
        let left = delete_kinds(context, &pods, namespace)?;
        if !left.is_empty() {
            return Ok(left);
        }
    }
    delete_kinds(context, &kinds, namespace)
}

fn delete_kinds(context: &Context<'_>, kinds: &[(String, String)], namespace: &str) -> Result<Vec<std::sync::Arc<Value>>, ApiError> {
    let mut left = Vec::new();
    for (group, kind) in kinds {
        for object in context.api.list_dynamic(group, kind, Some(namespace)) {
            if !is_deleting(&object) {
                context.delete(&object, Some("Background"))?;
            }
        }
        left.extend(context.api.list_dynamic(group, kind, Some(namespace)));
    }
    Ok(left)
}

fn plural(context: &Context<'_>, object: &Value) -> String {
    let (group, kind) = (group_of(object), kind_of(object));
    let defined = context
        .index
        .list(DEFINITION)
        .find(|definition| text(definition, "/spec/group") == group && text(definition, "/spec/names/kind") == kind)
        .map(|definition| text(definition, "/spec/names/plural").to_owned());
    defined.unwrap_or_else(|| {
        let kind = kind.to_lowercase();
        if kind == "endpoints" {
            return kind;
        }
        match kind.strip_suffix('y') {
            Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
            _ if kind.ends_with('s') => format!("{kind}es"),
            _ => format!("{kind}s"),
        }
    })
}

fn write_conditions(context: &Context<'_>, namespace: &Value, left: &[std::sync::Arc<Value>]) -> Result<(), ApiError> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for object in left {
        *kinds.entry(format!("{}.{}", plural(context, object), group_of(object))).or_default() += 1;
        for finalizer in items(object, "/metadata/finalizers").iter().filter_map(Value::as_str) {
            *finalizers.entry(finalizer).or_default() += 1;
        }
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind} has {count} resource instances")).collect();
    let held: Vec<_> = finalizers.iter().map(|(finalizer, count)| format!("{finalizer} in {count} resource instances")).collect();
    let remaining = if left.is_empty() {
        ("False", "ContentRemoved", "All content successfully removed".to_owned())
    } else {
        ("True", "SomeResourcesRemain", format!("Some resources are remaining: {}", kinds.join(", ")))
    };
    let finalizing = if held.is_empty() {
        ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned())
    } else {
        ("True", "SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {}", held.join(", ")))
    };
    let mut conditions = items(namespace, "/status/conditions").to_vec();
    let at = seconds(context.now());
    let deleted = "All content successfully deleted, may be waiting on finalization".to_owned();
    let mut changed = false;
    for (kind, (status, reason, message)) in [
        ("NamespaceDeletionDiscoveryFailure", ("False", "ResourcesDiscovered", "All resources successfully discovered".to_owned())),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed".to_owned()),
        ),
        ("NamespaceDeletionContentFailure", ("False", "ContentDeleted", deleted)),
        ("NamespaceContentRemaining", remaining),
        ("NamespaceFinalizersRemaining", finalizing),
    ] {
        let condition = json!({"type": kind, "status": status, "lastTransitionTime": at, "reason": reason, "message": message});
        changed |= set_condition(&mut conditions, condition);
    }
    // With nothing left the namespace is about to go: its last conditions would not be read.
    if !changed || left.is_empty() {
        return Ok(());
    }
    let mut status = namespace.get("status").cloned().unwrap_or_else(|| json!({"phase": "Terminating"}));
    status["conditions"] = conditions.into();
    tracing::debug!(namespace = name(namespace), "content remains");
    context.write_status(namespace, status)
}
