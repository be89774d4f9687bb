//! Live and restart-only keys of a small cluster change at once, and one is taken out.

use serde_json::{Value, json};

use super::{NAME, Sampling, Workload};
use crate::lab::{Lab, basic, cluster};

/// It is there, and its configuration changes.
pub const CONFIGURE: Workload = Workload {
    name: "Configure",
    cluster: || cluster(NAME, spec(json!({"disable_balance": "true"}), json!({"max_tablet_version_num": "2500"}))),
    change: Some(|lab| Box::pin(configure(lab))),
    sampling: Sampling { questions: 6, changes: 2, refusals: 2 },
};

#[allow(clippy::needless_pass_by_value, reason = "callers make them in place")]
fn spec(frontends: Value, backends: Value) -> Value {
    let mut spec = basic("2.1.7");
    spec["fe"]["replicas"] = json!(1);
    spec["be"]["replicas"] = json!(2);
    spec["fe"]["config"] = frontends;
    spec["be"]["config"] = backends;
    spec["update"] = json!({"unavailableTables": "Allow", "timeouts": {"drainSeconds": 5, "backendSeconds": 45, "frontendSeconds": 45}});
    spec
}

async fn configure(lab: &Lab) {
    let frontends = json!({"catalog_trash_expire_second": "3600", "qe_max_connection": "2048"});
    let changed = cluster(NAME, spec(frontends, json!({"max_tablet_version_num": "3000", "streaming_load_max_mb": "20480"})));
    lab.apply(&changed).await.expect("the spec is accepted");
}
