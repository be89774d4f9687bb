//! Changes of version: which builds the templates name, what is looked at before, whose turn it is.
//!
//! The record is in the identity Secret, which outlives the cluster object: pods that a crash makes anew are made
//! from templates, so templates follow the record and never the spec alone.

mod limits;
mod preflight;
mod switches;

use std::time::Duration;

use doris_api::cluster::{NoReturnStatus, UpgradeFinding, UpgradeStatus};
use doris_api::conditions::reason;
use doris_api::{Component, DorisVersion, names};
use doris_client::Session;

use super::Round;
use crate::act::identity::{self, Stored};
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::rolling::Member;
use crate::plan::upgrade::{
    Course, Evidence, Phase, Standing, advanced, begun, course, finished, led, may_come_first, may_turn, phase, turned, version,
};
use crate::release::{self, Builds, Release, Upgrade, Written};
use crate::view::MemberPod;

/// A record that was just written is acted on in the next look.
const GO_ON: Duration = Duration::from_millis(500);

/// What is remembered of upgrades between two rounds. It only spares work.
#[derive(Debug, Default)]
pub struct UpgradeMemory {
    /// What was found before an upgrade, and when.
    looked: Option<preflight::Looked>,
    /// The balance of tablets is switched off at the master although nothing is under way.
    balance_is_left_off: bool,
}

