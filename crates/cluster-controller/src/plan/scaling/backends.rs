//! Backends: emptied all together, and dropped by Doris itself once they are empty; the pod goes when
//! the row is gone. Where Doris does not drop them, the pod goes first and the row after it.

use doris_api::Component;

use super::scene::{Admission, Leaver, Scene};
use super::{Step, Turn, is_admitted};

/// What backends come to.
pub(super) fn turn(scene: &Scene<'_>) -> Turn {
    let mut turn = Turn::default();
    let registered: Vec<&Leaver> = scene.of(Component::Be).filter(|leaver| leaver.row.is_some()).collect();
    for leaver in scene.of(Component::Be) {
        let stays_empty = leaver.row.as_ref().is_some_and(|row| row.emptying && row.overdue && row.tablets == 0);
        if stays_empty && leaver.has_no_pod() {
            turn.step.get_or_insert_with(|| Step::DropRow { host: leaver.host.clone(), component: leaver.component });
        } else if stays_empty || leaver.row.is_none() {
            turn.released.insert(leaver.ordinal);
        }
    }
    if let Admission::Blocked(why) = &scene.backends {
        turn.told = Some(why.clone());
    } else if let Some(why) = scene.limits.held_by.as_ref().filter(|_| registered.iter().any(|leaver| !is_emptying(leaver))) {
        turn.told = Some(format!("{} wait before they begin to leave: {why}", names(&registered)));
    }
    let beginners = registered.iter().any(|leaver| !is_emptying(leaver) && is_admitted(scene, leaver));
    if beginners {
        // Also those that have begun: what is moved must not go to the next one that leaves.
        let hosts = registered.iter().filter(|leaver| is_admitted(scene, leaver)).map(|leaver| leaver.host.clone()).collect();
        turn.step = Some(Step::Decommission { hosts });
    } else if registered.iter().any(|leaver| is_emptying(leaver)) {
        turn.told = turn.told.or_else(|| scene.progress.clone());
    }
    turn
}

fn is_emptying(leaver: &Leaver) -> bool {
    leaver.row.as_ref().is_some_and(|row| row.emptying)
}

fn names(leavers: &[&Leaver]) -> String {
    leavers.iter().map(|leaver| leaver.pod.as_str()).collect::<Vec<_>>().join(", ")
}
