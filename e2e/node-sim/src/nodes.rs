//! Node objects and their leases.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::options::NodeSpec;
use crate::shared::{Shared, lock};

const LEASES: &str = "kube-node-lease";

/// Registers a node and keeps its lease renewed, except while the node is lost.
pub(crate) async fn keep(shared: Arc<Shared>, node: NodeSpec) {
    let mut posted = false;
    loop {
        if lock(&shared.faults).lost_nodes.contains_key(&node.name) {
            // What the control plane says of a lost node has to be taken back when it returns.
            posted = false;
        } else {
            if !posted {
                match register(&shared, &node).await {
                    Ok(()) => posted = true,
                    Err(error) => tracing::warn!(%error, node = node.name, "the node is not registered yet"),
                }
            }
            if let Err(error) = renew(&shared, &node.name).await {
                tracing::warn!(%error, node = node.name, "the node's lease is not renewed");
            }
        }
        let pause = if posted { shared.options.lease_period } else { shared.options.lease_period / 10 };
        tokio::time::sleep(pause).await;
    }
}

/// Creates the Node object if need be, and says that it is ready.
pub(crate) async fn register(shared: &Shared, spec: &NodeSpec) -> Result<(), kube::Error> {
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname".to_owned(), spec.name.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), "amd64".to_owned()),
        ("topology.kubernetes.io/zone".to_owned(), spec.zone.clone()),
    ]);
    labels.extend(spec.labels.clone());
    let metadata = ObjectMeta { name: Some(spec.name.clone()), labels: Some(labels), ..ObjectMeta::default() };
    match nodes.create(&PostParams::default(), &Node { metadata, ..Node::default() }).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(error),
    }
    let patch = Patch::Strategic(status(shared, spec));
    nodes.patch_status(&spec.name, &PatchParams::default(), &patch).await.map(drop)
}

fn status(shared: &Shared, spec: &NodeSpec) -> serde_json::Value {
    let now = shared.now();
    let resources = json!({"cpu": spec.cpu, "memory": spec.memory, "pods": spec.pods.to_string(), "ephemeral-storage": "100Ti"});
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
               "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    json!({"status": {
        "capacity": resources, "allocatable": resources,
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": spec.name}],
        "nodeInfo": {
            "architecture": "amd64", "bootID": "node-sim", "containerRuntimeVersion": "node-sim://0.1", "kernelVersion": "6.1.0",
            "kubeProxyVersion": "", "kubeletVersion": "v1.33.0", "machineID": spec.name, "operatingSystem": "linux",
            "osImage": "node-sim", "systemUUID": spec.name
        },
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")
        ]
    }})
}

/// Renews the node's lease, making it when it is missing.
async fn renew(shared: &Shared, node: &str) -> Result<(), kube::Error> {
    let leases: Api<Lease> = Api::namespaced(shared.client.clone(), LEASES);
    let now = MicroTime((shared.options.clock)());
    let patch = json!({"spec": {"holderIdentity": node, "renewTime": now}});
    match leases.patch(node, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => return Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let seconds = i32::try_from(shared.options.lease_period.as_secs() * 4).unwrap_or(40);
    let lease = Lease {
        metadata: ObjectMeta { name: Some(node.to_owned()), namespace: Some(LEASES.into()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(node.to_owned()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    };
    match leases.create(&PostParams::default(), &lease).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => make_lease_namespace(shared).await,
        Err(error) => Err(error),
    }
}

/// A server without a controller manager has no namespace for node leases.
async fn make_lease_namespace(shared: &Shared) -> Result<(), kube::Error> {
    let namespace = Namespace { metadata: ObjectMeta { name: Some(LEASES.into()), ..ObjectMeta::default() }, ..Namespace::default() };
    match Api::<Namespace>::all(shared.client.clone()).create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(|made| tracing::debug!(name = made.name_any(), "namespace made")),
    }
}
