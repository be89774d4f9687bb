//! Files with objects, as `kubectl apply` takes them.

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, ValidationDirective};
use kube::core::discovery::Scope;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::Error;

/// Applied in the name of kubectl, so that a later `kubectl apply --server-side` meets no conflict.
const MANAGER: &str = "kubectl";
/// Namespace of objects that name none.
const NAMESPACE: &str = "default";

/// An object of a file.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The objects of a file, in its order.
pub fn read(file: &str, text: &str) -> Result<Vec<DynamicObject>, Error> {
    let wrong = |problem: String| Error::Manifest { file: file.to_owned(), problem };
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| wrong(format!("is no YAML: {error}")))?;
    let documents = documents.into_iter().filter(|document| !document.is_null());
    let objects = documents.enumerate().map(|(index, document)| {
        let object: DynamicObject =
            serde_json::from_value(document).map_err(|error| wrong(format!("document {} is no object: {error}", index + 1)))?;
        match (&object.types, &object.metadata.name) {
            (Some(_), Some(_)) => Ok(object),
            _ => Err(wrong(format!("document {} has no apiVersion, kind and metadata.name", index + 1))),
        }
    });
    let objects: Vec<DynamicObject> = objects.collect::<Result<_, _>>()?;
    if objects.is_empty() { Err(wrong("holds no object".to_owned())) } else { Ok(objects) }
}

/// Applies an object on the server.
pub async fn apply(client: &Client, file: &str, object: &DynamicObject) -> Result<Applied, Error> {
    let types = object.types.clone().unwrap_or_default();
    let gvk = GroupVersionKind::try_from(&types)
        .map_err(|_| Error::Manifest { file: file.to_owned(), problem: format!("{} is no apiVersion", types.api_version) })?;
    let (resource, capabilities) = kube::discovery::oneshot::pinned_kind(client, &gvk)
        .await
        .map_err(Error::refused(format!("to tell of kind {} in {}", types.kind, types.api_version)))?;
    let name = object.name_any();
    let (api, namespace) = place(client, &resource, &capabilities.scope, object);
    let params = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(MANAGER) };
    api.patch(&name, &params, &Patch::Apply(object)).await.map_err(Error::refused(format!("{} {name} of {file}", types.kind)))?;
    Ok(Applied { kind: types.kind, namespace, name })
}

fn place(client: &Client, resource: &ApiResource, scope: &Scope, object: &DynamicObject) -> (Api<DynamicObject>, String) {
    match scope {
        Scope::Cluster => (Api::all_with(client.clone(), resource), String::new()),
        Scope::Namespaced => {
            let namespace = object.namespace().unwrap_or_else(|| NAMESPACE.to_owned());
            (Api::namespaced_with(client.clone(), &namespace, resource), namespace)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_file_is_read_as_kubectl_reads_it() {
        let text =
            "# first\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n";
        let names: Vec<_> = read("f", text).expect("two").into_iter().filter_map(|object| object.metadata.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_file_that_is_none_says_what_is_wrong() {
        for (text, problem) in [
            ("", "f: holds no object"),
            ("kind: X\nmetadata: {name: a}\n", "f: document 1 has no apiVersion, kind"),
            ("a: [", "f: is no YAML"),
        ] {
            let error = read("f", text).expect_err(text).to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
