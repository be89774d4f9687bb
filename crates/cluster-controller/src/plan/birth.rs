//! Which identity a cluster begins with: a new one, one rebuilt from its volumes, or none.

use std::collections::BTreeSet;

use doris_api::Component;
use jiff::Timestamp;

use crate::identity::{Identity, Phase};

/// A claim of this cluster's name, read from the server and not from a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimFacts {
    /// Name of the claim.
    pub name: String,
    /// Identity id that it is annotated with.
    pub identity: Option<String>,
    /// Doris' cluster id that it is annotated with.
    pub cluster_id: Option<String>,
    /// Whose volume it is: from its label and its name.
    pub member: Option<(Component, u32)>,
    /// Whose volume it was, and under which name Doris had that member: it left, and the volume was kept.
    pub left: Option<(Component, u32, String)>,
}

/// What to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Birth {
    /// Nothing of this name holds data: a new identity, unfounded.
    New,
    /// The Secret was lost while volumes are there: the same identity, founded. Never unfounded,
    /// or a second cluster would be founded beside the data.
    Rebuilt {
        /// Id from the claims.
        id: String,
        /// Doris' cluster id, if a claim tells it; empty until a frontend does.
        cluster_id: String,
    },
    /// Only a person can tell.
    Halt(String),
}

/// Decides for a cluster without an identity Secret.
pub fn without_identity(claims: &[ClaimFacts]) -> Birth {
    let mut marked = claims.iter().filter_map(|claim| claim.identity.as_ref().map(|id| (claim, id)));
    let Some((first, id)) = marked.next() else { return Birth::New };
    if let Some((other, other_id)) = marked.find(|(_, other)| *other != id) {
        return Birth::Halt(format!(
            "the identity Secret is missing, and claims {} ({id}) and {} ({other_id}) belong to different identities; \
             restore the Secret, or move the claims that do not belong here to other names",
            first.name, other.name
        ));
    }
    let cluster_id = claims.iter().find_map(|claim| claim.cluster_id.clone()).unwrap_or_default();
    Birth::Rebuilt { id: id.clone(), cluster_id }
}

/// Ordinals of a component's members whose volumes are there: whoever rebuilds an identity has to take each for a
/// member, or its pod would be taken away from under its data. Beyond `pods`, the size of the set if there is one,
/// are volumes of members that went before.
pub fn members_with_volumes(claims: &[ClaimFacts], component: Component, pods: Option<i32>) -> BTreeSet<u32> {
    let is_in_set = |ordinal: &u32| pods.is_none_or(|pods| i64::from(*ordinal) < i64::from(pods));
    let of_component = claims.iter().filter_map(|claim| claim.member).filter(|(found, _)| *found == component);
    of_component.map(|(_, ordinal)| ordinal).filter(is_in_set).collect()
}

/// Whether an identity was kept by somebody who deleted all volumes and meant to start anew: it is
/// founded, older than the cluster object, and there is neither a claim nor a set of this name.
pub fn means_fresh_start(
    identity: &Identity,
    identity_made: Timestamp,
    cluster_made: Timestamp,
    claims: &[ClaimFacts],
    sets: usize,
) -> bool {
    matches!(identity.phase, Phase::Founded { .. }) && claims.is_empty() && sets == 0 && cluster_made > identity_made
}

#[cfg(test)]
mod tests {
    use super::{Birth, ClaimFacts, means_fresh_start, members_with_volumes, without_identity};
    use crate::identity::{Identity, Phase};
    use doris_api::Component;
    use jiff::{SignedDuration, Timestamp};

    fn claim(name: &str, identity: Option<&str>) -> ClaimFacts {
        ClaimFacts { name: name.into(), identity: identity.map(str::to_owned), cluster_id: None, member: None, left: None }
    }

    #[test]
    fn a_name_without_marked_volumes_gets_a_new_identity() {
        assert_eq!(without_identity(&[]), Birth::New);
        assert_eq!(without_identity(&[claim("meta-c-fe-0", None)]), Birth::New);
    }

    #[test]
    fn a_lost_secret_is_rebuilt_as_founded_from_the_volumes() {
        let known = ClaimFacts { cluster_id: Some("42".into()), ..claim("b", Some("i1")) };
        assert_eq!(without_identity(&[claim("a", Some("i1")), known]), Birth::Rebuilt { id: "i1".into(), cluster_id: "42".into() });
        assert_eq!(without_identity(&[claim("a", Some("i1"))]), Birth::Rebuilt { id: "i1".into(), cluster_id: String::new() });
    }

    #[test]
    fn every_volume_of_a_rebuilt_cluster_stands_for_a_member() {
        let of = |component, ordinal| ClaimFacts { member: Some((component, ordinal)), ..claim("x", Some("i1")) };
        let claims = [of(Component::Be, 0), of(Component::Be, 0), of(Component::Be, 2), of(Component::Fe, 0), claim("y", Some("i1"))];
        assert_eq!(members_with_volumes(&claims, Component::Be, None), [0, 2].into(), "two disks are one member");
        assert_eq!(members_with_volumes(&claims, Component::Be, Some(2)), [0].into(), "the third went before");
        assert_eq!(members_with_volumes(&claims, Component::Fe, Some(3)), [0].into());
    }

    #[test]
    fn volumes_of_two_identities_are_left_to_a_person() {
        let Birth::Halt(message) = without_identity(&[claim("a", Some("i1")), claim("b", Some("i2"))]) else { panic!("halts") };
        assert!(message.contains("i1") && message.contains("i2") && message.contains('a') && message.contains('b'), "{message}");
    }

    #[test]
    fn a_fresh_start_needs_that_nothing_is_left() {
        let founded = Identity { phase: Phase::Founded { cluster_id: "42".into() }, ..Identity::default() };
        let (old, young) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(60));
        assert!(means_fresh_start(&founded, old, young, &[], 0));
        assert!(!means_fresh_start(&founded, young, old, &[], 0), "the cluster is older: its volumes were lost");
        assert!(!means_fresh_start(&founded, old, young, &[claim("a", None)], 0));
        assert!(!means_fresh_start(&founded, old, young, &[], 1));
        assert!(!means_fresh_start(&Identity::default(), old, young, &[], 0));
    }
}
