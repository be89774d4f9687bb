//! Scaling in: members that the spec does not ask for any more leave, each kind in its own way, and
//! their pods go only when nothing can be lost with them.
//!
//! The plan is computed from what is seen. Written down in `status.operation` is only what cannot be
//! seen: who leaves, so that it can be taken back when the spec asks for them again, and whose turn
//! it is since when. A StatefulSet loses its highest ordinals, so it is lowered only by the members
//! that are done from the top.

mod backends;
mod brokers;
mod compute;
mod frontends;
mod scene;
mod settle;

pub use scene::{Admission, Claim, Focus, Leaver, Limits, Mark, Pod, Record, Row, Scene, Set, Stayer};

use std::collections::BTreeSet;

use doris_api::Component;

/// The next thing to do. At most one of them disturbs a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every member is one that the spec asks for.
    Rest,
    /// Write down who leaves and whose turn it is, before anything is done to anybody.
    Begin {
        /// Pods of all that leave.
        targets: BTreeSet<String>,
        /// Whose turn it is.
        focus: Focus,
    },
    /// The spec asks for these again: stop emptying them.
    Cancel {
        /// Their names in Doris.
        hosts: Vec<String>,
    },
    /// The spec asks for it again: let queries and loads come to it.
    Undrain {
        /// Its name in Doris.
        host: String,
    },
    /// The spec asks for it again: send clients to it.
    Serve {
        /// Its pod.
        pod: String,
    },
    /// Begin to empty backends, all in one statement.
    Decommission {
        /// Their names in Doris.
        hosts: Vec<String>,
    },
    /// Keep queries and loads away from compute nodes.
    Drain {
        /// Their names in Doris.
        hosts: Vec<String>,
    },
    /// Send clients to other frontends.
    StopServing {
        /// Its pod.
        pod: String,
    },
    /// Delete the master's pod, so that a frontend that stays is elected.
    RestartMaster {
        /// Its pod.
        pod: String,
        /// Uid of the pod that is meant.
        uid: String,
    },
    /// Take a frontend out of the metadata group.
    DropFrontend {
        /// Its pod.
        pod: String,
        /// Its name in Doris.
        host: String,
        /// Its role, by component.
        component: Component,
    },
    /// Take a member without a pod out of Doris: nothing can be lost by it.
    DropRow {
        /// Its name in Doris.
        host: String,
        /// Of which component.
        component: Component,
    },
    /// Note on volumes what becomes of them.
    Mark {
        /// Pods whose volumes they are.
        pods: Vec<String>,
    },
    /// Strike members off the identity: they are none any more.
    Forget {
        /// Their names in Doris.
        hosts: Vec<String>,
    },
    /// Let a StatefulSet have fewer pods.
    Lower {
        /// Whose.
        component: Component,
        /// So many.
        to: u32,
    },
    /// Delete a volume claim of a member that is gone.
    Discard {
        /// Its pod.
        pod: String,
        /// The claim.
        claim: String,
        /// Which claim of that name.
        uid: String,
    },
    /// Something takes its time, or is in the way.
    Wait,
    /// All that were to leave have left, or stay.
    Done,
}

/// What is to be done next, and what a person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is done.
    pub step: Step,
    /// What is waited for, a sentence each.
    pub told: Vec<String>,
    /// What only a person can end.
    pub stopped: Option<String>,
}

/// What one kind of members comes to.
#[derive(Clone, Debug, Default)]
struct Turn {
    step: Option<Step>,
    told: Option<String>,
    stopped: Option<String>,
    /// Ordinals whose pods may go.
    released: BTreeSet<u32>,
}

/// Kinds in the order in which they get their turn: what is done quickly comes first.
const ORDER: [Component; 5] = [Component::Cn, Component::FeObserver, Component::Fe, Component::Broker, Component::Be];

/// What is to be done next.
pub fn plan(scene: &Scene<'_>) -> Outcome {
    // The highest ordinal of a kind is the first, in whichever order they are listed.
    let mut leavers = scene.leavers.to_vec();
    leavers.sort_by_key(|leaver| (leaver.component, std::cmp::Reverse(leaver.ordinal)));
    plan_sorted(&Scene { leavers: &leavers, ..scene.clone() })
}

