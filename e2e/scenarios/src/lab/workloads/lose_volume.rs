//! A follower of a cluster that is there comes back on an empty volume.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::{NAME, Sampling, Workload};
use crate::lab::plans::WITHIN;
use crate::lab::{Lab, basic, cluster};

/// It is there, and a follower comes back on an empty volume.
pub const LOSE_FRONTEND_VOLUME: Workload = Workload {
    name: "LoseFrontendVolume",
    cluster: || cluster(NAME, basic("2.1.7")),
    change: Some(|lab| Box::pin(lose_frontend_volume(lab))),
    sampling: Sampling::THOROUGH,
};

/// The follower whose volume is lost; the first frontend leads.
const VICTIM: &str = "demo-fe-1";

/// Empties the victim's disk in a cluster that is ready and waits until its new process serves.
async fn lose_frontend_volume(lab: &Lab) {
    let lost = Instant::now();
    // A process that runs on would write to the emptied disk.
    lab.nodes.freeze("default", VICTIM, None, true);
    assert!(lab.nodes.lose_volume("default", &format!("meta-{VICTIM}")), "it has a volume");
    lab.api::<Pod>().delete(VICTIM, &kube::api::DeleteParams::default().grace_period(0)).await.expect("the pod is deleted");
    let end = lost + WITHIN;
    while Instant::now() < end {
        let frontends = lab.frontends(NAME);
        let is_back = |frontend: &doris_sim::FrontendFacts| {
            frontend.start.at > lost && frontend.ready && frontend.start.fqdn.starts_with(&format!("{VICTIM}."))
        };
        if frontends.iter().any(is_back) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
