//! Brokers: nothing drains them, so loads that may use them are waited for; then the pod goes, and the row after it.

use doris_api::Component;

use super::scene::{Leaver, Scene};
use super::{Step, Turn};

/// What brokers come to.
pub(super) fn turn(scene: &Scene<'_>) -> Turn {
    let mut turn = Turn::default();
    for leaver in scene.of(Component::Broker) {
        let Some(row) = &leaver.row else {
            turn.released.insert(leaver.ordinal);
            continue;
        };
        if leaver.has_no_pod() {
            turn.step.get_or_insert_with(|| drop_row(leaver));
            continue;
        }
        match row.busy {
            Some(loads) if loads > 0 && row.alive && leaver.slot => {
                let noun = if loads == 1 { "load or export runs" } else { "loads or exports run" };
                turn.told.get_or_insert_with(|| format!("{} goes when no load needs a broker: {loads} {noun}", leaver.pod));
            }
            _ => {
                turn.released.insert(leaver.ordinal);
            }
        }
    }
    turn
}

fn drop_row(leaver: &Leaver) -> Step {
    Step::DropRow { host: leaver.host.clone(), component: leaver.component }
}
