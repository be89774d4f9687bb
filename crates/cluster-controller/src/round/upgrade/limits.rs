//! What an upgrade adds to what may be restarted next.

use std::collections::BTreeSet;

use doris_api::{Component, DorisVersion};
use doris_safety::{Frontends, Master, Observed, Step, Terms, check, overrides_of};

use super::super::Round;
use super::super::rolling::short;
use crate::observe::doris::Doris;
use crate::plan::rolling::{Limits, Member};
use crate::plan::upgrade::Phase;
use crate::release::Release;

impl Round<'_> {
    /// Restarts only whose turn it is, and stops before what cannot be undone.
    pub(in crate::round) fn limits_of_upgrade(&self, limits: Limits, doris: &Doris, members: &[Member]) -> Limits {
        let Some(release) = self.release().filter(|release| release.upgrade.is_some()) else { return limits };
        let only = match self.phase(release) {
            Phase::Working(component) => vec![component],
            Phase::Advance(_) | Phase::Complete => Vec::new(),
        };
        let held_by = limits.held_by.map(|why| warned(release, &only, why));
        let held_by =
            held_by.or_else(|| self.other_build_than_said(doris, release)).or_else(|| self.without_way_back(doris, release, members));
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

    /// The rule `NoReturn` about the old master's restart: with it goes the way back, unless somebody keeps a copy.
    fn without_way_back(&self, doris: &Doris, release: &Release, members: &[Member]) -> Option<String> {
        let (upgrade, host) = (release.upgrade.as_ref()?, doris.master()?);
        let is_left = |member: &&Member| {
            matches!(member.component, Component::Fe | Component::FeObserver) && member.pod.as_ref().is_some_and(|pod| pod.outdated)
        };
        let left: Vec<&Member> = members.iter().filter(is_left).collect();
        if left.iter().any(|member| member.name != short(host)) || left.is_empty() {
            return None;
        }
        let frontends = doris.frontends.iter().map(|row| self.frontend_facts(row, &upgrade.from.to_string())).collect();
        let master = Master { host: host.to_owned(), journal: doris.journal_of(host).unwrap_or_default(), group: BTreeSet::new() };
        let observed = Observed {
            frontends: Some(Frontends { members: frontends, master: Ok(master) }),
            metadata: Some(super::preflight::metadata(release)),
            ..Observed::default()
        };
        let step = Step::RestartFrontend { host: host.to_owned(), onto: Some(upgrade.to.clone()) };
        let annotations = self.cluster.metadata.annotations.clone().unwrap_or_default();
        let now = self.ctx.clock.now();
        let (overrides, _) = overrides_of(&annotations, now);
        let operation = format!("Upgrade to {}", upgrade.to);
        let terms = Terms {
            operation: &operation,
            unavailable_tables: self.cluster.spec.update.unavailable_tables,
            overrides: &overrides,
            used: &[],
            now,
        };
        let refusal = check(&observed, &step, &terms).err()?;
        refusal.blocked.into_iter().find(|blocked| blocked.rule == doris_api::rules::SafetyRule::NoReturn).map(|blocked| blocked.sentence)
    }

    /// What that rule looks at in a frontend.
    fn frontend_facts(&self, row: &doris_client::Frontend, from: &str) -> doris_safety::Frontend {
        let pod = self.pod_by_fqdn(&row.host);
        doris_safety::Frontend {
            host: row.host.clone(),
            role: match row.role {
                doris_client::FrontendRole::Follower => doris_safety::FrontendRole::Follower,
                doris_client::FrontendRole::Observer => doris_safety::FrontendRole::Observer,
            },
            joined: row.joined,
            alive: row.alive,
            stopped: false,
            journal: None,
            done: false,
            steady_for: None,
            checkpoint: None,
            has_metadata_copy: pod.and_then(|pod| pod.inspection.as_ref()).is_some_and(|seen| seen.copy == from),
        }
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
