//! The kinds that the controllers name themselves.

use crate::api::Kind;

const fn kind(group: &'static str, version: &'static str, kind: &'static str) -> Kind {
    Kind { group, version, kind }
}

pub(crate) const POD: Kind = kind("", "v1", "Pod");
pub(crate) const NODE: Kind = kind("", "v1", "Node");
pub(crate) const SERVICE: Kind = kind("", "v1", "Service");
pub(crate) const ENDPOINTS: Kind = kind("", "v1", "Endpoints");
pub(crate) const NAMESPACE: Kind = kind("", "v1", "Namespace");
pub(crate) const CLAIM: Kind = kind("", "v1", "PersistentVolumeClaim");
pub(crate) const VOLUME: Kind = kind("", "v1", "PersistentVolume");
pub(crate) const CONFIG_MAP: Kind = kind("", "v1", "ConfigMap");
pub(crate) const SERVICE_ACCOUNT: Kind = kind("", "v1", "ServiceAccount");
pub(crate) const QUOTA: Kind = kind("", "v1", "ResourceQuota");
pub(crate) const EVENT: Kind = kind("", "v1", "Event");
pub(crate) const STATEFUL_SET: Kind = kind("apps", "v1", "StatefulSet");
pub(crate) const REPLICA_SET: Kind = kind("apps", "v1", "ReplicaSet");
pub(crate) const DEPLOYMENT: Kind = kind("apps", "v1", "Deployment");
pub(crate) const DAEMON_SET: Kind = kind("apps", "v1", "DaemonSet");
pub(crate) const REVISION: Kind = kind("apps", "v1", "ControllerRevision");
pub(crate) const JOB: Kind = kind("batch", "v1", "Job");
pub(crate) const CRON_JOB: Kind = kind("batch", "v1", "CronJob");
pub(crate) const BUDGET: Kind = kind("policy", "v1", "PodDisruptionBudget");
pub(crate) const SLICE: Kind = kind("discovery.k8s.io", "v1", "EndpointSlice");
pub(crate) const STORAGE_CLASS: Kind = kind("storage.k8s.io", "v1", "StorageClass");
pub(crate) const LEASE: Kind = kind("coordination.k8s.io", "v1", "Lease");
pub(crate) const DEFINITION: Kind = kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition");

impl Kind {
    /// `apiVersion` as written in manifests.
    pub(crate) fn api_version(self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}
