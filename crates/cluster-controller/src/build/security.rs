//! What pods and containers may do on their node.

use doris_api::cluster::{PodSecurity, PodSecurityLevel};
use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};

/// User and group of restricted pods, unless the user names others.
const UNPRIVILEGED: i64 = 1000;
/// First minor version with `seccompProfile`.
const SECCOMP: u32 = 19;
/// First minor version with `fsGroupChangePolicy`.
const CHANGE_POLICY: u32 = 20;

/// Security context of a pod.
pub(super) fn pod_context(security: &PodSecurity, kubernetes_minor: u32) -> PodSecurityContext {
    let restricted = security.level == PodSecurityLevel::Restricted;
    let unprivileged = restricted.then_some(UNPRIVILEGED);
    let fs_group = security.fs_group.or(unprivileged);
    PodSecurityContext {
        run_as_non_root: restricted.then_some(true),
        run_as_user: security.run_as_user.or(unprivileged),
        run_as_group: security.run_as_group.or(unprivileged),
        fs_group,
        // Changing the owner of millions of tablet files at each start would take hours.
        fs_group_change_policy: (fs_group.is_some() && kubernetes_minor >= CHANGE_POLICY).then(|| "OnRootMismatch".to_owned()),
        seccomp_profile: (kubernetes_minor >= SECCOMP)
            .then(|| SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

/// Security context of a member's container.
pub(super) fn container_context(security: &PodSecurity) -> SecurityContext {
    let restricted = security.level == PodSecurityLevel::Restricted;
    SecurityContext {
        allow_privilege_escalation: Some(false),
        // The official images run as root and read files of other users, so `Baseline` keeps
        // root's usual capabilities.
        capabilities: restricted.then(|| Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

/// Security context of the container that tunes the node.
pub(super) fn privileged_context() -> SecurityContext {
    SecurityContext { privileged: Some(true), run_as_user: Some(0), run_as_non_root: Some(false), ..SecurityContext::default() }
}
