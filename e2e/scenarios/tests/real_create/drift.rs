//! Hands on our objects.

use kube::ResourceExt as _;
use kube::api::DeleteParams;
use scenarios::lab::{basic, cluster};

use crate::children::children;
use crate::harness::run;

#[test]
fn drift_is_repaired() {
    run("drift_is_repaired", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        place.apply(&cluster("demo", basic("2.1.7"))).await.expect("applied");
        place.until_ready("demo").await;
        let all = children(&place, "demo").await;
        for kind in ["Service", "ConfigMap", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"] {
            assert!(all.iter().any(|child| child.kind == kind), "no {kind} is owned");
        }
        for child in &all {
            child.edit().await;
        }
        for child in &all {
            let what = format!("the edited {} is as before", child.title());
            place.until_so(&what, async || child.now().await.is_some_and(|now| child.is_as_before(&now))).await;
        }
        for child in &all {
            child.api.delete(&child.object.name_any(), &DeleteParams::background()).await.expect("deleted");
        }
        for child in &all {
            let what = format!("the deleted {} is there again", child.title());
            let is_new = async || child.now().await.is_some_and(|now| now.uid() != child.object.uid() && child.is_as_before(&now));
            place.until_so(&what, is_new).await;
        }
        place.until_ready("demo").await;
        assert_eq!(crate::foundings::foundings(&place, "demo"), 1);
        controller.stop().await.expect("an end");
    });
}
