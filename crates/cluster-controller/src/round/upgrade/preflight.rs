//! What is looked at before an upgrade begins.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::cluster::UpgradeFinding;
use doris_api::rules::SafetyRule;
use doris_api::version::Line;
use doris_api::{Component, DorisVersion};
use doris_client::survey::{self, Catalog, Found, FrontendPod};
use doris_client::{FrontendRole, MetadataDisk, Session};
use doris_safety::{Blocked, Finding, Metadata, Observed, Passed, TOPICS};
use tokio::time::Instant;

use super::super::Round;
use super::super::rolling::short;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::upgrade::version;
use crate::release::{Builds, Release};
use crate::safety::Said;

/// Between two looks: they walk over all tables and tablets.
const PACE: Duration = Duration::from_secs(30);
/// What the frontends' journal wants free at any time.
const JOURNAL_RESERVE: u64 = 1 << 30;

/// What was found, for which builds, and when.
#[derive(Debug)]
pub(super) struct Looked {
    at: Instant,
    wanted: Builds,
    /// Generation of the spec and the annotations that were there.
    under: (Option<i64>, BTreeMap<String, String>),
    list: List,
}

/// What was looked at, and what of it a person's annotations overrode.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    /// The list as the status tells it.
    pub findings: Vec<UpgradeFinding>,
    /// Overrides that it needs: to be recorded before the upgrade begins.
    pub passed: Passed,
}

/// What is known of the metadata.
pub(super) fn metadata(release: &Release) -> Metadata {
    Metadata {
        written_by: release.written.as_ref().map(|written| written.version.clone()),
        written_since: release.written.as_ref().and_then(|written| written.since),
        upgrading_to: release.upgrade.as_ref().map(|upgrade| upgrade.to.clone()),
    }
}

