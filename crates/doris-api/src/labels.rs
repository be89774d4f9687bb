//! Labels and annotations.

use std::collections::BTreeMap;

use crate::component::Component;

/// `app.kubernetes.io/name`.
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// `app.kubernetes.io/instance`.
pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";
/// `app.kubernetes.io/component`.
pub const APP_COMPONENT: &str = "app.kubernetes.io/component";
/// `app.kubernetes.io/managed-by`.
pub const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Prefix of labels and annotations that only the operator sets.
pub const PREFIX: &str = "doris-operator.dev/";
/// The cluster that an object belongs to.
pub const CLUSTER: &str = "doris-operator.dev/cluster";
/// The component that an object belongs to: `fe`, `fe-ob`, `be`, `cn`, `broker`.
pub const COMPONENT: &str = "doris-operator.dev/component";
/// The program that a pod runs: `fe`, `be`, `broker`. Followers and observers share it.
pub const PROCESS: &str = "doris-operator.dev/process";
/// `true` on pods that the access Service sends clients to; taken off one pod to drain it.
pub const SERVING: &str = "doris-operator.dev/serving";

/// Template annotation: hash of claim templates and Service name, which the revision hash of a
/// StatefulSet does not cover.
pub const STORAGE_LAYOUT: &str = "doris-operator.dev/storage-layout";
/// Annotation of a configuration's ConfigMap: what is known of keys that were changed while it was in use.
pub const CONFIG_NOTES: &str = "doris-operator.dev/config-notes";
/// Annotation of a StatefulSet: the image that its template was made with, before a user's template is put over it.
pub const BUILD: &str = "doris-operator.dev/build";
/// Claim annotation: identity id of the cluster whose data it holds.
pub const IDENTITY: &str = "doris-operator.dev/identity";
/// Claim annotation: what Doris takes the disk for.
pub const MEDIUM: &str = "doris-operator.dev/medium";
/// Claim annotation: cluster id of Doris whose data it holds.
pub const CLUSTER_ID: &str = "doris-operator.dev/cluster-id";
/// Claim label: its member left the cluster and the volume is kept; under which name or id Doris had the member.
/// The volume of a frontend is never started on again as it is.
pub const DROPPED: &str = "doris-operator.dev/dropped";
/// Claim label: its member left the cluster and the volume is deleted once the pod is gone.
pub const DISCARDED: &str = "doris-operator.dev/discarded";
/// Cluster annotations that start so override one safety rule once, until the time in the value.
pub const OVERRIDE_PREFIX: &str = "override.doris-operator.dev/";

/// Label of a cluster: which installation of the operator looks after it, where there are several.
pub const INSTALLATION: &str = "doris-operator.dev/installation";
/// Annotation of a cluster that asks for a restart of all members; whoever changes its value asks once.
/// Pod templates carry the value.
pub const RESTART: &str = "doris-operator.dev/restart";
/// Cluster annotations that start so ask for a restart of the members of one component, whose name follows.
pub const RESTART_PREFIX: &str = "restart.doris-operator.dev/";
/// Cluster annotation: each new value asks once for a new password of the operator's own Doris account.
pub const ROTATE_OPERATOR_PASSWORD: &str = "doris-operator.dev/rotate-operator-password";

/// Value of [`APP_NAME`].
pub const DORIS: &str = "doris";
/// Value of [`APP_MANAGED_BY`] and field manager of the cluster-controller.
pub const CLUSTER_CONTROLLER: &str = "doris-cluster-controller";

/// Labels of every object of a cluster.
pub fn of_cluster(cluster: &str) -> BTreeMap<String, String> {
    owned([(APP_NAME, DORIS), (APP_INSTANCE, cluster), (APP_MANAGED_BY, CLUSTER_CONTROLLER), (CLUSTER, cluster)])
}

/// Labels of every object of a component.
pub fn of_component(cluster: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = of_cluster(cluster);
    labels.extend(owned([(APP_COMPONENT, component.name()), (COMPONENT, component.name()), (PROCESS, component.process().name())]));
    labels
}

/// Labels of a component's pods: none depends on version or configuration, so that a change of
/// those alone restarts nothing.
pub fn of_pod(cluster: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = of_component(cluster, component);
    labels.extend(owned([(SERVING, "true")]));
    labels
}

/// Selects a component's pods; immutable in a StatefulSet.
pub fn selector(cluster: &str, component: Component) -> BTreeMap<String, String> {
    owned([(CLUSTER, cluster), (COMPONENT, component.name())])
}

/// Selects the pods that clients are sent to.
pub fn access_selector(cluster: &str, component: Component) -> BTreeMap<String, String> {
    let mut labels = match component {
        // Followers and observers answer alike.
        Component::Fe | Component::FeObserver => owned([(CLUSTER, cluster), (PROCESS, component.process().name())]),
        Component::Be | Component::Cn | Component::Broker => selector(cluster, component),
    };
    labels.extend(owned([(SERVING, "true")]));
    labels
}

/// Annotations that ask for the restart of a component's members.
pub fn restarts(annotations: &BTreeMap<String, String>, component: Component) -> BTreeMap<String, String> {
    let own = format!("{RESTART_PREFIX}{}", component.name());
    annotations.iter().filter(|(key, _)| *key == RESTART || **key == own).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A selector as one string, as the scale subresource wants it.
pub fn selector_text(selector: &BTreeMap<String, String>) -> String {
    selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn owned<const N: usize>(labels: [(&str, &str); N]) -> BTreeMap<String, String> {
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::{access_selector, of_pod, selector, selector_text};
    use crate::component::Component;

    #[test]
    fn every_selector_of_a_component_finds_its_pods_and_no_others() {
        for component in Component::ALL {
            for other in Component::ALL {
                let pod = of_pod("demo", other);
                let found = selector("demo", component).iter().all(|(key, value)| pod.get(key) == Some(value));
                assert_eq!(found, component == other, "{component} {other}");
            }
            assert!(access_selector("demo", component).iter().all(|(key, value)| of_pod("demo", component).get(key) == Some(value)));
        }
    }

    #[test]
    fn a_request_to_restart_is_for_all_or_for_one_component() {
        let all = [(super::RESTART, "1"), ("restart.doris-operator.dev/be", "2"), ("example.com/other", "3")];
        let all = super::owned(all);
        let keys = |component| super::restarts(&all, component).into_keys().collect::<Vec<_>>();
        assert_eq!(keys(Component::Be), [super::RESTART, "restart.doris-operator.dev/be"]);
        assert_eq!(keys(Component::Fe), [super::RESTART]);
    }

    #[test]
    fn the_scale_selector_is_text_that_kubernetes_parses() {
        assert_eq!(selector_text(&selector("demo", Component::Cn)), "doris-operator.dev/cluster=demo,doris-operator.dev/component=cn");
    }
}
