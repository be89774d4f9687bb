//! `VersionPath` and `NoReturn`.

use doris_api::DorisVersion;
use doris_api::rules::SafetyRule;
use doris_api::version::Line;

use crate::blocked::Blocked;
use crate::observed::{Frontends, Metadata, Observed};
use crate::step::{FrontendRole, Step};
use crate::text::{list, short};
use crate::version_path::{metadata_version, upgrade_path};

const UNREADABLE: &str = "an older frontend does not start on newer metadata";

/// The version step is a documented one, from what wrote the metadata to what is wanted.
pub(super) fn path(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::VersionPath;
    let Step::ChangeVersion { to } = step else { return Vec::new() };
    let Some(metadata) = &observed.metadata else { return vec![Blocked::unread(rule, "what wrote the metadata")] };
    let Some(from) = &metadata.written_by else {
        let sentence = format!(
            "it is not known which version wrote the metadata, so whether {to} may follow it cannot be told; this ends when every frontend runs an image whose version is known"
        );
        return vec![Blocked::soft(rule, "metadata", sentence)];
    };
    match upgrade_path(from.line(), to.line()) {
        None if to.line() < from.line() => {
            let sentence = format!(
                "{from} has been master and wrote the metadata, which Doris {} does not read{}; the way is forward, or a copy of the metadata from before, restored by hand",
                to.line(),
                versions(from.line(), to.line())
            );
            vec![Blocked::hard(rule, to.to_string(), sentence, UNREADABLE)]
        }
        None => {
            let sentence = format!(
                "no way from {} to {} is documented; this ends when a version is wanted that follows {from}",
                from.line(),
                to.line()
            );
            vec![Blocked::soft(rule, to.to_string(), sentence)]
        }
        Some(lines) if lines.len() > 1 => {
            let between: Vec<String> = lines[..lines.len() - 1].iter().map(Line::to_string).collect();
            let sentence = format!(
                "Doris goes up one line at a time: from {from} to {to} it is by way of {}; this ends when a version of {} is wanted first",
                list(&between),
                between[0]
            );
            vec![Blocked::soft(rule, to.to_string(), sentence)]
        }
        Some(_) => checkpointed(observed, metadata, from, to).into_iter().collect(),
    }
}

fn versions(written: Line, wanted: Line) -> String {
    match (metadata_version(written), metadata_version(wanted)) {
        (Some(written), Some(wanted)) if written > wanted => format!(" (metadata version {written}, it knows {wanted})"),
        _ => String::new(),
    }
}

/// Doris 4 reads metadata from version 140 on, which a 3.x master writes; every frontend needs an
/// image that was made after that.
fn checkpointed(observed: &Observed, metadata: &Metadata, from: &DorisVersion, to: &DorisVersion) -> Option<Blocked> {
    let rule = SafetyRule::VersionPath;
    let since = metadata.written_since.filter(|_| from.major < 4 && to.major >= 4)?;
    let Some(frontends) = &observed.frontends else { return Some(Blocked::unread(rule, "the list of frontends")) };
    let old: Vec<&str> = frontends
        .members
        .iter()
        .filter(|member| member.checkpoint.is_none_or(|image| image < since))
        .map(|member| short(&member.host))
        .collect();
    let first = old.first()?;
    let sentence = format!(
        "{} {} no image of the metadata that is newer than the upgrade to {} (journal id {since}), and {to} reads no older one; this ends with the next checkpoint, which Doris makes by itself after 50000 journal entries, or when the master is restarted: the next one makes one for every frontend that is up then",
        list(&old),
        if old.len() == 1 { "has" } else { "have" },
        from.line()
    );
    Some(Blocked::soft(rule, *first, sentence))
}

/// No frontend of another line starts but in an upgrade that was asked for, and none of an older one at all.
pub(super) fn no_return(observed: &Observed, step: &Step) -> Vec<Blocked> {
    let rule = SafetyRule::NoReturn;
    let Step::RestartFrontend { host, onto: Some(onto) } = step else { return Vec::new() };
    let Some(metadata) = &observed.metadata else { return vec![Blocked::unread(rule, "what wrote the metadata")] };
    let Some(written) = &metadata.written_by else { return vec![Blocked::unread(rule, "which version wrote the metadata")] };
    let name = short(host);
    if onto.line() < written.line() {
        let sentence = format!(
            "{name} would start {onto}, and {written} has been master and wrote the metadata{}; the way is forward: the same frontend starts with {} or newer",
            versions(written.line(), onto.line()),
            written.line()
        );
        return vec![Blocked::hard(rule, name, sentence, UNREADABLE)];
    }
    if onto.line() == written.line() {
        return Vec::new();
    }
    if metadata.upgrading_to.as_ref().map(DorisVersion::line) != Some(onto.line()) {
        let sentence = format!(
            "{name} would start {onto}, which may become master and rewrite the metadata of {written} for good, and no upgrade to {} is under way; this ends when spec.version asks for it, or the image is one of {}",
            onto.line(),
            written.line()
        );
        return vec![Blocked::soft(rule, name, sentence)];
    }
    let Some(frontends) = &observed.frontends else { return vec![Blocked::unread(rule, "the list of frontends")] };
    without_copy(frontends, host, written, onto).into_iter().collect()
}

/// The old master goes last, and with it the way back: a follower has to keep a copy from before.
fn without_copy(frontends: &Frontends, host: &str, written: &DorisVersion, onto: &DorisVersion) -> Option<Blocked> {
    let others = || frontends.members.iter().filter(|member| member.role == FrontendRole::Follower && member.host != host);
    let is_master = frontends.master.as_ref().is_ok_and(|master| master.host == host);
    // A single follower copies its metadata as it starts; there is nobody else to keep one.
    if !is_master || others().next().is_none() || others().any(|member| member.has_metadata_copy) {
        return None;
    }
    let name = short(host);
    let sentence = format!(
        "{name} is the last frontend of {written}, and after its restart with {onto} there is no way back but a copy of the metadata, which no other follower has; this ends when a follower has one, for which its metadata volume needs as much room again"
    );
    Some(Blocked::soft(SafetyRule::NoReturn, name, sentence))
}
