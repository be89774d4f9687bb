//! What the plan of a roll looks at.

use std::collections::BTreeSet;
use std::time::Duration;

use doris_api::{Component, names, ports};
use doris_client::{Backend, Endpoint, Session, http, survey};
use doris_safety::{Switches, read_baseline};

use super::super::Round;
use super::rules::MOST_TABLETS;
use crate::act::accounts;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::plan::rolling::{Health, Member, Pod, Record, Switch};
use crate::view::MemberPod;

/// Between two walks over every tablet.
const HEALTH_PACE: Duration = Duration::from_secs(20);

impl Round<'_> {
    /// Every wanted member; `None` while the controller of a StatefulSet has not seen our latest template.
    pub(super) async fn members(&mut self, doris: &Doris, session: &mut Session) -> Result<Option<Vec<Member>>, Error> {
        let Some(mut members) = self.pods_alone() else { return Ok(None) };
        for member in &mut members {
            let fqdn = self.fqdn(member);
            match member.component {
                Component::Fe | Component::FeObserver => self.see_frontend(member, doris, &fqdn),
                Component::Be | Component::Cn => {
                    if let Some(row) = doris.backends.iter().find(|row| row.host == fqdn) {
                        see_backend(member, row);
                    }
                }
                Component::Broker => {
                    let row = doris.brokers.iter().find(|row| row.host == fqdn);
                    (member.registered, member.alive) = (row.is_some(), row.is_some_and(|row| row.alive));
                }
            }
        }
        self.ask_member_under_work(&mut members, doris, session).await?;
        Ok(Some(members))
    }

    /// Every wanted member, as far as its pod tells.
    pub(super) fn pods_alone(&self) -> Option<Vec<Member>> {
        let sets = self.ctx.caches.sets.of(self.key);
        let mut members = Vec::new();
        for component in Component::ALL {
            let pods = self.facts.seen.of(component);
            let Some(set) = sets.get(&names::set(&self.key.name, component)) else { continue };
            let revision = set.revision.as_ref()?;
            let replicas = u32::try_from(set.replicas).unwrap_or(0);
            for ordinal in 0..replicas {
                let pod = pods.iter().find(|pod| pod.ordinal == ordinal);
                members.push(member(&self.key.name, component, ordinal, pod.map(|pod| view(pod, revision))));
            }
        }
        Some(members)
    }

    pub(in crate::round) fn fqdn(&self, member: &Member) -> String {
        self.host(member.component, member.ordinal)
    }

    fn see_frontend(&self, member: &mut Member, doris: &Doris, fqdn: &str) {
        let Some(row) = doris.frontends.iter().find(|row| row.host == fqdn) else { return };
        let answers = doris.views.iter().any(|view| view.target.host == fqdn && view.metrics.is_ok());
        let reached =
            doris.master().and_then(|master| self.memory.master_journal.as_ref().filter(|(host, _)| host == master)).map(|(_, id)| *id);
        member.registered = true;
        member.alive = row.alive && answers;
        member.process_start.clone_from(&row.last_start_time);
        member.is_master = doris.master() == Some(fqdn);
        member.caught_up = matches!((doris.journal_of(fqdn), reached), (Some(own), Some(reached)) if own >= reached);
    }

    /// What only the member under work, or only the other frontends, can tell.
    async fn ask_member_under_work(&self, members: &mut [Member], doris: &Doris, session: &mut Session) -> Result<(), Error> {
        let Some(name) = self.operation(self.kind()).and_then(|operation| operation.member).map(|member| member.pod) else {
            return Ok(());
        };
        let Some(member) = members.iter_mut().find(|member| member.name == name) else { return Ok(()) };
        let fqdn = self.fqdn(member);
        match member.component {
            Component::Be | Component::Cn if member.load_off.on => {
                let (queries, loads) = self.is_drained_for_every_frontend(doris, &fqdn).await;
                (member.query_off.on_everywhere, member.load_off.on_everywhere) = (queries, loads);
                if let Some(row) = doris.backends.iter().find(|row| row.host == fqdn) {
                    // The switches were looked at first: what they let through is seen here.
                    member.busy = self.work_on(member, row, doris, session).await?;
                }
            }
            Component::Fe | Component::FeObserver if member.pod.as_ref().is_some_and(|pod| !pod.serving && pod.running) => {
                member.busy = self.statements_on(&fqdn).await;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether each frontend that is alive keeps queries, and loads, away from a backend, by its own answer.
    async fn is_drained_for_every_frontend(&self, doris: &Doris, fqdn: &str) -> (bool, bool) {
        let answers = self.backends_by_every_frontend(doris).await;
        let is_off =
            |off: fn(&Backend) -> bool| answers.iter().all(|rows| rows.iter().flatten().find(|row| row.host == fqdn).is_some_and(off));
        (is_off(|row| row.status.is_query_disabled), is_off(|row| row.status.is_load_disabled))
    }

    /// What runs on a backend: parts of queries, loads that it leads, and logs of loads that are not committed.
    /// Every source that a version has is asked, since none is right in all of them; `None` if it cannot be told.
    async fn work_on(&self, member: &Member, row: &Backend, doris: &Doris, session: &mut Session) -> Result<Option<u64>, Error> {
        let failed = |source| Error::Doris { what: "asking what runs on a backend", source };
        let (transport, spec) = (self.ctx.transport.as_ref(), &self.cluster.spec);
        let Some(ip) = self.address_of(&row.host) else { return Ok(None) };
        let endpoint = Endpoint { ip, port: spec.port(member.component, &ports::BE_HTTP) };
        let Ok(own) = http::backend_work(transport, endpoint).await else { return Ok(None) };
        let listed = session.active_tasks(row.id).await.map_err(failed)?;
        let reported = row.status.current_fragment_num.and_then(|count| u64::try_from(count).ok());
        let statements = [own.fragments, listed, row.running_tasks, reported].into_iter().flatten().max();
        // A version that does not tell of logs (2.0) has none.
        let logs = if member.component == Component::Be { self.wal_size(doris, row).await.unwrap_or(0) } else { 0 };
        Ok(statements.map(|statements| statements.saturating_add(own.loads.unwrap_or(0)).saturating_add(logs)))
    }

    pub(in crate::round) async fn statements_on(&self, fqdn: &str) -> Option<u64> {
        let mut session = self.own_session(fqdn).await?;
        let running = session.running_statements().await;
        session.close().await;
        running.ok()
    }

    /// A session with one frontend, as the operator; `None` if it does not let us in now.
    pub(in crate::round) async fn own_session(&self, fqdn: &str) -> Option<Session> {
        let identity = self.facts.identity.as_ref()?;
        let endpoint = Endpoint { ip: self.address_of(fqdn)?, port: self.ports().query };
        match Session::open(self.ctx.transport.as_ref(), endpoint, &accounts::operator(identity)).await {
            Ok(session) => Some(session),
            Err(error) => {
                tracing::debug!(frontend = fqdn, %error, "a frontend cannot be asked");
                None
            }
        }
    }

    /// The master's switch and the tablets, asked only when the plan needs them.
    pub(super) async fn health(
        &mut self,
        doris: &Doris,
        session: &mut Session,
        members: &[Member],
        record: Option<&Record>,
        has_work: bool,
    ) -> Result<Health, Error> {
        let is_known_clean = self.memory.roll.clean_master.as_deref() == doris.master();
        if !has_work && is_known_clean {
            return Ok(Health::default());
        }
        let switches = self.switches(session).await?;
        self.memory.upgrade.see_switches(switches);
        let hold = switches.scheduler_off;
        self.memory.roll.clean_master = if has_work || hold { None } else { doris.master().map(str::to_owned) };
        let health_counts =
            record.is_some_and(|record| members.iter().any(|member| member.name == record.pod && is_being_healed(member, record)));
        let unhealthy = if health_counts { Some(self.unhealthy(session, switches).await?) } else { None };
        Ok(Health { unhealthy, hold: Some(hold) })
    }

    /// Tablets that are not healthy and were when the roll began. Where colocated ones lie counts for nothing
    /// while nobody may move them.
    async fn unhealthy(&mut self, session: &mut Session, switches: Switches) -> Result<u64, Error> {
        let now = self.ctx.clock.instant();
        if let Some((asked, unhealthy)) = self.memory.roll.unhealthy
            && now.duration_since(asked) < HEALTH_PACE
        {
            return Ok(unhealthy);
        }
        let health =
            survey::health(session).await.map_err(|source| Error::Doris { what: "asking for the health of the tablets", source })?;
        let before: BTreeSet<u64> = self
            .operation(self.kind())
            .and_then(|operation| operation.baseline)
            .and_then(|text| read_baseline(&text, MOST_TABLETS).ok())
            .unwrap_or_default();
        let counts = |status: &str| !(switches.colocate_balance_off && status.starts_with("Colocate"));
        let now_unhealthy = health.unhealthy.iter().filter(|one| counts(&one.status)).flat_map(|one| &one.tablets);
        let unhealthy = now_unhealthy.filter(|tablet| !before.contains(tablet)).count() as u64;
        self.memory.roll.unhealthy = Some((now, unhealthy));
        Ok(unhealthy)
    }
}

fn member(cluster: &str, component: Component, ordinal: u32, pod: Option<Pod>) -> Member {
    Member {
        component,
        name: names::pod(cluster, component, ordinal),
        ordinal,
        pod,
        registered: false,
        alive: false,
        process_start: None,
        is_master: false,
        caught_up: false,
        query_off: Switch::default(),
        load_off: Switch::default(),
        busy: None,
        reported: false,
    }
}

fn view(pod: &MemberPod, revision: &str) -> Pod {
    Pod {
        uid: pod.uid.clone(),
        outdated: pod.revision.as_deref() != Some(revision) || pod.worn_out.is_some(),
        worn_out: pod.worn_out.clone(),
        leaving: pod.deleting,
        running: pod.running,
        ready: pod.ready,
        serving: pod.serving,
        trouble: pod.waiting.clone(),
        started_at: pod.started_at,
        domain: pod.domain.clone(),
    }
}

fn see_backend(member: &mut Member, row: &Backend) {
    let switch = |on: bool| Switch { on, on_everywhere: false };
    member.registered = true;
    member.alive = row.alive;
    member.process_start.clone_from(&row.last_start_time);
    member.query_off = switch(row.status.is_query_disabled);
    member.load_off = switch(row.status.is_load_disabled);
    member.reported = row.has_reported_since_start();
}

/// The member is back and everything of ours is off: now the tablets count.
fn is_being_healed(member: &Member, record: &Record) -> bool {
    let is_new = member.pod.as_ref().is_some_and(|pod| pod.uid != record.uid);
    is_new && member.component == Component::Be && member.alive && member.reported && !member.is_drained_in_part()
}
