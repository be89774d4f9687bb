//! What the frontends' volumes are enough for.

use crate::view::MemberPod;

/// What the followers' volumes hold, taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metadata<'a> {
    /// Enough for an election, or not known yet.
    Enough,
    /// Every follower came back without metadata.
    NoneLeft(Vec<&'a MemberPod>),
    /// Those that have theirs are too few.
    NoMajority {
        /// Followers that came back without.
        lost: Vec<&'a MemberPod>,
        /// How many elect a master.
        needed: usize,
    },
}

/// Judges the followers of a founded cluster that has no master. A volume that was not looked at yet may hold metadata.
pub fn frontends(followers: &[MemberPod], registered: usize) -> Metadata<'_> {
    let lost: Vec<&MemberPod> = followers.iter().filter(|pod| !pod.deleting && pod.has_lost_metadata()).collect();
    let voters = registered.max(followers.len());
    let needed = voters / 2 + 1;
    if lost.is_empty() || voters - lost.len() >= needed {
        Metadata::Enough
    } else if lost.len() == voters {
        Metadata::NoneLeft(lost)
    } else {
        Metadata::NoMajority { lost, needed }
    }
}

#[cfg(test)]
mod tests {
    use super::{Metadata, frontends};
    use crate::view::{Ended, MemberPod, fixtures::waiting_pod};
    use doris_api::member::{Inspection, exit};

    fn whole(ordinal: u32) -> MemberPod {
        let seen = Inspection { mounted: true, role: true, version: true, bdb: true, ..Inspection::default() };
        MemberPod { inspection: Some(seen), ..waiting_pod(ordinal) }
    }

    fn lost(followers: &[MemberPod], registered: usize) -> (&'static str, Vec<String>) {
        let names = |lost: Vec<&MemberPod>| lost.iter().map(|pod| pod.name.clone()).collect();
        match frontends(followers, registered) {
            Metadata::Enough => ("enough", Vec::new()),
            Metadata::NoneLeft(lost) => ("none", names(lost)),
            Metadata::NoMajority { lost, .. } => ("few", names(lost)),
        }
    }

    #[test]
    fn what_is_left_is_weighed_against_all_that_are_registered() {
        let empty = waiting_pod;
        let table: [(&[MemberPod], usize, &str, usize); 7] = [
            (&[whole(0), whole(1), whole(2)], 3, "enough", 0),
            (&[empty(0), whole(1), whole(2)], 3, "enough", 0),
            (&[empty(0), empty(1), whole(2)], 3, "few", 2),
            (&[empty(0), empty(1), empty(2)], 3, "none", 3),
            (&[empty(0)], 1, "none", 1),
            // The other pods are not there yet: their volumes may hold metadata.
            (&[empty(0)], 3, "enough", 0),
            (&[empty(0), empty(1)], 3, "few", 2),
        ];
        for (followers, registered, what, count) in table {
            let found = lost(followers, registered);
            assert_eq!((found.0, found.1.len()), (what, count), "{followers:#?}");
        }
    }

    #[test]
    fn who_was_let_in_has_lost_nothing_and_who_was_not_looked_at_may_have_it_all() {
        let mut joined = waiting_pod(0);
        joined.ticket = Some("join:uid-0:fe_0:FOLLOWER:c-fe-1.x:9010".into());
        let founder = MemberPod { incarnation: Some("fe_1".into()), ..waiting_pod(1) };
        let unseen = MemberPod { inspection: None, ..waiting_pod(2) };
        assert_eq!(lost(&[joined.clone(), founder, unseen], 3).0, "enough");
        // Its gate says that it lost what it had got.
        joined.ended = Some(Ended { code: exit::BDB_LOST, message: "bdb lost".into() });
        assert!(joined.has_lost_metadata());
    }
}
