//! Whose turn it is.

use doris_api::Component;

use super::scene::{Member, Scene};

/// The member that is restarted next, and why it is its turn.
pub(super) fn next<'a>(scene: &Scene<'a>) -> Option<(&'a Member, String)> {
    let outdated = scene.members.iter().filter(|member| member.pod.as_ref().is_some_and(|pod| pod.outdated && !pod.leaving));
    outdated.min_by_key(|member| turn(member)).map(|member| (member, reason(member)))
}

/// What cannot run goes first: replacing it takes nothing away. Then backends, compute nodes,
/// brokers, observers, followers, and the master last. The highest ordinal of a kind is the first.
fn turn(member: &Member) -> (u8, std::cmp::Reverse<u32>) {
    let rank = match member.component {
        _ if member.is_down() => 0,
        Component::Be => 1,
        Component::Cn => 2,
        Component::Broker => 3,
        Component::FeObserver => 4,
        Component::Fe if !member.is_master => 5,
        Component::Fe => 6,
    };
    (rank, std::cmp::Reverse(member.ordinal))
}

fn reason(member: &Member) -> String {
    let changed = "its pod is made from an older template";
    match member.trouble().filter(|_| member.is_down()) {
        Some(trouble) => format!("{changed} and does not run: {trouble}"),
        None if member.is_master => format!("{changed}; as the master it is the last one, and another frontend is elected"),
        None => changed.to_owned(),
    }
}
