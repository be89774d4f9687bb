//! Names of all objects that a cluster is to have: whatever else is there and ours is not wanted any more.

use std::collections::BTreeSet;

use doris_api::{Component, names};
use kube::ResourceExt;

use super::{Context, components, config_map, network_policies};

/// Names by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// StatefulSets.
    pub sets: BTreeSet<String>,
    /// Services.
    pub services: BTreeSet<String>,
    /// PodDisruptionBudgets.
    pub budgets: BTreeSet<String>,
    /// NetworkPolicies.
    pub policies: BTreeSet<String>,
    /// ConfigMaps of the present scripts and configuration. Former ones may be in use still.
    pub config_maps: BTreeSet<String>,
}

/// What the spec asks for. Components in `standing` are not in the spec any more and have members
/// yet: those keep their names and the budget that protects them; their set is no longer wanted. `configurations` are
/// the ConfigMaps that new pods are made with.
pub fn inventory(context: &Context<'_>, standing: &BTreeSet<Component>, configurations: BTreeSet<String>) -> Inventory {
    let name = &context.name;
    let wanted = components(context.spec());
    let present: BTreeSet<Component> = wanted.iter().chain(standing).copied().collect();
    let services = present.iter().flat_map(|component| {
        let access = names::access_service(name, *component);
        [Some(names::members_service(name, *component)), access].into_iter().flatten()
    });
    let has_budgets = context.spec().pod_disruption_budget.enabled;
    let budgets = present.iter().filter(|component| has_budgets && **component != Component::Broker);
    Inventory {
        sets: wanted.iter().map(|component| names::set(name, *component)).collect(),
        services: services.collect(),
        budgets: budgets.map(|component| names::set(name, *component)).collect(),
        policies: network_policies(context).iter().map(ResourceExt::name_any).collect(),
        config_maps: configurations.into_iter().chain([config_map::scripts_name(name), names::gate(name)]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use doris_api::Component;
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::inventory;
    use crate::build::fixtures::{cluster, context};
    use crate::build::{SetInput, access_service, budget, components, gate, members_service, scripts, stateful_set};

    fn full() -> serde_json::Value {
        json!({
            "version": "2.1.7",
            "fe": {"replicas": 3, "observers": 1, "storage": {"size": "20Gi"}},
            "be": {"replicas": 3, "storage": [{"name": "data", "size": "100Gi"}]},
            "cn": {"replicas": 1},
            "broker": {},
        })
    }

    #[test]
    fn everything_that_is_built_is_in_the_inventory_and_nothing_else() {
        for spec in [full(), json!({"version": "2.1.7", "fe": {"replicas": 1, "storage": {"size": "20Gi"}}})] {
            let cluster = cluster(&spec);
            let context = context(&cluster);
            let set = SetInput { replicas: 1, config: "c".into(), scripts: "s".into(), claims: Vec::new() };
            let all = components(&cluster.spec);
            let found = inventory(&context, &BTreeSet::new(), ["demo-fe-conf-1".to_owned()].into());
            let each = |name: &dyn Fn(Component) -> Vec<String>| all.iter().flat_map(|one| name(*one)).collect::<BTreeSet<_>>();
            assert_eq!(found.sets, each(&|one| vec![stateful_set(&context, one, &set).expect("a set").name_any()]));
            let services = each(&|one| {
                let services = [Some(members_service(&context, one)), access_service(&context, one)];
                services.into_iter().flatten().map(|service| service.name_any()).collect()
            });
            assert_eq!(found.services, services);
            assert_eq!(found.budgets, each(&|one| budget(&context, one, 1).into_iter().map(|budget| budget.name_any()).collect()));
            let config_maps = ["demo-fe-conf-1".to_owned(), scripts(&context).name_any(), gate(&context).name_any()];
            assert_eq!(found.config_maps, config_maps.into());
            assert_eq!(found.policies.len(), 1);
        }
    }

    #[test]
    fn a_component_that_still_stands_keeps_its_names_but_its_set_is_not_wanted() {
        let cluster = cluster(&json!({"version": "2.1.7", "fe": {"replicas": 1, "storage": {"size": "20Gi"}}}));
        let found = inventory(&context(&cluster), &[Component::Cn, Component::Broker].into(), BTreeSet::new());
        assert_eq!(found.sets, ["demo-fe".to_owned()].into());
        let services = ["demo-broker-members", "demo-cn", "demo-cn-members", "demo-fe", "demo-fe-members"];
        assert_eq!(found.services, services.map(str::to_owned).into());
        assert_eq!(found.budgets, ["demo-cn", "demo-fe"].map(str::to_owned).into());
    }

    #[test]
    fn what_is_switched_off_is_not_wanted() {
        let mut spec = full();
        spec["podDisruptionBudget"] = json!({"enabled": false});
        spec["networkPolicy"] = json!({"enabled": false});
        let cluster = cluster(&spec);
        let found = inventory(&context(&cluster), &BTreeSet::new(), BTreeSet::new());
        assert!(found.budgets.is_empty() && found.policies.is_empty(), "{found:?}");
    }
}
