//! A change of version: what the spec asks for beside what the templates name, and whose turn it is.
//!
//! Templates get the new image component by component, each when all before it run theirs: a pod that a crash
//! makes anew before its turn comes back as it was. Backends go first and the frontends' master last; a way back
//! to an older line goes the other way round, so that no frontend is ever newer than a backend.

use doris_api::{Component, DorisVersion};
use doris_safety::upgrade_path;

use crate::release::{Builds, Release, Upgrade, Written};

/// The order of an upgrade.
const FORWARD: [Component; 5] = [Component::Be, Component::Cn, Component::Broker, Component::FeObserver, Component::Fe];
/// The order of a way back.
const BACK: [Component; 5] = [Component::Fe, Component::FeObserver, Component::Broker, Component::Cn, Component::Be];

/// What the spec asks for, beside what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// The templates name what the spec asks for.
    Settled,
    /// Other builds are wanted, and nothing has been done yet.
    Wanted,
    /// An upgrade to what the spec asks for is under way.
    UnderWay,
    /// An upgrade is under way, and by now the spec asks for something else.
    Elsewhere,
}

/// Compares.
pub fn course(release: &Release, wanted: &Builds) -> Course {
    let agrees = |builds: &Builds| wanted.iter().all(|(component, build)| builds.get(component) == Some(build));
    match &release.upgrade {
        Some(upgrade) if agrees(&upgrade.target) => Course::UnderWay,
        Some(_) => Course::Elsewhere,
        None if agrees(&release.templates) => Course::Settled,
        None => Course::Wanted,
    }
}

/// What is known of the frontends when an upgrade is turned to other builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// A master has proved itself in this very round, so what the record says of the metadata is up to date.
    pub master_is_known: bool,
    /// A frontend of a line that is newer than the metadata's has run.
    pub newer_has_run: bool,
}

/// Whether an upgrade under way may be turned to other builds; else why not.
pub fn may_turn(release: &Release, wanted: &Builds, evidence: Evidence) -> Result<(), String> {
    let (Some(upgrade), Some(to)) = (&release.upgrade, version(wanted)) else { return Ok(()) };
    let Some(written) = &release.written else { return Ok(()) };
    if to.line() < written.version.line() {
        return Err(format!(
            "there is no way back to {to}: a frontend of {} has been master and wrote the metadata{}, which frontends of {} do not read; the \
             upgrade to {} goes on",
            written.version.line(),
            by(written),
            to.line(),
            upgrade.to
        ));
    }
    if upgrade_path(written.version.line(), to.line()).is_none_or(|lines| lines.len() > 1) {
        return Err(format!(
            "{to} does not follow {} in one documented step; the upgrade to {} goes on, and whatever comes after it begins once it is done",
            written.version, upgrade.to
        ));
    }
    let leaves_a_line = to.line() != upgrade.to.line();
    if leaves_a_line && evidence.newer_has_run && !evidence.master_is_known {
        return Err(format!(
            "no frontend has proved to be the master, so whether one of {} has been master and rewrote the metadata cannot be told; whether \
             {to} may be gone to is decided once a master answers",
            upgrade.to.line()
        ));
    }
    Ok(())
}

fn by(written: &Written) -> String {
    match (written.by.as_str(), written.since) {
        ("", _) | (_, None) => String::new(),
        (pod, Some(since)) => format!(" ({pod}, from journal id {since} on)"),
    }
}

/// The version of a set of builds: that of its frontends.
pub fn version(builds: &Builds) -> Option<&DorisVersion> {
    builds.get(&Component::Fe).map(|build| &build.version)
}

/// The record once an upgrade to these builds has begun.
pub fn begun(release: &Release, wanted: &Builds) -> Option<Release> {
    let (from, to) = (release.running()?.clone(), version(wanted)?.clone());
    let upgrade = Upgrade { from, to, target: wanted.clone(), forward: Builds::new() };
    Some(Release { upgrade: Some(upgrade), ..release.clone() })
}

