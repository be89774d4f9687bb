//! Two controllers, and the leader is lost.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use scenarios::lab::{basic, cluster};
use scenarios::real::Place;

use crate::foundings::foundings;
use crate::harness::run;

async fn leader(place: &Place<'_>) -> Option<String> {
    let lease = place.api::<Lease>().get_opt("doris-operator.dev-cluster-controller").await.ok().flatten()?;
    lease.spec?.holder_identity.filter(|holder| !holder.is_empty())
}

#[test]
fn leader_change_mid_create() {
    run("leader_change_mid_create", async |place| {
        let first = place.start_controller("first").await.expect("a controller");
        place.until_so("the first controller leads", async || leader(&place).await.is_some_and(|name| name.starts_with("first"))).await;
        let second = place.start_controller("second").await.expect("a controller");
        place.apply(&cluster("demo", basic("2.1.7"))).await.expect("applied");
        let pods = place.api::<Pod>();
        place.until_so("the first pods are there", async || !pods.list(&ListParams::default()).await.expect("pods").items.is_empty()).await;
        first.kill();
        place.until_so("the second controller leads", async || leader(&place).await.is_some_and(|name| name.starts_with("second"))).await;
        place.until_ready("demo").await;
        assert_eq!(foundings(&place, "demo"), 1);
        second.stop().await.expect("an end");
    });
}
