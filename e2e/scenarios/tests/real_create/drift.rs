//! Hands on our objects.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use scenarios::lab::{basic, cluster, merge};
use serde_json::{Value, json};

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

#[test]
fn a_field_that_is_taken_out_leaves_no_trace() {
    run("a_field_taken_out", async |place| {
        let controller = place.start_controller("one").await.expect("a controller");
        place.apply(&cluster("demo", basic("2.1.7"))).await.expect("applied");
        place.until_ready("demo").await;
        let spec_of = async || {
            let set: StatefulSet = place.api().get("demo-be").await.expect("the set");
            let service: Service = place.api().get("demo-fe").await.expect("the Service");
            json!([set.spec, service.spec, service.metadata.annotations])
        };
        let before = spec_of().await;
        let fields: [(&str, Value); 3] = [
            (
                "be.env and be.nodeSelector",
                json!({"be": {"env": [{"name": "TZ", "value": "UTC"}], "nodeSelector": {"kubernetes.io/os": "linux"}}}),
            ),
            (
                "a node port",
                json!({"fe": {"service": {"type": "NodePort", "nodePorts": [{"name": "query", "port": 30937}], "annotations": {"example.org/a": "b"}}}}),
            ),
            (
                "a load balancer",
                json!({"fe": {"service": {"type": "LoadBalancer", "loadBalancerClass": "example.org/lb", "externalTrafficPolicy": "Local"}}}),
            ),
        ];
        for (field, patch) in fields {
            let mut spec = basic("2.1.7");
            merge(&mut spec, &patch);
            place.apply(&cluster("demo", spec)).await.expect("applied");
            place.until_so(&format!("{field} changes something"), async || spec_of().await != before).await;
            place.apply(&cluster("demo", basic("2.1.7"))).await.expect("applied");
            place.until_so(&format!("{field} leaves no trace"), async || spec_of().await == before).await;
        }
        controller.stop().await.expect("an end");
    });
}
