//! Compute nodes: kept free of queries, then the pod goes, and the row after it: a node that is still
//! registered and dead harms nobody.

use doris_api::Component;

use super::scene::{Leaver, Row, Scene};
use super::{Step, Turn};

/// What compute nodes come to, all at once.
pub(super) fn turn(scene: &Scene<'_>) -> Turn {
    let mut turn = Turn::default();
    let mut open = Vec::new();
    let is_their_turn = scene.focus().is_some_and(|focus| scene.of(Component::Cn).any(|leaver| leaver.pod == focus.pod));
    for leaver in scene.of(Component::Cn) {
        let Some(row) = &leaver.row else {
            turn.released.insert(leaver.ordinal);
            continue;
        };
        if let Some(why) = is_a_backend(leaver, row) {
            turn.told.get_or_insert(why);
        } else if leaver.has_no_pod() {
            turn.step.get_or_insert_with(|| Step::DropRow { host: leaver.host.clone(), component: leaver.component });
        } else if !row.alive || !leaver.present.as_ref().is_some_and(|pod| pod.running) {
            turn.released.insert(leaver.ordinal);
        } else if !is_their_turn {
            // The time to drain is counted from the beginning of their turn.
        } else if !row.drained {
            open.push(leaver.host.clone());
        } else if let Some(wait) = drains(scene, leaver, row) {
            turn.told.get_or_insert(wait);
        } else {
            turn.released.insert(leaver.ordinal);
        }
    }
    if !open.is_empty() {
        turn.step = Some(Step::Drain { hosts: open });
    }
    turn
}

/// One with tablets is a backend, whatever its pod is called.
fn is_a_backend(leaver: &Leaver, row: &Row) -> Option<String> {
    let name = &leaver.pod;
    if row.tablets > 0 {
        return Some(format!(
            "{name} is to leave as a compute node, and {} tablets lie on it: it stays until they are elsewhere \
             (ALTER SYSTEM DECOMMISSION BACKEND moves them)",
            row.tablets
        ));
    }
    row.stores.then(|| {
        format!(
            "{name} is to leave as a compute node, and Doris has it as one that stores tablets: it stays until its configuration says \
             be_node_role = computation again"
        )
    })
}

/// What a drained node is waited for, within the time.
fn drains(scene: &Scene<'_>, leaver: &Leaver, row: &Row) -> Option<String> {
    let focus = scene.focus()?;
    if scene.elapsed(focus) >= scene.limits.drain {
        return None;
    }
    let name = &leaver.pod;
    let limit = scene.limits.drain.as_secs();
    if !row.drained_everywhere {
        return Some(format!("{name} gets no more queries once every frontend knows it; it goes after {limit} s at the latest"));
    }
    match row.busy {
        Some(0) => None,
        Some(running) => Some(format!("{name} gets no more queries: {running} still run on it; it goes after {limit} s at the latest")),
        None => Some(format!(
            "{name} gets no more queries; this version does not tell whether some still run on it, so it goes after {limit} s"
        )),
    }
}
