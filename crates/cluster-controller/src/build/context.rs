//! What every builder knows, and the metadata that every object has.

use std::collections::BTreeMap;

use doris_api::{Component, DorisCluster, DorisClusterSpec, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt as _};

use crate::release::Release;

/// What of a cluster's identity stands in its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFacts {
    /// Identity id.
    pub id: String,
    /// Doris' cluster id, once founded.
    pub cluster_id: Option<String>,
    /// Raised by each recovery of the metadata.
    pub epoch: u64,
    /// Pods of backends whose volumes are known to hold data: empty ones are not started on.
    pub had_data: Vec<String>,
    /// Frontends that left the group, as `FQDN node-name`: their metadata is not started on.
    pub left: Vec<String>,
    /// Builds that templates may name; the spec decides before there is a record.
    pub release: Option<Release>,
    /// Storage roots that are known to be new, as `pod path`: they may be empty all the same.
    pub fresh: Vec<String>,
}

/// An object that can't be built from this spec.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A sidecar or init container is none.
    #[error("{component}: container {name} is not a container: {source}")]
    Container {
        /// Component it was given for.
        component: Component,
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The pod template does not fit over the generated pod.
    #[error("{component}.podTemplate does not fit: {source}")]
    PodTemplate {
        /// Component it was given for.
        component: Component,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The cluster lacks what the API server gives every object.
    #[error("the cluster has no {0} yet")]
    Incomplete(&'static str),
    /// The component is not part of the cluster.
    #[error("the cluster has no {0}")]
    NoComponent(Component),
}

/// What every builder knows.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The cluster.
    pub cluster: &'a DorisCluster,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its identity.
    pub identity: IdentityFacts,
    /// Minor version of the API server: what it does not know is left out.
    pub kubernetes_minor: u32,
    /// Requests to restart, by component: pod templates carry them, so that a changed one makes every pod old.
    pub restarts: BTreeMap<Component, BTreeMap<String, String>>,
    /// Namespace that the controllers run in; they may use the internal ports. Without it only
    /// this cluster's own namespace counts.
    pub operator_namespace: Option<String>,
    owner: OwnerReference,
}

impl<'a> Context<'a> {
    /// Takes what builders need from a cluster.
    pub fn new(cluster: &'a DorisCluster, identity: IdentityFacts, kubernetes_minor: u32) -> Result<Self, BuildError> {
        let mut owner = cluster.controller_owner_ref(&()).ok_or(BuildError::Incomplete("uid"))?;
        owner.block_owner_deletion = Some(true);
        Ok(Self {
            cluster,
            name: cluster.name_any(),
            namespace: cluster.namespace().ok_or(BuildError::Incomplete("namespace"))?,
            identity,
            kubernetes_minor,
            restarts: BTreeMap::new(),
            operator_namespace: None,
            owner,
        })
    }

    /// The spec.
    pub fn spec(&self) -> &'a DorisClusterSpec {
        &self.cluster.spec
    }

    /// Metadata of an object that goes when the cluster goes.
    pub(crate) fn metadata(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// Metadata of an object of one component.
    pub(super) fn component_metadata(&self, name: String, component: Component) -> ObjectMeta {
        self.metadata(name, labels::of_component(&self.name, component))
    }

    /// The version that the component's image brings, as far as it is known.
    pub fn version(&self, component: Component) -> String {
        let recorded = self.identity.release.as_ref().and_then(|release| release.version_of(&self.image(component)));
        recorded.map_or_else(|| self.spec().version.clone(), |version| version.to_string())
    }

    /// The image that a component's members run.
    pub fn image(&self, component: Component) -> String {
        let spec = self.spec();
        if let Some(image) = self.identity.release.as_ref().and_then(|release| release.image(spec, component)) {
            return image;
        }
        spec.member(component)
            .and_then(|member| member.image.clone())
            .unwrap_or_else(|| format!("{}:{}-{}", spec.image.repository, component.process(), spec.version))
    }
}
