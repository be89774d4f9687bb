//! Evictions, which disruption budgets may refuse.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::call::{Call, Target};
use crate::clock::seconds;
use crate::cluster::Cluster;
use crate::http::options::{DeleteOptions, Query};
use crate::selector::Selector;
use crate::status::{ApiStatus, Cause, Details};
use crate::store::text;

const BUDGETS: &str = "poddisruptionbudgets.policy";

impl Cluster {
    /// Evicts a pod: deletes it if its budget has a disruption left.
    pub fn evict(&mut self, call: &mut Call, target: &Target, eviction: &Value) -> Result<Value, ApiStatus> {
        let resource = &target.resource;
        let pod = self.store.get(&resource.key, &target.namespace, &target.name).cloned();
        let pod = pod.ok_or_else(|| ApiStatus::not_found(resource, &target.name))?;
        let options = DeleteOptions::read(&Query::default(), Some(&eviction["deleteOptions"]))?;
        if !goes_anyway(&pod) {
            let budgets: Vec<Arc<Value>> = self
                .store
                .list(BUDGETS, Some(&target.namespace))
                .filter(|budget| Selector::from_object(&budget["spec"]["selector"]).is_some_and(|selector| selector.matches(&pod)))
                .cloned()
                .collect();
            match budgets.as_slice() {
                [] => {}
                [budget] => self.spend(call, budget, &pod)?,
                _ => {
                    let text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                    return Err(ApiStatus::new(500, "InternalError", format!("Internal error occurred: {text}"))
                        .with(Details { causes: vec![Cause::new("", "", text)], ..Details::default() }));
                }
            }
        }
        self.delete(call, &Target { subresource: String::new(), ..target.clone() }, &options)?;
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
    }

    fn spend(&mut self, call: &Call, budget: &Arc<Value>, pod: &Value) -> Result<(), ApiStatus> {
        let number = |field: &str| budget["status"][field].as_i64().unwrap_or_default();
        let observed = number("observedGeneration") >= budget["metadata"]["generation"].as_i64().unwrap_or_default();
        if observed && !is_ready(pod) {
            let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
            let healthy = number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0;
            if always || healthy {
                return Ok(());
            }
        }
        let allowed = number("disruptionsAllowed");
        if !observed || allowed <= 0 {
            return Err(refusal(budget, observed));
        }
        let mut spent = (**budget).clone();
        spent["status"]["disruptionsAllowed"] = (allowed - 1).into();
        if !spent["status"]["disruptedPods"].is_object() {
            spent["status"]["disruptedPods"] = json!({});
        }
        spent["status"]["disruptedPods"][text(pod, "name")] = seconds(call.now).into();
        if !call.dry_run {
            self.store.put(&BUDGETS.into(), spent);
        }
        Ok(())
    }
}

/// Pods that run nowhere or have ended are not protected.
fn goes_anyway(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending")) || pod["metadata"]["deletionTimestamp"].is_string()
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"))
}

fn refusal(budget: &Value, observed: bool) -> ApiStatus {
    let name = text(budget, "name");
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let cause = if observed {
        let (wanted, healthy) = (&budget["status"]["desiredHealthy"], &budget["status"]["currentHealthy"]);
        format!("The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently")
    } else {
        format!("The disruption budget {name} is still being processed by the server.")
    };
    let retry_after = if observed { 0 } else { 10 };
    ApiStatus::new(429, "TooManyRequests", message).with(Details {
        causes: vec![Cause::new("DisruptionBudget", "", cause)],
        retry_after,
        ..Details::default()
    })
}