impl Round<'_> {
    /// The list of what was looked at; a look that is a few seconds old will do. `None` if the master did not let us look.
    pub(super) async fn preflight(&mut self, doris: &Doris, release: &Release, wanted: &Builds) -> Result<Option<List>, Error> {
        let now = self.ctx.clock.instant();
        let known = self
            .memory
            .upgrade
            .looked
            .as_ref()
            .filter(|looked| looked.wanted == *wanted && looked.under == self.asked_under() && now.duration_since(looked.at) < PACE);
        if let Some(looked) = known {
            return Ok(Some(looked.list.clone()));
        }
        let (Some(master), Some(to)) = (doris.master(), version(wanted)) else { return Ok(None) };
        // A session of its own: times are read in UTC there.
        let Some(mut session) = self.own_session(master).await else { return Ok(None) };
        let looked = self.look(doris, release, &mut session, to).await;
        session.close().await;
        let (observed, mut found) = looked.map_err(|source| Error::Doris { what: "looking at what an upgrade depends on", source })?;
        found.splice(0..0, doris_safety::preflight(&observed, to, self.ctx.clock.now()));
        found.extend(self.builds(doris));
        let list = self.told_findings(found, release, wanted);
        self.memory.upgrade.looked = Some(Looked { at: now, wanted: wanted.clone(), under: self.asked_under(), list: list.clone() });
        Ok(Some(list))
    }

    async fn look(
        &self,
        doris: &Doris,
        release: &Release,
        session: &mut Session,
        to: &DorisVersion,
    ) -> Result<(Observed, Vec<Finding>), doris_client::Error> {
        let found = Found { views: &doris.views, frontends: &doris.frontends, verdict: &doris.verdict };
        session.use_utc().await?;
        let health = survey::health(session).await?;
        let catalog = Catalog::read(session).await?;
        let observed = Observed {
            frontends: Some(survey::frontends(self.ctx.transport.as_ref(), found, &self.frontends_by_pod()).await),
            backends: Some(survey::backends(session, &self.roles(), true).await?),
            tablets: Some(survey::tablets(session, &catalog, &health, 0).await?),
            jobs: Some(survey::jobs(session, catalog.databases()).await?),
            health: Some(health),
            metadata: Some(metadata(release)),
            ..Observed::default()
        };
        let tells_disks = release.running().is_some_and(|version| version.line() >= Line::V2_1);
        // A statement that a version does not know keeps nobody from an upgrade.
        let disks = if tells_disks { session.metadata_disks().await.unwrap_or_default() } else { Vec::new() };
        let changes_line = release.written_line() != Some(to.line());
        let findings = if changes_line { no_room_for_copies(&disks, doris) } else { Vec::new() };
        Ok((observed, findings))
    }

    fn frontends_by_pod(&self) -> BTreeMap<String, FrontendPod> {
        let of = |component: Component, role: FrontendRole| {
            self.facts.seen.of(component).iter().map(move |pod| {
                let facts = FrontendPod { role, stopped: !pod.running, done: false, steady_for: None, has_metadata_copy: false };
                (pod.fqdn.clone(), facts)
            })
        };
        of(Component::Fe, FrontendRole::Follower).chain(of(Component::FeObserver, FrontendRole::Observer)).collect()
    }

    /// Members that are not there at all, and members of one kind that tell different builds.
    fn builds(&self, doris: &Doris) -> Vec<Finding> {
        let mut findings = Vec::new();
        for component in crate::build::components(&self.cluster.spec) {
            let counted = crate::report::count(self.cluster, component, &self.facts.seen);
            if counted.registered < counted.desired || counted.alive < counted.desired || counted.ready < counted.desired {
                let sentence = format!(
                    "of {} {component} {} are registered, {} alive and {} ready; an upgrade begins when all of them are there",
                    counted.desired, counted.registered, counted.alive, counted.ready
                );
                findings.push(Finding { blocks: true, topic: "members", sentence, rule: None });
            }
        }
        let frontends: Vec<(&str, &str)> =
            doris.frontends.iter().filter_map(|row| Some((row.host.as_str(), row.version.as_deref()?))).collect();
        let backends: Vec<(&str, &str)> =
            doris.backends.iter().filter_map(|row| Some((row.host.as_str(), row.version.as_deref()?))).collect();
        for rows in [frontends, backends] {
            let Some((first, build)) = rows.first() else { continue };
            if let Some((host, other)) = rows.iter().find(|(_, other)| other != build) {
                let sentence = format!(
                    "{} runs {build} and {} runs {other}; an upgrade begins when all members run one build",
                    short(first),
                    short(host)
                );
                findings.push(Finding { blocks: true, topic: "builds", sentence, rule: None });
            }
        }
        findings
    }

    /// The list as the status tells it, with what is well, and with what a person overrode.
    fn told_findings(&self, found: Vec<Finding>, release: &Release, wanted: &Builds) -> List {
        let now = self.ctx.clock.now();
        // The same version wanted by another spec is another step.
        let generation = self.cluster.metadata.generation.unwrap_or_default();
        let said = Said::of(self.cluster, format!("Upgrade of generation {generation}"), now);
        let terms = said.terms();
        let to = version(wanted).map(ToString::to_string).unwrap_or_default();
        let step = format!("{} ChangeVersion {to}", terms.operation);
        let mut passed = Passed::default();
        let mends = self.mends(release, wanted);
        let topics: Vec<&str> = TOPICS.into_iter().chain(["members", "builds", "metadata volumes"]).collect();
        let mut told = Vec::new();
        for topic in topics.iter().copied().filter(|topic| found.iter().all(|finding| finding.topic != *topic)) {
            told.push(UpgradeFinding { check: topic.to_owned(), result: "ok".to_owned(), message: String::new() });
        }
        for finding in found {
            let named = finding.rule.and_then(|rule| terms.overrides.iter().find(|one| one.rule == rule));
            let over = named.filter(|over| over.applies(&step, terms.used, now));
            let sentence = finding.sentence.clone();
            let (result, message) = match (finding.blocks, over) {
                (false, _) => ("warning", finding.sentence),
                (true, Some(over)) => ("warning", format!("{} (overridden by annotation until {})", finding.sentence, over.until)),
                (true, None) if mends => {
                    ("warning", format!("{} (a member cannot run and gets another image of its line)", finding.sentence))
                }
                (true, None) if named.is_some() => {
                    ("blocker", format!("{} (the override was used before: give it another time)", finding.sentence))
                }
                (true, None) => ("blocker", finding.sentence),
            };
            if let Some((over, rule)) = over.filter(|_| finding.blocks).zip(finding.rule) {
                let record = over.used_for(&step, now);
                if !passed.used.iter().any(|used| used.rule == rule) {
                    passed.used.push(record);
                }
                passed.overridden.push(Blocked { rule, object: to.clone(), sentence, hard: None });
            }
            told.push(UpgradeFinding { check: finding.topic.to_owned(), result: result.to_owned(), message });
        }
        let useless = said.mistaken.iter().map(|why| UpgradeFinding {
            check: "overrides".to_owned(),
            result: "warning".to_owned(),
            message: why.clone(),
        });
        told.extend(useless);
        told.truncate(64);
        List { findings: told, passed }
    }

    /// A member cannot run with the image that it has, and the one that is wanted is of the same line: waiting until
    /// it is well would wait for ever.
    pub(super) fn mends(&self, release: &Release, wanted: &Builds) -> bool {
        let same_line = release.running().map(DorisVersion::line) == version(wanted).map(DorisVersion::line);
        let changes = |component: &Component| release.templates.get(component) != wanted.get(component);
        let is_down = |component: &Component| self.facts.seen.of(*component).iter().any(|pod| self.cannot_run(pod));
        same_line && wanted.keys().any(|component| changes(component) && is_down(component))
    }
}

/// The copy that a frontend makes of its metadata needs as much room again. Where no follower has that, the upgrade would
/// come to a stop at its last frontend: better it does not begin.
fn no_room_for_copies(disks: &[MetadataDisk], doris: &Doris) -> Vec<Finding> {
    let is_follower =
        |disk: &&MetadataDisk| doris.frontends.iter().any(|row| row.host == disk.host && matches!(row.role, FrontendRole::Follower));
    let followers: Vec<&MetadataDisk> = disks.iter().filter(is_follower).collect();
    let full: Vec<&MetadataDisk> = followers.iter().copied().filter(|disk| lacks_room(disk)).collect();
    let blocks = !full.is_empty() && full.len() == followers.len();
    let finding = |disk: &MetadataDisk| Finding {
        blocks,
        topic: "metadata volumes",
        sentence: format!(
            "the metadata volume of {} has {} MiB free and holds {} MiB: too little for the copy that is made before the first start of \
             another line{}",
            short(&disk.host),
            disk.available.unwrap_or_default() >> 20,
            disk.used.unwrap_or_default() >> 20,
            if blocks { ", and without a copy on any follower there is no way back; this ends when the volume has room" } else { "" }
        ),
        rule: blocks.then_some(SafetyRule::NoReturn),
    };
    full.into_iter().map(finding).collect()
}

fn lacks_room(disk: &MetadataDisk) -> bool {
    matches!((disk.used, disk.available), (Some(used), Some(free)) if free < used.saturating_add(JOURNAL_RESERVE))
}
