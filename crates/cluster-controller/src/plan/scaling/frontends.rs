//! Frontends: dropped first, and the pod goes when the row is gone; one at a time. The master is
//! never dropped: it is restarted until a frontend that stays is elected.

use doris_api::Component;

use super::scene::{Focus, Leaver, Row, Scene};
use super::{Step, Turn};

/// So often a master is restarted at most.
const RESTARTS: i32 = 3;

/// What followers or observers come to.
pub(super) fn turn(scene: &Scene<'_>, component: Component) -> Turn {
    let mut turn = Turn::default();
    for leaver in scene.of(component).filter(|leaver| leaver.row.is_none()) {
        turn.released.insert(leaver.ordinal);
    }
    if component == Component::Fe && !is_meant(scene) && scene.of(component).any(|leaver| leaver.row.is_some()) {
        if !scene.one_follower_is_safe {
            turn.told = Some(
                "one follower is to be left, and this version of Doris writes a drop down before it changes the group: the second of two \
                 may be gone before it has agreed, and then nobody could write any more. Set fe.replicas to 3"
                    .to_owned(),
            );
            return turn;
        }
        turn.told = Some(
            "one follower is to be left, and while it is away nothing can be read or written: that has to be confirmed by the annotation \
             override.doris-operator.dev/FeQuorum on the DorisCluster, with a time within the next days such as 2026-11-23T09:30:00Z as its \
             value; or set fe.replicas to 3"
                .to_owned(),
        );
        return turn;
    }
    let focused = scene.focus().and_then(|focus| Some((focus, scene.of(component).find(|leaver| leaver.pod == focus.pod)?)));
    let Some((focus, leaver)) = focused else { return turn };
    let Some(row) = &leaver.row else { return turn };
    match next(scene, focus, leaver, row) {
        Next::Do(step) => turn.step = Some(step),
        Next::Wait(sentence) => turn.told = Some(sentence),
        Next::Stop(sentence) => turn.stopped = Some(sentence),
    }
    turn
}

enum Next {
    Do(Step),
    Wait(String),
    Stop(String),
}

fn next(scene: &Scene<'_>, focus: &Focus, leaver: &Leaver, row: &Row) -> Next {
    let name = &leaver.pod;
    let drop = Step::DropFrontend { pod: name.clone(), host: leaver.host.clone(), component: leaver.component };
    let too_early = scene.elapsed(focus) < scene.limits.between_drops;
    let pod = leaver.present.as_ref().filter(|pod| pod.running && !pod.leaving);
    let (true, Some(pod)) = (row.alive, pod) else {
        if row.is_master {
            return Next::Wait(format!("{name} is the master and starts: another frontend has to be elected before it can be dropped"));
        }
        return if too_early { Next::Wait(after_the_last(name)) } else { Next::Do(drop) };
    };
    if row.is_master && pod.uid != focus.uid {
        // Another turn is written down, unless there were enough.
        return Next::Stop(format!(
            "{name} is to leave and is the master; it was restarted {} times and was elected again each time. Restart it once more by \
             deleting its pod, until a frontend that stays is the master; or set fe.replicas to what it was",
            focus.restarts + 1
        ));
    }
    if pod.serving {
        return Next::Do(Step::StopServing { pod: name.clone() });
    }
    if let Some(running) = row.busy.filter(|running| *running > 0)
        && scene.elapsed(focus) < scene.limits.drain
    {
        return Next::Wait(format!(
            "{name} takes no new clients; {running} statements still run on it; it leaves after {} s at the latest",
            scene.limits.drain.as_secs()
        ));
    }
    if too_early {
        return Next::Wait(after_the_last(name));
    }
    if row.is_master { Next::Do(Step::RestartMaster { pod: name.clone(), uid: pod.uid.clone() }) } else { Next::Do(drop) }
}

fn after_the_last(name: &str) -> String {
    format!("{name} is dropped once the others have answered another heartbeat: one change of the group at a time")
}

/// The number of restarts to write down, if the master was elected again after one and may have another.
pub(super) fn restart_again(leaver: &Leaver, focus: &Focus) -> Option<i32> {
    let leads = leaver.row.as_ref().is_some_and(|row| row.is_master && row.alive);
    let is_another = leaver.present.as_ref().is_some_and(|pod| pod.running && !pod.leaving && pod.uid != focus.uid);
    (leads && is_another && focus.restarts + 1 < RESTARTS).then_some(focus.restarts + 1)
}

/// One follower alone is an outage whenever it restarts: somebody has to say that it is meant.
pub(super) fn is_meant(scene: &Scene<'_>) -> bool {
    let wanted = scene.sets.get(&Component::Fe).map_or(1, |set| set.wanted);
    let is_target = |leaver: &Leaver| scene.record.is_some_and(|record| record.targets.contains(&leaver.pod));
    let has_begun = scene.of(Component::Fe).any(|leaver| leaver.row.is_some() && is_target(leaver));
    // Two protect no more than one does.
    wanted > 1 || scene.one_follower_is_safe && (scene.followers <= 2 || scene.one_follower_is_meant || has_begun)
}
