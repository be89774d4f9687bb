//! Objects kept small.

use std::io::{Read as _, Write as _};
use std::marker::PhantomData;

use doris_api::names;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, PersistentVolumeClaim, Pod, PodSpec};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An object as compressed JSON. A typed Pod has room for hundreds of fields that are not there and takes twenty
/// times the memory; a round opens the few that it looks at.
pub struct Packed<K> {
    deflated: Box<[u8]>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Serialize + DeserializeOwned> Packed<K> {
    /// Compresses an object.
    #[allow(clippy::missing_panics_doc, reason = "memory takes what is written to it")]
    pub fn new(object: &K) -> Self {
        let json = serde_json::to_vec(object).expect("an object that was read from JSON can be written as JSON");
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(json.len() / 2), Compression::fast());
        let written = encoder.write_all(&json).and_then(|()| encoder.finish());
        let deflated = written.expect("memory takes what is written to it");
        Self { deflated: deflated.into_boxed_slice(), kind: PhantomData }
    }

    /// The object.
    #[allow(clippy::missing_panics_doc, reason = "what is in here was written by the same types")]
    pub fn open(&self) -> K {
        let mut json = Vec::with_capacity(4 * self.deflated.len());
        DeflateDecoder::new(&*self.deflated).read_to_end(&mut json).expect("what was compressed here can be opened here");
        serde_json::from_slice(&json).expect("an object that was written as JSON can be read again")
    }
}

/// A pod without what no plan looks at.
pub fn slim_pod(mut pod: Pod) -> Packed<Pod> {
    pod.metadata.managed_fields = None;
    if let Some(spec) = &mut pod.spec {
        let volumes = spec.volumes.take().unwrap_or_default();
        let node_name = spec.node_name.take();
        let image = |container: Container| Container { name: container.name, image: container.image, ..Container::default() };
        let containers = std::mem::take(&mut spec.containers).into_iter().map(image).collect();
        *spec = PodSpec {
            node_name,
            containers,
            volumes: Some(
                volumes
                    .into_iter()
                    .filter(|volume| volume.persistent_volume_claim.is_some() || volume.name == names::CONFIG_VOLUME)
                    .collect(),
            ),
            ..PodSpec::default()
        };
    }
    if let Some(status) = &mut pod.status {
        status.container_statuses.iter_mut().chain(status.init_container_statuses.iter_mut()).flatten().for_each(slim_container);
    }
    Packed::new(&pod)
}

fn slim_container(container: &mut ContainerStatus) {
    container.volume_mounts = None;
    container.resources = None;
    container.allocated_resources = None;
}

/// A claim without its field ownership.
pub fn slim_claim(mut claim: PersistentVolumeClaim) -> Packed<PersistentVolumeClaim> {
    claim.metadata.managed_fields = None;
    Packed::new(&claim)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
    use serde_json::json;

    use super::{slim_claim, slim_pod};

    #[test]
    fn what_plans_look_at_comes_out_of_a_packed_pod() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "uid": "u", "labels": {"a": "b"}, "annotations": {"c": "d"}, "managedFields": [{"manager": "m"}]},
            "spec": {
                "nodeName": "n",
                "containers": [{"name": "main", "image": "i", "env": [{"name": "E", "value": "v"}]}],
                "volumes": [
                    {"name": "data", "persistentVolumeClaim": {"claimName": "data-p"}},
                    {"name": "tmp", "emptyDir": {}},
                    {"name": "operator-config", "projected": {"sources": [{"configMap": {"name": "c-fe-conf-1"}}]}}
                ]
            },
            "status": {"podIP": "10.0.0.1", "containerStatuses": [
                {"name": "main", "image": "i", "imageID": "x", "ready": true, "restartCount": 1, "volumeMounts": [{"name": "data", "mountPath": "/d"}]}
            ]}
        }))
        .expect("a pod");
        let kept = serde_json::to_value(slim_pod(pod).open()).expect("JSON");
        assert_eq!(kept["metadata"], json!({"name": "p", "uid": "u", "labels": {"a": "b"}, "annotations": {"c": "d"}}));
        assert_eq!(
            kept["spec"],
            json!({"containers": [{"name": "main", "image": "i"}], "nodeName": "n", "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-p"}},
                {"name": "operator-config", "projected": {"sources": [{"configMap": {"name": "c-fe-conf-1"}}]}}
            ]})
        );
        let container = json!({"image": "i", "imageID": "x", "name": "main", "ready": true, "restartCount": 1});
        assert_eq!(kept["status"], json!({"podIP": "10.0.0.1", "containerStatuses": [container]}));
    }

    #[test]
    fn a_packed_claim_has_its_sizes() {
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "c", "uid": "u", "managedFields": [{"manager": "m"}]},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}
        }))
        .expect("a claim");
        let mut expected = claim.clone();
        expected.metadata.managed_fields = None;
        assert_eq!(slim_claim(claim).open(), expected);
    }
}