/// The record once the upgrade under way leads to these builds instead.
pub fn turned(release: &Release, wanted: &Builds) -> Option<Release> {
    let (upgrade, to) = (release.upgrade.as_ref()?, version(wanted)?.clone());
    let goes_back = to.line() < upgrade.to.line();
    let forward = if goes_back { upgrade.target.clone() } else { Builds::new() };
    let upgrade = Upgrade { from: upgrade.from.clone(), to, target: wanted.clone(), forward };
    Some(Release { upgrade: Some(upgrade), ..release.clone() })
}

/// The record once a frontend of this version is master at this journal id; nothing if that is no news.
pub fn led(release: &Release, version: &DorisVersion, pod: &str, journal: Option<u64>) -> Option<Release> {
    let newest = release.written.as_ref().map(|written| &written.version);
    if newest.is_some_and(|newest| version.line() <= newest.line()) {
        return None;
    }
    let since = newest.and(journal);
    let by = if since.is_some() { pod.to_owned() } else { String::new() };
    let mut release = Release { written: Some(Written { version: version.clone(), since, by }), ..release.clone() };
    // It rose while the others were on their way back: there is only the way forward now.
    if let Some(upgrade) = release.upgrade.as_mut().filter(|upgrade| upgrade.to.line() < version.line() && !upgrade.forward.is_empty()) {
        upgrade.target = std::mem::take(&mut upgrade.forward);
        if let Some(to) = self::version(&upgrade.target).cloned() {
            upgrade.to = to;
        }
    }
    Some(release)
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The template of this component gets its image now.
    Advance(Component),
    /// Members of this component are restarted.
    Working(Component),
    /// Every component runs its target.
    Complete,
}

/// What is seen of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its StatefulSet has the template that is on record, all its members are made from it, and are well.
    pub is_done: bool,
    /// A pod of it cannot run.
    pub is_down: bool,
}

/// Whether a component may get its image out of turn: nothing depends on the order where its own line stays, or the
/// upgrade leads nowhere else, and all that come before it have the line that it leads to.
pub fn may_come_first(release: &Release, component: Component) -> bool {
    let Some(upgrade) = &release.upgrade else { return false };
    let has_line = |component: &Component| match (release.templates.get(component), upgrade.target.get(component)) {
        (Some(build), Some(target)) => build.version.line() == target.version.line(),
        (_, target) => target.is_none(),
    };
    let order = if goes_back(release) { BACK } else { FORWARD };
    let mut before = order.iter().take_while(|other| **other != component);
    (has_line(&component) || upgrade.from.line() == upgrade.to.line()) && before.all(has_line)
}

/// The phase that an upgrade is in.
pub fn phase(release: &Release, standing: impl Fn(Component) -> Standing) -> Phase {
    let Some(upgrade) = &release.upgrade else { return Phase::Complete };
    let mut order = if goes_back(release) { BACK } else { FORWARD };
    // What cannot run is mended first, for the others wait for it.
    order.sort_by_key(|component| !(standing(*component).is_down && may_come_first(release, *component)));
    for component in order.into_iter().filter(|component| upgrade.target.contains_key(component)) {
        if release.templates.get(&component) != upgrade.target.get(&component) {
            return Phase::Advance(component);
        }
        if !standing(component).is_done {
            return Phase::Working(component);
        }
    }
    Phase::Complete
}

/// It leads to an older version than some template names.
pub fn goes_back(release: &Release) -> bool {
    let Some(upgrade) = &release.upgrade else { return false };
    release.templates.values().any(|build| build.version > upgrade.to)
}

/// The record once the template of this component has its target.
pub fn advanced(release: &Release, component: Component) -> Release {
    let mut release = release.clone();
    if let Some(build) = release.upgrade.as_ref().and_then(|upgrade| upgrade.target.get(&component)).cloned() {
        release.templates.insert(component, build);
    }
    release
}

/// The record once the upgrade is done.
pub fn finished(release: &Release) -> Release {
    let mut release = release.clone();
    if let Some(upgrade) = release.upgrade.take() {
        let newer = release.written.as_ref().is_some_and(|written| written.version.line() == upgrade.to.line());
        if let Some(written) = release.written.as_mut().filter(|_| newer) {
            written.version = upgrade.to;
        }
    }
    release
}

#[cfg(test)]
mod tests;