impl Round<'_> {
    fn release(&self) -> Option<&Release> {
        self.facts.identity.as_ref()?.release.as_ref()
    }

    /// The upgrade under way.
    pub(super) fn upgrade_under_way(&self) -> Option<&Upgrade> {
        self.release()?.upgrade.as_ref()
    }

    /// What a cluster that was just founded runs: what its founder does.
    pub(super) fn first_release(&self, founder: &str) -> Release {
        let image = self.facts.seen.of(Component::Fe).iter().find(|pod| pod.name == founder).and_then(|pod| pod.image.clone());
        let mut release = release::first(&self.cluster.spec, |component| image.clone().filter(|_| component == Component::Fe));
        release.written = version(&release.templates).map(|version| Written { version: version.clone(), since: None, by: String::new() });
        release
    }

    /// Brings the record in line with the spec as far as that needs no answer of Doris: components that come and
    /// go, and an upgrade that is turned while nothing can be lost by it.
    pub(super) async fn settle_builds(&mut self, stored: Stored) -> Result<Stored, Error> {
        if stored.identity.cluster_id().is_none() {
            return Ok(stored);
        }
        let spec = &self.cluster.spec;
        let mut release =
            stored.identity.release.clone().unwrap_or_else(|| release::first(spec, |component| self.image_of_pods(component)));
        let sets = self.ctx.caches.sets.of(self.key);
        release.complete(spec, |component| sets.contains_key(&names::set(&self.key.name, component)));
        if let Ok(wanted) = release::wanted(spec)
            && course(&release, &wanted) == Course::Elsewhere
            && may_turn(&release, &wanted, self.evidence(&release, false)).is_ok()
            && let Some(next) = turned(&release, &wanted)
        {
            release = next;
        }
        if stored.identity.release.as_ref() == Some(&release) {
            return Ok(stored);
        }
        self.write_release(&stored, release).await
    }

    async fn write_release(&mut self, stored: &Stored, release: Release) -> Result<Stored, Error> {
        let mut next = stored.identity.clone();
        next.release = Some(release);
        let written = identity::replace(self.ctx, self.key, stored, &next).await?;
        self.keep(written.clone());
        Ok(written)
    }

    /// Writes the record in the middle of a round; what follows from it is for the next one.
    async fn note_release(&mut self, release: Release) -> Result<(), Error> {
        let Some(stored) = self.memory.identity.open() else { return Ok(()) };
        self.write_release(&stored, release).await?;
        self.facts.next_look = Some(GO_ON);
        Ok(())
    }

    /// The image that a component's pods have; of two the older one.
    fn image_of_pods(&self, component: Component) -> Option<String> {
        let images = self.facts.seen.of(component).iter().filter_map(|pod| pod.image.clone());
        images.min_by_key(|image| DorisVersion::of_image(image))
    }

    fn evidence(&self, release: &Release, master_is_known: bool) -> Evidence {
        let has_run = |pod: &MemberPod| pod.running || pod.ended.is_some() || pod.restarts > 0;
        let is_newer = |pod: &MemberPod| {
            let line = pod.image.as_deref().and_then(|image| release.version_of(image)).map(|version| version.line());
            line > release.written_line()
        };
        let frontends = [Component::Fe, Component::FeObserver].into_iter().flat_map(|component| self.facts.seen.of(component));
        Evidence { master_is_known, newer_has_run: frontends.into_iter().any(|pod| has_run(pod) && is_newer(pod)) }
    }

    /// Follows the spec now that a master has answered. Tells whether members may be restarted in this round.
    pub(super) async fn steer(&mut self, doris: &Doris, session: &mut Session) -> Result<bool, Error> {
        let Some(release) = self.release().cloned() else { return Ok(true) };
        if let Some(next) = self.newly_led(doris, &release) {
            self.note_release(next).await?;
            return Ok(false);
        }
        let wanted = match release::wanted(&self.cluster.spec) {
            Ok(wanted) => wanted,
            Err(contradiction) => {
                self.stall(reason::SPEC_INVALID, contradiction.to_string());
                return self.go_on(session, &release, None).await;
            }
        };
        match course(&release, &wanted) {
            Course::Settled => {
                self.memory.upgrade.looked = None;
                Ok(true)
            }
            Course::Wanted => self.before_upgrade(doris, &release, &wanted).await,
            Course::UnderWay => self.go_on(session, &release, None).await,
            Course::Elsewhere => match may_turn(&release, &wanted, self.evidence(&release, true)) {
                Ok(()) => {
                    if let Some(next) = turned(&release, &wanted) {
                        self.note_release(next).await?;
                    }
                    Ok(false)
                }
                Err(why) => {
                    self.stall(reason::BLOCKED, why.clone());
                    self.go_on(session, &release, Some(why)).await
                }
            },
        }
    }

    /// A frontend of a newer line is master: from here on the metadata is its own.
    fn newly_led(&self, doris: &Doris, release: &Release) -> Option<Release> {
        let host = doris.master()?;
        let pod = self.pod_by_fqdn(host)?;
        let version = release.version_of(pod.image.as_deref()?)?;
        led(release, &version, &pod.name, doris.journal_of(host))
    }

    /// An upgrade is under way: it is told, and tablets stay where they are.
    async fn go_on(&mut self, session: &mut Session, release: &Release, refused: Option<String>) -> Result<bool, Error> {
        let Some(upgrade) = &release.upgrade else { return Ok(true) };
        let phase = self.phase(release);
        let told = match &phase {
            Phase::Advance(component) | Phase::Working(component) => component.name(),
            Phase::Complete => "Finishing",
        };
        let findings = refused.map(|message| UpgradeFinding { check: "spec".to_owned(), result: "blocker".to_owned(), message });
        self.facts.upgrade = Some(UpgradeStatus {
            from: upgrade.from.to_string(),
            to: upgrade.to.to_string(),
            phase: told.to_owned(),
            point_of_no_return: no_return(release, upgrade),
            findings: findings.into_iter().collect(),
        });
        if phase != Phase::Complete {
            self.hold_balance(session).await?;
        }
        Ok(true)
    }

    /// Other builds are wanted: looks whether an upgrade may begin.
    async fn before_upgrade(&mut self, doris: &Doris, release: &Release, wanted: &Builds) -> Result<bool, Error> {
        let (Some(from), Some(to)) = (release.running().cloned(), version(wanted).cloned()) else { return Ok(true) };
        let busy = self.under_way().filter(|operation| operation.member.is_some() || self.other_operation(self.kind()).is_some());
        if let Some(busy) = busy {
            self.wait(reason::RESTART_PENDING, format!("the upgrade to {to} begins once {} of {} is done", busy.kind, busy.target));
            return Ok(true);
        }
        let Some(list) = self.preflight(doris, release, wanted).await? else {
            self.wait(reason::UPGRADING, format!("what an upgrade to {to} depends on could not be asked; it is asked again"));
            return Ok(true);
        };
        self.facts.upgrade = Some(UpgradeStatus {
            from: from.to_string(),
            to: to.to_string(),
            phase: "PreFlight".to_owned(),
            point_of_no_return: None,
            findings: list.findings.clone(),
        });
        let blockers: Vec<&UpgradeFinding> = list.findings.iter().filter(|finding| finding.result == "blocker").collect();
        if !blockers.is_empty() {
            let sentences: Vec<&str> = blockers.iter().map(|finding| finding.message.as_str()).collect();
            let message = format!("{from} stays in place and {to} is not installed: {}", sentences.join("; "));
            // What ends by itself is waited for; a version that cannot follow needs a person.
            if blockers.iter().any(|finding| finding.check == "version") {
                self.stall(reason::BLOCKED, message);
            } else {
                self.wait(reason::BLOCKED, message);
            }
            return Ok(true);
        }
        let paused = self.cluster.spec.update.paused.then(|| "update.paused is true".to_owned());
        if let Some(why) = paused.or_else(|| self.requested_by_watcher()) {
            self.wait(
                reason::RESTART_PENDING,
                format!("nothing stands in the way of the upgrade from {from} to {to}; it does not begin: {why}"),
            );
            return Ok(true);
        }
        if !self.overrides_are_recorded(&list.passed).await {
            self.wait(reason::UPGRADING, format!("the upgrade to {to} begins once the overrides are on record"));
            return Ok(false);
        }
        if let Some(next) = begun(release, wanted) {
            tracing::info!(cluster = self.key.name, %from, %to, "an upgrade begins");
            self.memory.upgrade.looked = None;
            self.note_release(next).await?;
            self.tell_upgrade(reason::UPGRADING, "it begins");
        }
        Ok(false)
    }

    /// Nothing is left to restart in this phase: the next one begins, or all is done.
    pub(super) async fn go_on_with_upgrade(&mut self, doris: &Doris, members: &[Member]) -> Result<(), Error> {
        let Some(release) = self.release().filter(|release| release.upgrade.is_some()).cloned() else {
            return self.clear_balance_left_off(doris).await;
        };
        match self.phase(&release) {
            Phase::Advance(component) => {
                self.tell_upgrade(reason::UPGRADING, &format!("it is the turn of {component}"));
                self.note_release(advanced(&release, component)).await
            }
            Phase::Working(component) => {
                let away = members.iter().find(|member| member.component == component && member.is_away());
                let what = match away.map(|member| (member, member.trouble().unwrap_or("it does not answer yet"))) {
                    Some((member, trouble)) => format!("{} has to be there before the next ones are restarted: {trouble}", member.name),
                    None => "the StatefulSets are being updated".to_owned(),
                };
                self.tell_upgrade(reason::UPGRADING, &what);
                Ok(())
            }
            Phase::Complete => {
                if self.clear_balance(doris).await? {
                    tracing::info!(cluster = self.key.name, "an upgrade is done");
                    self.note_release(finished(&release)).await?;
                }
                self.tell_upgrade(reason::UPGRADING, "every member runs it; tablets may be balanced again");
                Ok(())
            }
        }
    }

    /// A member of this component did not come back or cannot run, and the upgrade was turned to another image for it: that is
    /// the way out, and waits for nobody.
    pub(super) async fn mend_with_upgrade(&mut self, component: Component) -> Result<(), Error> {
        match self.release().filter(|release| self.awaits_its_build(component) && may_come_first(release, component)).cloned() {
            Some(release) => self.note_release(advanced(&release, component)).await,
            None => Ok(()),
        }
    }

    /// No master answers, perhaps for the very image that was changed since: whoever cannot run gets the other one of
    /// its line without a look at Doris. Tells whether the record changed.
    pub(super) async fn mend_without_master(&mut self, members: &[Member]) -> Result<bool, Error> {
        let Some(release) = self.release() else { return Ok(false) };
        let wanted = release::wanted(&self.cluster.spec).unwrap_or_default();
        if course(release, &wanted) == Course::Wanted {
            let begun = begun(release, &wanted).filter(|_| self.mends(release, &wanted));
            return match begun {
                Some(next) => self.note_release(next).await.map(|()| true),
                None => Ok(false),
            };
        }
        let is_mendable =
            |member: &&Member| member.is_down() && self.awaits_its_build(member.component) && may_come_first(release, member.component);
        match members.iter().find(is_mendable).map(|member| member.component) {
            Some(component) => self.mend_with_upgrade(component).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// A wait of the upgrade, told with where it leads.
    pub(super) fn tell_upgrade(&mut self, reason: &'static str, sentence: &str) {
        let lead = self.upgrade_under_way().map(|upgrade| match (&upgrade.from, &upgrade.to) {
            (from, to) if from == to => format!("to another image of {to}"),
            (from, to) => format!("from {from} to {to}"),
        });
        self.wait(reason, format!("{}: {sentence}", lead.unwrap_or_default()));
    }

    /// Whether a component's template has yet to get the image that the upgrade leads to.
    pub(super) fn awaits_its_build(&self, component: Component) -> bool {
        let Some(release) = self.release() else { return false };
        let Some(target) = release.upgrade.as_ref().and_then(|upgrade| upgrade.target.get(&component)) else { return false };
        release.templates.get(&component) != Some(target)
    }

    fn phase(&self, release: &Release) -> Phase {
        phase(release, |component| self.standing_of(release, component))
    }

    fn standing_of(&self, release: &Release, component: Component) -> Standing {
        let pods = self.facts.seen.of(component);
        let is_down = pods.iter().any(|pod| self.cannot_run(pod));
        let Some(set) = self.ctx.caches.sets.get(self.key, &names::set(&self.key.name, component)) else {
            return Standing { is_done: false, is_down };
        };
        let has_template = set.build.as_ref() == release.templates.get(&component).map(|build| &build.image);
        let is_alive = |pod: &MemberPod| self.facts.seen.known.get(&pod.fqdn).is_some_and(|known| known.alive);
        let is_well = |pod: &MemberPod| pod.revision == set.revision && pod.ready && !pod.deleting && is_alive(pod);
        let enough = i64::try_from(pods.len()).unwrap_or(i64::MAX) >= i64::from(set.replicas);
        let is_done = has_template && set.revision.is_some() && enough && pods.iter().all(is_well);
        Standing { is_done, is_down }
    }

    /// Its container cannot run, and Doris hears nothing of it.
    fn cannot_run(&self, pod: &MemberPod) -> bool {
        pod.is_broken() && !self.facts.seen.known.get(&pod.fqdn).is_some_and(|known| known.alive)
    }
}

fn no_return(release: &Release, upgrade: &Upgrade) -> Option<NoReturnStatus> {
    let written = release.written.as_ref()?;
    let crossed = written.since.is_some() && written.version.line() == upgrade.to.line();
    if !crossed && upgrade.from.line() == upgrade.to.line() {
        return None;
    }
    let message = if crossed {
        format!(
            "crossed: {} became master with {} (journal id {}); frontends of {} do not start any more, and the way is forward",
            written.by,
            written.version.line(),
            written.since.unwrap_or_default(),
            upgrade.from.line()
        )
    } else {
        format!(
            "ahead: until a frontend of {} is master, setting spec.version back to {} goes back; the master is restarted last, and if it \
             fails before, a newer one may be elected",
            upgrade.to.line(),
            upgrade.from
        )
    };
    Some(NoReturnStatus { crossed, message })
}
