//! Whose turn it is.

use std::cmp::Reverse;

use doris_api::Component;

use super::scene::{Member, Scene};

/// Who is restarted, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Everybody, in the order that keeps a cluster serving.
    #[default]
    Usual,
    /// Members of one component, from ordinal 0 upward: its set can make others anew only then.
    Upward(Component),
}

impl Order {
    /// Whether a member is restarted at all.
    pub fn includes(self, member: &Member) -> bool {
        match self {
            Self::Usual => true,
            Self::Upward(component) => member.component == component,
        }
    }
}

/// The member that is restarted next, and why it is its turn.
pub(super) fn next<'a>(scene: &Scene<'a>) -> Option<(&'a Member, String)> {
    let may = |member: &&Member| scene.limits.only.as_ref().is_none_or(|only| only.contains(&member.component)) || member.is_down();
    let outdated = scene.members.iter().filter(|member| is_outdated(member) && scene.order.includes(member)).filter(may);
    let next = match scene.order {
        Order::Usual => outdated.min_by_key(|member| turn(scene, member)),
        Order::Upward(_) => outdated.min_by_key(|member| member.ordinal),
    };
    next.map(|member| (member, reason(member)))
}

fn is_outdated(member: &Member) -> bool {
    member.pod.as_ref().is_some_and(|pod| pod.outdated && !pod.leaving)
}

/// Why a member keeps what it runs, though it is the next: all that come before it are done.
pub(super) fn kept(scene: &Scene<'_>, member: &Member) -> Option<String> {
    if !is_kept(scene, member) {
        return None;
    }
    let kept = scene.members.iter().filter(|other| other.component == member.component && is_outdated(other));
    let mut names: Vec<&str> = kept.map(|other| other.name.as_str()).collect();
    names.sort_unstable();
    Some(format!(
        "update.partition is {}, so {} keep{} what {} until it is lowered, and so does everything that comes after",
        scene.limits.partition,
        names.join(", "),
        if names.len() == 1 { "s" } else { "" },
        if names.len() == 1 { "it runs" } else { "they run" },
    ))
}

/// What cannot run is replaced wherever it stands, or a way back would be closed.
fn is_kept(scene: &Scene<'_>, member: &Member) -> bool {
    member.ordinal < scene.limits.partition && !member.is_down()
}

/// Position in the order of a roll: the least one is the next.
type Turn = (u8, bool, (bool, Reverse<u32>), Reverse<u32>, Component);

/// What cannot run goes first: replacing it takes nothing away. Then backends, compute nodes,
/// brokers, observers, followers, and the master last. The highest ordinal of a kind is the first,
/// but a failure domain that was begun with is finished before another one.
fn turn(scene: &Scene<'_>, member: &Member) -> Turn {
    let rank = match member.component {
        _ if member.is_down() => 0,
        Component::Be => 1,
        Component::Cn => 2,
        Component::Broker => 3,
        Component::FeObserver => 4,
        Component::Fe if !member.is_master => 5,
        Component::Fe => 6,
    };
    (rank, is_kept(scene, member), domain(scene, member), Reverse(member.ordinal), member.component)
}

/// Domains that were begun with come first, then the one of the highest ordinal.
fn domain(scene: &Scene<'_>, member: &Member) -> (bool, Reverse<u32>) {
    let of = |member: &Member| member.pod.as_ref().and_then(|pod| pod.domain.clone());
    let stores = matches!(member.component, Component::Be | Component::Cn);
    let Some(own) = of(member).filter(|_| stores) else { return (true, Reverse(member.ordinal)) };
    let neighbours = || scene.members.iter().filter(|other| other.component == member.component && of(other).as_ref() == Some(&own));
    let is_begun = neighbours().any(|other| !is_outdated(other));
    let highest = neighbours().filter(|other| is_outdated(other)).map(|other| other.ordinal).max();
    (!is_begun, Reverse(highest.unwrap_or(member.ordinal)))
}

fn reason(member: &Member) -> String {
    let worn_out = member.pod.as_ref().and_then(|pod| pod.worn_out.as_deref());
    let changed = worn_out.unwrap_or("its pod is made from an older template");
    match member.trouble().filter(|_| member.is_down()) {
        Some(trouble) => format!("{changed} and does not run: {trouble}"),
        None if member.is_master => format!("{changed}; as the master it is the last one, and another frontend is elected"),
        None => changed.to_owned(),
    }
}
