//! What an upgrade adds to what may be restarted next.

use doris_api::{Component, DorisVersion};
use doris_safety::Metadata;

use super::super::Round;
use crate::observe::doris::Doris;
use crate::plan::rolling::{Limits, Member};
use crate::plan::upgrade::Phase;
use crate::release::Release;

impl Round<'_> {
    /// Restarts only whose turn it is, and nobody with an image that brings something else than was said.
    pub(in crate::round) fn limits_of_upgrade(&self, limits: Limits, doris: &Doris) -> Limits {
        let Some(release) = self.release().filter(|release| release.upgrade.is_some()) else { return limits };
        let only = match self.phase(release) {
            Phase::Working(component) => vec![component],
            Phase::Advance(_) | Phase::Complete => Vec::new(),
        };
        let held_by = limits.held_by.map(|why| warned(release, &only, why));
        let held_by = held_by.or_else(|| self.other_build_than_said(doris, release));
        Limits { only: Some(only), held_by, ..limits }
    }

    /// A member says that it runs another line than its image was to bring: no second one gets that image.
    fn other_build_than_said(&self, doris: &Doris, release: &Release) -> Option<String> {
        let frontends = doris.frontends.iter().map(|row| (&row.host, &row.version));
        let mut told = frontends.chain(doris.backends.iter().map(|row| (&row.host, &row.version)));
        told.find_map(|(host, version)| {
            let pod = self.pod_by_fqdn(host).filter(|pod| pod.ready)?;
            let image = pod.image.as_deref()?;
            let meant = release.version_of(image)?;
            let runs = DorisVersion::of_build(version.as_deref()?).filter(|runs| runs.line() != meant.line())?;
            let is_news = release.upgrade.as_ref().is_some_and(|upgrade| meant.line() == upgrade.to.line());
            // Doris tells a backend's version by its last heartbeat: until it has sent one the old version stands there.
            (is_news && pod.was_ready && self.facts.seen.known.get(host).is_some_and(|known| known.alive)).then(|| {
                format!(
                    "{} runs Doris {runs} by its own word, and its image {image} was to bring {meant}; no other member gets that image until \
                     spec.version and the images agree",
                    pod.name
                )
            })
        })
    }

    /// The version that a frontend's next pod brings, where an upgrade leads it to another line; the rule `NoReturn` asks.
    pub(in crate::round) fn onto(&self, member: &Member) -> Option<DorisVersion> {
        let release = self.release().filter(|release| release.upgrade.is_some())?;
        let runs = self.pod_by_fqdn(&self.fqdn(member)).and_then(|pod| release.version_of(pod.image.as_deref()?))?;
        let next = &release.templates.get(&member.component)?.version;
        (next.line() != runs.line()).then(|| next.clone())
    }

    /// Whether a frontend keeps a copy of its metadata from before the upgrade under way.
    pub(in crate::round) fn has_metadata_copy(&self, member: &Member) -> bool {
        let Some(upgrade) = self.upgrade_under_way() else { return false };
        let pod = self.pod_by_fqdn(&self.fqdn(member));
        pod.and_then(|pod| pod.inspection.as_ref()).is_some_and(|seen| seen.copy == upgrade.from.to_string())
    }

    /// What the rules are told of the metadata, while an upgrade is under way.
    pub(in crate::round) fn metadata_in_upgrade(&self) -> Option<Metadata> {
        self.release().filter(|release| release.upgrade.is_some()).map(super::preflight::metadata)
    }
}

/// Half the frontends new and half of them old is no state to rest in.
fn warned(release: &Release, only: &[Component], why: String) -> String {
    let Some(upgrade) = &release.upgrade else { return why };
    let is_near = only.contains(&Component::Fe) && upgrade.from.line() != upgrade.to.line();
    if is_near && release.written_line() != Some(upgrade.to.line()) {
        return format!(
            "{why}; an upgrade should not rest here: if the master fails now, a frontend of {} may be elected, and there is no way back \
             to {} from then on",
            upgrade.to.line(),
            upgrade.from
        );
    }
    why
}
