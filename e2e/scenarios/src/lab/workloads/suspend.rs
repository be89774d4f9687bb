//! A cluster that is there is suspended and resumed.

use std::time::Duration;

use doris_api::DorisCluster;
use serde_json::json;
use tokio::time::Instant;

use super::{NAME, Sampling, Workload};
use crate::lab::look::condition;
use crate::lab::plans::WITHIN;
use crate::lab::{Lab, basic, cluster};

/// It is suspended, and resumed once it is.
pub const SUSPEND: Workload = Workload {
    name: "Suspend",
    cluster: || small(false),
    change: Some(|lab| Box::pin(suspend_and_resume(lab))),
    sampling: Sampling { questions: 16, changes: 2, refusals: 5 },
};

fn small(suspend: bool) -> DorisCluster {
    let mut spec = basic("2.1.7");
    spec["be"]["replicas"] = json!(2);
    spec["update"] = json!({"timeouts": {"drainSeconds": 5}});
    spec["suspend"] = json!(suspend);
    cluster(NAME, spec)
}

async fn suspend_and_resume(lab: &Lab) {
    lab.apply(&small(true)).await.expect("the spec is accepted");
    let end = Instant::now() + WITHIN;
    loop {
        let seen = lab.cluster("default", NAME).await;
        let is_suspended = seen.as_ref().and_then(|seen| condition(seen, "Suspended")).is_some_and(|(status, _, _)| status == "True");
        if is_suspended || Instant::now() >= end {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    lab.apply(&small(false)).await.expect("the spec is accepted");
}
