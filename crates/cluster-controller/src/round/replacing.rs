//! Letting a frontend that lost its metadata in again: it is dropped under its old name, then registered
//! and admitted as any new one. A member of a lost node is the failover-watcher's; this is a pod that
//! runs and says itself that its volume has nothing to start on.

use std::time::Duration;

use controller_kit::clock::whole_seconds;
use controller_kit::events::Severity;
use controller_kit::lease::{Fence, Holding, Operation};
use doris_api::cluster::FailoverMode;
use doris_api::conditions::reason;
use doris_api::{Component, names};
use doris_client::{Endpoint, FrontendRole, MemberAddress, Session};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::time::Instant;

use super::Round;
use super::operation::may_be_helped;
use crate::error::Error;
use crate::observe::doris::Doris;
use crate::observe::pods::{Place, members};
use crate::plan::joining::FrontendRow;
use crate::plan::replacing::{Case, Held, may_drop};
use crate::view::MemberPod;

/// What this operation is called, in the Lease and in Events.
const KIND: &str = "ReplaceFrontend";
/// So many are dropped within [`PERIOD`] at most: whatever empties volumes is not fed with more.
const AT_MOST: usize = 3;
/// See [`AT_MOST`].
const PERIOD: Duration = Duration::from_hours(1);

/// What is remembered of replacements.
#[derive(Debug, Default)]
pub struct ReplaceMemory {
    /// Whose place is being filled, as the Lease says.
    operation: Option<Operation>,
    /// When members were dropped.
    dropped: Vec<Instant>,
    /// Registered frontends that are away, and since when it is these.
    away: (Vec<String>, Option<Instant>),
}

/// A registered frontend whose pod came back without its metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost<'a> {
    pub fqdn: &'a str,
    pub role: &'a str,
    pub master: &'a str,
    pub rows: &'a [FrontendRow],
}

