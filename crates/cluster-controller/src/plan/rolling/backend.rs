//! One backend or compute node: drained, restarted, back, its tablets as healthy as before.

use doris_api::Component;

use super::Step;
use super::scene::{Member, Pod, Record, Scene, Whereabouts};

/// The next step with a backend under work.
pub(super) fn step(scene: &Scene<'_>, member: &Member, record: &Record) -> Step {
    match scene.whereabouts(member, record) {
        Whereabouts::Before(pod) if pod.outdated => before(scene, member, record, pod),
        // The spec went back to what the pod runs.
        Whereabouts::Before(_) => open(scene, member),
        Whereabouts::Away(what) => scene.patience(member, record, &what),
        Whereabouts::After(_) if !is_back(member, record) => {
            scene.patience(member, record, "its new process has to answer Doris' heartbeat")
        }
        Whereabouts::After(_) => after(scene, member, record),
    }
}

fn before(scene: &Scene<'_>, member: &Member, record: &Record, pod: &Pod) -> Step {
    let restart = || Step::Restart { pod: member.name.clone(), uid: pod.uid.clone() };
    if !member.alive || !pod.running {
        // Nothing runs there that could be drained.
        return hold(scene, member).unwrap_or_else(restart);
    }
    if scene.let_go {
        return let_go(scene, member);
    }
    let time_is_left = scene.elapsed(record) < scene.limits.drain;
    if !member.is_drained(record) {
        // A frontend that does not take the switches over must not stop the roll for ever.
        return if member.is_drained_in_part() && !time_is_left { stop(scene, member, record, restart()) } else { drain(member) };
    }
    if time_is_left && member.busy != Some(0) {
        let what = match member.busy {
            Some(running) => format!("{running} statements and loads still run on it"),
            None => "it cannot be told whether statements or loads still run on it".to_owned(),
        };
        return Step::Wait(format!(
            "{} is drained: {what}; it is restarted after {} s at the latest",
            member.name,
            scene.limits.drain.as_secs()
        ));
    }
    stop(scene, member, record, restart())
}

/// The time for a drain is over, or nothing runs there any more. What runs on is written down first:
/// afterwards nothing else tells that frontends had calls fail.
fn stop(scene: &Scene<'_>, member: &Member, record: &Record, restart: Step) -> Step {
    let is_idle = member.busy == Some(0) && member.is_drained(record) && !record.keeps_queries;
    if !is_idle && !record.cut_short {
        return Step::CutShort { pod: member.name.clone() };
    }
    hold(scene, member).unwrap_or(restart)
}

/// All is taken back, then the member is struck off.
fn let_go(scene: &Scene<'_>, member: &Member) -> Step {
    match open(scene, member) {
        Step::Done { pod } => Step::LetGo { pod },
        step => step,
    }
}

fn drain(member: &Member) -> Step {
    Step::Drain { pod: member.name.clone() }
}

/// Compute nodes hold no tablets: nothing would be copied.
fn hold(scene: &Scene<'_>, member: &Member) -> Option<Step> {
    (member.component == Component::Be && scene.health.hold != Some(true)).then_some(Step::HoldScheduler)
}

/// The row tells of the new process: the start that Doris knows is another one.
fn is_back(member: &Member, record: &Record) -> bool {
    member.alive && (record.process_start.is_none() || member.process_start != record.process_start)
}

/// Takes our switches back: the scheduler first, then loads, then queries.
fn open(scene: &Scene<'_>, member: &Member) -> Step {
    if scene.is_held_by_us() {
        return Step::ReleaseScheduler;
    }
    if member.is_drained_in_part() {
        return Step::Undrain { pod: member.name.clone() };
    }
    Step::Done { pod: member.name.clone() }
}

/// Frontends may leave a backend alone for a while on which their calls failed. The next one is not
/// taken away before they are over it.
fn avoided(scene: &Scene<'_>, member: &Member, record: &Record) -> Option<String> {
    let began = member.pod.as_ref()?.started_at.filter(|_| record.cut_short)?;
    let is_next = |other: &Member| other.component == Component::Be && other.pod.as_ref().is_some_and(|pod| pod.outdated);
    let is_over = scene.now.duration_since(began) >= scene.limits.avoided;
    (!is_over && scene.members.iter().any(is_next)).then(|| {
        format!(
            "{} was stopped while work ran on it: frontends may leave it alone for {} s, and the next backend waits that long",
            member.name,
            scene.limits.avoided.as_secs()
        )
    })
}

/// Another backend cannot run and is made anew from the present template next: that ends the damage, which no repair does.
fn is_next_down(scene: &Scene<'_>, member: &Member) -> bool {
    let is_outdated = |other: &Member| other.pod.as_ref().is_some_and(|pod| pod.outdated && !pod.leaving);
    let is_next = |other: &Member| other.component == Component::Be && other.name != member.name && other.is_down() && is_outdated(other);
    scene.members.iter().any(is_next)
}

fn after(scene: &Scene<'_>, member: &Member, record: &Record) -> Step {
    let opened = open(scene, member);
    if !matches!(opened, Step::Done { .. }) || member.component == Component::Cn {
        return opened;
    }
    if !member.reported {
        return scene.patience(member, record, "it has to tell which tablets it has");
    }
    if is_next_down(scene, member) {
        return opened;
    }
    match scene.health.unhealthy {
        Some(0) => avoided(scene, member, record).map_or(opened, Step::Wait),
        Some(unhealthy) => {
            Step::Wait(format!("{} is back; {unhealthy} tablets are being repaired before the next member is restarted", member.name))
        }
        None => Step::Wait(format!("{} is back; the health of the tablets is being asked", member.name)),
    }
}