fn plan_sorted(scene: &Scene<'_>) -> Outcome {
    if let Some(step) = take_back(scene) {
        return Outcome { step, told: Vec::new(), stopped: None };
    }
    let turns: Vec<(Component, Turn)> = ORDER.into_iter().map(|component| (component, turn(scene, component))).collect();
    let told: Vec<String> = turns.iter().filter_map(|(_, turn)| turn.told.clone()).collect();
    let stopped = turns.iter().find_map(|(_, turn)| turn.stopped.clone());
    let outcome = |step| Outcome { step, told: told.clone(), stopped: stopped.clone() };
    let admitted: Vec<&Leaver> = scene.leavers.iter().filter(|leaver| is_admitted(scene, leaver)).collect();
    let Some(next) = admitted.iter().min_by_key(|leaver| order(leaver)) else {
        return outcome(match (scene.record, scene.leavers.is_empty()) {
            (Some(_), _) => Step::Done,
            (None, true) => Step::Rest,
            (None, false) => Step::Wait,
        });
    };
    if let Some(step) = begin(scene, &admitted, next) {
        return outcome(step);
    }
    let step = settle::step(scene, &turns).or_else(|| turns.into_iter().find_map(|(_, turn)| turn.step)).unwrap_or(Step::Wait);
    outcome(step)
}

fn turn(scene: &Scene<'_>, component: Component) -> Turn {
    match component {
        Component::Broker => brokers::turn(scene),
        Component::Cn => compute::turn(scene),
        Component::FeObserver | Component::Fe => frontends::turn(scene, component),
        Component::Be => backends::turn(scene),
    }
}

/// What was done to members that the spec asks for again is taken back first of all.
fn take_back(scene: &Scene<'_>) -> Option<Step> {
    let emptying: Vec<String> = scene.stayers.iter().filter(|stayer| stayer.emptying).map(|stayer| stayer.host.clone()).collect();
    if !emptying.is_empty() {
        return Some(Step::Cancel { hosts: emptying });
    }
    if let Some(drained) = scene.stayers.iter().find(|stayer| stayer.drained) {
        return Some(Step::Undrain { host: drained.host.clone() });
    }
    let silenced = scene.stayers.iter().find(|stayer| stayer.silenced && stayer.is_frontend);
    silenced.map(|stayer| Step::Serve { pod: stayer.pod.clone() })
}

/// Whether a member may leave now. One that has begun to may always go on.
fn is_admitted(scene: &Scene<'_>, leaver: &Leaver) -> bool {
    let Some(row) = &leaver.row else { return true };
    let has_begun = scene.focus().is_some_and(|focus| focus.pod == leaver.pod) || row.emptying || row.drained;
    match leaver.component {
        Component::Be => row.emptying || (scene.backends == Admission::Free && scene.limits.held_by.is_none()),
        Component::Fe => frontends::is_meant(scene) && (has_begun || scene.limits.held_by.is_none()),
        Component::FeObserver | Component::Cn | Component::Broker => has_begun || scene.limits.held_by.is_none(),
    }
}

/// Whose turn it is: see [`ORDER`]; of the followers first the dead, last the master. What is left of a member that
/// Doris does not know any more needs no turn; brokers and backends need none either, and leave beside the others.
fn order(leaver: &Leaver) -> (u8, std::cmp::Reverse<u32>) {
    let rank = match (&leaver.row, leaver.component) {
        (None, _) => 9,
        (_, Component::Cn) => 0,
        (_, Component::FeObserver) => 1,
        (Some(row), Component::Fe) if row.is_master => 4,
        (Some(row), Component::Fe) if row.alive => 3,
        (_, Component::Fe) => 2,
        (_, Component::Broker) => 5,
        (_, Component::Be) => 6,
    };
    (rank, std::cmp::Reverse(leaver.ordinal))
}

/// Writes down who leaves and whose turn it is, where that is news.
fn begin(scene: &Scene<'_>, admitted: &[&Leaver], next: &Leaver) -> Option<Step> {
    let known = scene.record.map(|record| record.targets.clone()).unwrap_or_default();
    let new: Vec<&&Leaver> = admitted.iter().filter(|leaver| !known.contains(&leaver.pod)).collect();
    let before = scene.focus().filter(|focus| focus.pod == next.pod);
    let comes_later = |leaver: &&&Leaver| leaver.component == next.component;
    let again = before.and_then(|focus| frontends::restart_again(next, focus));
    if new.is_empty() && before.is_some() && again.is_none() {
        return None;
    }
    // Another one of the same kind gets the whole time to drain, too.
    let since = before.filter(|_| !new.iter().any(comes_later) && again.is_none()).map_or(scene.now, |focus| focus.since);
    let uid = next.present.as_ref().map(|pod| pod.uid.clone()).unwrap_or_default();
    let targets = known.into_iter().chain(admitted.iter().map(|leaver| leaver.pod.clone())).collect();
    let restarts = again.unwrap_or_else(|| before.map_or(0, |focus| focus.restarts));
    let uid = before.filter(|_| again.is_none()).map_or(uid, |focus| focus.uid.clone());
    Some(Step::Begin { targets, focus: Focus { pod: next.pod.clone(), uid, since, restarts } })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
