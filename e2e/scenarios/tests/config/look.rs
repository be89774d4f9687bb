//! What processes have, and what the status says of it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use doris_api::cluster::ConfigState;
use doris_api::{Component, DorisCluster, names};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use scenarios::lab::oracles::end;
use scenarios::lab::{Lab, cluster, is_ready};
use serde_json::Value;

/// Longest time that a change may take.
pub const LONG: Duration = Duration::from_mins(20);

/// Name of a member's process.
pub fn host(component: Component, ordinal: u32) -> String {
    names::member_fqdn("demo", component, ordinal, "default", "cluster.local")
}

/// A setting of a running process, as it has it in its memory.
pub fn value(lab: &Lab, component: Component, ordinal: u32, key: &str) -> String {
    lab.world.setting(&host(component, ordinal), key).map_or_else(|| "no such key".to_owned(), |(value, _)| value)
}

/// The same of so many members.
pub fn values(lab: &Lab, component: Component, count: u32, key: &str) -> Vec<String> {
    (0..count).map(|ordinal| value(lab, component, ordinal, key)).collect()
}

/// Uids of the pods, and how often their containers were restarted.
pub async fn runs(lab: &Lab) -> BTreeMap<String, (String, i32)> {
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.expect("pods are listed");
    let restarts = |pod: &Pod| {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
        statuses.iter().map(|container| container.restart_count).sum()
    };
    pods.into_iter().map(|pod| (pod.name_any(), (pod.uid().unwrap_or_default(), restarts(&pod)))).collect()
}

/// What a key's line in the status says: state, members, message.
pub fn told(seen: &DorisCluster, component: &str, key: &str) -> Option<(ConfigState, Vec<String>, String)> {
    let config = &seen.status.as_ref()?.config;
    let found = config.iter().find(|found| found.component == component && found.key == key)?;
    Some((found.state, found.members.clone(), found.message.clone().unwrap_or_default()))
}

/// Applies a spec and waits until all of it is so. Boxed, for it is awaited all over.
pub fn apply<'a>(lab: &'a Lab, spec: &'a Value) -> Pin<Box<dyn Future<Output = DorisCluster> + 'a>> {
    Box::pin(async move {
        let applied = lab.apply(&cluster("demo", spec.clone())).await.expect("the spec is accepted");
        let done = |seen: &DorisCluster| seen.metadata.generation == applied.metadata.generation && is_ready(seen);
        lab.until("the spec is in force", "demo", LONG, done).await
    })
}

/// Everything is as the spec says, in memory and in the files, and nothing was ever broken.
pub async fn judge(lab: &Lab) {
    let seen = lab.cluster("default", "demo").await.expect("it is there");
    let mut broken = end::in_force(lab, &seen).await;
    broken.extend(lab.broken_rules());
    assert_eq!(broken, Vec::<String>::new());
}
