//! Events of kubelets, repeats counted on one object.

use std::collections::BTreeMap;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::{Event, EventSource, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use crate::shared::{Shared, lock};

/// Names and counts of the events of one pod by reason, container and message.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<BTreeMap<(String, String), (String, i32)>>);

impl Recorder {
    /// Writes or counts up an event. A failure is logged: nothing depends on events.
    pub(crate) async fn record(&self, shared: &Shared, pod: &Pod, warning: bool, container: Option<&str>, reason: &str, message: &str) {
        if !shared.options.events {
            return;
        }
        let namespace = pod.namespace().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(shared.client.clone(), &namespace);
        let (name, count) = {
            let mut known = lock(&self.0);
            let next = known.len();
            let uid = pod.uid().unwrap_or_default();
            let fresh = || (format!("{}.{}{next:04x}", pod.name_any(), uid.get(..8).unwrap_or(&uid)), 0);
            let entry = known.entry((reason.to_owned(), message.to_owned())).or_insert_with(fresh);
            entry.1 += 1;
            entry.clone()
        };
        let now = shared.now();
        let result = if count == 1 {
            let mut involved = pod.object_ref(&());
            involved.field_path = container.map(|container| format!("spec.containers{{{container}}}"));
            let event = Event {
                metadata: ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() },
                involved_object: involved,
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()),
                type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
                source: Some(EventSource {
                    component: Some("kubelet".into()),
                    host: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
                }),
                reporting_component: Some("kubelet".into()),
                reporting_instance: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
                first_timestamp: Some(now.clone()),
                last_timestamp: Some(now),
                count: Some(1),
                ..Event::default()
            };
            api.create(&PostParams::default(), &event).await.map(drop)
        } else {
            let patch = json!({"count": count, "lastTimestamp": now});
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(drop)
        };
        if let Err(error) = result {
            tracing::debug!(%error, pod = pod.name_any(), reason, "an event was not written");
        }
    }
}
