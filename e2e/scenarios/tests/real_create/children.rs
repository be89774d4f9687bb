//! The objects that a cluster owns, whatever their kind.

use doris_api::labels;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use scenarios::real::Place;
use serde_json::json;

/// Kinds that our controller writes and takes back. Identity, a Secret, is kept and not owned.
const KINDS: [(&str, &str, &str); 5] = [
    ("", "v1", "Service"),
    ("", "v1", "ConfigMap"),
    ("apps", "v1", "StatefulSet"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
];

/// An owned object and the way to its kind.
pub struct Child {
    pub api: Api<DynamicObject>,
    pub kind: &'static str,
    pub object: DynamicObject,
}

impl Child {
    /// As in `Service demo-fe`.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.object.name_any())
    }

    /// The object as the server has it now.
    pub async fn now(&self) -> Option<DynamicObject> {
        self.api.get_opt(&self.object.name_any()).await.expect("an answer")
    }

    /// Changes a label that is ours by hand.
    pub async fn edit(&self) {
        let edit = json!({"metadata": {"labels": {labels::APP_INSTANCE: "by-hand"}}});
        let params = PatchParams { field_manager: Some("somebody".to_owned()), ..PatchParams::default() };
        self.api.patch(&self.object.name_any(), &params, &Patch::Merge(edit)).await.expect("edited");
    }

    /// Whether what is there now is what was there at first.
    pub fn is_as_before(&self, now: &DynamicObject) -> bool {
        now.labels() == self.object.labels() && now.metadata.deletion_timestamp.is_none()
    }
}

/// Everything that a cluster owns now.
pub async fn children(place: &Place<'_>, cluster: &str) -> Vec<Child> {
    let mut found = Vec::new();
    for (group, version, kind) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(place.client.clone(), &place.namespace, &resource);
        let list = api.list(&ListParams::default().labels(&format!("{}={cluster}", labels::CLUSTER))).await.expect("a list");
        let owned = list.items.into_iter().filter(|object| object.owner_references().iter().any(|owner| owner.kind == "DorisCluster"));
        found.extend(owned.map(|object| Child { api: api.clone(), kind, object }));
    }
    found
}
