//! `PodDisruptionBudgets` as servers before `policy/v1` know them: the same fields under another version.

use std::borrow::Cow;

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Serialize};

/// A budget of `policy/v1beta1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OldBudget {
    #[serde(default = "api_version")]
    api_version: String,
    #[serde(default = "kind")]
    kind: String,
    metadata: ObjectMeta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<PodDisruptionBudgetSpec>,
}

fn api_version() -> String {
    OldBudget::api_version(&()).into_owned()
}

fn kind() -> String {
    OldBudget::kind(&()).into_owned()
}

impl From<PodDisruptionBudget> for OldBudget {
    fn from(budget: PodDisruptionBudget) -> Self {
        Self { api_version: api_version(), kind: kind(), metadata: budget.metadata, spec: budget.spec }
    }
}

impl Resource for OldBudget {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "PodDisruptionBudget".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "policy".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1beta1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "poddisruptionbudgets".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::policy::v1::PodDisruptionBudget;
    use serde_json::json;

    use super::OldBudget;

    #[test]
    fn an_old_budget_says_the_same_in_the_old_version() {
        let new = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "demo-fe"},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"a": "b"}}},
        });
        let budget: PodDisruptionBudget = serde_json::from_value(new.clone()).expect("a budget");
        let old = serde_json::to_value(OldBudget::from(budget)).expect("JSON");
        let mut expected = new;
        expected["apiVersion"] = "policy/v1beta1".into();
        assert_eq!(old, expected);
    }
}
