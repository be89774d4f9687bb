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
    let time_is_left = scene.elapsed(record) < scene.limits.drain;
    if !member.is_drained() {
        // A frontend that does not take the switches over must not stop the roll for ever.
        return if member.is_drained_in_part() && !time_is_left { hold(scene, member).unwrap_or_else(restart) } else { drain(member) };
    }
    if time_is_left && member.busy != Some(0) {
        let what = match member.busy {
            Some(running) => format!("{running} statements still run on it"),
            None => "this version does not tell whether statements still run on it".to_owned(),
        };
        return Step::Wait(format!(
            "{} is drained: {what}; it is restarted after {} s at the latest",
            member.name,
            scene.limits.drain.as_secs()
        ));
    }
    hold(scene, member).unwrap_or_else(restart)
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

fn after(scene: &Scene<'_>, member: &Member, record: &Record) -> Step {
    let opened = open(scene, member);
    if !matches!(opened, Step::Done { .. }) || member.component == Component::Cn {
        return opened;
    }
    if !member.reported {
        return scene.patience(member, record, "it has to tell which tablets it has");
    }
    match scene.health.unhealthy {
        Some(unhealthy) if unhealthy <= scene.baseline.unhealthy => opened,
        Some(unhealthy) => Step::Wait(format!(
            "{} is back; {} tablets are being repaired before the next member is restarted",
            member.name,
            unhealthy - scene.baseline.unhealthy
        )),
        None => Step::Wait(format!("{} is back; the health of the tablets is being asked", member.name)),
    }
}