impl Round<'_> {
    /// Drops it if nothing can be lost by that. Tells whether it did; if not, what is waited for is told.
    pub(super) async fn drop_lost_frontend(&mut self, doris: &Doris, session: &mut Session, lost: Lost<'_>) -> Result<bool, Error> {
        let Some(pod) = self.pod_by_fqdn(lost.fqdn).cloned() else { return Ok(false) };
        let unchanged_for = self.away_for(lost.rows);
        let case = Case { fqdn: lost.fqdn, role: lost.role, master: lost.master, rows: lost.rows, unchanged_for };
        let witnesses = match self.held_outside(&pod, &case).map_or_else(|| may_drop(&case), Err) {
            Ok(witnesses) => witnesses,
            Err(held) => {
                self.tell_held(&pod, held);
                return Ok(false);
            }
        };
        if let Some(held) = self.held_by_its_pod(&pod).await? {
            self.tell_held(&pod, held);
            return Ok(false);
        }
        let Some(fence) = self.hold_for_replacement(&pod.name).await? else { return Ok(false) };
        let is_proven = match witnesses.as_slice() {
            [] => self.may_change_members(doris, session).await?,
            witnesses => self.prove(doris, session, witnesses, witnesses.len()).await?,
        };
        if !is_proven {
            return Ok(false);
        }
        // The proof may have taken a while: the decision is made again from what is so now, on this very connection.
        let rows = session.frontends().await.map_err(|source| Error::Doris { what: "listing the frontends", source })?;
        let rows: Vec<FrontendRow> = rows.iter().map(|row| self.joining_row(row, doris, lost.master)).collect();
        if let Err(held) = may_drop(&Case { rows: &rows, ..case }) {
            self.tell_held(&pod, held);
            return Ok(false);
        }
        self.carry_out_drop(session, &pod, lost, &fence).await?;
        Ok(true)
    }

    /// The statement, fenced as far as SQL can be: the Lease is ours and fresh, and a late or repeated DROP of this
    /// host finds nothing or the same dead member.
    async fn carry_out_drop(&mut self, session: &mut Session, pod: &MemberPod, lost: Lost<'_>, fence: &Fence) -> Result<(), Error> {
        let (namespace, name) = (&self.key.namespace, &self.key.name);
        self.ctx.operations.check_just_before_act(namespace, name, fence).await?;
        let role = if lost.role == "OBSERVER" { FrontendRole::Observer } else { FrontendRole::Follower };
        match session.drop_frontend(role, &MemberAddress::new(lost.fqdn, self.ports().edit_log)).await {
            Ok(()) => {}
            // Done before, by us: the list that is read next tells.
            Err(error) if error.says_does_not_exist() => {}
            Err(source) => return Err(Error::Doris { what: "dropping a frontend that lost its metadata", source }),
        }
        self.memory.replacing.dropped.push(self.ctx.clock.instant());
        let note = format!(
            "{} lost its metadata ({}) and was dropped from Doris, where all others follow the master; it is registered and let in anew",
            pod.name,
            claim_of(&self.key.name, pod)
        );
        tracing::info!(cluster = self.key.name, pod = pod.name, "a frontend that lost its metadata was dropped");
        self.announce(Severity::Warning, KIND, "Drop", note).await;
        Ok(())
    }

    /// Whoever is registered anew in the place of a former member holds the Lease until it has joined.
    pub(super) async fn hold_for_replacement(&mut self, pod: &str) -> Result<Option<Fence>, Error> {
        let under_way = self.cluster.status.as_ref().and_then(|status| status.operation.as_ref());
        if let Some(busy) = under_way.filter(|busy| busy.target != pod && !may_be_helped(busy)) {
            let message = format!("{pod} lost its metadata and is replaced once {} of {} is done", busy.kind, busy.target);
            self.wait(reason::REPLACING, message);
            return Ok(None);
        }
        let known = self.memory.replacing.operation.clone().filter(|operation| operation.target == pod);
        let started = whole_seconds(self.ctx.clock.now());
        let operation = known.unwrap_or_else(|| Operation { kind: KIND.to_owned(), target: pod.to_owned(), started });
        match self.ctx.operations.hold(&self.key.namespace, &self.key.name, &operation).await? {
            Holding::Ours { fence, .. } => {
                self.memory.replacing.operation = Some(operation);
                Ok(Some(fence))
            }
            Holding::Busy { holder, operation } => {
                let what = operation.map_or_else(String::new, |operation| format!(" for {} of {}", operation.kind, operation.target));
                let message =
                    format!("{pod} lost its metadata and is replaced once {holder} gives the cluster's operation Lease up, held{what}");
                self.wait(reason::REPLACING, message);
                Ok(None)
            }
        }
    }

    /// Gives the Lease up once the place is filled.
    pub(super) async fn finish_replacement(&mut self, doris: &Doris) -> Result<(), Error> {
        let Some(operation) = &self.memory.replacing.operation else { return Ok(()) };
        let target = self.facts.seen.pods.values().flatten().find(|pod| pod.name == operation.target);
        let row = target.and_then(|pod| doris.frontends.iter().find(|row| row.host == pod.fqdn));
        let is_in = row.is_some_and(|row| row.joined && row.alive);
        if is_in || target.is_none() {
            self.memory.replacing.operation = None;
            self.ctx.operations.release(&self.key.namespace, &self.key.name).await?;
        }
        Ok(())
    }

    /// What the spec, the pace and the volume say against it.
    fn held_outside(&self, pod: &MemberPod, case: &Case<'_>) -> Option<Held> {
        if !pod.has_lost_metadata() {
            return Some(Held::Wait("its metadata volume is not mounted".to_owned()));
        }
        let mode = self.cluster.spec.failover.mode;
        if mode != FailoverMode::Automatic {
            return Some(Held::Stall(format!(
                "failover.mode is {mode:?}, so this is only reported. Set it to Automatic; or, once all other frontends follow the master, drop it \
                 (ALTER SYSTEM DROP {} \"{}:{}\"): it is then registered and let in anew",
                case.role,
                case.fqdn,
                self.ports().edit_log,
            )));
        }
        let now = self.ctx.clock.instant();
        let lately = self.memory.replacing.dropped.iter().filter(|at| now.duration_since(**at) < PERIOD).count();
        (lately >= AT_MOST).then(|| {
            Held::Wait(format!(
                "{lately} frontends were replaced within the last hour: find out what empties the volumes; it goes on by itself later"
            ))
        })
    }

    /// The server's own word on the pod, and whether anybody answers at its address.
    async fn held_by_its_pod(&self, pod: &MemberPod) -> Result<Option<Held>, Error> {
        let (Some(ip), ports) = (pod.ip, self.ports()) else { return Ok(Some(Held::Wait("its pod has no address".to_owned()))) };
        for port in [ports.edit_log, ports.http] {
            if self.ctx.transport.port_is_open(Endpoint { ip, port }).await {
                return Ok(Some(Held::Wait(format!("a frontend answers at its address, port {port}"))));
            }
        }
        let pods: Api<Pod> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let exactly = ListParams::default().fields(&format!("metadata.name={}", pod.name));
        let found = pods.list(&exactly).await.map_err(|source| Error::Read { what: "a frontend's pod", source })?;
        let place = Place { cluster: &self.key.name, namespace: &self.key.namespace, domain: &self.cluster.spec.cluster_domain };
        let live = members(place, &found.items, &std::collections::BTreeMap::new());
        let is_so = live.values().flatten().any(|live| live.uid == pod.uid && !live.deleting && live.has_lost_metadata());
        Ok((!is_so).then(|| Held::Wait("its pod is not the one any more that was seen".to_owned())))
    }

    /// For how long the same registered frontends have been away.
    fn away_for(&mut self, rows: &[FrontendRow]) -> Duration {
        let away: Vec<String> = rows.iter().filter(|row| !row.alive).map(|row| row.host.clone()).collect();
        let now = self.ctx.clock.instant();
        let (before, since) = &mut self.memory.replacing.away;
        if *before != away {
            (*before, *since) = (away, Some(now));
        }
        since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    fn tell_held(&mut self, pod: &MemberPod, held: Held) {
        let begin = format!(
            "{} is registered in Doris and its metadata volume ({}) came back without a journal: it waits in its start gate, because under its \
             old name it would vote without what it had acknowledged",
            pod.name,
            claim_of(&self.key.name, pod)
        );
        match held {
            Held::Wait(why) => {
                self.wait(
                    reason::JOURNAL_LOST,
                    format!("{begin}. It is dropped and registered anew when nothing can be lost by it: {why}"),
                );
            }
            Held::Stall(why) => self.stall(reason::JOURNAL_LOST, format!("{begin}; {why}")),
        }
    }
}

fn claim_of(cluster: &str, pod: &MemberPod) -> String {
    let component = names::parse_pod(cluster, &pod.name).map_or(Component::Fe, |(component, _)| component);
    format!("claim {}", names::claim(cluster, component, names::FE_META_VOLUME, pod.ordinal))
}
