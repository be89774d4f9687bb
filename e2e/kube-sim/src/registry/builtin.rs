//! The table of built-in resources.

use kube_schema::{Gvk, Kind};

use super::Resource;

/// Status subresource.
const S: u8 = 1;
/// Scale subresource.
const C: u8 = 2;
/// `metadata.generation`.
const G: u8 = 4;
/// Only `create`.
const O: u8 = 8;
/// Cluster-scoped.
const W: u8 = 16;
/// In the category `all`.
const A: u8 = 32;

/// Last minor version of a resource that is still served.
const NOW: u32 = u32::MAX;

struct Row {
    group_version: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static str,
    flags: u8,
    since: u32,
    until: u32,
}

const fn row(group_version: &'static str, plural: &'static str, kind: &'static str, short: &'static str, flags: u8) -> Row {
    Row { group_version, plural, kind, short, flags, since: 0, until: NOW }
}

#[allow(clippy::needless_pass_by_value)] // a const fn cannot borrow and rebuild
const fn between(row: Row, since: u32, until: u32) -> Row {
    Row { since, until, ..row }
}

const TABLE: &[Row] = &[
    row("v1", "bindings", "Binding", "", O),
    row("v1", "configmaps", "ConfigMap", "cm", 0),
    row("v1", "endpoints", "Endpoints", "ep", 0),
    row("v1", "events", "Event", "ev", 0),
    row("v1", "limitranges", "LimitRange", "limits", 0),
    row("v1", "namespaces", "Namespace", "ns", S | W),
    row("v1", "nodes", "Node", "no", S | W),
    row("v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc", S),
    row("v1", "persistentvolumes", "PersistentVolume", "pv", S | W),
    row("v1", "pods", "Pod", "po", S | A),
    row("v1", "podtemplates", "PodTemplate", "", 0),
    row("v1", "replicationcontrollers", "ReplicationController", "rc", S | C | G | A),
    row("v1", "resourcequotas", "ResourceQuota", "quota", S),
    row("v1", "secrets", "Secret", "", 0),
    row("v1", "serviceaccounts", "ServiceAccount", "sa", 0),
    row("v1", "services", "Service", "svc", S | A),
    row("apps/v1", "controllerrevisions", "ControllerRevision", "", 0),
    row("apps/v1", "daemonsets", "DaemonSet", "ds", S | G | A),
    row("apps/v1", "deployments", "Deployment", "deploy", S | C | G | A),
    row("apps/v1", "replicasets", "ReplicaSet", "rs", S | C | G | A),
    row("apps/v1", "statefulsets", "StatefulSet", "sts", S | C | G | A),
    row("authentication.k8s.io/v1", "tokenreviews", "TokenReview", "", O | W),
    between(row("authentication.k8s.io/v1", "selfsubjectreviews", "SelfSubjectReview", "", O | W), 28, NOW),
    row("authorization.k8s.io/v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", "", O),
    row("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "", O | W),
    row("authorization.k8s.io/v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", "", O | W),
    row("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview", "", O | W),
    row("autoscaling/v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", S | A),
    between(row("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", S | A), 23, NOW),
    row("batch/v1", "jobs", "Job", "", S | G | A),
    between(row("batch/v1", "cronjobs", "CronJob", "cj", S | G | A), 21, NOW),
    between(row("batch/v1beta1", "cronjobs", "CronJob", "cj", S | G | A), 8, 24),
    row("coordination.k8s.io/v1", "leases", "Lease", "", 0),
    between(row("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", "", G), 21, NOW),
    between(row("discovery.k8s.io/v1beta1", "endpointslices", "EndpointSlice", "", G), 17, 24),
    between(row("events.k8s.io/v1", "events", "Event", "ev", 0), 19, NOW),
    between(row("events.k8s.io/v1beta1", "events", "Event", "ev", 0), 8, 24),
    row("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "netpol", G),
    between(row("networking.k8s.io/v1", "ingresses", "Ingress", "ing", S | G), 19, NOW),
    between(row("networking.k8s.io/v1", "ingressclasses", "IngressClass", "", G | W), 19, NOW),
    between(row("networking.k8s.io/v1", "ipaddresses", "IPAddress", "ip", G | W), 33, NOW),
    between(row("networking.k8s.io/v1", "servicecidrs", "ServiceCIDR", "", S | G | W), 33, NOW),
    between(row("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", S | G), 21, NOW),
    between(row("policy/v1beta1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", S | G), 5, 24),
    row("rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", "", W),
    row("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", "", W),
    row("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", "", 0),
    row("rbac.authorization.k8s.io/v1", "roles", "Role", "", 0),
    row("scheduling.k8s.io/v1", "priorityclasses", "PriorityClass", "pc", G | W),
    between(row("storage.k8s.io/v1", "csidrivers", "CSIDriver", "", W), 18, NOW),
    between(row("storage.k8s.io/v1", "csinodes", "CSINode", "", W), 17, NOW),
    between(row("storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity", "", 0), 24, NOW),
    row("storage.k8s.io/v1", "storageclasses", "StorageClass", "sc", W),
    row("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment", "", S | W),
    between(row("storage.k8s.io/v1", "volumeattributesclasses", "VolumeAttributesClass", "vac", W), 34, NOW),
    between(row("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", "crd,crds", S | G | W), 16, NOW),
];

/// Where several versions of one kind are kept: the schema of the storage version is known.
fn storage(group: &str, version: &str, plural: &str) -> (&'static str, &'static str) {
    match (group, plural) {
        ("autoscaling", _) => ("autoscaling", "v2"),
        ("events.k8s.io", _) => ("", "v1"),
        ("policy", _) => ("policy", "v1"),
        ("discovery.k8s.io", _) => ("discovery.k8s.io", "v1"),
        ("batch", _) => ("batch", "v1"),
        _ => TABLE
            .iter()
            .map(|row| super::split_api_version(row.group_version))
            .find(|found| *found == (group, version))
            .unwrap_or(("", "v1")),
    }
}

/// All resources of Kubernetes 1.`minor`.
pub fn resources(minor: u32) -> impl Iterator<Item = Resource> {
    TABLE.iter().filter(move |row| row.since <= minor && minor <= row.until).map(move |row| build(row, minor))
}

fn build(row: &Row, minor: u32) -> Resource {
    let (group, version) = super::split_api_version(row.group_version);
    let has = |flag: u8| row.flags & flag != 0;
    let storage = storage(group, version, row.plural);
    let types = Kind::builtin(&Gvk::new(storage.0, storage.1, row.kind), minor);
    let mut categories = Vec::new();
    if has(A) {
        categories.push("all".to_owned());
    }
    if row.kind == "CustomResourceDefinition" {
        categories.push("api-extensions".to_owned());
    }
    Resource {
        group: group.into(),
        version: version.into(),
        plural: row.plural.into(),
        singular: row.kind.to_lowercase().into(),
        kind: row.kind.into(),
        list_kind: format!("{}List", row.kind).into(),
        namespaced: !has(W),
        short_names: row.short.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        categories,
        has_status: has(S),
        has_scale: has(C),
        has_generation: has(G),
        create_only: has(O),
        key: format!("{}.{}", row.plural, storage.0).into(),
        storage: (storage.0.into(), storage.1.into()),
        body_types: Kind::builtin(&Gvk::new(group, version, row.kind), minor).or_else(|| types.clone()),
        types,
        custom: None,
    }
}
