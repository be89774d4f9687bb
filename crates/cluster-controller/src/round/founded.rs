//! Rounds of a founded cluster: find the master, let members join, keep the record.

use std::collections::{BTreeMap, BTreeSet};

use doris_api::Component;
use doris_api::cluster::{OperationStatus, UnknownMember};
use doris_api::conditions::reason;
use doris_client::elect::{MasterVerdict, NoMaster};
use doris_client::{Frontend, FrontendRole, FrontendTarget, MemberAddress, NodeRole, Session};

use super::Round;
use super::replacing::Lost;
use super::scaling::KIND;
use crate::act::accounts::{self, UserPasswords};
use crate::act::children::Stage;
use crate::act::identity::{self, Stored};
use crate::act::pods::{Notes, annotate};
use crate::error::Error;
use crate::identity::{Identity, KnownFrontend, Phase};
use crate::observe::doris::{self, Doris};
use crate::plan::accounts::Candidate;
use crate::plan::founding::{Founder, Step as FoundingStep, plan as founding_plan};
use crate::plan::joining::{FrontendRow, Frontends, Step, plan};
use crate::report::Known;
use crate::view::MemberPod;

/// Frontends that disagree for so long on who is the master do not come to an end of it by themselves: an election takes seconds.
const TORN_FOR_LONG: std::time::Duration = std::time::Duration::from_mins(1);
/// How long the record of the frontends waits for the other members.
const RECORD_PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);
/// Until the next look at a cluster that is not all on record yet.
const UNTIL_RECORDED: std::time::Duration = std::time::Duration::from_secs(2);

