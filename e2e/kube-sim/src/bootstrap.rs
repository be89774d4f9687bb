//! The objects that every cluster begins with.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::seconds;
use crate::cluster::Cluster;

/// Creates them.
pub fn fill(cluster: &mut Cluster, now: Timestamp, storage_class: bool) {
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        put(
            cluster,
            now,
            "namespaces.",
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
            }),
        );
    }
    if storage_class {
        put(
            cluster,
            now,
            "storageclasses.storage.k8s.io",
            json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "kube-sim.local/hostpath", "reclaimPolicy": "Delete", "allowVolumeExpansion": true,
                "volumeBindingMode": "Immediate",
            }),
        );
    }
    for (name, value) in [("system-cluster-critical", 2_000_000_000_u32), ("system-node-critical", 2_000_001_000)] {
        put(
            cluster,
            now,
            "priorityclasses.scheduling.k8s.io",
            json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name, "generation": 1},
                "value": value, "preemptionPolicy": "PreemptLowerPriority",
            }),
        );
    }
    roles(cluster, now);
    put(
        cluster,
        now,
        "services.",
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {
                "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "type": "ClusterIP", "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            },
            "status": {"loadBalancer": {}},
        }),
    );
}

const EVERYTHING: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const READING: [&str; 3] = ["get", "list", "watch"];

fn roles(cluster: &mut Cluster, now: Timestamp) {
    let workloads = json!([
        {"apiGroups": [""], "resources": ["configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "replicationcontrollers",
            "replicationcontrollers/scale", "serviceaccounts", "services"]},
        {"apiGroups": ["apps"], "resources": ["*"]},
        {"apiGroups": ["batch"], "resources": ["*"]},
        {"apiGroups": ["autoscaling"], "resources": ["*"]},
        {"apiGroups": ["policy"], "resources": ["*"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]},
    ]);
    let with = |verbs: &[&str], more: Value| {
        let mut rules: Vec<Value> = workloads.as_array().cloned().unwrap_or_default();
        rules.extend(more.as_array().cloned().unwrap_or_default());
        for rule in &mut rules {
            rule["verbs"] = json!(verbs);
        }
        Value::from(rules)
    };
    let secrets = json!([{"apiGroups": [""], "resources": ["secrets"]}]);
    let access = json!([
        {"apiGroups": [""], "resources": ["secrets"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"]},
    ]);
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
    let open = json!([{"nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"]}]);
    let discovery = json!([{
        "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"],
        "verbs": ["get"],
    }]);
    let own = json!([
        {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], "verbs": ["create"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    ]);
    let aggregate =
        |name: &str| json!({"clusterRoleSelectors": [{"matchLabels": {format!("rbac.authorization.k8s.io/aggregate-to-{name}"): "true"}}]});
    for (name, rules) in [("view", with(&READING, Value::Null)), ("edit", with(&EVERYTHING, secrets)), ("admin", with(&EVERYTHING, access))]
    {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
        put_role(
            cluster,
            now,
            json!({"metadata": {"name": format!("system:aggregate-to-{name}"), "labels": {label: "true"}}, "rules": rules}),
        );
        put_role(cluster, now, json!({"metadata": {"name": name}, "aggregationRule": aggregate(name), "rules": rules}));
    }
    let authenticated = "system:authenticated";
    for (name, rules, groups) in [
        ("cluster-admin", all, vec!["system:masters"]),
        ("system:discovery", discovery, vec![authenticated]),
        ("system:basic-user", own, vec![authenticated]),
        ("system:public-info-viewer", open, vec![authenticated, "system:unauthenticated"]),
    ] {
        put_role(cluster, now, json!({"metadata": {"name": name}, "rules": rules}));
        let subjects: Vec<Value> =
            groups.iter().map(|group| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group})).collect();
        put(
            cluster,
            now,
            "clusterrolebindings.rbac.authorization.k8s.io",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}, "subjects": subjects,
            }),
        );
    }
}

fn put_role(cluster: &mut Cluster, now: Timestamp, mut role: Value) {
    role["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
    role["kind"] = "ClusterRole".into();
    put(cluster, now, crate::access::rbac::CLUSTER_ROLES, role);
}

fn put(cluster: &mut Cluster, now: Timestamp, key: &str, mut object: Value) {
    object["metadata"]["uid"] = cluster.ids.uid().into();
    object["metadata"]["creationTimestamp"] = seconds(now).into();
    let key: Arc<str> = key.into();
    cluster.store.put(&key, object);
}
