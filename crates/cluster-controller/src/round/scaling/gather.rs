//! What the plan of a scale in looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doris_api::rules::SafetyRule;
use doris_api::version::Line;
use doris_api::{Component, DorisVersion, names};
use doris_client::{Backend, NodeRole, Session};
use doris_safety::overrides_of;
use kube::ResourceExt as _;

use super::super::Round;
use super::volumes::ClaimView;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::scaling::{Claim, Leaver, Mark, Pod, Record, Row, Set, Stayer};
use crate::release::Release;
use crate::view::MemberPod;

/// What the confirmation that one follower is enough is recorded for.
pub(super) const ONE_FOLLOWER: &str = "ScaleIn to one follower";
/// Doris drops an empty backend within seconds, or after three minutes if it cannot ask it for logs.
const DROPPED_BY_DORIS_WITHIN: Duration = Duration::from_mins(5);
/// Where Doris is told to keep empty backends, this long is waited for a tablet that might come back.
const EMPTY_FOR: Duration = Duration::from_secs(10);
/// Between two questions for what does not change by itself.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// Between two questions for running loads.
const LOADS_AGAIN: Duration = Duration::from_secs(10);

impl Round<'_> {
    /// Members that the spec asks for.
    pub(in crate::round) fn wanted(&self, component: Component) -> u32 {
        u32::try_from(self.cluster.spec.replicas(component)).unwrap_or(0)
    }

    /// How many pods each set has and is to have.
    pub(super) fn sets(&self) -> BTreeMap<Component, Set> {
        let specified = crate::build::components(&self.cluster.spec);
        let sets = self.ctx.caches.sets.of(self.key);
        let set = |component: Component| {
            let view = sets.get(&names::set(&self.key.name, component))?;
            let pods = u32::try_from(view.replicas).unwrap_or(0);
            Some((component, Set { pods, wanted: self.wanted(component), specified: specified.contains(&component) }))
        };
        Component::ALL.into_iter().filter_map(set).collect()
    }

    /// Members beyond what the spec asks for, and what is left of them. A row that is nobody's pod, and that neither
    /// the identity nor the record knows, is left alone: somebody else registered it.
    pub(super) fn leavers(&self, doris: &Doris, record: Option<&Record>) -> Vec<Leaver> {
        let sets = self.sets();
        let rows = Self::rows(doris);
        let known = self.known_hosts();
        let mut leavers = Vec::new();
        for component in Component::ALL {
            let wanted = self.wanted(component);
            let slots = sets.get(&component).map_or(0, |set| set.pods);
            let pods = self.facts.seen.of(component);
            let claims: Vec<&ClaimView> = self.claims.iter().filter(|claim| claim.component == component).collect();
            let mut ordinals: BTreeSet<u32> = (wanted..slots).chain(pods.iter().map(|pod| pod.ordinal)).collect();
            ordinals.extend(claims.iter().filter(|claim| claim.mark == Some(Mark::Discarded)).map(|claim| claim.ordinal));
            ordinals.extend(
                known.iter().filter_map(|host| self.member_of(host)).filter(|(of, _)| *of == component).map(|(_, ordinal)| ordinal),
            );
            let targets = record.into_iter().flat_map(|record| &record.targets);
            let recorded = targets.filter_map(|pod| names::parse_pod(&self.key.name, pod)).filter(|(of, _)| *of == component);
            ordinals.extend(recorded.map(|(_, ordinal)| ordinal).filter(|ordinal| rows.contains_key(&self.host(component, *ordinal))));
            for ordinal in ordinals.into_iter().rev().filter(|ordinal| *ordinal >= wanted) {
                let host = self.host(component, ordinal);
                let present = pods.iter().find(|pod| pod.ordinal == ordinal).map(|pod| Pod {
                    uid: pod.uid.clone(),
                    leaving: pod.deleting,
                    running: pod.running,
                    serving: pod.serving,
                });
                let own = claims.iter().filter(|claim| claim.ordinal == ordinal);
                leavers.push(Leaver {
                    component,
                    pod: names::pod(&self.key.name, component, ordinal),
                    ordinal,
                    row: rows.get(&host).cloned(),
                    present,
                    slot: ordinal < slots,
                    on_record: known.contains(&host),
                    left_as: pods.iter().find(|pod| pod.ordinal == ordinal).and_then(|pod| self.not_listed_yet(pod)),
                    claims: own.map(|claim| Claim { name: claim.name.clone(), uid: claim.uid.clone(), mark: claim.mark }).collect(),
                    host,
                });
            }
        }
        leavers
    }

    /// The name that a frontend was let in under, unless the identity lists it among those that left.
    fn not_listed_yet(&self, pod: &MemberPod) -> Option<String> {
        let left = self.facts.identity.as_ref().and_then(|identity| identity.left.get(&pod.fqdn));
        pod.admitted_as().filter(|name| left.is_none_or(|left| !left.contains(name)))
    }

    /// Members that the identity knows, by their names.
    pub(super) fn known_hosts(&self) -> BTreeSet<String> {
        let identity = self.facts.identity.as_ref();
        identity.into_iter().flat_map(|identity| identity.frontends.keys().chain(identity.backends.keys())).cloned().collect()
    }

    fn rows(doris: &Doris) -> BTreeMap<String, Row> {
        let answers = |host: &str| doris.views.iter().any(|view| view.target.host == host && view.metrics.is_ok());
        let frontends = doris.frontends.iter().map(|row| {
            let is_master = doris.master() == Some(row.host.as_str());
            (row.host.clone(), Row { alive: row.alive || answers(&row.host), is_master, ..Row::default() })
        });
        let brokers = doris.brokers.iter().map(|row| (row.host.clone(), Row { alive: row.alive, ..Row::default() }));
        frontends.chain(doris.backends.iter().map(|row| (row.host.clone(), backend(row)))).chain(brokers).collect()
    }

    /// Members on record that the spec asks for after all, as far as something was done to them.
    pub(super) fn stayers(&self, doris: &Doris, record: Option<&Record>) -> Vec<Stayer> {
        let rows = Self::rows(doris);
        let targets = record.into_iter().flat_map(|record| &record.targets);
        let members = targets.filter_map(|pod| names::parse_pod(&self.key.name, pod));
        members
            .filter(|(component, ordinal)| *ordinal < self.wanted(*component))
            .map(|(component, ordinal)| {
                let host = self.host(component, ordinal);
                let row = rows.get(&host).cloned().unwrap_or_default();
                let pod = self.facts.seen.of(component).iter().find(|pod| pod.ordinal == ordinal);
                let flags = doris.backends.iter().find(|row| row.host == host).map(|row| &row.status);
                Stayer {
                    pod: names::pod(&self.key.name, component, ordinal),
                    emptying: row.emptying,
                    drained: component == Component::Cn && flags.is_some_and(|flags| flags.is_query_disabled || flags.is_load_disabled),
                    silenced: pod.is_some_and(|pod| !pod.serving && !pod.deleting),
                    is_frontend: matches!(component, Component::Fe | Component::FeObserver),
                    host,
                }
            })
            .collect()
    }

    /// What only the members under work, the other frontends or further statements can tell.
    pub(super) async fn ask_leavers(&mut self, doris: &Doris, session: &mut Session, leavers: &mut [Leaver]) -> Result<(), Error> {
        let is_drained_node = |leaver: &Leaver| leaver.component == Component::Cn && leaver.row.as_ref().is_some_and(|row| row.drained);
        if leavers.iter().any(is_drained_node) {
            let everywhere = self.drained_everywhere(doris).await;
            for leaver in leavers.iter_mut() {
                if let Some(row) = &mut leaver.row {
                    row.drained_everywhere = everywhere.contains(&leaver.host);
                }
            }
        }
        for leaver in leavers.iter_mut().filter(|leaver| matches!(leaver.component, Component::Fe | Component::FeObserver)) {
            let is_silenced = leaver.present.as_ref().is_some_and(|pod| !pod.serving && pod.running);
            if let Some(row) = leaver.row.as_mut().filter(|row| is_silenced && row.alive) {
                row.busy = self.statements_on(&leaver.host).await;
            }
        }
        if leavers.iter().any(|leaver| leaver.component == Component::Broker && leaver.row.is_some() && leaver.slot) {
            let loads = self.running_loads(session).await?;
            for row in leavers.iter_mut().filter(|leaver| leaver.component == Component::Broker).filter_map(|leaver| leaver.row.as_mut()) {
                row.busy = Some(loads);
            }
        }
        self.find_overdue(doris, session, leavers).await
    }

    /// Backends that every frontend keeps queries and loads away from, by its own answer.
    async fn drained_everywhere(&self, doris: &Doris) -> BTreeSet<String> {
        let drained = |row: &Backend| row.status.is_query_disabled && row.status.is_load_disabled;
        let hosts = |rows: Vec<Backend>| rows.into_iter().filter(drained).map(|row| row.host).collect::<BTreeSet<String>>();
        let answers = self.backends_by_every_frontend(doris).await;
        let sets = answers.into_iter().map(|rows| rows.map(hosts).unwrap_or_default());
        sets.reduce(|common, other| common.intersection(&other).cloned().collect()).unwrap_or_default()
    }

    /// Loads and exports that may read or write by a broker: Doris does not tell by which.
    async fn running_loads(&mut self, session: &mut Session) -> Result<u64, Error> {
        let now = self.ctx.clock.instant();
        if let Some((at, loads)) = self.memory.scaling.loads
            && now.duration_since(at) < LOADS_AGAIN
        {
            return Ok(loads);
        }
        let failed = |source| Error::Doris { what: "asking for running loads", source };
        let mut loads = 0;
        for database in session.databases().await.map_err(failed)? {
            let counts = session.job_counts(database.id).await.map_err(failed)?;
            let uses_brokers = |kind: &str| ["load", "export"].contains(&kind);
            loads += counts.iter().filter(|count| uses_brokers(&count.kind)).map(|count| count.pending + count.running).sum::<u64>();
        }
        self.memory.scaling.loads = Some((now, loads));
        Ok(loads)
    }

    /// Backends that are empty and that Doris leaves registered.
    async fn find_overdue(&mut self, doris: &Doris, session: &mut Session, leavers: &mut [Leaver]) -> Result<(), Error> {
        let now = self.ctx.clock.instant();
        let is_empty = |row: &&Backend| row.decommissioned && row.tablets == 0;
        let ids: BTreeMap<u64, &Backend> = doris
            .backends
            .iter()
            .filter(is_empty)
            .filter(|row| leavers.iter().any(|leaver| leaver.component == Component::Be && leaver.host == row.host))
            .map(|row| (row.id, row))
            .collect();
        self.memory.scaling.empty_since.retain(|id, _| ids.contains_key(id));
        for id in ids.keys() {
            self.memory.scaling.empty_since.entry(*id).or_insert(now);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let limit = if self.drops_by_itself(session).await? { DROPPED_BY_DORIS_WITHIN } else { EMPTY_FOR };
        for (id, row) in ids {
            let is_late = self.memory.scaling.empty_since.get(&id).is_some_and(|since| now.duration_since(*since) >= limit);
            if is_late && !(row.alive && self.has_logs(doris, row).await) {
                let leaver = leavers.iter_mut().find(|leaver| leaver.host == row.host);
                if let Some(row) = leaver.and_then(|leaver| leaver.row.as_mut()) {
                    row.overdue = true;
                }
            }
        }
        Ok(())
    }

    async fn drops_by_itself(&mut self, session: &mut Session) -> Result<bool, Error> {
        const KEY: &str = "drop_backend_after_decommission";
        let now = self.ctx.clock.instant();
        if let Some((at, known)) = self.memory.scaling.drops_by_itself
            && now.duration_since(at) < ASK_AGAIN
        {
            return Ok(known);
        }
        let failed = |source| Error::Doris { what: "reading the settings of the master", source };
        let settings = session.frontend_settings(KEY).await.map_err(failed)?;
        let is_on = settings.iter().find(|setting| setting.key == KEY).is_none_or(|setting| setting.value.eq_ignore_ascii_case("true"));
        self.memory.scaling.drops_by_itself = Some((now, is_on));
        Ok(is_on)
    }

    /// Whether loads that were acknowledged may only stand in a log on this backend. 2.0 has no such logs.
    async fn has_logs(&self, doris: &Doris, row: &Backend) -> bool {
        if self.newest_line().is_some_and(|line| line < Line::V2_1) {
            return false;
        }
        // Who does not tell may have some.
        self.wal_size(doris, row).await.is_none_or(|size| size > 0)
    }

    /// Before 3.0 Doris changes the group first and writes the drop down after it: with two followers the one that is
    /// dropped is there to agree. From 3.0 on it may have ended itself before.
    pub(super) fn one_follower_is_safe(&self) -> bool {
        self.newest_line().is_some_and(|line| line < Line::V3_0)
    }

    /// The newest line that a member may run: the spec may ask for one that is refused.
    fn newest_line(&self) -> Option<Line> {
        let release = self.facts.identity.as_ref().and_then(|identity| identity.release.as_ref());
        release.and_then(Release::newest_line).or_else(|| Some(self.cluster.spec.version.parse::<DorisVersion>().ok()?.line()))
    }

    /// Somebody said for the time being that one follower is enough.
    pub(super) fn one_follower_is_meant(&self) -> bool {
        let now = self.ctx.clock.now();
        let (overrides, _) = overrides_of(self.cluster.annotations(), now);
        let used = self.cluster.status.iter().flat_map(|status| &status.overrides);
        let used: Vec<_> = used.filter(|record| record.rule == SafetyRule::FeQuorum.name()).collect();
        let is_free = |value: &str| used.iter().all(|record| record.value != value || record.step == ONE_FOLLOWER);
        overrides.iter().any(|one| one.rule == SafetyRule::FeQuorum && is_free(&one.value))
    }
}

fn backend(row: &Backend) -> Row {
    Row {
        alive: row.alive,
        stores: row.role == Some(NodeRole::Mix),
        tablets: row.tablets,
        emptying: row.decommissioned,
        drained: row.status.is_query_disabled && row.status.is_load_disabled,
        busy: row.running_tasks.or_else(|| row.status.current_fragment_num.and_then(|count| u64::try_from(count).ok())),
        ..Row::default()
    }
}