impl Round<'_> {
    /// One round of a founded cluster.
    pub(super) async fn tend(&mut self, stored: &Stored, given: &UserPasswords) -> Result<(), Error> {
        let (mut doris, session) = self.observe(&stored.identity).await?;
        if doris.is_denied() {
            return self.regain_account(stored, given, &doris).await;
        }
        let (Some(master), Some(mut session)) = (doris.master().map(str::to_owned), session) else {
            return self.replace_what_cannot_run().await;
        };
        let stored = &self.keep_passwords(stored, given, &doris, &mut session).await?;
        self.remove_used_ticket(&stored.identity, &doris.frontends).await?;
        self.join_frontends(&mut doris, &mut session, &master).await?;
        // A master answers and the operator's account works: the others may start, clients may come.
        self.apply(&stored.identity, Stage::Workers).await?;
        self.register_workers(&mut doris, &mut session).await?;
        self.know(&doris);
        self.finish_replacement(&doris).await?;
        self.configure(&doris).await;
        self.scale_in(&doris, &mut session, stored).await?;
        let is_blocked = |operation: &OperationStatus| operation.kind == KIND.name && operation.member.is_none();
        let resting = self.facts.operation.clone().filter(is_blocked);
        if self.steer(&doris, &mut session).await? {
            self.roll(&doris, &mut session).await?;
        }
        // A scale in that something is in the way of is told while nothing else is done.
        self.facts.operation = self.facts.operation.take().or(resting);
        session.close().await;
        // The round may have written the record of the builds.
        let stored = self.memory.identity.open().unwrap_or_else(|| stored.clone());
        self.record(&stored, &doris).await
    }

    /// Asks Doris and takes what it says into the facts.
    pub(super) async fn observe(&mut self, identity: &Identity) -> Result<(Doris, Option<Session>), Error> {
        let targets = self.targets();
        // While the cluster is created, what cannot be there yet is not asked for.
        let sets = self.ctx.caches.sets.of(self.key);
        let may_be_there = |component: Component| {
            let set = doris_api::names::set(&self.key.name, component);
            !identity.frontends.is_empty() || sets.contains_key(&set) || !self.facts.seen.of(component).is_empty()
        };
        let wanted = doris::Wanted {
            backends: may_be_there(Component::Be) || may_be_there(Component::Cn),
            brokers: may_be_there(Component::Broker),
        };
        let (doris, session) = self.ask_as_operator(identity, &targets, wanted).await?;
        self.facts.is_undecided = matches!(doris.verdict, MasterVerdict::Refused(NoMaster::NotYetProven { .. }));
        let is_torn = matches!(
            &doris.verdict,
            MasterVerdict::Refused(NoMaster::SeveralClaim { .. } | NoMaster::ShowsAnother { .. } | NoMaster::StrangerRuns { .. })
        );
        let lasts = self.memory.proof.is_torn_for(is_torn, self.ctx.clock.instant());
        if let MasterVerdict::Refused(why) = &doris.verdict {
            let finding = match why {
                _ if is_torn => reason::TWO_MASTERS,
                NoMaster::NoMajority { .. } | NoMaster::JournalStands { .. } => reason::NO_QUORUM,
                _ => reason::WAITING_FOR_MASTER,
            };
            let message = format!("{why}; statements wait until a frontend is proven to lead a majority");
            if lasts >= TORN_FOR_LONG {
                self.stall(
                    finding,
                    format!("{message}. This has lasted for over a minute: stop the one that is no member or lost its journal"),
                );
            } else {
                self.wait(finding, message);
            }
        }
        self.know(&doris);
        Ok((doris, session))
    }

    /// Asks with the operator's current password, then with the one that it is being changed to.
    async fn ask_as_operator(
        &mut self,
        identity: &Identity,
        targets: &[FrontendTarget],
        wanted: doris::Wanted,
    ) -> Result<(Doris, Option<Session>), Error> {
        let (transport, now) = (self.ctx.transport.as_ref(), self.ctx.clock.instant());
        let mut denied = None;
        for candidate in [Candidate::Operator, Candidate::OperatorNext] {
            let login = accounts::login(identity, &UserPasswords::default(), candidate);
            let Some(login) = login.filter(|login| self.memory.accounts.patience.allows(login, now)) else { continue };
            let (doris, session) = doris::observe(transport, targets, &login, wanted, &mut self.memory.journals)
                .await
                .map_err(|source| Error::Doris { what: "asking the master for its members", source })?;
            if !doris.is_denied() {
                self.entered_by = candidate;
                return Ok((doris, session));
            }
            self.memory.accounts.patience.refused(&login, false, now);
            denied = Some((doris, session));
        }
        match denied {
            Some(denied) => Ok(denied),
            None => Ok((doris::look(transport, targets, &mut self.memory.journals).await, None)),
        }
    }

    /// What Doris knows of its members, for the status.
    pub(super) fn know(&mut self, doris: &Doris) {
        self.facts.is_fresh = doris.master().is_some();
        self.facts.master = doris.master().and_then(|host| self.pod_by_fqdn(host)).map(|pod| pod.name.clone());
        let frontends = doris.frontends.iter().map(|row| {
            let role = Some(role_name(row.role).to_owned());
            (row.host.clone(), Known { role, alive: row.alive, backend_id: None, error: row.error.clone() })
        });
        let backends = doris.backends.iter().map(|row| {
            let role = row.role.map(|role| if role == NodeRole::Mix { "mix" } else { "computation" }.to_owned());
            (row.host.clone(), Known { role, alive: row.alive, backend_id: i64::try_from(row.id).ok(), error: row.error.clone() })
        });
        let brokers = doris.brokers.iter().map(|row| {
            (row.host.clone(), Known { role: Some("broker".into()), alive: row.alive, backend_id: None, error: row.error.clone() })
        });
        self.facts.seen.known = frontends.chain(backends).chain(brokers).collect();
        self.facts.unknown = self.unknown_members(doris);
    }

    /// Rows whose host is no member's own name. They are told, and never touched.
    fn unknown_members(&self, doris: &Doris) -> Vec<UnknownMember> {
        let is_ours = |host: &str| {
            let is_wanted = self.member_of(host).is_some_and(|(component, ordinal)| ordinal < self.wanted(component));
            is_wanted || self.leaves(host)
        };
        let rows = doris.frontends.iter().map(|row| ("fe", &row.host, row.edit_log_port, row.alive));
        let rows = rows.chain(doris.backends.iter().map(|row| ("be", &row.host, row.heartbeat_port, row.alive)));
        rows.chain(doris.brokers.iter().map(|row| ("broker", &row.host, row.port, row.alive)))
            .filter(|(_, host, _, _)| !is_ours(host))
            .map(|(component, host, port, alive)| UnknownMember {
                component: component.into(),
                host: host.clone(),
                port: i32::from(port),
                alive,
            })
            .collect()
    }

    /// The founding ticket is taken off once it was used: a later loss of the volume must not use it again.
    async fn remove_used_ticket(&mut self, identity: &Identity, rows: &[Frontend]) -> Result<(), Error> {
        let followers = self.facts.seen.of(Component::Fe);
        let FoundingStep::RemoveTicket { pod, uid } = founding_plan(identity, followers, &Founder::default(), self.ctx.clock.now()) else {
            return Ok(());
        };
        let fqdn = followers.iter().find(|follower| follower.name == pod).map(|follower| follower.fqdn.clone()).unwrap_or_default();
        let Some(row) = rows.iter().find(|row| row.host == fqdn) else { return Ok(()) };
        annotate(self.ctx, self.key, &pod, &uid, &Notes { ticket: None, incarnation: Some(row.name.clone()) }).await?;
        self.see_pods();
        Ok(())
    }

    async fn join_frontends(&mut self, doris: &mut Doris, session: &mut Session, master: &str) -> Result<(), Error> {
        if self.join_once(doris, session, master).await? {
            // What was just registered may be let in at once, and what was dropped registered.
            doris.frontends = session.frontends().await.map_err(|source| Error::Doris { what: "listing the frontends", source })?;
            self.facts.waits.retain(|wait| wait.reason != reason::REGISTERING);
            self.join_once(doris, session, master).await?;
        }
        let pods = self.facts.seen.of(Component::Fe).iter().chain(self.facts.seen.of(Component::FeObserver));
        let joining = |pod: &MemberPod| doris.frontends.iter().any(|row| row.host == pod.fqdn && !(row.joined && row.alive));
        if pods.clone().any(|pod| pod.running && joining(pod)) {
            self.look_soon();
        } else if doris.frontends.len() >= pods.count() {
            self.memory.quick_since = None;
        }
        self.memory.master_journal = doris.journal_of(master).map(|id| (master.to_owned(), id));
        Ok(())
    }

    /// Carries the plan out; tells whether something was registered or dropped.
    async fn join_once(&mut self, doris: &Doris, session: &mut Session, master: &str) -> Result<bool, Error> {
        let mut registered = false;
        let port = self.ports().edit_log;
        let rows: Vec<FrontendRow> = doris.frontends.iter().map(|row| self.joining_row(row, doris, master)).collect();
        // Whoever is not asked for any more is not registered again, or it could never be dropped.
        let asked_for = |component: Component| -> Vec<MemberPod> {
            self.facts.seen.of(component).iter().filter(|pod| pod.ordinal < self.wanted(component)).cloned().collect()
        };
        let (followers, observers) = (asked_for(Component::Fe), asked_for(Component::FeObserver));
        for step in plan(Frontends { followers: &followers, observers: &observers, rows: &rows, port }) {
            match step {
                Step::Add { fqdn, role, pod } => registered |= self.add_frontend(doris, session, &fqdn, &role, &pod).await?,
                Step::Ticket { pod, uid, ticket } => {
                    annotate(self.ctx, self.key, &pod, &uid, &Notes { ticket: Some(ticket), incarnation: None }).await?;
                    self.see_pods();
                }
                Step::LostVolume { fqdn, role, .. } => {
                    let lost = Lost { fqdn: &fqdn, role: &role, master, rows: &rows };
                    registered |= self.drop_lost_frontend(doris, session, lost).await?;
                }
                Step::Wait(message) => self.wait(reason::REGISTERING, message),
            }
        }
        Ok(registered)
    }

    pub(super) fn joining_row(&self, row: &Frontend, doris: &Doris, master: &str) -> FrontendRow {
        let own = doris.journal_of(&row.host);
        let reached = self.memory.master_journal.as_ref().filter(|(host, _)| host == master).map(|(_, id)| *id);
        FrontendRow {
            host: row.host.clone(),
            port: row.edit_log_port,
            name: row.name.clone(),
            role: role_name(row.role).to_owned(),
            joined: row.joined,
            alive: row.alive,
            follows: row.host == master || matches!((own, reached), (Some(own), Some(reached)) if own >= reached),
        }
    }

    /// Registers one frontend under its pod's own name, if nobody answers there yet. Tells whether it did.
    async fn add_frontend(&mut self, doris: &Doris, session: &mut Session, fqdn: &str, role: &str, pod: &str) -> Result<bool, Error> {
        let ports = self.ports();
        let Some(ip) = self.address_of(fqdn) else { return Ok(false) };
        let endpoint = ports.target(fqdn, ip).http;
        if self.ctx.transport.port_is_open(endpoint).await {
            self.wait(
                reason::REGISTERING,
                format!(
                    "{pod} is not registered, yet a frontend answers at its address {endpoint}: whoever it is, it is not let into the group"
                ),
            );
            return Ok(false);
        }
        let was_member = self.facts.identity.as_ref().is_some_and(|identity| identity.frontends.contains_key(fqdn));
        if was_member && self.hold_for_replacement(pod).await?.is_none() || !self.may_change_members(doris, session).await? {
            return Ok(false);
        }
        let role = if role == "OBSERVER" { FrontendRole::Observer } else { FrontendRole::Follower };
        let added = session.add_frontend(role, &MemberAddress::new(fqdn, ports.edit_log)).await;
        match added {
            Ok(()) => {}
            // Done before, by us: the list that is read next tells.
            Err(error) if error.says_already_exists() => {}
            Err(source) => return Err(Error::Doris { what: "registering a frontend", source }),
        }
        self.wait(reason::REGISTERING, format!("{pod} was registered as {} and joins", role_name(role)));
        Ok(true)
    }

    /// A pod of ours with tablets. A compute node has none, and a new volume with every pod.
    fn is_backend(&self, host: &str) -> bool {
        self.is_asked_for(host) && self.facts.seen.of(Component::Be).iter().any(|pod| pod.fqdn == host)
    }

    /// One that leaves is not recorded anew, or it could never be forgotten.
    fn is_asked_for(&self, host: &str) -> bool {
        self.member_of(host).is_some_and(|(component, ordinal)| ordinal < self.wanted(component))
    }

    /// Ports that members on record are registered with: they are found under no others.
    fn registered_ports(&self, identity: &Identity) -> BTreeMap<String, u16> {
        let port = |component: Component, port| (component.name().to_owned(), self.cluster.spec.port(component, port));
        let mut ports = BTreeMap::from([port(Component::Fe, &doris_api::ports::FE_EDIT_LOG)]);
        if !identity.backends.is_empty() {
            ports.extend([port(Component::Be, &doris_api::ports::BE_HEARTBEAT)]);
        }
        ports
    }

    /// Disks of backends that work: from now on those are not to be empty.
    fn disks_in_use(&self, doris: &Doris) -> BTreeMap<String, BTreeSet<String>> {
        let reported = |row: &&doris_client::Backend| row.alive && row.has_reported_since_start();
        let of_row = |row: &doris_client::Backend| {
            let pod = self.facts.seen.of(Component::Be).iter().find(|pod| pod.fqdn == row.host && pod.ready && !pod.deleting)?;
            let is_own = |(volume, claim): &(&String, &String)| {
                **claim == doris_api::names::claim(&self.key.name, Component::Be, volume, pod.ordinal)
            };
            let disks = pod.volumes.iter().filter(is_own).map(|(volume, _)| volume.clone());
            Some((row.host.clone(), disks.collect()))
        };
        doris.backends.iter().filter(reported).filter_map(of_row).collect()
    }

    /// Keeps the identity's record of members, once all that are wanted are there: one write.
    /// Workers that do not come hold the record of the frontends up for a minute only.
    async fn record(&mut self, stored: &Stored, doris: &Doris) -> Result<(), Error> {
        let mut next = stored.identity.clone();
        if let (Phase::Founded { cluster_id }, Some(id)) = (&mut next.phase, doris.frontends.iter().find_map(|row| row.cluster_id))
            && cluster_id.is_empty()
        {
            *cluster_id = id.to_string();
        }
        let frontends: BTreeMap<String, KnownFrontend> = doris
            .frontends
            .iter()
            .filter(|row| row.joined && row.alive && self.is_asked_for(&row.host) && self.pod_by_fqdn(&row.host).is_some())
            .map(|row| (row.host.clone(), KnownFrontend { name: row.name.clone(), role: role_name(row.role).to_owned() }))
            .collect();
        let backends = doris.backends.iter().filter(|row| row.alive && row.status.last_report().is_some());
        for (host, known) in self.left_the_group(&stored.identity, doris) {
            next.note_left(host, &known.name);
        }
        // What is on its volume now is of this registration.
        next.left.retain(|host, _| !frontends.contains_key(host));
        let left = next.left.iter().any(|(host, names)| stored.identity.left.get(host) != Some(names));
        next.frontends.extend(frontends);
        next.backends.extend(backends.filter(|row| self.is_backend(&row.host)).map(|row| (row.host.clone(), row.id.to_string())));
        next.ports.extend(self.registered_ports(&next));
        next.disks.extend(self.disks_in_use(doris));
        let is_there = |component: Component| {
            let counted = crate::report::count(self.cluster, component, &self.facts.seen);
            counted.registered >= counted.desired && counted.alive >= counted.desired
        };
        let frontends_are_there = [Component::Fe, Component::FeObserver].into_iter().all(is_there);
        let silent = self.silent_backends(doris, &next);
        let is_seen = silent.is_empty() && next.backends.keys().all(|host| next.disks.contains_key(host));
        let complete = is_seen && Component::ALL.into_iter().all(is_there);
        let now = self.ctx.clock.instant();
        let since = self.memory.frontends_since.filter(|_| frontends_are_there).unwrap_or(now);
        self.memory.frontends_since = frontends_are_there.then_some(since);
        let complete = complete || (frontends_are_there && now.duration_since(since) >= RECORD_PATIENCE);
        if next != stored.identity && (complete || left) {
            let written = identity::replace(self.ctx, self.key, stored, &next).await?;
            self.keep(written);
            self.apply(&next, Stage::Frontends).await?;
        } else if next != stored.identity {
            self.facts.next_look.get_or_insert(UNTIL_RECORDED);
        }
        for pod in silent {
            self.wait(reason::REGISTERING, format!("{pod} is alive and has not reported its disks and tablets to the master yet: loads to it would hang. If this lasts, see whether it can resolve the names of the frontends"));
        }
        Ok(())
    }

    /// Members on record that the master's list has not any more under their names, whoever dropped them. Their pods stay, so a start
    /// may come at any moment.
    fn left_the_group<'a>(&'a self, identity: &'a Identity, doris: &'a Doris) -> impl Iterator<Item = (&'a String, &'a KnownFrontend)> {
        let is_listed = |host: &str, name: &str| doris.frontends.iter().any(|row| row.host == host && row.name == name);
        identity
            .frontends
            .iter()
            .filter(move |(host, known)| !known.name.is_empty() && self.is_asked_for(host) && !is_listed(host, &known.name))
    }

    /// Backends that are alive and have never reported what is on their disks.
    fn silent_backends(&self, doris: &Doris, known: &Identity) -> Vec<String> {
        let rows = doris.backends.iter().filter(|row| row.alive && self.is_backend(&row.host) && !known.disks.contains_key(&row.host));
        rows.filter_map(|row| self.pod_by_fqdn(&row.host)).filter(|pod| pod.ready).map(|pod| pod.name.clone()).collect()
    }
}

fn role_name(role: FrontendRole) -> &'static str {
    match role {
        FrontendRole::Follower => "FOLLOWER",
        FrontendRole::Observer => "OBSERVER",
    }
}
