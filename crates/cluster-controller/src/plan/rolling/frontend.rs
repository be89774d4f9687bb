//! One frontend: clients are sent elsewhere, it is restarted, and it has caught up again.

use super::Step;
use super::scene::{Member, Pod, Record, Scene, Whereabouts};

/// The next step with a frontend under work.
pub(super) fn step(scene: &Scene<'_>, member: &Member, record: &Record) -> Step {
    let done = || Step::Done { pod: member.name.clone() };
    match scene.whereabouts(member, record) {
        Whereabouts::Before(pod) if pod.outdated => before(scene, member, record, pod),
        Whereabouts::Before(pod) if !pod.serving => Step::Serve { pod: member.name.clone() },
        Whereabouts::Before(_) => done(),
        Whereabouts::Away(what) => scene.patience(member, record, &what),
        Whereabouts::After(pod) if pod.ready && member.alive && (member.caught_up || member.is_master) => done(),
        Whereabouts::After(_) => scene.patience(member, record, "it has to catch up with the master"),
    }
}

fn before(scene: &Scene<'_>, member: &Member, record: &Record, pod: &Pod) -> Step {
    let restart = Step::Restart { pod: member.name.clone(), uid: pod.uid.clone() };
    if !member.alive || !pod.running {
        return restart;
    }
    if scene.let_go {
        let name = member.name.clone();
        return if pod.serving { Step::LetGo { pod: name } } else { Step::Serve { pod: name } };
    }
    // With no other frontend there is nowhere to send clients to.
    let is_only_one = !scene.members.iter().any(|other| other.name != member.name && is_frontend(other) && other.alive);
    if is_only_one {
        return restart;
    }
    if pod.serving {
        return Step::StopServing { pod: member.name.clone() };
    }
    match member.busy {
        Some(running) if running > 0 && scene.elapsed(record) < scene.limits.drain => Step::Wait(format!(
            "{} takes no new clients; {running} statements still run on it; it is restarted after {} s at the latest",
            member.name,
            scene.limits.drain.as_secs()
        )),
        _ => restart,
    }
}

fn is_frontend(member: &Member) -> bool {
    matches!(member.component, doris_api::Component::Fe | doris_api::Component::FeObserver)
}
