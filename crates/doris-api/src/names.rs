//! Names of everything that a cluster consists of, and the hashes in them.

use crate::component::Component;

/// Longest name of a `DorisCluster`: the name of a pod's revision label and of a Service are made
/// from it and may have 63 characters.
pub const MAX_CLUSTER_NAME: usize = 40;

/// Volume claim template of a frontend's metadata.
pub const FE_META_VOLUME: &str = "meta";
/// Volumes whose names start so belong to the operator.
pub const OWN_VOLUME_PREFIX: &str = "operator-";
/// Volume with the start, probe and stop scripts.
pub const SCRIPTS_VOLUME: &str = "operator-scripts";
/// Volume with the rendered configuration.
pub const CONFIG_VOLUME: &str = "operator-config";
/// Volume with the expected epoch and cluster id.
pub const GATE_VOLUME: &str = "operator-gate";
/// Volume with the pod's ticket.
pub const POD_VOLUME: &str = "operator-pod";
/// Volume with the hash of the initial root password.
pub const ROOT_VOLUME: &str = "operator-root";
/// Volume for what the scripts write.
pub const RUN_VOLUME: &str = "operator-run";
/// Volume with `krb5.conf`.
pub const KRB5_VOLUME: &str = "operator-krb5";
/// Volume with the keytab.
pub const KEYTAB_VOLUME: &str = "operator-keytab";
/// Storage of compute nodes that ask for none: a directory that lives as long as the pod.
pub const SCRATCH_VOLUME: &str = "operator-scratch";
/// Init container that looks at a frontend's volume.
pub const INSPECT_CONTAINER: &str = "inspect";
/// Init container that tunes the node, if asked for.
pub const TUNE_CONTAINER: &str = "tune-node";

/// Key of a [`GATE_VOLUME`] file: the wanted epoch.
pub const GATE_EPOCH: &str = "epoch";
/// Key of a [`GATE_VOLUME`] file: the expected cluster id.
pub const GATE_CLUSTER_ID: &str = "cluster-id";
/// Key of a [`GATE_VOLUME`] file: the version that the upgrade under way left, whose metadata is kept in a copy until it is through.
pub const GATE_UPGRADE_FROM: &str = "upgrade-from";
/// Key in the Secret [`identity`] and file in its volume: the hash that a founder gives root.
pub const INITIAL_ROOT_KEY: &str = "initial-root-password";

/// StatefulSet and `PodDisruptionBudget` of a component; `NetworkPolicy` of a process.
pub fn set(cluster: &str, component: Component) -> String {
    format!("{cluster}-{component}")
}

/// Headless Service that gives members their names.
pub fn members_service(cluster: &str, component: Component) -> String {
    format!("{cluster}-{component}-members")
}

/// Service for clients. Followers and observers share one; brokers have none.
pub fn access_service(cluster: &str, component: Component) -> Option<String> {
    match component {
        Component::Fe | Component::FeObserver => Some(format!("{cluster}-fe")),
        Component::Be | Component::Cn => Some(format!("{cluster}-{component}")),
        Component::Broker => None,
    }
}

/// Pod of a component by ordinal.
pub fn pod(cluster: &str, component: Component, ordinal: u32) -> String {
    format!("{cluster}-{component}-{ordinal}")
}

/// Component and ordinal of a pod of this cluster, from its name.
pub fn parse_pod(cluster: &str, pod: &str) -> Option<(Component, u32)> {
    let rest = pod.strip_prefix(cluster)?.strip_prefix('-')?;
    let (component, ordinal) = rest.rsplit_once('-')?;
    if ordinal.len() > 1 && ordinal.starts_with('0') {
        return None;
    }
    Some((Component::from_name(component)?, ordinal.parse().ok()?))
}

/// Domain that the pods of a component have their names in.
pub fn members_domain(cluster: &str, component: Component, namespace: &str, cluster_domain: &str) -> String {
    format!("{}.{namespace}.svc.{cluster_domain}", members_service(cluster, component))
}

/// A member's own name: the only address that is ever registered.
pub fn member_fqdn(cluster: &str, component: Component, ordinal: u32, namespace: &str, cluster_domain: &str) -> String {
    format!("{}.{}", pod(cluster, component, ordinal), members_domain(cluster, component, namespace, cluster_domain))
}

/// Claim that a StatefulSet makes for one pod from a template.
pub fn claim(cluster: &str, component: Component, template: &str, ordinal: u32) -> String {
    format!("{template}-{cluster}-{component}-{ordinal}")
}

/// Secret with the cluster's identity and the operator's account; outlives the cluster.
pub fn identity(cluster: &str) -> String {
    format!("{cluster}-identity")
}

/// Lease that a disruptive operation on a cluster is done under.
pub fn operation_lease(cluster: &str) -> String {
    format!("{cluster}-operation")
}

/// ConfigMap with the scripts; a new text is a new name.
pub fn scripts(cluster: &str, hash: &str) -> String {
    format!("{cluster}-scripts-{hash}")
}

/// ConfigMap with the wanted epoch and the expected cluster id.
pub fn gate(cluster: &str) -> String {
    format!("{cluster}-gate")
}

/// ConfigMap with a component's configuration; the hash covers what only a restart can change.
pub fn config(cluster: &str, component: Component, hash: &str) -> String {
    format!("{cluster}-{component}-conf-{hash}")
}

#[cfg(test)]
mod tests {
    use super::{MAX_CLUSTER_NAME, config, member_fqdn, members_service, parse_pod, pod, set};
    use crate::component::Component;

    #[test]
    fn pods_are_recognised_by_name_and_strangers_are_not() {
        for component in Component::ALL {
            assert_eq!(parse_pod("a-b", &pod("a-b", component, 12)), Some((component, 12)));
        }
        for stranger in ["a-b-fe-x", "a-b-fe", "a-b-fe-01", "a-bfe-0", "other-fe-0", "a-b-ms-0", "a-b-fe--1"] {
            assert_eq!(parse_pod("a-b", stranger), None, "{stranger}");
        }
    }

    #[test]
    fn the_longest_cluster_name_fits_where_63_characters_are_the_limit() {
        let cluster = "c".repeat(MAX_CLUSTER_NAME);
        for component in Component::ALL {
            assert!(members_service(&cluster, component).len() <= 63);
            assert!(set(&cluster, component).len() + "-0123456789".len() <= 63, "controller-revision-hash");
            assert!(pod(&cluster, component, 9999).len() <= 63);
            assert!(config(&cluster, component, "0123456789").len() <= 253);
        }
    }

    #[test]
    fn a_members_own_name_is_its_pods_in_the_headless_service() {
        let name = member_fqdn("demo", Component::FeObserver, 1, "prod", "cluster.local");
        assert_eq!(name, "demo-fe-ob-1.demo-fe-ob-members.prod.svc.cluster.local");
    }
}
