//! A roll: every member whose pod is not made from the present template is restarted, one at a
//! time, backends before frontends and the master last.
//!
//! The plan is computed from what is seen. Only three things are written down, in
//! `status.operation`, because nothing else tells them: which member it is the turn of, what its
//! process was before, and which tablets were unhealthy when the roll began.
//!
//! Whether a step may be done is no question of the plan: the safety rules are asked before a
//! member is written down, and again right before its pod is deleted.

mod backend;
mod frontend;
mod order;
mod scene;

pub use order::Order;
pub use scene::{Health, Limits, Member, Pod, Record, Scene, Switch};

use doris_api::Component;

/// The next thing to do. At most one of them disturbs a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every member runs what the spec says, and no switch of ours is left.
    Rest,
    /// It is this member's turn: write it down before anything is done to it.
    Begin {
        /// Its pod.
        pod: String,
        /// Why it is restarted.
        reason: String,
    },
    /// Keep queries and loads away from a backend.
    Drain {
        /// Its pod.
        pod: String,
    },
    /// Send clients to other frontends.
    StopServing {
        /// Its pod.
        pod: String,
    },
    /// Keep Doris from copying the tablets of a backend that is away on purpose.
    HoldScheduler,
    /// Let Doris repair tablets again.
    ReleaseScheduler,
    /// Delete exactly this pod: its StatefulSet makes it anew.
    Restart {
        /// Its pod.
        pod: String,
        /// Uid of the pod that is meant.
        uid: String,
    },
    /// Write down that a backend is stopped although work of others runs on it.
    CutShort {
        /// Its pod.
        pod: String,
    },
    /// Let queries and loads come to a backend again.
    Undrain {
        /// Its pod.
        pod: String,
    },
    /// Send clients to a frontend again.
    Serve {
        /// Its pod.
        pod: String,
    },
    /// The member is back and all is as well as before: strike it off.
    Done {
        /// Its pod.
        pod: String,
    },
    /// Safety rules refuse the restart: strike the member off, untouched.
    LetGo {
        /// Its pod.
        pod: String,
    },
    /// Safety rules refuse that it is this member's turn. The plan never says so; it is what becomes
    /// of a [`Step::Begin`].
    Blocked {
        /// Its pod.
        pod: String,
        /// What the rules say.
        message: String,
    },
    /// Something takes its time.
    Wait(String),
    /// It stands between two members, and somebody else decides when it goes on.
    Held(String),
    /// A member did not come back: nothing more is restarted until somebody acts.
    Stop {
        /// Its pod.
        pod: String,
        /// What is so and what would end it.
        message: String,
    },
}

/// What is to be done next.
pub fn plan(scene: &Scene<'_>) -> Step {
    if let Some(step) = tidy(scene) {
        return step;
    }
    if let Some(record) = scene.record {
        let Some(member) = scene.members.iter().find(|member| member.name == record.pod) else {
            // Scaled away while it was its turn.
            return Step::Done { pod: record.pod.clone() };
        };
        return match member.component {
            Component::Be | Component::Cn => backend::step(scene, member, record),
            Component::Fe | Component::FeObserver => frontend::step(scene, member, record),
            Component::Broker => broker(scene, member, record),
        };
    }
    next(scene)
}

/// Switches that no member under work wants are taken back, whoever left them.
fn tidy(scene: &Scene<'_>) -> Option<Step> {
    let under_work = |member: &&Member| scene.record.is_some_and(|record| record.pod == member.name);
    let a_backend_may_be_away = scene.members.iter().any(|member| under_work(&member) && member.component == Component::Be);
    if !a_backend_may_be_away && scene.is_held_by_us() {
        return Some(Step::ReleaseScheduler);
    }
    let others = || scene.members.iter().filter(|member| !under_work(member));
    if let Some(drained) = first(others().filter(|member| member.is_drained_in_part())) {
        return Some(Step::Undrain { pod: drained.name.clone() });
    }
    let silenced = others().filter(|member| member.pod.as_ref().is_some_and(|pod| !pod.serving && !pod.leaving));
    first(silenced).map(|member| Step::Serve { pod: member.name.clone() })
}

/// One of several, whatever the order in which they are listed.
fn first<'a>(members: impl Iterator<Item = &'a Member>) -> Option<&'a Member> {
    members.min_by_key(|member| &member.name)
}

/// The member whose turn comes, if nothing keeps it.
fn next(scene: &Scene<'_>) -> Step {
    let Some((member, reason)) = order::next(scene) else { return Step::Rest };
    if let Some(why) = &scene.limits.held_by {
        return Step::Held(why.clone());
    }
    let is_down = member.is_down();
    if let Some(why) = order::kept(scene, member) {
        return Step::Held(why);
    }
    let others = || scene.members.iter().filter(|other| other.name != member.name && !is_down);
    if let Some(absent) = first(others().filter(|other| other.is_away())) {
        let what = absent.trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        return Step::Wait(format!("{} is not there{what}; {} is restarted once it is back", absent.name, member.name));
    }
    if let Some(behind) = first(others().filter(|other| is_behind(other, member))) {
        return Step::Wait(format!("{} has to catch up with the master before {} is restarted", behind.name, member.name));
    }
    Step::Begin { pod: member.name.clone(), reason }
}

/// While a frontend is away, every other one with a vote has all that was acknowledged.
fn is_behind(other: &Member, restarted: &Member) -> bool {
    let votes = |member: &Member| member.component == Component::Fe;
    votes(restarted) && votes(other) && other.name != restarted.name && !other.caught_up && !other.is_master
}

fn broker(scene: &Scene<'_>, member: &Member, record: &Record) -> Step {
    match scene.whereabouts(member, record) {
        scene::Whereabouts::Before(pod) if pod.outdated => Step::Restart { pod: member.name.clone(), uid: pod.uid.clone() },
        scene::Whereabouts::Before(_) => Step::Done { pod: member.name.clone() },
        scene::Whereabouts::Away(what) => scene.patience(member, record, &what),
        scene::Whereabouts::After(pod) if pod.ready && member.alive => Step::Done { pod: member.name.clone() },
        scene::Whereabouts::After(_) => scene.patience(member, record, "it has to answer Doris' heartbeat"),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
